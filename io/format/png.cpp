#include "cinch/io/format/png.hpp"

#include <png.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "cinch/core/error.hpp"

namespace cinch::format {

namespace {

/// The largest deflate can make one byte, a bound on what a small file can hold.
constexpr std::int64_t best_compression = 1032;

constexpr std::array<std::uint8_t, 16> png_start = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n',
                                                    0,    0,   0,   13,  'I',  'H',  'D',  'R'};
constexpr std::array<std::uint8_t, 12> png_end = {0,   0,   0,    0,    'I',  'E',
                                                  'N', 'D', 0xae, 0x42, 0x60, 0x82};

std::int64_t bits_of_pixel(const PngHeader& header) {
  const bool palette = header.colour_type == PNG_COLOR_TYPE_PALETTE;
  const bool alpha = (header.colour_type & PNG_COLOR_MASK_ALPHA) != 0;
  return header.depth * (palette ? 1 : header.channels() + (alpha ? 1 : 0));
}

/// What libpng reads from, and what it says: errors end its work by a jump, warnings are kept.
struct Decoding {
  const std::uint8_t* at;
  std::size_t left;
  std::array<char, 160> complaint{};
};

void say(Decoding& decoding, png_const_charp what) {
  if (!decoding.complaint[0])
    std::snprintf(decoding.complaint.data(), decoding.complaint.size(), "%s", what);
}

void on_warning(png_structp png, png_const_charp what) {
  say(*static_cast<Decoding*>(png_get_error_ptr(png)), what);
}

[[noreturn]] void on_error(png_structp png, png_const_charp what) {
  on_warning(png, what);
  png_longjmp(png, 1);
}

void take(png_structp png, png_bytep out, std::size_t count) {
  Decoding& from = *static_cast<Decoding*>(png_get_io_ptr(png));
  if (count > from.left) png_error(png, "it ends early");
  std::memcpy(out, from.at, count);
  from.at += count;
  from.left -= count;
}

struct Reader {
  explicit Reader(Decoding& decoding)
      : png(png_create_read_struct(PNG_LIBPNG_VER_STRING, &decoding, on_error, on_warning)),
        info(png ? png_create_info_struct(png) : nullptr) {
    if (info) png_set_read_fn(png, &decoding, take);
  }
  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  png_structp png;
  png_infop info;
};

// An error of libpng jumps over these two alone: they hold nothing that would have to be released.

bool read_info(png_structp png, png_infop info) {
  if (setjmp(png_jmpbuf(png))) return false;
  png_read_info(png, info);
  if (png_get_color_type(png, info) == PNG_COLOR_TYPE_PALETTE) {
    png_set_packing(png);  // An index a byte: libpng takes one beyond the palette for black.
  } else {
    png_set_expand(png);
  }
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  return true;
}

bool read_rows(png_structp png, png_infop info, std::uint8_t* pixels) {
  if (setjmp(png_jmpbuf(png))) return false;
  const std::size_t stride = png_get_rowbytes(png, info);
  const png_uint_32 height = png_get_image_height(png, info);
  const bool interlaced = png_get_interlace_type(png, info) != PNG_INTERLACE_NONE;
  for (int pass = 0; pass < (interlaced ? PNG_INTERLACE_ADAM7_PASSES : 1); ++pass)
    for (png_uint_32 y = 0; y < height; ++y) png_read_row(png, pixels + y * stride, nullptr);
  png_read_end(png, nullptr);
  return true;
}

/// The colours of these indices, with alpha where the palette has some.
PngPixels looked_up(const ByteStream& bytes, const PngHeader& header, const Reader& reader,
                    const std::vector<std::uint8_t>& indices) {
  png_colorp colours = nullptr;
  png_bytep alphas = nullptr;
  int count = 0, alpha_count = 0;
  png_get_PLTE(reader.png, reader.info, &colours, &count);
  png_get_tRNS(reader.png, reader.info, &alphas, &alpha_count, nullptr);
  PngPixels result{header.width, header.height, alpha_count > 0 ? 4 : 3, 255, {}};
  result.samples.reserve(indices.size() * static_cast<std::size_t>(result.channels));
  for (const std::uint8_t index : indices) {
    if (index >= count)
      bytes.fail(
          text("damaged PNG data: a pixel is of colour ", int{index}, ", the palette has ", count));
    const png_color& colour = colours[index];
    for (const png_byte sample : {colour.red, colour.green, colour.blue})
      result.samples.push_back(sample);
    if (alpha_count > 0) result.samples.push_back(index < alpha_count ? alphas[index] : 255);
  }
  return result;
}

}  // namespace

PngHeader parse_png_header(const ByteStream& bytes, std::span<const std::uint8_t> start,
                           std::int64_t file_size) {
  if (start.empty()) bytes.fail("is empty");
  if (start.size() < static_cast<std::size_t>(PngHeader::size) ||
      !std::ranges::equal(start.first(png_start.size()), png_start)) {
    bytes.fail("is not a PNG file, or ends in its header");
  }
  const auto number = [&](std::size_t at) {
    std::int64_t value = 0;
    for (const std::uint8_t byte : start.subspan(at, 4)) value = value * 256 + byte;
    return value;
  };
  const PngHeader header{number(16), number(20), start[24], start[25]};
  const std::int64_t line = (header.width * bits_of_pixel(header) + 7) / 8;
  if (line == 0 || header.height == 0 || header.height > file_size * best_compression / line) {
    bytes.fail(text("claims ", header.width, " x ", header.height, " pixels, too many for its ",
                    file_size, " bytes"));
  }
  return header;
}

void keep_pixels(const ByteStream& bytes, std::vector<std::uint8_t>& file) {
  constexpr std::array<std::string_view, 8> kept = {"IHDR", "PLTE", "IDAT", "IEND",
                                                    "tRNS", "gAMA", "sRGB", "cHRM"};
  constexpr std::size_t start = 8, frame = 12;  // The signature; length, name and checksum.
  if (file.size() < png_end.size() ||
      !std::ranges::equal(std::span(file).last(png_end.size()), png_end)) {
    bytes.fail("does not end as a PNG file does: cut short, or followed by other data");
  }
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

PngPixels decode_png(ByteStream& bytes, std::vector<std::uint8_t>& file) {
  const PngHeader header = parse_png_header(bytes, file, static_cast<std::int64_t>(file.size()));
  bytes.claim(header.width * header.height * (header.channels() + 1),
              sizeof(std::uint16_t) + (header.depth == 16 ? 2 : 1));
  keep_pixels(bytes, file);

  Decoding decoding{file.data(), file.size()};
  const Reader reader(decoding);
  if (!reader.info) throw Error("read_images: libpng cannot be started");
  const auto fail = [&] { bytes.fail(text("damaged PNG data: ", decoding.complaint.data())); };
  if (!read_info(reader.png, reader.info)) fail();
  PngPixels result{header.width, header.height, png_get_channels(reader.png, reader.info), 255, {}};
  std::vector<std::uint8_t> stored(png_get_rowbytes(reader.png, reader.info) *
                                   static_cast<std::size_t>(header.height));
  // libpng only warns of data that are too many, and of colours out of range.
  if (!read_rows(reader.png, reader.info, stored.data()) || decoding.complaint[0]) fail();
  if (header.colour_type == PNG_COLOR_TYPE_PALETTE) return looked_up(bytes, header, reader, stored);
  if (header.depth < 16) {
    result.samples.assign(stored.begin(), stored.end());
  } else {
    result.white = 65535;
    result.samples.resize(stored.size() / 2);
    for (std::size_t k = 0; k < result.samples.size(); ++k)
      result.samples[k] = static_cast<std::uint16_t>(stored[2 * k] << 8 | stored[2 * k + 1]);
  }
  return result;
}

}  // namespace cinch::format
