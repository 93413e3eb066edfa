#include "cinch/io/image.hpp"

#include <png.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <span>
#include <string_view>

#include "cinch/io/bytes.hpp"
#include "cinch/io/file.hpp"

namespace cinch {

namespace {

/// The largest deflate can make one byte, a bound on what a small file can hold.
constexpr std::int64_t best_compression = 1032;

constexpr std::array<std::uint8_t, 16> png_start = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n',
                                                    0,    0,   0,   13,  'I',  'H',  'D',  'R'};
constexpr std::array<std::uint8_t, 12> png_end = {0,   0,   0,    0,    'I',  'E',
                                                  'N', 'D', 0xae, 0x42, 0x60, 0x82};

/// Releases what libpng holds for an image.
struct PngImage : png_image {
  PngImage() : png_image{} { version = PNG_IMAGE_VERSION; }
  ~PngImage() { png_image_free(this); }
  PngImage(const PngImage&) = delete;
  PngImage& operator=(const PngImage&) = delete;
};

std::uint8_t grey(double value) {  // NaN becomes black
  return value > 0 ? static_cast<std::uint8_t>(std::min(value, 255.0)) : std::uint8_t{0};
}

/// Writes one tile at `out`, whose lines are `stride` pixels apart.
template <class T>
void draw_tile(std::span<const T> tile, const Tiling& tiling, std::uint8_t* out,
               std::size_t stride) {
  const auto [lowest, highest] = std::ranges::minmax_element(tile);
  const auto low = static_cast<double>(*lowest);
  const double extent = static_cast<double>(*highest) - low + 1e-8;
  const auto width = static_cast<std::size_t>(tiling.tile_width);
  for (std::size_t i = 0; i < tile.size(); ++i) {
    const auto value = static_cast<double>(tile[i]);
    std::uint8_t& pixel = out[i / width * stride + i % width];
    if (tiling.range) {
      const auto [black, white] = *tiling.range;
      pixel = grey((value - black) / (white - black) * 255 + 0.5);
    } else {
      pixel = grey((value - low) / extent * 255);
    }
  }
}

/// Length of `tiles` tiles of `size` pixels with gaps between them.
std::int64_t extent(std::int64_t size, std::int64_t tiles, std::int64_t spacing) {
  constexpr std::int64_t largest = 1'000'000;  // libpng's own limit
  if (size <= 0 || tiles <= 0 || spacing < 0 || size > largest || tiles > largest ||
      spacing > largest || (size + spacing) * tiles - spacing > largest) {
    throw TypeError(text("tile_images: ", tiles, " tiles of ", size, " pixels with gaps of ",
                         spacing, " do not make an image of 1 to ", largest, " pixels"));
  }
  return (size + spacing) * tiles - spacing;
}

/// The number of pixels from the start of a PNG file. Throws FileError unless it is 8-bit grey and
/// plausible.
std::int64_t check_header(ByteStream& bytes, std::span<const std::uint8_t> file) {
  if (file.empty()) bytes.fail("is empty");
  if (file.size() < 33 || !std::ranges::equal(file.first(png_start.size()), png_start)) {
    bytes.fail("is not a PNG file, or ends in its header");
  }
  const auto size = [&](std::size_t at) {
    std::int64_t value = 0;
    for (const std::uint8_t byte : file.subspan(at, 4)) value = value * 256 + byte;
    return value;
  };
  const std::int64_t width = size(16);
  const std::int64_t height = size(20);
  if (file[24] != 8 || file[25] != PNG_COLOR_TYPE_GRAY) bytes.fail("is not an 8-bit grey PNG");
  if (width == 0 || height == 0 ||
      height > static_cast<std::int64_t>(file.size()) * best_compression / width) {
    bytes.fail(
        text("claims ", width, " x ", height, " pixels, too many for its ", file.size(), " bytes"));
  }
  if (!std::ranges::equal(file.last(png_end.size()), png_end)) {
    bytes.fail("does not end as a PNG file does: cut short, or followed by other data");
  }
  return width * height;
}

/// Keeps of a PNG file the chunks that say what its pixels are. Others, texts and colour profiles,
/// may claim or unfold into any size. Throws FileError where the chunks do not fill the file, one
/// before the other, or a checksum is wrong.
void keep_pixels(ByteStream& bytes, std::vector<std::uint8_t>& file) {
  constexpr std::array<std::string_view, 8> kept = {"IHDR", "PLTE", "IDAT", "IEND",
                                                    "tRNS", "gAMA", "sRGB", "cHRM"};
  constexpr std::size_t start = 8, frame = 12;  // The signature; length, name and checksum.
  const auto number = [&](std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t k = 0; k < 4; ++k) value = value << 8 | file[at + k];
    return value;
  };
  std::size_t to = start;
  for (std::size_t from = start; from < file.size();) {
    const std::size_t left = file.size() - from;
    if (left < frame || number(from) > left - frame)
      bytes.fail("damaged PNG data: a chunk is longer than the file");
    const std::size_t size = number(from) + frame;
    const std::string_view name(reinterpret_cast<const char*>(&file[from + 4]), 4);
    const auto checksum = crc32(0, &file[from + 4], static_cast<uInt>(size - 8));
    if (checksum != number(from + size - 4))
      bytes.fail("damaged PNG data: the checksum of a chunk is wrong");
    const bool critical = (static_cast<unsigned char>(name[0]) & 0x20) == 0;
    if (critical || std::ranges::find(kept, name) != kept.end()) {
      std::memmove(&file[to], &file[from], size);
      to += size;
    }
    from += size;
  }
  file.resize(to);
}

}  // namespace

std::string encode_png(const GreyImage& image) {
  constexpr std::int64_t largest = std::numeric_limits<std::int32_t>::max();
  if (image.width <= 0 || image.height <= 0 || image.width > largest || image.height > largest ||
      image.width * image.height != static_cast<std::int64_t>(image.pixels.size())) {
    throw TypeError(text("write_png: an image of ", image.width, " x ", image.height, " with ",
                         image.pixels.size(), " pixels"));
  }
  PngImage png;
  png.width = static_cast<png_uint_32>(image.width);
  png.height = static_cast<png_uint_32>(image.height);
  png.format = PNG_FORMAT_GRAY;
  std::string bytes(PNG_IMAGE_PNG_SIZE_MAX(png), '\0');
  png_alloc_size_t size = bytes.size();
  if (!png_image_write_to_memory(&png, bytes.data(), &size, 0, image.pixels.data(), 0, nullptr))
    throw Error(text("write_png: ", png.message));
  bytes.resize(size);
  return bytes;
}

void write_png(const std::string& path, const GreyImage& image) {
  replace_file(path, encode_png(image));
}

GreyImage read_png(const std::string& path) {
  const auto bytes = open_bytes(path);
  bytes->claim(bytes->remaining(), 1);
  std::vector<std::uint8_t> file(static_cast<std::size_t>(bytes->remaining()));
  bytes->read(file, "the file");
  bytes->claim(check_header(*bytes, file), 1);
  keep_pixels(*bytes, file);

  PngImage png;
  if (!png_image_begin_read_from_memory(&png, file.data(), file.size())) bytes->fail(png.message);
  png.format = PNG_FORMAT_GRAY;
  GreyImage image{png.width, png.height, {}};
  image.pixels.resize(PNG_IMAGE_SIZE(png));
  // libpng only warns of a wrong checksum.
  if (!png_image_finish_read(&png, nullptr, image.pixels.data(), 0, nullptr) ||
      png.warning_or_error) {
    bytes->fail(text("damaged PNG data: ", png.message));
  }
  return image;
}

GreyImage tile_images(const Tensor& rows, const Tiling& tiling) {
  const std::int64_t height = extent(tiling.tile_height, tiling.grid_rows, tiling.spacing);
  const std::int64_t width = extent(tiling.tile_width, tiling.grid_columns, tiling.spacing);
  const std::int64_t pixels = tiling.tile_height * tiling.tile_width;
  if (rows.rank() != 2 || rows.shape()[1] != pixels) {
    throw TypeError(text("tile_images: tiles of ", tiling.tile_height, " x ", tiling.tile_width,
                         " need rows of ", pixels, " values, the shape is ", text(rows.shape())));
  }
  GreyImage image{width, height,
                  std::vector<std::uint8_t>(static_cast<std::size_t>(width * height))};
  const std::int64_t count = std::min(rows.shape()[0], tiling.grid_rows * tiling.grid_columns);
  dispatch(rows.dtype(), [&]<class T> {
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t top = i / tiling.grid_columns * (tiling.tile_height + tiling.spacing);
      const std::int64_t left = i % tiling.grid_columns * (tiling.tile_width + tiling.spacing);
      const auto tile = rows.data<T>().subspan(static_cast<std::size_t>(i * pixels),
                                               static_cast<std::size_t>(pixels));
      draw_tile(tile, tiling, &image.pixels[static_cast<std::size_t>(top * width + left)],
                static_cast<std::size_t>(width));
    }
  });
  return image;
}

GreyImage tile_pairs(const Tensor& originals, const Tensor& reconstructions, Tiling tiling) {
  if (originals.rank() != 2 || originals.shape() != reconstructions.shape()) {
    throw TypeError("tile_pairs: originals of shape " + text(originals.shape()) +
                    " and reconstructions of shape " + text(reconstructions.shape()));
  }
  return tile_rows({originals, reconstructions}, tiling);
}

GreyImage tile_rows(const std::vector<Tensor>& rows, Tiling tiling) {
  if (rows.empty()) throw TypeError("tile_rows: there is no row");
  tiling.grid_rows = 1;
  if (!tiling.range) tiling.range = GreyRange{};
  GreyImage image;
  for (const Tensor& row : rows) {
    const GreyImage next = tile_images(row, tiling);
    const std::int64_t gap = image.height > 0 ? tiling.spacing : 0;
    image.width = next.width;
    image.height += gap + next.height;
    image.pixels.resize(image.pixels.size() + static_cast<std::size_t>(gap * image.width));
    image.pixels.insert(image.pixels.end(), next.pixels.begin(), next.pixels.end());
  }
  return image;
}

GreyImage enlarged(const GreyImage& image, std::int64_t times) {
  GreyImage result{extent(image.width, times, 0), extent(image.height, times, 0), {}};
  result.pixels.reserve(static_cast<std::size_t>(result.width * result.height));
  for (std::int64_t y = 0; y < result.height; ++y) {
    const auto line = std::span(image.pixels)
                          .subspan(static_cast<std::size_t>(y / times * image.width),
                                   static_cast<std::size_t>(image.width));
    for (const std::uint8_t pixel : line)
      result.pixels.insert(result.pixels.end(), static_cast<std::size_t>(times), pixel);
  }
  return result;
}

}  // namespace cinch
