// Grey images: PNG files, and filters or examples laid out in a grid.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cinch/core/tensor.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// Row-major pixels from the top left, 0 black to 255 white.
struct GreyImage {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::vector<std::uint8_t> pixels;

  friend bool operator==(const GreyImage&, const GreyImage&) = default;
};

/// An 8-bit grey PNG; the file is replaced as a whole. Throws FileError, and TypeError where the
/// image is empty or its pixels are not as many as its size says.
void write_png(const std::string& path, const GreyImage& image);

/// The bytes of an 8-bit grey PNG file. Throws TypeError as write_png().
std::string encode_png(const GreyImage& image);

/// An 8-bit grey PNG; any other kind, and a damaged file, throws FileError.
GreyImage read_png(const std::string& path);

/// The values drawn as black and as white.
struct GreyRange {
  double black = 0;
  double white = 1;
};

/// How images are laid out. Sizes are in pixels.
struct Tiling {
  std::int64_t tile_height = 28;
  std::int64_t tile_width = 28;
  std::int64_t grid_rows = 10;
  std::int64_t grid_columns = 10;
  std::int64_t spacing = 1;  ///< Black gap between tiles.
  /// Without a range each tile is scaled by its own extremes, as the Theano tutorials do:
  /// (v - min) / (max - min + 1e-8) * 255, truncated. With one, values are clamped to it and
  /// rounded.
  std::optional<GreyRange> range = std::nullopt;
};

/// The first images of `rows`, shape (count, tile_height * tile_width), in reading order; places
/// beyond the last image stay black, as do values that are not a number. Height: (tile_height +
/// spacing) * grid_rows - spacing, width alike, so the default is 289 x 289. For the filters of W,
/// shape (visible, hidden), pass its transpose. Throws TypeError where the shape does not fit or a
/// size is not positive.
GreyImage tile_images(const Tensor& rows, const Tiling& tiling = {});

/// Originals above their reconstructions: the first `grid_columns` images of two tensors of one
/// shape as in tile_images. `grid_rows` is ignored; the range is 0 to 1 unless one is given.
GreyImage tile_pairs(const Tensor& originals, const Tensor& reconstructions, Tiling tiling = {});

/// The same with any number of rows, say originals, what noise made of them, and what was made of
/// that: the first `grid_columns` images of each of the tensors, which may differ in how many they
/// hold.
GreyImage tile_rows(const std::vector<Tensor>& rows, Tiling tiling = {});

/// Each pixel as a square of `times` x `times`. Throws TypeError unless `times` is positive and
/// the result of at most 1,000,000 pixels a side.
GreyImage enlarged(const GreyImage& image, std::int64_t times);

}  // namespace cinch
