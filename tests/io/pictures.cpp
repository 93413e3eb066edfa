#include "cinch/io/pictures.hpp"

#include <doctest/doctest.h>
#include <zlib.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "cinch/io/bytes.hpp"
#include "cinch/io/image.hpp"
#include "cinch/io/npy.hpp"
#include "cinch/io/safetensors.hpp"
#include "png_chunks.hpp"
#include "temporary_folder.hpp"

namespace cinch {
namespace {

using namespace testing;

/// A PNG file put together by hand. `lines` are packed samples, each behind the byte of its filter.
struct Png {
  std::uint32_t width, height;
  int depth, colour_type;
  std::string lines;
  std::string before = {};  ///< Chunks before the pixels.
  int interlaced = 0;

  std::string file() const {
    return "\x89PNG\r\n\x1a\n" +
           chunk("IHDR", big_endian(width, 4) + big_endian(height, 4) + static_cast<char>(depth) +
                             static_cast<char>(colour_type) + std::string(2, '\0') +
                             static_cast<char>(interlaced)) +
           before + chunk("IDAT", deflated(lines)) + chunk("IEND", "");
  }
};

/// Bytes from numbers.
std::string bytes(std::initializer_list<int> values) {
  std::string result;
  for (const int value : values) result += static_cast<char>(value);
  return result;
}

/// A grey picture of 8 bits, all of one value.
std::string grey(std::uint32_t width, std::uint32_t height, int value) {
  std::string lines;
  for (std::uint32_t y = 0; y < height; ++y)
    lines += '\0' + std::string(width, static_cast<char>(value));
  return Png{width, height, 8, 0, lines}.file();
}

void check_values(const Tensor& images, const std::vector<double>& expected) {
  REQUIRE(images.dtype() == DType::float32);
  REQUIRE(images.size() == static_cast<std::int64_t>(expected.size()));
  for (std::size_t k = 0; k < expected.size(); ++k) {
    CAPTURE(k);
    CHECK(images.at(static_cast<std::int64_t>(k)) == static_cast<float>(expected[k]));
  }
}

TEST_CASE("PNG files of every kind are read as the samples that they store") {
  const TemporaryFolder folder;
  const std::string palette = chunk("PLTE", bytes({255, 0, 0, 0, 51, 0, 0, 0, 102}));
  struct Row {
    std::string what;
    Png png;
    std::int64_t channels;
    std::vector<double> values;
    std::optional<double> background = {};
  };
  const double a = 64 / 255.0;
  for (const Row& row : std::vector<Row>{
           {"grey, 1 bit", {3, 1, 1, 0, bytes({0, 0xa0})}, 1, {1, 0, 1}},
           {"grey, 2 bits", {4, 1, 2, 0, bytes({0, 0x1b})}, 1, {0, 1 / 3.0, 2 / 3.0, 1}},
           {"grey, 4 bits", {2, 1, 4, 0, bytes({0, 0x1f})}, 1, {1 / 15.0, 1}},
           {"grey, 8 bits", {2, 2, 8, 0, bytes({0, 0, 51, 0, 102, 255})}, 1, {0, .2, .4, 1}},
           {"grey, 16 bits", {2, 1, 16, 0, bytes({0, 0, 1, 255, 255})}, 1, {1 / 65535.0, 1}},
           {"a gamma is not applied",
            {1, 1, 8, 0, bytes({0, 51}), chunk("gAMA", big_endian(100000, 4))},
            1,
            {.2}},
           {"colour", {2, 1, 8, 2, bytes({0, 255, 51, 0, 0, 102, 153})}, 3, {1, 0, .2, .4, 0, .6}},
           {"colour, 16 bits",
            {1, 1, 16, 2, bytes({0, 255, 255, 0, 0, 0, 2})},
            3,
            {1, 0, 2 / 65535.0}},
           {"palette", {3, 1, 2, 3, bytes({0, 0x18}), palette}, 3, {1, 0, 0, 0, .2, 0, 0, 0, .4}},
           {"opaque alpha is left out", {1, 1, 8, 4, bytes({0, 51, 255})}, 1, {.2}},
           {"alpha over white", {1, 1, 8, 4, bytes({0, 51, 64})}, 1, {a * .2 + (1 - a)}, 1},
           {"alpha over black", {1, 1, 8, 6, bytes({0, 51, 255, 0, 64})}, 3, {a * .2, a, 0}, 0},
           {"a palette with alpha",
            {2, 1, 8, 3, bytes({0, 0, 1}), palette + chunk("tRNS", bytes({0}))},
            3,
            {1, 0, 1, .2, 1, 0},
            1},
       }) {
    CAPTURE(row.what);
    write_file(folder / "a.png", row.png.file());
    const Pictures read = read_images(folder / "a.png", {.background = row.background});
    CHECK(read.channels == row.channels);
    CHECK(read.height == row.png.height);
    CHECK(read.width == row.png.width);
    CHECK(!read.labels);
    CHECK(read.images.shape() ==
          Shape{1, row.channels * std::int64_t{row.png.height} * std::int64_t{row.png.width}});
    check_values(read.images, row.values);
  }
  // Adam7: of 3 x 3 pixels, passes 1, 4, 5, 6 and 7 hold some.
  const Png interlaced{3,  3, 8, 0, bytes({0, 10, 0, 30, 0, 70, 90, 0, 20, 0, 80, 0, 40, 50, 60}),
                       "", 1};
  write_file(folder / "a.png", interlaced.file());
  std::vector<double> expected;
  for (const int value : {10, 20, 30, 40, 50, 60, 70, 80, 90}) expected.push_back(value / 255.0);
  check_values(read_images(folder / "a.png").images, expected);
}

TEST_CASE("folders of pictures are classes in the order of their names") {
  const TemporaryFolder folder;
  for (const char* name : {"ship", "cat", ".hidden"})
    std::filesystem::create_directory(folder / name);
  write_file(folder / "ship/b.png", grey(2, 1, 51));
  write_file(folder / "ship/a.PNG", grey(2, 1, 102));
  write_file(folder / "cat/z.png", Png{2, 1, 8, 2, bytes({0, 255, 0, 0, 0, 255, 0})}.file());
  write_file(folder / "cat/.DS_Store", "x");
  const Pictures read = read_images(folder.path());
  CHECK(read.names == std::vector<std::string>{"cat", "ship"});
  CHECK(read.labels.value() == Tensor::from<std::int64_t>({0, 1, 1}));
  CHECK(read.channels == 3);  // The grey ones are coloured, too.
  check_values(read.images, {1, 0, 0, 1, 0, 0, .4, .4, .4, .4, .4, .4, .2, .2, .2, .2, .2, .2});
  const Pictures flat = read_images(folder / "ship");
  CHECK(!flat.labels);
  CHECK(flat.names.empty());
  check_values(flat.images, {.4, .4, .2, .2});

  const TemporaryFolder parts;
  for (const char* name : {"train/x", "train/y", "test/y"})
    std::filesystem::create_directories(parts / name);
  write_file(parts / "train/x/a.png", grey(1, 1, 0));
  write_file(parts / "train/y/a.png", grey(1, 1, 51));
  write_file(parts / "test/y/a.png", grey(1, 1, 102));
  check_values(read_images(parts.path()).images, {0, .2});
  const Pictures test = read_images(parts.path(), {.test = true});
  check_values(test.images, {.4});
  CHECK(test.labels.value() == Tensor::from<std::int64_t>({1}));  // As in training.
  std::filesystem::create_directory(parts / "test/w");
  write_file(parts / "test/w/a.png", grey(1, 1, 102));
  CHECK(contains(error_of([&] { read_images(parts.path(), {.test = true}); }),
                 "test/w: is a class that there are no pictures to train on of"));
}

/// The bytes of an IDX file of 8-bit numbers.
std::string idx(const std::vector<std::uint32_t>& shape, const std::string& content) {
  std::string result = bytes({0, 0, 8, static_cast<int>(shape.size())});
  for (const std::uint32_t size : shape) result += big_endian(size, 4);
  return result + content;
}

TEST_CASE("IDX files are read with the labels beside them, and the four files of MNIST") {
  const TemporaryFolder folder;
  const std::string images = folder / "my-images-idx3-ubyte.gz";
  write_file(images, gzip(idx({2, 1, 3}, bytes({0, 51, 102, 153, 204, 255}))));
  const Pictures alone = read_images(images);
  CHECK(!alone.labels);
  CHECK(alone.height == 1);
  CHECK(alone.width == 3);
  check_values(alone.images, {0, .2, .4, .6, .8, 1});
  write_file(folder / "my-labels-idx1-ubyte", idx({2}, bytes({7, 0})));
  CHECK(read_images(images).labels.value() == Tensor::from<std::int64_t>({7, 0}));
  write_file(folder / "my-labels-idx1-ubyte", idx({3}, bytes({7, 0, 1})));
  CHECK(contains(error_of([&] { read_images(images); }),
                 "my-labels-idx1-ubyte: holds 3 labels, but " + images + " holds 2 images"));

  const TemporaryFolder mnist;
  write_file(mnist / "train-images-idx3-ubyte", idx({1, 1, 2}, bytes({51, 0})));
  write_file(mnist / "train-labels-idx1-ubyte", idx({1}, bytes({4})));
  write_file(mnist / "t10k-images-idx3-ubyte", idx({1, 1, 2}, bytes({0, 51})));
  write_file(mnist / "t10k-labels-idx1-ubyte", idx({1}, bytes({2})));
  check_values(read_images(mnist.path()).images, {.2, 0});
  check_values(read_images(mnist.path(), {.test = true}).images, {0, .2});
  CHECK(read_images(mnist.path(), {.test = true}).labels.value() ==
        Tensor::from<std::int64_t>({2}));
}

/// An npy file of bytes.
std::string npy_of_bytes(const std::string& shape, const std::string& content) {
  std::string header = "{'descr': '|u1', 'fortran_order': False, 'shape': " + shape + ", }";
  header.resize(117, ' ');
  return "\x93NUMPY\x01" + std::string(1, '\0') + 'v' + std::string(1, '\0') + header + '\n' +
         content;
}

TEST_CASE("arrays are pictures by their axes, and their labels by name") {
  const TemporaryFolder folder;
  const std::string npy = folder / "a.npy", npz = folder / "a.npz";
  write_file(npy, npy_of_bytes("(2, 1, 2)", bytes({0, 51, 102, 255})));
  check_values(read_images(npy).images, {0, .2, .4, 1});
  write_file(npy, npy_of_bytes("(2, 1, 2)", bytes({0, 51, 102, 0})));
  check_values(read_images(npy).images,
               {0, .2, .4, 0});  // Of bytes, 255 is white in dark ones too.
  write_npy(npy, Tensor::from<float>({1, 1, 2}, {.5F, 1}).cast(DType::float16));
  check_values(read_images(npy).images, {.5, 1});
  write_npz(npz, {{"images", Tensor(DType::uint8, {2, 1, 2})},
                  {"labels", Tensor::from<std::int64_t>({2}, {2, 0}).cast(DType::uint8)}});
  CHECK(read_images(npz).labels->data<std::int64_t>()[0] == 2);
  write_file(npy, npy_of_bytes("(1, 1, 2, 3)", bytes({255, 0, 51, 102, 0, 0})));
  CHECK(contains(error_of([&] { read_images(npy); }), "its channels before or behind"));
  check_values(read_images(npy, {.axes = PictureAxes::height_width_channels}).images,
               {1, .4, 0, 0, .2, 0});
  write_file(npy, npy_of_bytes("(1, 2, 1, 3)", bytes({255, 0, 51, 102, 0, 0})));
  check_values(read_images(npy).images, {1, .4, 0, 0, .2, 0});
  write_npy(npy, Tensor::from<double>({1, 3, 1, 2}, {1, .4, 0, 0, .2, 0}));
  const Pictures first = read_images(npy);
  CHECK(first.channels == 3);
  CHECK(first.height == 1);
  CHECK(first.width == 2);
  check_values(first.images, {1, .4, 0, 0, .2, 0});
  write_npy(npy, Tensor::from<double>({1, 4, 1, 2}, {1, .4, 0, 0, .2, 0, 1, .5}));
  CHECK(contains(error_of([&] { read_images(npy); }), "picture 0 is not opaque"));
  check_values(read_images(npy, {.background = 1}).images, {1, .7, 0, .5, .2, .5});
  write_npy(npy, Tensor::from<std::int64_t>({1, 2, 2}, {0, 4, 8, 16}));
  check_values(read_images(npy, {.white = 16}).images, {0, .25, .5, 1});
  write_npy(npy, Tensor::from<float>({3, 1, 2}, {0, 1, 0, 1, 0, 1}));
  check_values(read_images(npy, {.axes = PictureAxes::height_width}).images, {0, 1, 0, 1, 0, 1});

  const Tensor pictures = Tensor::from<float>({2, 1, 2}, {0, 1, .5, 0});
  const Tensor labels = Tensor::from<std::int64_t>({2, 1}, {1, 0});
  write_npz(npz, {{"images", pictures}, {"labels", labels}, {"ids", Tensor(DType::int64, {2})}});
  CHECK(read_images(npz).labels.value() == Tensor::from<std::int64_t>({1, 0}));
  check_values(read_images(npz).images, {0, 1, .5, 0});
  write_npz(npz, {{"x_train", pictures},
                  {"y_train", labels},
                  {"x_test", Tensor::from<float>({1, 1, 2}, {.25, 0})},
                  {"y_test", Tensor::from<std::int64_t>({1}, {3})}});
  check_values(read_images(npz).images, {0, 1, .5, 0});
  check_values(read_images(npz, {.test = true}).images, {.25, 0});
  CHECK(read_images(npz, {.test = true}).labels.value() == Tensor::from<std::int64_t>({3}));
  write_safetensors(folder / "a.safetensors", {{"images", pictures}, {"targets", labels}});
  CHECK(read_images(folder / "a.safetensors").labels.value() == Tensor::from<std::int64_t>({1, 0}));
}

TEST_CASE("what is no set of pictures is refused with what was seen and what would do") {
  struct Row {
    std::string what;
    std::function<void(const TemporaryFolder&)> make;
    std::vector<std::string> says;  ///< The first: of which file.
    std::string name = "";          ///< What is read in the folder.
  };
  const std::string good = grey(2, 2, 51);
  const auto npy = [](const Tensor& tensor) {
    return [tensor](const TemporaryFolder& f) { write_npy(f / "a", tensor); };
  };
  const auto npz = [](const std::vector<std::pair<std::string, Tensor>>& arrays) {
    return [arrays](const TemporaryFolder& f) { write_npz(f / "a", arrays); };
  };
  const auto file = [](const std::string& content) {
    return [content](const TemporaryFolder& f) { write_file(f / "a", content); };
  };
  const Tensor two = Tensor::from<float>({2, 1, 2}, {0, 1, 0, 1});
  const std::vector<Row> rows = {
      {"nothing there", [](auto&) {}, {"a: there is no such file"}, "a"},
      {"empty folder", [](auto&) {}, {": is an empty folder: pictures are .png files"}},
      {"JPEG files",
       [](auto& f) {
         for (const char* name : {"1.jpg", "2.jpg"}) write_file(f / name, "\xff\xd8\xff");
       },
       {": is a folder of 2 .jpg files: only PNG files are read", "mogrify -format png *.jpg"}},
      {"a stray file",
       [&](auto& f) {
         write_file(f / "1.png", good);
         write_file(f / "notes.txt", "x");
       },
       {": is a folder of 1 .png file (1.png) and 1 .txt file (notes.txt)"}},
      {"pictures beside classes",
       [&](auto& f) {
         write_file(f / "1.png", good);
         std::filesystem::create_directory(f / "cat");
       },
       {": is a folder of 1 .png file (1.png) and 1 folder (cat)"}},
      {"a class without pictures",
       [&](auto& f) {
         for (const char* name : {"cat", "dog"}) std::filesystem::create_directory(f / name);
         write_file(f / "cat/1.png", good);
       },
       {"dog: is an empty folder"}},
      {"sizes that differ",
       [&](auto& f) {
         write_file(f / "1.png", good);
         write_file(f / "2.png", grey(3, 2, 0));
       },
       {"2.png: is of 2 x 3 pixels, but ", "1.png of 2 x 2: pictures must be of one size"}},
      {"a damaged picture",
       [&](auto& f) {
         write_file(f / "1.png", good);
         write_file(f / "2.png", flipped(good, 45));
       },
       {"2.png: damaged PNG data"}},
      {"a picture that ends early",
       [&](auto& f) {
         write_file(f / "1.png", good);
         write_file(f / "2.png", good.substr(0, good.size() - 9));
       },
       {"2.png: does not end as a PNG file does"}},
      {"too few pixels",
       file(Png{2, 2, 8, 0, bytes({0, 1, 1})}.file()),
       {"a: damaged PNG data"},
       "a"},
      {"a colour that the palette has not",
       file(Png{1, 1, 8, 3, bytes({0, 9}), chunk("PLTE", bytes({1, 2, 3}))}.file()),
       {"a: damaged PNG data"},
       "a"},
      {"a name that claims to be a picture",
       [](auto& f) { write_file(f / "1.png", "GIF89a, it says"); },
       {"1.png: is not a PNG file"}},
      {"more pixels than bytes can hold",
       file(Png{1U << 30, 1U << 30, 8, 0, bytes({0})}.file()),
       {"a: claims 1073741824 x 1073741824 pixels"},
       "a"},
      {"alpha",
       file(Png{1, 1, 8, 4, bytes({0, 51, 64})}.file()),
       {"a: is not opaque: its pixel in row 0, column 0", ".background = 1"},
       "a"},
      {"JPEG", file("\xff\xd8\xff\xe0 and so on"), {"a: is a JPEG picture: only PNG"}, "a"},
      {"text", file("1,2\n3,4\n"), {"a: is text", "read_table() reads it"}, "a"},
      {"no file that is known", file(bytes({1, 0, 2, 200})), {"a: is of a kind"}, "a"},
      {"an empty file", file(""), {"a: is empty"}, "a"},
      {"labels",
       file(idx({2}, bytes({1, 2}))),
       {"a: is an IDX file of shape (2,), of labels"},
       "a"},
      {"one axis", npy(Tensor(DType::float32, {4})), {"a: an array of shape (4,) is not"}, "a"},
      {"a table",
       npy(Tensor(DType::float32, {4, 784})),
       {"a: an array of shape (4, 784) is a table", "read_table()"},
       "a"},
      {"three of what",
       npy(Tensor(DType::float32, {3, 8, 8})),
       {"a: an array of shape (3, 8, 8) may be grey pictures or a coloured one", ".axes"},
       "a"},
      {"channels at both ends",
       npy(Tensor(DType::float32, {2, 3, 8, 3})),
       {"a: an array of shape (2, 3, 8, 3)", "before or behind", ".axes"},
       "a"},
      {"no channels",
       npy(Tensor(DType::float32, {2, 8, 8, 8})),
       {"a: an array of shape (2, 8, 8, 8) has no axis of 1, 3 or 4 channels"},
       "a"},
      {"no picture", npy(Tensor(DType::float32, {0, 8, 8})), {"a: holds no pixel"}, "a"},
      {"NaN",
       npy(Tensor::from<double>({2, 1, 2}, {0, 1, std::nan(""), 0})),
       {"a: picture 1, element 0: nan is not finite"},
       "a"},
      {"bytes as floats",
       npy(Tensor::from<float>({1, 1, 2}, {0, 200})),
       {"a: picture 0, element 1: 200 is not from 0 to 1", "go from 0 to 200", ".white = 255"},
       "a"},
      {"below black",
       npy(Tensor::from<float>({1, 1, 2}, {-1, 1})),
       {"a: picture 0, element 0: -1 is not from 0 to 1", "scale them"},
       "a"},
      {"numbers of which none need be white",
       npy(Tensor::from<std::int64_t>({1, 1, 2}, {0, 16})),
       {"a: holds whole numbers from 0 to 16", ".white"},
       "a"},
      {"labels that are too many",
       npz({{"images", two}, {"labels", Tensor(DType::int64, {3})}}),
       {"a: 'labels', int64 (3,), are no labels of the 2 pictures of 'images'"},
       "a"},
      {"labels that are no whole numbers",
       npz({{"images", two}, {"labels", Tensor(DType::float32, {2})}}),
       {"a: 'labels', float32 (2,), are no labels"},
       "a"},
      {"labels below 0",
       npz({{"images", two}, {"labels", Tensor::from<std::int64_t>({0, -1})}}),
       {"a: 'labels': label 1 is -1"},
       "a"},
      {"two arrays of pictures",
       npz({{"x", two}, {"z", two}}),
       {"a: holds more than one array of pictures", "x (2, 1, 2), z (2, 1, 2)"},
       "a"},
      {"none",
       npz({{"W", Tensor(DType::float32, {2, 2})}}),
       {"a: holds no array of pictures"},
       "a"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    const TemporaryFolder folder;
    row.make(folder);
    const std::string path = row.name.empty() ? folder.path() : folder / row.name;
    const std::string error = error_of([&] { read_images(path); });
    CAPTURE(error);
    CHECK(error.starts_with(folder.path()));
    for (const std::string& part : row.says) CHECK(contains(error, part));
  }
  const TemporaryFolder folder;
  write_file(folder / "1.png", good);
  CHECK(contains(error_of([&] { read_images(folder.path(), {.test = true}); }),
                 "pictures to test on are in a folder test"));
  CHECK(contains(error_of([&] { read_images(folder / "1.png", {.test = true}); }),
                 "1.png: is not divided"));
  CHECK_THROWS_AS(read_images(folder / "1.png", {.background = 2}), ValueError);
  write_npy(folder / "a.npy", two);
  CHECK_THROWS_AS(read_images(folder / "a.npy", {.white = 0}), ValueError);
}

TEST_CASE("pictures that unfold beyond the limit are refused before memory is taken") {
  const TemporaryFolder folder;
  const FileLimit before = file_limit();
  for (const char* name : {"1.png", "2.png", "3.png"})
    write_file(folder / name, grey(1000, 1000, 0));
  set_file_limit({.bytes = 10 << 20, .times = 1});
  const std::string all = error_of([&] { read_images(folder.path()); });
  const std::string one = error_of([&] { read_images(folder / "1.png"); });
  set_file_limit({.bytes = 2 << 20, .times = 1});
  const std::string bomb = error_of([&] { read_images(folder / "1.png"); });
  set_file_limit(before);
  CHECK(
      contains(all, "its 3 pictures of 1000 x 1000 pixels would take more memory than the limit"));
  CHECK(contains(all, "set_file_limit()"));
  CHECK(one == "no error");
  CHECK(contains(bomb, "set_file_limit()"));
}

TEST_CASE("no byte of a PNG file can be changed so that other pixels come of it in silence") {
  const TemporaryFolder folder;
  const std::string good =
      Png{3, 2, 8, 2, bytes({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 9, 8, 7, 6, 5, 4, 3, 2, 1})}.file();
  write_file(folder / "a.png", good);
  const Tensor expected = read_images(folder / "a.png").images;
  for (std::size_t k = 0; k < good.size(); ++k) {
    CAPTURE(k);
    write_file(folder / "a.png", flipped(good, static_cast<std::ptrdiff_t>(k)));
    Tensor read = expected;
    error_of([&] { read = read_images(folder / "a.png").images; });
    CHECK(read == expected);
  }
}

}  // namespace
}  // namespace cinch
