// Shards are the tensor that their files would be together, or an error that names one of them.
#include "cinch/io/shards.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "cinch/io/npy.hpp"
#include "cinch/io/safetensors.hpp"
#include "temporary_folder.hpp"

namespace cinch {
namespace {

using testing::contains, testing::error_of, testing::gzip, testing::read_file,
    testing::TemporaryFolder, testing::write_file;

Tensor numbers(DType dtype, const Shape& shape, double start = 0) {
  Tensor result(DType::float64, shape);
  for (std::int64_t k = 0; k < result.size(); ++k)
    result.data<double>()[static_cast<std::size_t>(k)] =
        std::fmod(start + static_cast<double>(7 * k), 120);
  return result.cast(dtype);
}

/// Rows [begin, begin + count).
Tensor rows_of(const Tensor& all, std::int64_t begin, std::int64_t count) {
  Shape shape = all.shape();
  shape[0] = count;
  Tensor result(all.dtype(), shape);
  const std::size_t row = all.bytes() / static_cast<std::size_t>(all.shape()[0]);
  std::memcpy(result.raw(),
              static_cast<const std::byte*>(all.raw()) + static_cast<std::size_t>(begin) * row,
              static_cast<std::size_t>(count) * row);
  return result;
}

/// Writes the rows of a tensor to files of so many rows each; their paths.
std::vector<std::string> write_parts(const std::string& folder, const Tensor& all,
                                     const std::vector<std::int64_t>& sizes, bool safetensors) {
  std::vector<std::string> result;
  std::int64_t begin = 0;
  for (const std::int64_t size : sizes) {
    const std::string path = folder + "/part" + std::to_string(10 + result.size());
    result.push_back(path + (safetensors ? ".safetensors" : ".npy"));
    const Tensor part = rows_of(all, begin, size);
    if (safetensors) {
      write_safetensors(result.back(), {{"other", Tensor(1.5)}, {"data", part}});
    } else {
      write_npy(result.back(), part);
    }
    begin += size;
  }
  return result;
}

/// An npy file of elements that no tensor is of.
std::string npy(const std::string& type, const std::string& shape, const std::string& content,
                const std::string& fortran = "False") {
  std::string header =
      "{'descr': '" + type + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }";
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  return "\x93NUMPY\x01" + std::string(1, '\0') + static_cast<char>(header.size() % 256) +
         static_cast<char>(header.size() / 256) + header + content;
}

}  // namespace

TEST_CASE("shards of several files are the tensor that they hold together, in every type") {
  for (const bool safetensors : {false, true}) {
    for (const DType dtype : {DType::bool_, DType::int64, DType::float32, DType::float64,
                              DType::uint8, DType::float16, DType::bfloat16}) {
      if (dtype == DType::bfloat16 && !safetensors) continue;
      for (const Shape& row : {Shape{}, Shape{3}, Shape{2, 5}}) {
        CAPTURE(dtype);
        CAPTURE(safetensors);
        const TemporaryFolder folder;
        Shape shape = row;
        shape.insert(shape.begin(), 13);
        const Tensor all = numbers(dtype, shape);
        const auto paths = write_parts(folder.path(), all, {4, 0, 1, 8}, safetensors);
        ShardOptions options{.array = safetensors ? "data" : ""};
        const Shards usual(folder.path(), options);
        CHECK(usual.rows() == 13);
        CHECK(usual.row_shape() == row);
        CHECK(usual.paths() == paths);
        const DType wide = dtype == DType::uint8 ? DType::int64
                           : is_storage(dtype)   ? DType::float32
                                                 : dtype;
        CHECK(usual.dtype() == wide);
        CHECK(usual.read(0, 13) == all.cast(wide));
        for (std::int64_t begin = 0; begin < 13; ++begin) {
          for (std::int64_t count = 0; begin + count <= 13; ++count)
            CHECK(usual.read(begin, count) == rows_of(all.cast(wide), begin, count));
        }
        options.dtype = dtype;  // As it is stored.
        CHECK(Shards(paths, options).read(0, 13) == all);
        for (const DType to : {DType::float32, DType::float64}) {
          options.dtype = to;
          CHECK(Shards(paths, options).read(0, 13) == all.cast(to));
        }
        if (dtype == DType::bool_) continue;
        for (const double divisor : {255.0, 0.3}) {
          options.dtype = {};
          options.divisor = divisor;
          const Tensor divided = Shards(paths, options).read(0, 13);
          const DType result = dtype == DType::float64 ? DType::float64 : DType::float32;
          REQUIRE(divided.dtype() == result);
          for (std::int64_t k = 0; k < all.size(); ++k)
            CHECK(divided.at(k) == Tensor(all.at(k) / divisor).cast(result).item());
        }
      }
    }
  }
}

TEST_CASE("shards of NumPy's other integers are read as int64") {
  const TemporaryFolder folder;
  struct Row {
    const char* type;
    std::string content;
    std::vector<double> values;
  };
  for (const Row& row : {Row{"|i1", std::string("\xff\x7f", 2), {-1, 127}},
                         Row{"<i2", std::string("\xff\xff\x00\x7f", 4), {-1, 0x7f00}},
                         Row{"<u2", std::string("\xff\xff\x00\x7f", 4), {0xffff, 0x7f00}},
                         Row{"<i4", std::string("\xfe\xff\xff\xff\1\0\0\0", 8), {-2, 1}},
                         Row{"<u4", std::string("\xfe\xff\xff\xff\1\0\0\0", 8), {4294967294.0, 1}},
                         Row{"<u8", std::string("\5\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", 16), {5, 1}}}) {
    CAPTURE(row.type);
    write_file(folder / "a.npy", npy(row.type, "(2,)", row.content));
    const Tensor read = Shards(folder / "a.npy").read(0, 2);
    CHECK(read.dtype() == DType::int64);
    CHECK(read.at(0) == row.values[0]);
    CHECK(read.at(1) == row.values[1]);
  }
}

TEST_CASE("shards that do not fit are refused before anything is read of them") {
  const TemporaryFolder folder;
  const std::string good = folder / "good.npy";
  write_npy(good, numbers(DType::float32, {4, 3}));
  const std::string bytes = read_file(good);
  const auto made = [&](const char* name, const std::string& content) {
    write_file(folder / name, content);
    return std::vector<std::string>{good, folder / name};
  };
  const auto written = [&](const char* name, const Tensor& tensor) {
    write_npy(folder / name, tensor);
    return std::vector<std::string>{good, folder / name};
  };
  write_safetensors(folder / "two.safetensors",
                    {{"a", Tensor(DType::float32, {2, 3})}, {"b", Tensor(DType::float32, {2, 3})}});
  write_npz(folder / "archive.npz", {{"x", Tensor(DType::float32, {2, 3})}});
  std::filesystem::create_directory(folder / "nothing");
  struct Row {
    std::vector<std::string> paths;
    ShardOptions options;
    std::vector<const char*> words;
  };
  const std::vector<Row> table{
      {{good, folder / "missing.npy"}, {}, {"missing.npy: there is no such file"}},
      {made("empty.npy", ""), {}, {"empty.npy: is empty"}},
      {made("empty.safetensors", ""), {}, {"empty.safetensors: is empty"}},
      {made("short.npy", bytes.substr(0, bytes.size() - 1)),
       {},
       {"short.npy: ends early", "(4, 3)"}},
      {made("long.npy", bytes + "x"), {}, {"long.npy: has 1 bytes after its end"}},
      {made("text.npy", "1,2,3,4,5,6\n"), {}, {"text.npy", "is not an npy file"}},
      {made("packed.npy", gzip(bytes)), {}, {"packed.npy: is compressed", "gunzip"}},
      {{good, folder / "archive.npz"}, {}, {"archive.npz: is an archive", "np.save"}},
      {written("wide.npy", Tensor(DType::float32, {2, 4})),
       {},
       {"wide.npy: its rows are (4,), those of", "good.npy are (3,)"}},
      {written("other.npy", Tensor(DType::float64, {2, 3})),
       {},
       {"other.npy: its elements are float64, those of", "good.npy are float32"}},
      {written("scalar.npy", Tensor(1.0)), {}, {"scalar.npy: holds a single number"}},
      {written("narrow.npy", Tensor(DType::float32, {2, 0})),
       {},
       {"rows without elements, its shape is (2, 0)"}},
      {made("fortran.npy", npy("<f4", "(2, 3)", std::string(24, '\0'), "True")),
       {},
       {"fortran.npy: is in Fortran order", "np.ascontiguousarray"}},
      {made("big.npy", npy(">f4", "(2, 3)", std::string(24, '\0'))),
       {},
       {"big.npy: has its bytes in the other order"}},
      {{good, good}, {}, {"good.npy: is named twice"}},
      {{folder / "two.safetensors"}, {}, {"holds several arrays", ".array", "it holds a, b"}},
      {{folder / "two.safetensors"}, {.array = "c"}, {"has no array 'c'; it holds a, b"}},
      {{good}, {.dtype = DType::uint8}, {"stored as float32 are not given as uint8", "float64"}},
      {{good}, {.dtype = DType::int64}, {"stored as float32 are not given as int64"}},
      {{good}, {.divisor = 0}, {"divisor must be positive, got 0"}},
      {{good}, {.divisor = std::nan("")}, {"divisor must be positive, got nan"}},
      {{}, {}, {"there are no files"}},
  };
  for (const Row& row : table) {
    const std::string said = error_of<Error>([&] { Shards(row.paths, row.options); });
    CAPTURE(said);
    for (const char* word : row.words) CHECK(contains(said, word));
  }
  CHECK(contains(error_of<FileError>([&] { Shards(folder / "nothing"); }),
                 "nothing: holds no .npy or .safetensors files"));
  write_npy(folder / "none.npy", Tensor(DType::float32, {0, 3}));
  CHECK(contains(error_of<FileError>([&] { Shards(folder / "none.npy"); }), "holds no rows"));
  write_npy(folder / "bytes.npy", Tensor(DType::uint8, {2, 3}));
  CHECK(contains(error_of<ValueError>([&] {
                   Shards(folder / "bytes.npy", {.dtype = DType::uint8, .divisor = 255});
                 }),
                 "uint8 is not divided"));
  CHECK(contains(error_of<ValueError>([&] { Shards(good).read(3, 2); }), "there are 4 rows"));
  CHECK(contains(error_of<ValueError>([&] { Shards(good).read(-1, 2); }), "there are 4 rows"));
}

TEST_CASE("a NaN, an infinity and a number too large are named with file and row") {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  for (const DType dtype : {DType::float16, DType::bfloat16, DType::float32, DType::float64}) {
    for (const double bad : {nan, infinity, -infinity}) {
      CAPTURE(dtype);
      const TemporaryFolder folder;
      Tensor all = numbers(DType::float64, {9, 3});
      all.data<double>()[7 * 3 + 2] = bad;
      const auto paths = write_parts(folder.path(), all.cast(dtype), {4, 5}, true);
      const Shards shards(paths, {.array = "data"});
      CHECK(shards.read(0, 7).size() == 21);
      const std::string said = error_of<FileError>([&] { static_cast<void>(shards.read(5, 4)); });
      CHECK(contains(said, "part11.safetensors: row 3, element 2 of it, is " +
                               std::string(std::isnan(bad) ? "nan" : "infinite")));
      const Tensor there = Shards(paths, {.array = "data", .finite = false}).read(7, 1);
      CHECK((std::isnan(bad) ? std::isnan(there.at(2)) : there.at(2) == bad));
    }
  }
  const TemporaryFolder folder;
  write_file(folder / "a.npy", npy("<u8", "(1,)", std::string("\0\0\0\0\0\0\0\x80", 8)));
  CHECK(
      contains(error_of<FileError>([&] { static_cast<void>(Shards(folder / "a.npy").read(0, 1)); }),
               "row 0 is 9.22337e+18, larger than any int64"));
}

TEST_CASE("a file that changes, goes or is cut short while its rows are read is an error") {
  const TemporaryFolder folder;
  const Tensor all = numbers(DType::float32, {8, 3});
  struct Row {
    std::function<void(const std::string&)> change;
    const char* words;
  };
  const std::vector<Row> table{
      {[](const std::string& path) { std::filesystem::remove(path); }, "No such file"},
      {[](const std::string& path) { std::filesystem::resize_file(path, 130); },
       "changed or replaced since it was opened"},
      {[](const std::string& path) {
         write_npy(path, numbers(DType::float32, {4, 3}, 1));
       },
       "changed or replaced since it was opened"},
  };
  for (const Row& row : table) {
    const auto paths = write_parts(folder.path(), all, {4, 4}, false);
    const Shards shards(paths);
    CHECK(shards.read(3, 2).size() == 6);
    row.change(paths[1]);
    const std::string said = error_of<FileError>([&] { static_cast<void>(shards.read(3, 2)); });
    CAPTURE(said);
    CHECK(contains(said, "part11.npy"));
    CHECK(contains(said, row.words));
    CHECK(shards.read(0, 4) == rows_of(all, 0, 4));
  }
}

TEST_CASE("files are named one by one, in braces too") {
  const TemporaryFolder folder;
  const auto paths = write_parts(folder.path(), numbers(DType::float32, {8, 3}), {3, 5}, false);
  const char *a = paths[0].c_str(), *b = paths[1].c_str();  // As literals are.
  CHECK(Shards({a, b}).rows() == 8);
  CHECK(Shards({b}).rows() == 5);
  CHECK(Shards(a).rows() == 3);
  CHECK(Shards({paths[0], paths[1]}, {.divisor = 2}).read(7, 1).at(0) == 13.5);
}

TEST_CASE("fingerprints tell data apart, not where they lie") {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "a");
  std::filesystem::create_directory(folder / "b");
  const Tensor all = numbers(DType::uint8, {100, 300});
  const Shards first(write_parts(folder / "a", all, {40, 60}, false));
  const Shards second(write_parts(folder / "b", all, {40, 60}, false));
  CHECK(first.fingerprint() == second.fingerprint());
  CHECK(first.fingerprint() != Shards(first.paths(), {.divisor = 255}).fingerprint());
  const std::vector<std::string> turned{first.paths()[1], first.paths()[0]};
  CHECK(first.fingerprint() != Shards(turned).fingerprint());
  Tensor other = all;
  other.data<std::uint8_t>()[0] ^= 1;
  CHECK(first.fingerprint() !=
        Shards(write_parts(folder / "b", other, {40, 60}, false)).fingerprint());
}

}  // namespace cinch
