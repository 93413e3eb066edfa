#include "cinch/io/idx.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <span>
#include <utility>

#include "cinch/io/bytes.hpp"
#include "cinch/io/file.hpp"

namespace cinch {

namespace {

/// An IDX file whose header has been read and found to agree with the amount of data behind it.
struct OpenIdx {
  std::unique_ptr<ByteStream> bytes;
  Shape shape;

  /// Bytes of one example.
  std::int64_t example_size() const { return element_count(Shape(shape.begin() + 1, shape.end())); }
};

std::string type_text(std::uint8_t code) {
  struct Row {
    std::uint8_t code;
    const char* name;
  };
  for (const Row& row :
       {Row{0x09, "signed bytes"}, Row{0x0b, "16-bit integers"}, Row{0x0c, "32-bit integers"},
        Row{0x0d, "float32"}, Row{0x0e, "float64"}}) {
    if (row.code == code) return row.name;
  }
  return text("of the unknown type ", int{code});
}

OpenIdx open_idx(const std::string& path) {
  constexpr std::uint8_t unsigned_bytes = 0x08;
  OpenIdx file{open_bytes(path), {}};
  ByteStream& bytes = *file.bytes;
  if (bytes.remaining() == 0) bytes.fail("is empty");

  std::array<std::uint8_t, 4> magic{};
  bytes.read(magic, "the IDX header");
  if (magic[0] != 0 || magic[1] != 0)
    bytes.fail("is not an IDX file: it does not start with two zero bytes");
  if (magic[2] != unsigned_bytes) {
    bytes.fail("its elements are " + type_text(magic[2]) + ", only unsigned bytes can be read");
  }
  if (magic[3] == 0) bytes.fail("its header has no dimensions");
  for (int axis = 0; axis < magic[3]; ++axis) {
    std::array<std::uint8_t, 4> size{};
    bytes.read(size, "a dimension in the IDX header");
    std::int64_t value = 0;
    for (const std::uint8_t byte : size) value = value * 256 + byte;
    file.shape.push_back(value);
  }

  std::int64_t claimed = 0;
  try {
    claimed = element_count(file.shape);
    file.example_size();  // may overflow where there are no examples
  } catch (const TypeError& error) {
    bytes.fail(error.what());
  }
  if (claimed != bytes.remaining()) {
    bytes.fail(text(claimed > bytes.remaining() ? "ends early" : "has bytes after its end",
                    ": shape ", text(file.shape), " needs ", claimed, " bytes, there are ",
                    bytes.remaining()));
  }
  return file;
}

OpenIdx open_idx(const std::string& path, const char* what, std::size_t rank) {
  OpenIdx file = open_idx(path);
  if (file.shape.size() != rank) {
    file.bytes->fail(text("does not hold ", what, ": they have ", rank,
                          rank == 1 ? " dimension" : " dimensions", ", its shape is ",
                          text(file.shape)));
  }
  return file;
}

/// The range with its count filled in.
ExampleRange fit(ExampleRange range, const OpenIdx& file) {
  const std::int64_t there = file.shape[0];
  if (range.count == ExampleRange::to_the_end) range.count = there - range.begin;
  if (range.or_fewer && range.begin <= there)
    range.count = std::min(range.count, there - range.begin);
  if (range.begin < 0 || range.count < 0 || range.begin > there ||
      range.count > there - range.begin) {
    file.bytes->fail(
        text("holds ", there, " examples, asked for ", range.count, " from number ", range.begin));
  }
  return range;
}

Tensor convert_images(OpenIdx& file, DType dtype, double divisor, ExampleRange range) {
  if (!(divisor > 0) || !std::isfinite(divisor)) {
    throw ValueError(text("read_images: the divisor must be positive, got ", divisor));
  }
  if (dtype == DType::uint8 && divisor != 1)
    throw ValueError(text("read_images: bytes are not divided, got the divisor ", divisor,
                          ": pass 1, and divide by widened(images, ", divisor, ")"));
  range = fit(range, file);
  const std::int64_t pixels = file.example_size();
  if (dtype == DType::uint8) {
    file.bytes->claim(range.count * pixels, 1);
    Tensor images(dtype, {range.count, pixels});
    file.bytes->skip(range.begin * pixels, "the images");
    file.bytes->read(images.data<std::uint8_t>(), "the images");
    return images;
  }
  return dispatch_float(dtype, [&]<class T> {
    std::array<T, 256> value_of{};
    for (std::size_t byte = 0; byte < value_of.size(); ++byte) {
      value_of[byte] = static_cast<T>(static_cast<double>(byte) / divisor);
    }
    file.bytes->claim(range.count * pixels, sizeof(T));
    Tensor images(dtype, {range.count, pixels});
    file.bytes->skip(range.begin * pixels, "the images");
    std::array<std::uint8_t, 1 << 16> buffer;
    for (std::span<T> left = images.data<T>(); !left.empty();) {
      const auto bytes = std::span(buffer).first(std::min(left.size(), buffer.size()));
      file.bytes->read(bytes, "the images");
      std::ranges::transform(bytes, left.begin(),
                             [&](std::uint8_t byte) { return value_of[byte]; });
      left = left.subspan(bytes.size());
    }
    return images;
  });
}

Tensor convert_labels(OpenIdx& file, ExampleRange range) {
  range = fit(range, file);
  file.bytes->claim(range.count, sizeof(std::int64_t) + 1);
  file.bytes->skip(range.begin, "the labels");
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(range.count));
  file.bytes->read(bytes, "the labels");
  Tensor labels(DType::int64, {range.count});
  std::ranges::copy(bytes, labels.data<std::int64_t>().begin());
  return labels;
}

std::string find_in(const std::string& folder, const std::string& name) {
  const std::string plain = (std::filesystem::path(folder) / name).string();
  std::error_code ignored;
  for (const std::string& path : {plain, plain + ".gz"}) {
    if (std::filesystem::exists(path, ignored)) return path;
  }
  file_error(plain, "there is no such file, nor one with .gz at the end");
}

ImageSet load(const std::string& folder, const std::string& prefix, DType dtype, double divisor,
              ExampleRange range) {
  const std::string images_path = find_in(folder, prefix + "-images-idx3-ubyte");
  const std::string labels_path = find_in(folder, prefix + "-labels-idx1-ubyte");
  OpenIdx images = open_idx(images_path, "images", 3);
  OpenIdx labels = open_idx(labels_path, "labels", 1);
  if (images.shape[0] != labels.shape[0]) {
    labels.bytes->fail(text("holds ", labels.shape[0], " labels, but ", images_path, " holds ",
                            images.shape[0], " images"));
  }
  return {.images = convert_images(images, dtype, divisor, range),
          .labels = convert_labels(labels, range),
          .rows = images.shape[1],
          .columns = images.shape[2]};
}

}  // namespace

IdxBytes read_idx(const std::string& path) {
  OpenIdx file = open_idx(path);
  file.bytes->claim(file.bytes->remaining(), 1);
  IdxBytes result{std::move(file.shape), {}};
  result.bytes.resize(static_cast<std::size_t>(file.bytes->remaining()));
  file.bytes->read(result.bytes, "the data");
  return result;
}

Tensor read_images(const std::string& path, DType dtype, double divisor, ExampleRange range) {
  OpenIdx file = open_idx(path, "images", 3);
  return convert_images(file, dtype, divisor, range);
}

Tensor read_labels(const std::string& path, ExampleRange range) {
  OpenIdx file = open_idx(path, "labels", 1);
  return convert_labels(file, range);
}

ImageSet load_training(const std::string& folder, DType dtype, double divisor, ExampleRange range) {
  return load(folder, "train", dtype, divisor, range);
}

ImageSet load_test(const std::string& folder, DType dtype, double divisor, ExampleRange range) {
  return load(folder, "t10k", dtype, divisor, range);
}

std::string data_folder(const std::string& option) {
  const char* variable = std::getenv("CINCH_DATA");
  std::string folder = "/usr/share/datasets/fashion-mnist";
  std::string remedy =
      "; apt-get install dataset-fashion-mnist, or name another folder on the command line or in "
      "the "
      "environment variable CINCH_DATA";
  if (!option.empty()) {
    folder = option;
    remedy = "; name none to use Fashion-MNIST (apt-get install dataset-fashion-mnist)";
  } else if (variable && *variable) {
    folder = variable;
    remedy =
        ", named in the environment variable CINCH_DATA; unset it to use Fashion-MNIST "
        "(apt-get install dataset-fashion-mnist)";
  }
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) {
    file_error(folder, "there is no such folder of IDX files" + remedy);
  }
  return folder;
}

}  // namespace cinch
