// Data sets in the IDX format of MNIST and Fashion-MNIST.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "cinch/core/tensor.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

// Every function here reads plain and gzip files alike, told by their content, and throws
// FileError, which names the file, for one that is missing, damaged, cut short, too long, or not
// what was asked for. Sizes in a header are compared with the data that is there before memory is
// allocated for them.

/// An IDX file as it is: unsigned bytes, row-major. Other element types are refused.
struct IdxBytes {
  Shape shape;
  std::vector<std::uint8_t> bytes;
};
IdxBytes read_idx(const std::string& path);

/// Examples [begin, begin + count) of a file; by default all of them.
struct ExampleRange {
  static constexpr std::int64_t to_the_end = std::numeric_limits<std::int64_t>::max();
  std::int64_t begin = 0;
  std::int64_t count = to_the_end;
  bool or_fewer = false;  ///< Take what there is where the file holds less; else that is an error.
};

/// Images, one a row: (count, rows * columns) of `dtype`, value = byte / divisor, computed in
/// double and then rounded to `dtype`. The Theano tutorials have divisor 256, most others 255.
/// Needs a file of three dimensions. Only the range is converted: 50,000 images of 28 x 28 take 157
/// MB as float32. As DType::uint8, with the divisor 1, they stay bytes and take 39 MB, and
/// widened(images, 255) divides what is used of them. Throws TypeError for another type than these,
/// ValueError unless the divisor is positive.
Tensor read_images(const std::string& path, DType dtype, double divisor, ExampleRange range = {});

/// Labels: int64 (count). Needs a file of one dimension.
Tensor read_labels(const std::string& path, ExampleRange range = {});

struct ImageSet {
  Tensor images;             ///< (count, rows * columns), float32, float64 or uint8
  Tensor labels;             ///< (count), int64
  std::int64_t rows = 0;     ///< Height of an image in pixels.
  std::int64_t columns = 0;  ///< Width of an image in pixels.
};

/// train-images-idx3-ubyte and train-labels-idx1-ubyte of a folder, each with or without ".gz".
/// Throws also where the folder lacks one of them and where they hold different numbers of
/// examples.
ImageSet load_training(const std::string& folder, DType dtype, double divisor,
                       ExampleRange range = {});
/// The same for t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte.
ImageSet load_test(const std::string& folder, DType dtype, double divisor, ExampleRange range = {});

/// The folder of IDX files to use: `option`, which a program took from its command line, unless it
/// is empty; else the environment variable CINCH_DATA, unless it is empty; else where Debian's
/// package dataset-fashion-mnist puts its files. Throws FileError, which says how to get the data,
/// unless that is a folder.
std::string data_folder(const std::string& option = "");

}  // namespace cinch
