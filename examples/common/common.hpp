// What the programs here have in common: options, data sets, the folder of results.
#pragma once

#include <CLI/CLI.hpp>
#include <cinch/cinch.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "cinch/io/file.hpp"

namespace cinch::examples {

/// What a run was asked for, kept as run.txt in its output folder: program, version and commit,
/// options with the seed, threads, a hash of the data. A run that resumes compares itself with it.
/// Beside it stands run.ini, all options as --config takes them.
class Record {
 public:
  Record(std::string program, const CLI::App& app, std::string folder, bool resumes);
  /// Of several ranks one keeps it.
  void leave_to_others() { kept_by_others_ = true; }
  /// Adds a line. Throws ValueError where this run resumes one that had another.
  void note(const std::string& name, const std::string& value);
  /// Locks the folder until the program ends, and writes the file; later calls do nothing. Throws
  /// FileError where another program works there.
  void keep();
  /// What expect() said, for Results to say again beside what was found.
  std::string expected = {};
  /// Whether no option that decides results has another value than its default.
  bool as_published() const { return as_published_; }
  /// What the two files hold.
  const std::vector<std::pair<std::string, std::string>>& lines() const { return lines_; }
  const std::string& configuration() const { return configuration_; }

 private:
  std::string folder_, configuration_;
  bool resumes_, as_published_ = true, kept_by_others_ = false;
  std::vector<std::pair<std::string, std::string>> lines_, before_;
  std::unique_ptr<FileLock> lock_;
};

struct Page;  // common/figures.hpp

/// Options that mean the same everywhere. A program sets its own defaults before add_options().
struct Options {
  std::string data = {};        ///< What load() reads; empty: data_folder().
  std::string output = {};      ///< Folder for all that is written.
  std::int64_t images = 50000;  ///< Training images at most; as many to validate and test.
  std::int64_t epochs = 10, batch = 20;
  double rate = 0.1;
  std::int64_t seed = 123;
  std::string dtype = "float32";
  std::string log_format = "csv";
  bool tensorboard = false;
  int threads = 0;              ///< 0: CINCH_THREADS, else one for each processor.
  std::string distribute = {};  ///< "mpi", "one", or empty: minibatches are not cut into parts.
  bool resume = false, quiet = false, report = false;
  std::shared_ptr<Record> record = {};       ///< Made by run().
  std::shared_ptr<Page> page = {};           ///< For the report; by run(), null without --report.
  std::shared_ptr<Distribution> ranks = {};  ///< By run(), null without --distribute.

  /// Whether this process is the one of several that prints and writes.
  bool writes() const { return !ranks || ranks->rank() == 0; }
  DType type() const { return dtype == "float64" ? DType::float64 : DType::float32; }
  /// For train(): epochs, batch, the ranks, a log and a checkpoint in the output folder, their
  /// names beginning with `part`.
  TrainOptions training(const std::string& part = "") const;
};

/// Adds all of them to the command line, but for those that a program has no use for: "--rate".
void add_options(CLI::App& app, Options& options, const std::vector<std::string>& without = {});

/// What an option may be: a number above 0, or one that is not below it. Neither infinity nor NaN
/// is.
CLI::Validator above_zero();
CLI::Validator not_negative();

/// Gives an option that the command line left out another default, as a preset does.
template <class T>
void by_preset(CLI::App& app, const std::string& name, T& variable,
               const std::type_identity_t<T>& value) {
  CLI::Option* option = app.get_option(name);
  option->default_str(CLI::detail::to_string(value));
  if (option->count() == 0) variable = value;
}

struct Examples {
  Tensor images;  ///< (count, rows * columns), in [0, 1)
  Tensor labels;  ///< (count), int64
};
/// Training, validation (the end of the training file) and test.
struct DataSets {
  Examples training, validation, test;
  std::int64_t rows = 0;     ///< Of coloured pictures those of red, then green, then blue.
  std::int64_t columns = 0;  ///< Of a table all, in one row.
  std::string folder;        ///< Or file.
  bool mnist = false;  ///< The real one, by its first labels: published figures may stand beside.

  bool labelled = true;  ///< Else all labels are 0.
  Tensor labels;         ///< Those of all that may be trained on, used or not.
  std::int64_t pixels() const { return rows * columns; }
  /// One more than the largest label. Throws FileError where there are no labels, which a program
  /// that asks cannot do without.
  std::int64_t classes() const;
  Tiling tiling() const { return {.tile_height = rows, .tile_width = columns}; }
};
/// What a program does with its data.
struct Shares {
  double held = 1.0 / 6;   ///< Of the training images, to validate on: 10,000 of MNIST; may be 0.
  std::int64_t tests = 0;  ///< At most so many to test on; 0: Options::images.
};
/// Reads them from a folder of MNIST's four files, pixel = byte / divisor; from anything else that
/// read_images() reads; or from a table of numbers from 0 to 1, of which a column named label is
/// the labels. What is not divided is put in an order of chance, and a share of it tested on.
/// Throws FileError for what is missing or damaged and for images or labels that do not belong
/// together.
DataSets load(const Options& options, double divisor = 256, const Shares& shares = {});

/// The first `count` examples, or all where there are fewer.
Examples first(const Examples& all, std::int64_t count);
/// The first images, as many as fill minibatches of this size: what the Theano tutorials validate
/// and test on.
Examples whole_batches(const Examples& all, std::int64_t batch);

/// What Ctrl-C, or SIGTERM, ends a program with: run() says so and returns 130.
class Interrupted : public Error {
 public:
  Interrupted() : Error("interrupted; --resume goes on from here") {}
};
/// Throws Interrupted where the training was.
void require_whole(const TrainResult& trained);
/// Formulas of a classifier of images.
struct Classification {
  Expr x, labels;    ///< Inputs: (batch, pixels), (batch).
  Expr cost, error;  ///< What is trained, and the share of labels that are missed.
};
/// Training by these updates on all training images, validated by the error; `name` is the step's
/// in messages, `part` begins the names of files.
TrainOptions training_of(const Classification& model, const Updates& updates, const char* name,
                         const DataSets& data, const Options& options,
                         const std::string& part = "");
/// train() for a program that goes on with what came of it. Throws Interrupted where Ctrl-C ended
/// it.
TrainResult train_to_end(const TrainOptions& options);
/// Notes the data of a run in its record, with the labels where it has any.
void note_data(const Options& options, const Tensor& images, const Tensor* labels = nullptr);
/// The mean over all images of `value`, a mean over the rows of x: of so many images at a time that
/// what is computed on the way takes little memory.
double mean_of(const Expr& value, const Expr& x, const Tensor& images);
/// From `rate` to 0 as a cosine over all minibatches of o.epochs passes over `rows`; `step` counts
/// them.
Expr falling_rate(const Shared& step, double rate, const Options& o, std::int64_t rows);

/// Prints what to expect of a run, before it and again below what it found.
void expect(const Options& options, const std::string& what);
/// The mean of output `k` of the step over the last epoch; NaN where there was none.
double last(const TrainResult& trained, std::size_t k = 0);
/// Output `k` over the epochs, for show().
Curve curve(const TrainResult& trained, std::size_t k, std::string name, int panel = 0);

/// The figures a program found, beside published ones: printed as they come, and written to
/// results.md in the output folder, a table that bench/reproduce collects.
class Results {
 public:
  /// `comparable`: the data are those of the published figures: data.mnist. They are left out
  /// otherwise, and where an option that decides results is not as published, its default.
  Results(const Options& options, std::string title, bool comparable = false);
  /// `published`: "" where there is none.
  void add(const std::string& what, const std::string& value, const std::string& published = "");
  void write() const;

 private:
  const Options& options_;
  bool comparable_;
  std::string title_, rows_;
};

/// 3.14159 -> "3.14": so many digits that count.
std::string number(double x, int digits = 4);
/// 0.0123 -> "1.23 %"
std::string percent(double share);

/// "CAE lambda 0.1" -> "CAE_lambda_0.1"
std::string file_name(const std::string& what);

/// What a program is about: the comment that its file begins with, which --help shows. Each program
/// brings its own; CMakeLists.txt makes it.
const char* about();

/// All options in effect, but those without a default that were not given, as --config takes them.
std::string configuration_of(const CLI::App& app);

/// Parses a command line, to which it adds --version and --config. The value, where there is one,
/// is for main() to return: 0 where help or the version was asked for and printed, CLI11's above
/// 100 for options that make no sense, which it says, and in which file they stand; of one that
/// does not exist, also which may be meant.
std::optional<int> parse(const char* name, CLI::App& app, int argc, char** argv);

/// Parses the command line, makes the output folder, runs `body`, and prints what went wrong, if
/// anything did. Of several ranks all run it, and the first alone prints and writes. The value is
/// for main() to return: 0; 130 for a run that was interrupted; 1 for errors, which a standard
/// output that cannot be written is, too; CLI11's above 100 for options that make no sense.
int run(const char* name, CLI::App& app, int argc, char** argv, Options& options,
        const std::function<void()>& body);

}  // namespace cinch::examples
