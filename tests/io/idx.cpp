#include "cinch/io/idx.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "cinch/core/function.hpp"
#include "cinch/ops/widened.hpp"
#include "support/mnist.hpp"
#include "temporary_folder.hpp"

namespace cinch {
namespace {

using testing::contains, testing::error_of, testing::flipped, testing::from_hex, testing::gzip,
    testing::read_file, testing::TemporaryFolder, testing::write_file;

// Three images of 1 x 2 pixels, and three labels.
const std::string images_file = from_hex("0 0 8 3  0 0 0 3  0 0 0 1  0 0 0 2  0 1 2 fd fe ff");
const std::string labels_file = from_hex("0 0 8 1  0 0 0 3  7 0 9");

/// Sets an environment variable, or removes it, until the end of its scope.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    value ? setenv(name, value, 1) : unsetenv(name);
  }
  ~Environment() { old_.empty() ? unsetenv(name_) : setenv(name_, old_.c_str(), 1); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
  std::string old_;
};

TEST_CASE("IDX files are read alike whether plain, gzip or gzip under a plain name") {
  const TemporaryFolder folder;
  const std::string two_members = gzip(images_file.substr(0, 9)) + gzip(images_file.substr(9));
  for (const std::string& content : {images_file, gzip(images_file), two_members}) {
    write_file(folder / "file", content);
    const IdxBytes idx = read_idx(folder / "file");
    CHECK(idx.shape == Shape{3, 1, 2});
    CHECK(idx.bytes == std::vector<std::uint8_t>{0, 1, 2, 0xfd, 0xfe, 0xff});
  }
}

TEST_CASE("a pixel is its byte divided by the divisor, one image a row") {
  const TemporaryFolder folder;
  std::string content = from_hex("0 0 8 3  0 0 0 2  0 0 0 8  0 0 0 10");
  for (int i = 0; i < 256; ++i) content += static_cast<char>(i);
  write_file(folder / "images", content);
  for (const double divisor : {255.0, 256.0}) {
    CAPTURE(divisor);
    const Tensor exact = read_images(folder / "images", DType::float64, divisor);
    const Tensor rounded = read_images(folder / "images", DType::float32, divisor);
    CHECK(exact.shape() == Shape{2, 128});
    CHECK(rounded.dtype() == DType::float32);
    for (int i = 0; i < 256; ++i) {
      CHECK(exact.at(i) == i / divisor);
      CHECK(rounded.at(i) == static_cast<float>(i / divisor));
    }
  }
}

TEST_CASE("bytes of images stay bytes where that is asked for, and divided are the same numbers") {
  const TemporaryFolder folder;
  std::string content = from_hex("0 0 8 3  0 0 0 2  0 0 0 8  0 0 0 10");
  for (int i = 0; i < 256; ++i) content += static_cast<char>(i);
  for (const std::string& file : {content, gzip(content)}) {
    write_file(folder / "images", file);
    const Tensor bytes = read_images(folder / "images", DType::uint8, 1);
    CHECK(bytes.shape() == Shape{2, 128});
    CHECK(bytes.bytes() == 256);
    for (int i = 0; i < 256; ++i) CHECK(bytes.at(i) == i);
    CHECK(read_images(folder / "images", DType::uint8, 1, {1, 1}).at(3) == 131);
    for (const double divisor : {255.0, 256.0, 0.7}) {
      for (const DType dtype : {DType::float32, DType::float64})
        CHECK(evaluate(widened(bytes, divisor, dtype)) ==
              read_images(folder / "images", dtype, divisor));
    }
  }
  CHECK(contains(error_of<ValueError>([&] { read_images(folder / "images", DType::uint8, 255); }),
                 "divide by widened(images, 255)"));
}

TEST_CASE("a range takes only its examples") {
  const TemporaryFolder folder;
  write_file(folder / "images", gzip(images_file));
  write_file(folder / "labels", labels_file);
  struct Row {
    ExampleRange range;
    std::vector<double> pixels, labels;
  };
  for (const Row& row :
       {Row{{}, {0, 1, 2, 253, 254, 255}, {7, 0, 9}}, Row{{.begin = 1}, {2, 253, 254, 255}, {0, 9}},
        Row{{.count = 2}, {0, 1, 2, 253}, {7, 0}}, Row{{1, 1}, {2, 253}, {0}},
        Row{{3, 0}, {}, {}}}) {
    CAPTURE(row.range.begin);
    CAPTURE(row.range.count);
    const Tensor images = read_images(folder / "images", DType::float64, 1, row.range);
    const Tensor labels = read_labels(folder / "labels", row.range);
    const auto count = static_cast<std::int64_t>(row.labels.size());
    CHECK(images == Tensor::from<double>({count, 2}, row.pixels));
    CHECK(labels == Tensor::from<double>({count}, row.labels).cast(DType::int64));
  }
  for (const ExampleRange range : {ExampleRange{-1, 1}, {0, 4}, {2, 2}, {4, 0}, {4}, {0, -1}}) {
    CAPTURE(range.begin);
    CAPTURE(range.count);
    const auto read = [&] { read_images(folder / "images", DType::float64, 1, range); };
    CHECK(contains(error_of(read), "images: holds 3 examples, asked for "));
  }
}

TEST_CASE("a dtype or divisor that makes no sense is the caller's error") {
  const TemporaryFolder folder;
  write_file(folder / "images", images_file);
  const auto read = [&](DType dtype, double divisor) {
    read_images(folder / "images", dtype, divisor);
  };
  CHECK_THROWS_AS(read(DType::int64, 255), TypeError);
  for (const double divisor : {0.0, -1.0, std::nan(""), HUGE_VAL}) {
    CHECK_THROWS_AS(read(DType::float32, divisor), ValueError);
  }
}

TEST_CASE("a malformed IDX file is named together with what is wrong") {
  const TemporaryFolder folder;
  const std::string zipped = gzip(images_file);
  struct Row {
    std::string content, complaint;
  };
  const Row rows[] = {
      {"", "is empty"},
      {from_hex("0 0 8"), "ends early: the IDX header should be 4 bytes, 3 remain"},
      {"GIF89a", "is not an IDX file"},
      {from_hex("0 0 d 1  0 0 0 1  0 0 80 3f"), "elements are float32, only unsigned bytes"},
      {from_hex("0 0 77 1  0 0 0 1  0"), "elements are of the unknown type 119"},
      {from_hex("0 0 8 0  0"), "no dimensions"},
      {images_file.substr(0, 14), "ends early: a dimension in the IDX header"},
      {images_file.substr(0, 16), "ends early: shape (3, 1, 2) needs 6 bytes, there are 0"},
      {images_file.substr(0, 21), "ends early: shape (3, 1, 2) needs 6 bytes, there are 5"},
      {images_file + "x", "has bytes after its end: shape (3, 1, 2) needs 6 bytes, there are 7"},
      {from_hex("0 0 8 3  ff ff ff ff  ff ff ff ff  ff ff ff ff  0"),
       "more elements than an int64"},
      {from_hex("0 0 8 3  0 0 0 0  ff ff ff ff  ff ff ff ff"), "more elements than an int64"},
      {labels_file, "does not hold images: they have 3 dimensions, its shape is (3,)"},
      {zipped.substr(0, 5), "the gzip data ends early"},
      {zipped.substr(0, zipped.size() - 9), "the gzip data ends early"},
      {zipped.substr(0, zipped.size() - 1), "the gzip data ends early"},
      {zipped + "x", "bytes after the end of the gzip data"},
      {flipped(zipped, -8), "damaged gzip data: incorrect data check"},
      {flipped(zipped, -1), "damaged gzip data: incorrect length check"},
      {flipped(zipped, 2), "damaged gzip data: unknown compression method"},
      {gzip(""), "is empty"},
      {gzip(images_file + "x"), "has bytes after its end"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.complaint);
    write_file(folder / "file", row.content);
    const std::string error = error_of([&] { read_images(folder / "file", DType::float32, 255); });
    CAPTURE(error);
    CHECK(contains(error, (folder / "file") + ": "));
    CHECK(contains(error, row.complaint));
  }
  CHECK(contains(error_of([&] { read_labels(folder / "nothing"); }),
                 "nothing: there is no such file"));
  CHECK(contains(error_of([&] { read_labels(folder.path()); }), "is a folder, not a file"));
  CHECK(contains(error_of([&] { read_labels("/dev/null"); }), "is not a regular file"));
  CHECK(
      contains(error_of([&] { read_labels((folder / "file") + "/x"); }), "there is no such file"));
  write_file(folder / "file", images_file);
  CHECK(contains(error_of([&] { read_labels(folder / "file"); }),
                 "does not hold labels: they have 1 dim"));
}

TEST_CASE(
    "any single changed or missing byte of a gzip file is noticed or harmless, never a crash") {
  const TemporaryFolder folder;
  const std::string zipped = gzip(images_file);
  for (std::size_t i = 0; i < zipped.size(); ++i) {
    CAPTURE(i);
    for (const std::string& content :
         {flipped(zipped, static_cast<std::ptrdiff_t>(i)), zipped.substr(0, i)}) {
      write_file(folder / "file", content);
      const std::string error = error_of([&] { read_idx(folder / "file"); });
      const bool header_note =
          content.size() == zipped.size() && i >= 3 && i <= 9;  // flags, time, system
      CHECK((error != "no error" || header_note));
    }
  }
}

TEST_CASE("a small file that claims gigabytes costs no memory") {
  const TemporaryFolder folder;
  const std::string liar = from_hex("0 0 8 3  80 0 0 0  0 0 0 1c  0 0 0 1c  0 0 0 0");
  const auto peak_megabytes = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss / 1024;
  };
  const auto before = peak_megabytes();
  for (const std::string& content : {liar, gzip(liar)}) {
    write_file(folder / "file", content);
    const auto read = [&] { read_images(folder / "file", DType::float64, 255); };
    CHECK(contains(error_of(read), "needs 1683627180032 bytes, there are 4"));
  }
  CHECK(peak_megabytes() - before < 64);
}

TEST_CASE("a folder of IDX files is loaded with and without .gz") {
  const TemporaryFolder folder;
  write_file(folder / "train-images-idx3-ubyte.gz", gzip(images_file));
  write_file(folder / "train-labels-idx1-ubyte", labels_file);
  write_file(folder / "t10k-images-idx3-ubyte", images_file);
  const ImageSet set = load_training(folder.path(), DType::float32, 255, {.count = 2});
  CHECK(set.images.shape() == Shape{2, 2});
  CHECK(set.labels == Tensor::from<std::int64_t>({2}, {7, 0}));
  CHECK(set.rows == 1);
  CHECK(set.columns == 2);

  const auto test_set = [&] { load_test(folder.path(), DType::float32, 255); };
  CHECK(contains(error_of(test_set),
                 "t10k-labels-idx1-ubyte: there is no such file, nor one with .gz"));
  write_file(folder / "t10k-labels-idx1-ubyte", from_hex("0 0 8 1  0 0 0 2  7 0"));
  const std::string error = error_of(test_set);
  CHECK(contains(error, "t10k-labels-idx1-ubyte: holds 2 labels, but "));
  CHECK(contains(error, "t10k-images-idx3-ubyte holds 3 images"));
}

TEST_CASE("the data folder is the option, else CINCH_DATA, else Debian's Fashion-MNIST") {
  const TemporaryFolder folder;
  const TemporaryFolder other;
  {
    const Environment data("CINCH_DATA", folder.path().c_str());
    CHECK(data_folder() == folder.path());
    CHECK(data_folder(other.path()) == other.path());
    const std::string error = error_of([&] { data_folder(other / "none"); });
    CHECK(contains(error, (other / "none") + ": there is no such folder"));
    CHECK(contains(error, "apt-get install dataset-fashion-mnist"));
  }
  {
    const Environment data("CINCH_DATA", "/nonexistent");
    const std::string error = error_of([] { data_folder(); });
    CHECK(contains(error, "/nonexistent: there is no such folder"));
    CHECK(contains(error, "named in the environment variable CINCH_DATA"));
  }
  const std::string standard = "/usr/share/datasets/fashion-mnist";
  for (const char* unset : {static_cast<const char*>(nullptr), ""}) {
    const Environment data("CINCH_DATA", unset);
    if (std::filesystem::is_directory(standard)) {
      CHECK(data_folder() == standard);
      CHECK(load_test(data_folder(), DType::float32, 255).images.shape() == Shape{10000, 784});
    } else {
      CHECK(contains(error_of([] { data_folder(); }), "apt-get install dataset-fashion-mnist"));
    }
  }
}

TEST_CASE("MNIST has its well-known sizes, labels and mean") {
  const auto folder = testing::mnist_folder();
  if (!folder) {
    MESSAGE("skipped: name a folder with MNIST in the environment variable CINCH_MNIST");
    return;
  }
  const ImageSet first = load_training(*folder, DType::float32, 256, {0, 50000});
  CHECK(first.images.shape() == Shape{50000, 784});
  CHECK(first.rows == 28);
  CHECK(first.columns == 28);
  const auto labels = first.labels.data<std::int64_t>();
  CHECK(std::vector<std::int64_t>(labels.begin(), labels.begin() + 6) ==
        std::vector<std::int64_t>{5, 0, 4, 1, 9, 2});

  const ImageSet last = load_training(*folder, DType::float64, 1, {.begin = 50000});
  const ImageSet test = load_test(*folder, DType::float64, 1);
  CHECK(last.images.shape() == Shape{10000, 784});
  CHECK(test.images.shape() == Shape{10000, 784});
  // Sums of bytes, as NumPy computes them.
  const auto sum = [](const auto& values) {
    return std::accumulate(values.begin(), values.end(), 0.0);
  };
  CHECK(sum(first.images.data<float>()) * 256 == 1309089051);
  CHECK(sum(last.images.data<double>()) == 258209494);
  CHECK(sum(test.images.data<double>()) == 264923200);
}

}  // namespace
}  // namespace cinch
