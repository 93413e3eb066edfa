// Pictures from whatever holds them, with their labels: what one trains on that is one's own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cinch/core/tensor.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// Pictures of one size, one a row.
struct Pictures {
  Tensor images;  ///< (count, channels * height * width), float32 from 0, black, to 1, white.
  std::int64_t channels = 1;  ///< 1 for grey; 3: all of red, then all of green, then all of blue.
  std::int64_t height = 0, width = 0;
  std::optional<Tensor> labels = {};    ///< (count), int64, where there are some.
  std::vector<std::string> names = {};  ///< Of the labels 0, 1, ...; empty where these are numbers.
};

/// What the axes of an array of pictures are.
enum class PictureAxes : std::uint8_t {
  told_by_sizes,          ///< What can be told is; what cannot is refused.
  height_width,           ///< (count, height, width): grey.
  height_width_channels,  ///< (count, height, width, channels), as TensorFlow and most files have.
  channels_height_width,  ///< (count, channels, height, width), as PyTorch has.
};

/// What a file does not say about itself.
struct PictureOptions {
  PictureAxes axes = PictureAxes::told_by_sizes;
  /// The number that is white, of arrays. Without it floats must be from 0 to 1; of bytes 255 is
  /// white, and of other whole numbers to 255: where none is above 127 these are refused.
  std::optional<double> white = {};
  /// What shines through pictures that are not opaque, from 0, black, to 1. Without it they are
  /// refused.
  std::optional<double> background = {};
  /// Of what is divided into pictures to train on and to test on, the latter.
  bool test = false;
};

/// Reads pictures, and their labels where there are some, from whatever `path` is. That may be:
///
/// - a PNG file of any kind, grey or colour, of 1 to 16 bits, with a palette or interlaced;
/// - a folder of PNG files, in the order of their names;
/// - a folder of such folders, each a class: labels number their names, which are sorted;
/// - the last two in folders named train and test, or the four files of MNIST in one folder;
/// - an IDX file, with labels where the file of labels lies beside it;
/// - an array of three or four axes in a .npy file, or in a .npz or safetensors file, where an
///   array of as many whole numbers is the labels; x_train and x_test are told apart by name.
///
/// Grey pictures among coloured ones become coloured; gamma is not applied; alpha that is opaque is
/// left out. Files may be gzip. Throws FileError, which names file, picture and what would do, for
/// what is damaged, for pictures of different sizes, labels that are not as many as pictures,
/// numbers that are not finite or out of range, other files among pictures, an empty folder, more
/// memory than file_limit() lets be taken, and what it does not know, with what it saw.
Pictures read_images(const std::string& path, const PictureOptions& options = {});

}  // namespace cinch
