// PNG files of every kind, as the samples that they store.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cinch/io/bytes.hpp"

namespace cinch::format {

/// What stands at the beginning of a PNG file.
struct PngHeader {
  static constexpr std::int64_t size = 33;  ///< In bytes.
  std::int64_t width = 0, height = 0;
  int depth = 0;        ///< Bits of a sample.
  int colour_type = 0;  ///< PNG_COLOR_TYPE_GRAY and so on.

  /// Samples of a pixel, but for an alpha: 3 for a palette.
  std::int64_t channels() const { return (colour_type & 2) != 0 ? 3 : 1; }
  bool is_grey_of_8_bits() const { return depth == 8 && colour_type == 0; }
};

/// Reads it from the first bytes of a file of `file_size`. Throws FileError for what is no PNG file
/// and for more pixels than so many bytes can unfold into.
PngHeader parse_png_header(const ByteStream& bytes, std::span<const std::uint8_t> start,
                           std::int64_t file_size);

/// Throws FileError where the file does not end as one does, its chunks do not fill it, or a
/// checksum is wrong. Keeps of it the chunks that say what its pixels are: others, texts and colour
/// profiles, may claim or unfold into any size.
void keep_pixels(const ByteStream& bytes, std::vector<std::uint8_t>& file);

/// Pixels as they are stored, row by row.
struct PngPixels {
  std::int64_t width = 0, height = 0;
  std::int64_t channels = 0;           ///< Grey; grey, alpha; red, green, blue; these and alpha.
  double white = 255;                  ///< The largest sample: 65535 for 16 bits.
  std::vector<std::uint16_t> samples;  ///< (height, width, channels).
};

/// The pixels of a whole file, which it changes. Palettes are looked up, samples of less than 8
/// bits widened to 8; no gamma is applied. Throws FileError for what is damaged.
PngPixels decode_png(ByteStream& bytes, std::vector<std::uint8_t>& file);

}  // namespace cinch::format
