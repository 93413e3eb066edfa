// The data sets that programs train on: MNIST's files, and whatever else --data names.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <random>
#include <set>
#include <span>
#include <sstream>
#include <utility>
#include <vector>

#include "common/common.hpp"

namespace cinch::examples {

namespace {

namespace fs = std::filesystem;

/// Rows [begin, end) of both.
template <class Set>
Examples part(const Set& all, std::int64_t begin, std::int64_t end) {
  const Expr x = variable("x", all.images.dtype(), {-1, -1}), y = lvector("y");
  return {evaluate(slice(x, begin, end), {{x, all.images}}),
          evaluate(slice(y, begin, end), {{y, all.labels}})};
}

bool ends_as(std::string name, std::initializer_list<const char*> endings) {
  std::ranges::transform(name, name.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  return std::ranges::any_of(endings, [&](const char* ending) { return name.ends_with(ending); });
}

/// Whether something is there that is not MNIST's files, which have a way of their own: only as
/// many of them as are used are read.
bool is_own(const std::string& path) {
  std::error_code ignored;
  if (fs::is_regular_file(path, ignored)) return true;
  if (!fs::is_directory(path, ignored) || fs::is_empty(path, ignored)) return false;
  return std::ranges::none_of(fs::directory_iterator(path, ignored), [](const auto& entry) {
    return entry.path().filename().string().find("-ubyte") != std::string::npos;
  });
}

bool is_table(const std::string& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return false;
  if (ends_as(path, {".csv", ".tsv", ".txt", ".dat"})) return true;
  return ends_as(path, {".npy"}) && read_npy(path).rank() <= 2;
}

/// Whether pictures to test on are apart from those to train on.
bool is_divided(const std::string& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return fs::is_directory(path + "/test", ignored);
  const auto names_test = [](const Arrays& arrays) {
    return std::ranges::any_of(
        arrays, [](const auto& entry) { return entry.first.find("test") != std::string::npos; });
  };
  if (ends_as(path, {".npz"})) return names_test(read_npz(path));
  return ends_as(path, {".safetensors"}) && names_test(read_safetensors(path));
}

/// A table as pictures of one row of pixels.
Pictures table_as_pictures(const std::string& path) {
  const NumberTable table = read_table(path, DType::float32);
  const std::int64_t rows = table.values.shape()[0], width = table.values.shape()[1];
  const auto is_label = [](const std::string& name) {
    return name == "label" || name == "class" || name == "target";
  };
  const std::int64_t label = std::ranges::find_if(table.columns, is_label) - table.columns.begin();
  const bool labelled = label < std::ssize(table.columns);
  const std::int64_t left = width - (labelled ? 1 : 0);
  if (left == 0) throw FileError(path + ": has no column but the labels");
  Pictures result{.images = Tensor(DType::float32, {rows, left}), .height = 1, .width = left};
  std::vector<std::int64_t> labels;
  const std::span<float> out = result.images.data<float>();
  const auto fail = [&](std::int64_t row, std::int64_t column, const std::string& what) {
    const bool named = column < std::ssize(table.columns);
    throw FileError(text(path, ": row ", row, ", column ", column,
                         named ? " (" + table.columns[static_cast<std::size_t>(column)] + ")" : "",
                         " of the table: ", table.values.at({row, column}), what));
  };
  std::size_t at = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = 0; column < width; ++column) {
      const double value = table.values.at({row, column});
      if (labelled && column == label) {
        if (value < 0 || value != std::floor(value) || value > 1e6)
          fail(row, column, " is no label: these are 0, 1, ...");
        labels.push_back(static_cast<std::int64_t>(value));
        continue;
      }
      if (value < 0 || value > 1)
        fail(row, column, " is not from 0 to 1, as programs here take numbers: scale the columns");
      out[at++] = static_cast<float>(value);
    }
  }
  if (labelled) result.labels = Tensor::from(labels);
  return result;
}

/// Rows of a tensor in this order.
template <class T>
Tensor rows_of(const Tensor& all, std::span<const std::size_t> order) {
  Shape shape = all.shape();
  const auto width = static_cast<std::size_t>(all.size() / shape[0]);
  shape[0] = std::ssize(order);
  Tensor result(all.dtype(), shape);
  for (std::size_t k = 0; k < order.size(); ++k)
    std::ranges::copy(all.data<T>().subspan(order[k] * width, width),
                      result.data<T>().begin() + static_cast<std::ptrdiff_t>(k * width));
  return result;
}

Examples examples_of(const Pictures& from, std::span<const std::size_t> order, DType dtype) {
  return {rows_of<float>(from.images, order).cast(dtype),
          from.labels ? rows_of<std::int64_t>(*from.labels, order)
                      : Tensor(DType::int64, {std::ssize(order)})};
}

/// Numbers below `count` in an order that is the same on every machine: pictures of a class often
/// stand together.
std::vector<std::size_t> shuffled(std::int64_t count) {
  std::vector<std::size_t> result(static_cast<std::size_t>(count));
  std::iota(result.begin(), result.end(), std::size_t{0});
  std::mt19937_64 random(1);
  for (std::size_t k = result.size(); k > 1; --k) std::swap(result[k - 1], result[random() % k]);
  return result;
}

std::int64_t held_of(std::int64_t count, double share) {
  // A share such as 1.0 / 6 is rounded: 60,000 times it must not lose an image.
  return static_cast<std::int64_t>(std::floor(share * static_cast<double>(count) + 1e-6));
}

DataSets load_own(const Options& o, const std::string& path, const Shares& shares) {
  const bool table = is_table(path), divided = !table && is_divided(path);
  const Pictures all = table ? table_as_pictures(path) : read_images(path);
  const std::int64_t count = all.images.shape()[0], tests = shares.tests ? shares.tests : o.images;
  const std::int64_t held = held_of(count, shares.held);
  const std::int64_t tested = divided ? 0 : std::min(tests, std::max(held, count / 6));
  if ((shares.held > 0 && held == 0) || (!divided && tested == 0))
    throw FileError(text(path, ": ", count, " examples are too few to validate and test on some"));
  const std::vector<std::size_t> order = shuffled(count);
  const std::span<const std::size_t> rest(order);
  const auto end = [&](std::int64_t k) { return rest.last(static_cast<std::size_t>(k)); };
  DataSets result;
  result.folder = path;
  result.rows = all.channels * all.height;
  result.columns = all.width;
  result.labelled = all.labels.has_value();
  if (all.labels) result.labels = *all.labels;
  const std::int64_t used = std::min(o.images, count - held - tested);
  result.training = examples_of(all, rest.first(static_cast<std::size_t>(used)), o.type());
  result.validation = examples_of(
      all, end(held + tested).first(static_cast<std::size_t>(std::min(o.images, held))), o.type());
  if (!divided) {
    result.test = examples_of(all, end(tested), o.type());
    return result;
  }
  const Pictures test = read_images(path, {.test = true});
  if (test.channels != all.channels || test.height != all.height || test.width != all.width)
    throw FileError(text(path, ": pictures to train on are of ", all.channels, " x ", all.height,
                         " x ", all.width, ", those to test on of ", test.channels, " x ",
                         test.height, " x ", test.width));
  if (test.labels.has_value() != all.labels.has_value())
    throw FileError(path + ": of pictures to train on and to test on only the " +
                    (test.labels ? "latter" : "former") + " have labels");
  const std::vector<std::size_t> some = shuffled(test.images.shape()[0]);
  const auto most = std::min(some.size(), static_cast<std::size_t>(tests));
  result.test = examples_of(test, std::span(some).first(most), o.type());
  return result;
}

std::string training_labels(const std::string& folder) {
  const std::string plain = folder + "/train-labels-idx1-ubyte";
  return fs::exists(plain) ? plain : plain + ".gz";
}

DataSets load_mnist(const Options& o, double divisor, const Shares& shares) {
  DataSets result;
  result.folder = data_folder(o.data);
  // Only what is used is read: images are most of a program's memory.
  result.labels = read_labels(training_labels(result.folder));
  const std::int64_t count = result.labels.size(), held = held_of(count, shares.held);
  if (shares.held > 0 && held == 0)
    throw FileError(text(result.folder, ": ", count, " training images are too few"));
  ImageSet training =
      load_training(result.folder, o.type(), divisor, {0, std::min(o.images, count - held)});
  ImageSet validation =
      load_training(result.folder, o.type(), divisor, {count - held, std::min(o.images, held)});
  ImageSet test = load_test(result.folder, o.type(), divisor,
                            {0, shares.tests ? shares.tests : o.images, /*or_fewer=*/true});
  result.rows = training.rows;
  result.columns = training.columns;
  if (test.rows != training.rows || test.columns != training.columns) {
    throw FileError(text(result.folder, ": training images are ", training.rows, " x ",
                         training.columns, ", test images ", test.rows, " x ", test.columns));
  }
  constexpr std::int64_t first_of_mnist[] = {5, 0, 4, 1, 9, 2, 1, 3, 1, 4, 3, 5, 3, 6, 1, 7};
  const auto begin = std::as_const(result.labels).data<std::int64_t>();
  result.mnist = count == 60000 && std::ranges::equal(first_of_mnist, begin.first(16));
  result.training = {std::move(training.images), std::move(training.labels)};
  result.validation = {std::move(validation.images), std::move(validation.labels)};
  result.test = {std::move(test.images), std::move(test.labels)};
  return result;
}

}  // namespace

std::int64_t DataSets::classes() const {
  if (!labelled)
    throw FileError(folder +
                    ": has no labels, which this program needs: for pictures name the folder of "
                    "folders that are their classes, for a table a column label");
  const std::span<const std::int64_t> there = labels.data<std::int64_t>();
  const std::set<std::int64_t> different(there.begin(), there.end());
  if (different.size() < 2) throw FileError(folder + ": all labels are the same");
  const std::int64_t result = *different.rbegin() + 1;
  // Classes without an example are possible, but not most of them.
  if (result > 2 * static_cast<std::int64_t>(different.size()))
    throw FileError(text(folder, ": a label is out of range: they go up to ", result - 1,
                         ", but only ", different.size(), " are different"));
  for (const std::int64_t label : test.labels.data<std::int64_t>()) {
    if (label >= result)
      throw FileError(text(folder, ": a test label is out of range: ", label,
                           ", where training labels go up to ", result - 1));
  }
  return result;
}

DataSets load(const Options& o, double divisor, const Shares& shares) {
  const char* variable = std::getenv("CINCH_DATA");
  const std::string path = !o.data.empty() ? o.data : variable ? variable : "";
  DataSets result = is_own(path) ? load_own(o, path, shares) : load_mnist(o, divisor, shares);
  const std::int64_t used = result.training.images.shape()[0];
  if (o.batch > used)
    throw ValueError(text("--batch ", o.batch, ": there are only ", used, " images"));
  note_data(o, result.training.images, result.labelled ? &result.training.labels : nullptr);
  if (!o.quiet) {
    const std::int64_t held = shares.held > 0 ? result.validation.images.shape()[0] : 0;
    std::printf("%lld images of %lld x %lld from %s, %s%lld to test\n",
                static_cast<long long>(used), static_cast<long long>(result.rows),
                static_cast<long long>(result.columns), result.folder.c_str(),
                held > 0 ? text(held, " to validate, ").c_str() : "",
                static_cast<long long>(result.test.images.shape()[0]));
  }
  return result;
}

void note_data(const Options& o, const Tensor& images, const Tensor* labels) {
  if (!o.record) return;
  std::vector<const Tensor*> data{&images};
  if (labels) data.push_back(labels);
  std::ostringstream digits;
  digits << std::hex << fingerprint(data);
  o.record->note("data", text(cinch::text(images.shape()), " images, hash ", digits.str()));
}

Examples first(const Examples& all, std::int64_t count) {
  return part(all, 0, std::min(count, all.images.shape()[0]));
}

Examples whole_batches(const Examples& all, std::int64_t batch) {
  const std::int64_t count = all.images.shape()[0];
  return part(all, 0, std::max(count / batch * batch, std::min(count, batch)));
}

}  // namespace cinch::examples
