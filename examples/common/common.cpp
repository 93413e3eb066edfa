#include "common/common.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iostream>
#include <limits>
#include <new>
#include <set>
#include <sstream>

#include "cinch/core/threads.hpp"
#include "commit.hpp"
#include "common/figures.hpp"
#include "common/options.hpp"

namespace cinch::examples {

namespace {

bool same_number(const std::string& a, const std::string& b) {
  char *end_a = nullptr, *end_b = nullptr;
  const double x = std::strtod(a.c_str(), &end_a), y = std::strtod(b.c_str(), &end_b);
  const bool numbers = !a.empty() && !b.empty() && !*end_a && !*end_b;
  return numbers ? x == y : a == b;
}

/// The elements of "1,2", or of "[1,2]", as CLI11 writes a default.
std::vector<std::string> elements(const std::string& value) {
  std::vector<std::string> result(1);
  for (const char c : value) {
    if (c == ',') {
      result.emplace_back();
    } else if (c != '[' && c != ']' && c != ' ') {
      result.back() += c;
    }
  }
  return result;
}

/// The elements of a list; what is none is the only one.
std::vector<std::string> elements_of_list(const std::string& value) {
  return value.starts_with('[') ? elements(value) : std::vector<std::string>{value};
}

/// Whether two values of an option are the same: 0.10 is 0.1.
bool same_value(const std::string& a, const std::string& b) {
  return a == b || std::ranges::equal(elements(a), elements(b), same_number);
}

/// What an option was given as, or its default.
std::string value_of(const CLI::Option& option) {
  if (is_flag(option)) return is_set(option) ? "true" : "";
  std::string result;
  const std::string usual = option.get_default_str();
  for (const std::string& part : option.count() > 0 ? option.results() : elements_of_list(usual))
    result += (result.empty() ? "" : ",") + part;
  return result;
}

bool is_among(const std::string& name, std::initializer_list<const char*> names) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

Record::Record(std::string program, const CLI::App& app, std::string folder, bool resumes)
    : folder_(std::move(folder)), configuration_(configuration_of(app)), resumes_(resumes) {
  if (resumes_) {
    std::ifstream in(folder_ + "/run.txt");
    if (!in)
      throw FileError("--resume: there is nothing to go on from in " + folder_ +
                      ", it has no run.txt: check --output, or leave --resume out to begin anew");
    for (std::string line; std::getline(in, line);) {
      const auto colon = line.find(": ");
      if (colon != std::string::npos)
        before_.emplace_back(line.substr(0, colon), line.substr(colon + 2));
    }
  }
  note("program", program);
  note("version", std::string(version()));
  lines_.emplace_back("commit", commit_of_build);  // Most commits change no results.
  for (const CLI::Option* option : app.get_options()) {
    const std::string name = option->get_name();
    // Where and how to run. More epochs may be asked for.
    if (is_among(name, {"--help", "--version", "--config", "--resume", "--quiet", "--report",
                        "--threads", "--output", "--data"}))
      continue;
    if (name == "--distribute") {  // Any number of ranks goes on, to the same bits.
      note(name, value_of(*option).empty() ? "" : "minibatches in parts");
      continue;
    }
    const std::string usual = is_flag(*option) ? "" : option->get_default_str();
    const std::string value = value_of(*option);
    const bool decides = !is_among(
        name, {"--seed", "--dtype", "--preset", "--log", "--log-format", "--tensorboard"});
    if (decides && !same_value(value, usual)) as_published_ = false;
    if (name.ends_with("epochs")) {
      lines_.emplace_back(name, value);
    } else {
      note(name, value);
    }
  }
}

void Record::note(const std::string& name, const std::string& value) {
  lines_.emplace_back(name, value);
  if (!resumes_) return;
  const auto found = std::ranges::find(before_, name, &std::pair<std::string, std::string>::first);
  const std::string there = found == before_.end() ? "not said" : found->second;
  if (same_value(there, value)) return;
  throw ValueError("--resume: the checkpoints in " + folder_ + " are of another run: " + name +
                   " is " + (value.empty() ? "not given" : value) + ", there it is " +
                   (there.empty() ? "not given" : there) +
                   "\n  Choose another --output, or leave --resume out to begin anew.");
}

void Record::keep() {
  if (lock_) return;
  if (kept_by_others_) return;
  const std::string path = folder_ + "/run.txt";
  lock_ = std::make_unique<FileLock>(path);
  // Neither decides results: threads, and what a program makes by itself from its options.
  lines_.emplace_back("threads", text(threads()));
  if (std::ranges::find(lines_, "data", &std::pair<std::string, std::string>::first) ==
      lines_.end())
    lines_.emplace_back("data", "made by the program, from its seed and options");
  std::string lines;
  for (const auto& [name, value] : lines_) lines += name + ": " + value + '\n';
  replace_file(path, lines);
  replace_file(folder_ + "/run.ini", configuration_);
}

TrainOptions training_of(const Classification& model, const Updates& updates, const char* name,
                         const DataSets& data, const Options& options, const std::string& part) {
  TrainOptions t = options.training(part);
  const std::vector<Expr> inputs{model.x, model.labels};
  t.step = function({.inputs = inputs, .outputs = {model.cost}, .updates = updates, .name = name});
  t.validate = function({.inputs = inputs, .outputs = {model.error}, .name = "error"});
  t.data = {&data.training.images, &data.training.labels};
  t.validation_data = {&data.validation.images, &data.validation.labels};
  t.validation_batch = 1000;
  t.names = {"cost"};
  t.validation_names = {"validation error"};
  return t;
}

TrainOptions Options::training(const std::string& part) const {
  if (record) record->keep();
  TrainOptions result;
  result.distribute = ranks;
  result.epochs = epochs;
  result.batch = batch;
  result.log = output + "/" + part + "log." + log_format;
  if (page) page->logs.push_back(result.log);
  if (tensorboard) {  // "layer1_" is the run "layer1".
    const std::string name = part.substr(0, part.find_last_not_of('_') + 1);
    result.tensorboard = output + "/tensorboard/" + (name.empty() ? "training" : name);
  }
  result.checkpoint = output + "/" + part + "checkpoint.npz";
  result.resume = resume ? Resume::if_present : Resume::never;
  result.out = quiet ? nullptr : stdout;
  result.after_interrupt = AfterInterrupt::give_back;
  return result;
}

void add_options(CLI::App& app, Options& o, const std::vector<std::string>& without) {
  app.add_option("--data", o.data,
                 "Folder of MNIST's four files; or what read_images() and read_table() take: a "
                 "folder of PNG files by class, .npy, .npz, safetensors, a .csv of numbers from 0 "
                 "to 1 (default: $CINCH_DATA, else Debian's Fashion-MNIST)");
  app.add_option("--images", o.images, "Training images, at most; as many to validate and test")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000000}))
      ->capture_default_str();
  app.add_option("--epochs", o.epochs, "Passes over the training images")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1000000}))
      ->capture_default_str();
  app.add_option("--batch", o.batch, "Images in a minibatch")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000}))
      ->capture_default_str();
  app.add_option("--rate", o.rate, "Learning rate")->check(above_zero())->capture_default_str();
  app.add_option("--seed", o.seed, "Of initial weights, order and noise")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{4294967295}))
      ->capture_default_str();
  app.add_option("--dtype", o.dtype, "Element type")
      ->check(CLI::IsMember({"float32", "float64"}))
      ->capture_default_str();
  app.add_option("--output", o.output, "Folder for pictures, figures, log and checkpoints")
      ->capture_default_str();
  app.add_option("--log-format", o.log_format,
                 "Of log files, a row an epoch: csv, or one JSON object a line")
      ->check(CLI::IsMember({"csv", "jsonl"}))
      ->capture_default_str();
  app.add_flag("--tensorboard", o.tensorboard,
               "Write curves and pictures for TensorBoard too: tensorboard --logdir OUTPUT");
  app.add_option("--threads", o.threads,
                 "Threads to compute with; results are the same for any number (0: "
                 "$CINCH_THREADS, else one for each processor)")
      ->check(CLI::Range(0, 256))
      ->capture_default_str();
  app.add_option(
         "--distribute", o.distribute,
         "Cut minibatches into parts, which several processes compute, to the same bits for "
         "any number: mpi, those that mpirun -np N starts; one, this process alone")
      ->check(CLI::IsMember({"mpi", "one"}))
      ->capture_default_str();
  app.add_flag("--resume", o.resume, "Go on from the checkpoint in the output folder")
      ->configurable(false);
  app.add_flag("--quiet", o.quiet, "Print nothing but errors");
  app.add_flag("--report", o.report,
               "Write report.html to the output folder: curves, pictures, audit, environment");
  for (const std::string& name : without) app.remove_option(app.get_option(name));
}

void require_whole(const TrainResult& trained) {
  if (trained.stopped == TrainResult::Stopped::interrupted) throw Interrupted();
}

TrainResult train_to_end(const TrainOptions& options) {
  TrainResult result = train(options);
  require_whole(result);
  return result;
}

double mean_of(const Expr& value, const Expr& x, const Tensor& images) {
  return mean_over(function({.inputs = {x}, .outputs = {value}, .name = "mean"}), {&images})[0];
}

Expr falling_rate(const Shared& step, double rate, const Options& o, std::int64_t rows) {
  const std::int64_t steps = o.epochs * ((rows + o.batch - 1) / o.batch);
  return schedule::cosine(step, rate, std::max<std::int64_t>(steps, 1));
}

void expect(const Options& options, const std::string& what) {
  if (options.record) options.record->expected = what;
  if (options.quiet) return;
  std::printf("Expect: %s\n", what.c_str());
  std::fflush(stdout);
}

double last(const TrainResult& trained, std::size_t k) {
  const auto& history = trained.state.history;
  return history.empty() ? std::numeric_limits<double>::quiet_NaN() : history.back().training.at(k);
}

Curve curve(const TrainResult& trained, std::size_t k, std::string name, int panel) {
  Curve result{std::move(name), {}, {}, panel};
  for (const EpochReport& report : trained.state.history) {
    result.xs.push_back(static_cast<double>(report.epoch));
    result.ys.push_back(report.training.at(k));
  }
  return result;
}

Results::Results(const Options& options, std::string title, bool comparable)
    : options_(options),
      comparable_(comparable && (!options.record || options.record->as_published())),
      title_(std::move(title)) {
  if (options.page) options.page->title = title_;
}

void Results::add(const std::string& what, const std::string& value, const std::string& published) {
  const bool compared = comparable_ && !published.empty();
  if (options_.page)
    options_.page->results.rows.push_back({what, value, compared ? published : ""});
  rows_ += "| " + what + " | " + value + " | " + (compared ? published : "") + " |\n";
  if (options_.quiet) return;
  std::printf("%s: %s%s\n", what.c_str(), value.c_str(),
              !compared ? "" : (" (published: " + published + ")").c_str());
  std::fflush(stdout);
}

void Results::write() const {
  if (!options_.writes()) return;
  if (options_.record) options_.record->keep();
  const std::string path = options_.output + "/results.md";
  std::ofstream out(path);
  out << "## " << title_ << "\n\n| figure | ours | published |\n|---|---|---|\n" << rows_;
  out.close();
  if (!out) throw FileError(path + ": cannot be written");
  if (options_.quiet) return;
  if (options_.record && !options_.record->expected.empty())
    std::printf("expected: %s\n", options_.record->expected.c_str());
  std::printf("pictures and figures are in %s\n", options_.output.c_str());
}

std::string number(double x, int digits) {
  std::ostringstream out;
  out.precision(digits);
  out << x;
  return out.str();
}

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f %%", 100 * share);
  return text;
}

std::string file_name(const std::string& what) {
  std::string result;
  for (const char c : what)
    result += c == '.' || std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return result;
}

namespace {

/// The PNG files of a folder, for TensorBoard: a run of its own beside those of the trainings.
void show_pictures(const std::string& folder) {
  std::set<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".png") paths.insert(entry.path());
  if (paths.empty()) return;
  EventWriter events(folder + "/tensorboard/pictures");
  for (const std::filesystem::path& path : paths) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream bytes;
    bytes << in.rdbuf();
    events.image(0, path.stem().string(), bytes.str());
  }
}

}  // namespace

int run(const char* name, CLI::App& app, int argc, char** argv, Options& options,
        const std::function<void()>& body) {
  if (const std::optional<int> status = parse(name, app, argc, argv)) return *status;
  try {
    options.ranks = ranks_of(app, options);
    if (options.threads > 0) set_threads(options.threads);
    threads();  // Refuses a CINCH_THREADS that is none before anything is read.
    options.record = std::make_shared<Record>(name, app, options.output, options.resume);
    if (!options.writes()) leave_to_others(options);
    std::filesystem::create_directories(options.output);
    if (options.report) options.page = new_page(argc, argv);
    const auto start = std::chrono::steady_clock::now();
    body();
    write_page(options, "");
    if (options.tensorboard) show_pictures(options.output);
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (std::fflush(stdout) != 0 || std::ferror(stdout) || !std::cout.flush())
      throw FileError("standard output: cannot be written: " + system_reason());
    if (!options.quiet) std::fprintf(stderr, "ran for %.2f minutes\n", seconds / 60);
  } catch (const Interrupted& interrupted) {
    try {
      write_page(options,
                 "The run was interrupted: curves reach as far as it came, and what follows the "
                 "training is missing.");
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s: %s\n", name, error.what());
    }
    std::fflush(stdout);
    if (options.writes()) std::fprintf(stderr, "%s: %s\n", name, interrupted.what());
    return 130;
  } catch (const std::exception& error) {
    const bool memory = dynamic_cast<const std::bad_alloc*>(&error) != nullptr;
    const std::string why = memory ? "not enough memory" : error.what();
    if (options.ranks) options.ranks->fail(why);
    std::fprintf(stderr, "%s: %s\n", name, why.c_str());
    return 1;
  }
  return 0;
}

}  // namespace cinch::examples
