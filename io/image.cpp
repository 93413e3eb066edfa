#include "cinch/io/image.hpp"

#include <png.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <span>

#include "cinch/io/bytes.hpp"
#include "cinch/io/file.hpp"
#include "cinch/io/format/png.hpp"

namespace cinch {

namespace {

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
  const format::PngHeader header =
      format::parse_png_header(*bytes, file, static_cast<std::int64_t>(file.size()));
  if (!header.is_grey_of_8_bits()) bytes->fail("is not an 8-bit grey PNG: read_images() reads it");
  bytes->claim(header.width * header.height, 1);
  format::keep_pixels(*bytes, file);

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
