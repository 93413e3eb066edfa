#include "cinch/io/image.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "temporary_folder.hpp"

namespace cinch {
namespace {

using testing::contains, testing::error_of, testing::flipped, testing::read_file, testing::replaced,
    testing::TemporaryFolder, testing::write_file;

GreyImage ramp(std::int64_t width, std::int64_t height) {
  GreyImage image{width, height, {}};
  for (std::int64_t i = 0; i < width * height; ++i)
    image.pixels.push_back(static_cast<std::uint8_t>(i * 7));
  return image;
}

TEST_CASE("PNG files give back every pixel") {
  const TemporaryFolder folder;
  for (const GreyImage& image : {ramp(256, 3), ramp(1, 1), ramp(289, 289), ramp(1, 500)}) {
    CAPTURE(image.width);
    write_png(folder / "a.png", image);
    CHECK(read_png(folder / "a.png") == image);
  }
  CHECK(folder.entries() == 1);
}

TEST_CASE("an image whose size and pixels disagree is the caller's error") {
  for (const GreyImage& image : {GreyImage{}, GreyImage{2, 2, {1, 2, 3}}, GreyImage{-1, -1, {1}},
                                 GreyImage{1LL << 32, 1LL << 32, {}}}) {
    CHECK(contains(error_of<TypeError>([&] { write_png("never.png", image); }),
                   "write_png: an image of "));
  }
}

TEST_CASE("a malformed PNG file is named together with what is wrong") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.png";
  write_png(path, ramp(50, 40));
  const std::string good = read_file(path);
  const auto end = static_cast<std::ptrdiff_t>(good.size());
  const auto with_byte = [&](std::size_t at, char value) {
    std::string content = good;
    content[at] = value;
    return content;
  };
  struct Row {
    std::string content, complaint;
  };
  const Row rows[] = {
      {"", "is empty"},
      {"GIF89a", "is not a PNG file"},
      {good.substr(0, 32), "is not a PNG file, or ends in its header"},
      {good.substr(0, good.size() - 1), "does not end as a PNG file does"},
      {good.substr(0, good.size() / 2), "does not end as a PNG file does"},
      {good + "x", "does not end as a PNG file does"},
      {with_byte(16, 0x7f), "pixels, too many for its "},
      {with_byte(19, 0), "claims 0 x 40 pixels"},
      {with_byte(24, 16), "is not an 8-bit grey PNG"},
      {with_byte(25, 2), "is not an 8-bit grey PNG"},
      {with_byte(19, 51), "a.png: "},
      {flipped(good, end - 20), "damaged PNG data: "},
  };
  for (const Row& row : rows) {
    CAPTURE(row.complaint);
    write_file(path, row.content);
    const std::string error = error_of([&] { read_png(path); });
    CAPTURE(error);
    CHECK(contains(error, path + ": "));
    CHECK(contains(error, row.complaint));
  }
  for (std::ptrdiff_t i = 0; i < end; ++i) {
    CAPTURE(i);
    write_file(path, flipped(good, i));
    GreyImage image = ramp(50, 40);
    error_of([&] { image = read_png(path); });
    CHECK(image == ramp(50, 40));  // noticed, or harmless
  }
  CHECK(contains(error_of([&] { read_png(folder / "none.png"); }),
                 "none.png: there is no such file"));
  CHECK(contains(error_of([&] { read_png(folder.path()); }), "is a folder"));
}

TEST_CASE("a hundred filters of 28 x 28 make an image of 289 x 289, each scaled on its own") {
  std::mt19937 random(123);
  Tensor filters(DType::float64, {500, 784});
  for (double& value : filters.data<double>()) value = static_cast<double>(random()) * 1e-9 - 2;
  const GreyImage image = tile_images(filters);
  REQUIRE(image.width == 289);
  REQUIRE(image.height == 289);
  const auto values = filters.data<double>();
  for (std::size_t y = 0; y < 289; ++y) {
    for (std::size_t x = 0; x < 289; ++x) {
      std::uint8_t expected = 0;
      if (y % 29 != 28 && x % 29 != 28) {
        const auto tile = values.subspan((y / 29 * 10 + x / 29) * 784, 784);
        const double low = *std::min_element(tile.begin(), tile.end());
        const double high = *std::max_element(tile.begin(), tile.end());
        const double value = tile[y % 29 * 28 + x % 29];
        expected = static_cast<std::uint8_t>((value - low) / (high - low + 1e-8) * 255);
      }
      if (image.pixels[y * 289 + x] != expected) FAIL("pixel (", x, ", ", y, ") differs");
    }
  }
}

TEST_CASE("tiles are drawn in reading order with black gaps, and missing ones are black") {
  const Tiling tiling{
      .tile_height = 1, .tile_width = 2, .grid_rows = 2, .grid_columns = 2, .spacing = 1};
  const Tensor rows = Tensor::from<float>({3, 2}, {0, 1, 5, 3, -1, -1});
  // 1 / (1 + 1e-8) * 255 is truncated to 254.
  CHECK(tile_images(rows, tiling) == GreyImage{5,
                                               3,
                                               {0, 254, 0, 254, 0,  //
                                                0, 0, 0, 0, 0,      //
                                                0, 0, 0, 0, 0}});
  Tiling fixed = tiling;
  fixed.range = GreyRange{-1, 3};
  fixed.spacing = 0;
  CHECK(tile_images(rows, fixed) == GreyImage{4, 2, {64, 128, 255, 255, 0, 0, 0, 0}});
  const Tensor integers = Tensor::from<std::int64_t>({1, 2}, {0, 1000000000000});
  CHECK(tile_images(integers, {1, 2, 1, 1}) == GreyImage{2, 1, {0, 255}});
  CHECK(tile_images(Tensor(DType::bool_, {0, 2}), {1, 2, 1, 1}) == GreyImage{2, 1, {0, 0}});
}

TEST_CASE("values that are not a number are black") {
  const Tiling tiling{
      .tile_height = 1, .tile_width = 3, .grid_rows = 1, .grid_columns = 1, .range = GreyRange{}};
  const Tensor row = Tensor::from<double>({1, 3}, {std::nan(""), HUGE_VAL, -HUGE_VAL});
  CHECK(tile_images(row, tiling).pixels == std::vector<std::uint8_t>{0, 255, 0});
  CHECK(tile_images(row, {1, 3, 1, 1}).pixels.size() == 3);
}

TEST_CASE("pairs are originals above reconstructions on one scale") {
  const Tensor originals = Tensor::from<double>({3, 2}, {0, 1, 0.5, 0, 1, 1});
  const Tensor reconstructions = Tensor::from<float>({3, 2}, {0.2F, 0.8F, 1.5F, -1, 0, 0});
  const Tiling tiling{.tile_height = 2, .tile_width = 1, .grid_columns = 2, .spacing = 1};
  CHECK(tile_pairs(originals, reconstructions, tiling) == GreyImage{3,
                                                                    5,
                                                                    {0, 0, 128,   //
                                                                     255, 0, 0,   //
                                                                     0, 0, 0,     //
                                                                     51, 0, 255,  //
                                                                     204, 0, 0}});
  CHECK(contains(error_of<TypeError>([&] {
                   tile_pairs(originals, Tensor(DType::float64, {3, 3}), tiling);
                 }),
                 "reconstructions of shape (3, 3)"));
}

TEST_CASE("rows of any number stand below each other, and pixels are enlarged to squares") {
  const Tiling tiling{.tile_height = 1, .tile_width = 2, .grid_columns = 1, .spacing = 1};
  const Tensor a = Tensor::from<double>({1, 2}, {0, 1}),
               b = Tensor::from<double>({2, 2}, {1, 0, 1, 1}),
               c = Tensor::from<float>({1, 2}, {1, 1});
  const GreyImage three = tile_rows({a, b, c}, tiling);
  CHECK(three == GreyImage{2, 5, {0, 255, 0, 0, 255, 0, 0, 0, 255, 255}});
  CHECK(tile_rows({a, c}, tiling) == tile_pairs(a, c, tiling));
  CHECK(tile_rows({a}, tiling) == GreyImage{2, 1, {0, 255}});
  CHECK(error_of<TypeError>([&] { tile_rows({}, tiling); }) == "tile_rows: there is no row");
  CHECK(enlarged(GreyImage{2, 2, {1, 2, 3, 4}}, 2) ==
        GreyImage{4, 4, {1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4}});
  CHECK(enlarged(three, 1) == three);
  CHECK_THROWS_AS(enlarged(three, 0), TypeError);
  CHECK_THROWS_AS(enlarged(three, 1000000), TypeError);
}

TEST_CASE("tiles that do not fit are the caller's error") {
  const Tensor rows(DType::float64, {4, 784});
  CHECK(error_of<TypeError>([&] {
          tile_images(rows, {27, 28});
        }) == "tile_images: tiles of 27 x 28 need rows of 756 values, the shape is (4, 784)");
  CHECK_THROWS_AS(tile_images(Tensor(DType::float64, {784})), TypeError);
  for (const Tiling& tiling : {Tiling{0, 28},
                               {28, -1},
                               {28, 28, 0, 1},
                               {28, 28, 1, -1},
                               {28, 28, 1, 1, -1},
                               {28, 28, 1LL << 62, 4},
                               {28, 28, 100000, 1}}) {
    CHECK_THROWS_AS(tile_images(rows, tiling), TypeError);
  }
}

}  // namespace
}  // namespace cinch
