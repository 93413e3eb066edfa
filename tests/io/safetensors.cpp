#include "cinch/io/safetensors.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "support/samples.hpp"
#include "temporary_folder.hpp"

namespace cinch {
namespace {

using testing::contains, testing::error_of, testing::flipped, testing::from_hex, testing::read_file,
    testing::same_bits, testing::TemporaryFolder, testing::write_file;

/// A file with this header and these bytes behind it.
std::string file(const std::string& header, const std::string& data = "") {
  std::string result;
  for (int k = 0; k < 8; ++k) result += static_cast<char>(header.size() >> (8 * k) & 255);
  return result + header + data;
}

std::string entry(const std::string& name, const std::string& type, const std::string& shape,
                  int begin, int end) {
  return "\"" + name + "\":{\"dtype\":\"" + type + "\",\"shape\":" + shape + ",\"data_offsets\":[" +
         std::to_string(begin) + "," + std::to_string(end) + "]}";
}

TEST_CASE("safetensors files give back every tensor, and equal tensors give equal files") {
  const TemporaryFolder folder;
  const std::vector<std::pair<std::string, Tensor>> samples{
      {"flags", Tensor::from<bool>({3}, {true, false, true})},
      {"n", Tensor::from<std::int64_t>({2}, {-1, std::numeric_limits<std::int64_t>::max()})},
      {"W_enc", Tensor::from<float>({1, 3}, {0.1F, -2.5F, 1e30F})},
      {"scalar", Tensor(0.25)},
      {"empty", Tensor(DType::float32, {0, 784})},
      {"layer \"1\"/W \xce\xbb", Tensor(DType::float64, {2, 2})}};
  write_safetensors(folder / "a", samples, {{"made", "by hand"}});
  const Arrays arrays = read_safetensors(folder / "a");
  CHECK(arrays.size() == samples.size());
  for (const auto& [name, tensor] : samples) CHECK(arrays.at(name) == tensor);
  write_safetensors(folder / "b", samples, {{"made", "by hand"}});
  CHECK(read_file(folder / "a") == read_file(folder / "b"));
  CHECK(contains(read_file(folder / "a"), "\"__metadata__\":{\"made\":\"by hand\"}"));
  write_safetensors(folder / "b", {});
  CHECK(read_safetensors(folder / "b").empty());
}

TEST_CASE("every element type is read, as the library that made the format lays it out") {
  const TemporaryFolder folder;
  struct Row {
    std::string type, bytes;
    Tensor expected;
  };
  constexpr float inf = std::numeric_limits<float>::infinity();
  for (const Row& row : std::vector<Row>{
           {"BOOL", "1 0", Tensor::from<bool>({2}, {true, false})},
           {"U8", "ff 1", Tensor::from<std::int64_t>({2}, {255, 1})},
           {"I8", "ff 1", Tensor::from<std::int64_t>({2}, {-1, 1})},
           {"U16", "ff ff 1 0", Tensor::from<std::int64_t>({2}, {65535, 1})},
           {"I16", "ff ff 1 0", Tensor::from<std::int64_t>({2}, {-1, 1})},
           {"U32", "ff ff ff ff 1 0 0 0", Tensor::from<std::int64_t>({2}, {4294967295, 1})},
           {"I32", "ff ff ff ff 1 0 0 0", Tensor::from<std::int64_t>({2}, {-1, 1})},
           {"U64", "1 0 0 0 0 0 0 0 2 0 0 0 0 0 0 0", Tensor::from<std::int64_t>({2}, {1, 2})},
           {"I64", "ff ff ff ff ff ff ff ff 2 0 0 0 0 0 0 0",
            Tensor::from<std::int64_t>({2}, {-1, 2})},
           {"F16", "0 3c 0 c1", Tensor::from<float>({2}, {1, -2.5F})},
           {"F16", "1 0 ff 7b", Tensor::from<float>({2}, {0x1p-24F, 65504})},
           {"F16", "0 7c 0 fc", Tensor::from<float>({2}, {inf, -inf})},
           {"BF16", "80 3f 20 c0", Tensor::from<float>({2}, {1, -2.5F})},
           {"F32", "0 0 80 3f 0 0 20 c0", Tensor::from<float>({2}, {1, -2.5F})},
           {"F64", "0 0 0 0 0 0 f0 3f 0 0 0 0 0 0 4 c0", Tensor::from<double>({2}, {1, -2.5})}}) {
    CAPTURE(row.type);
    const std::string data = from_hex(row.bytes);
    write_file(
        folder / "a",
        file("{" + entry("x", row.type, "[2]", 0, static_cast<int>(data.size())) + "}  ", data));
    CHECK(read_safetensors(folder / "a").at("x") == row.expected);
  }
  write_file(folder / "a", file("{" + entry("x", "F16", "[]", 0, 2) + "}", from_hex("1 7e")));
  CHECK(std::isnan(read_safetensors(folder / "a").at("x").item()));
}

TEST_CASE("U8, F16 and BF16 are written as such, and kept where that is asked for") {
  const TemporaryFolder folder;
  Tensor halves(DType::float16, {65536}), upper(DType::bfloat16, {256, 256});
  for (std::size_t k = 0; k < 65536; ++k)
    halves.data<Float16>()[k].bits = upper.data<BFloat16>()[k].bits = static_cast<std::uint16_t>(k);
  const Tensor bytes = Tensor::from({0, 1, 254, 255}).cast(DType::uint8);
  write_safetensors(folder / "a", {{"bytes", bytes}, {"halves", halves}, {"upper", upper}});
  const std::string content = read_file(folder / "a");
  for (const char* type : {"\"U8\"", "\"F16\"", "\"BF16\""}) CHECK(contains(content, type));
  const Arrays kept = read_safetensors(folder / "a", Elements::as_stored);
  CHECK(same_bits(kept.at("bytes"), bytes));
  CHECK(same_bits(kept.at("halves"), halves));
  CHECK(same_bits(kept.at("upper"), upper));
  const Arrays wide = read_safetensors(folder / "a");
  CHECK(wide.at("bytes") == bytes.cast(DType::int64));
  for (const auto& [name, narrow] : {std::pair("halves", &halves), std::pair("upper", &upper)}) {
    const Tensor& read = wide.at(name);
    REQUIRE(read.dtype() == DType::float32);
    for (std::int64_t k = 0; k < 65536; ++k) {
      const double a = read.at(k), b = narrow->at(k);
      if (!(a == b || (std::isnan(a) && std::isnan(b)))) FAIL_CHECK(name, " ", k);
    }
  }
}

TEST_CASE("a malformed safetensors file is named together with what is wrong") {
  const TemporaryFolder folder;
  const std::string four(4, '\0'), eight(8, '\0');
  const std::string x = entry("x", "F32", "[1]", 0, 4);
  struct Row {
    std::string content, part;
  };
  for (const Row& row : std::vector<Row>{
           {"", "is empty"},
           {"abc", "the length of the safetensors header"},
           {from_hex("ff ff ff ff ff ff ff ff 7b 7d"), "is no safetensors file, or cut short"},
           {from_hex("9 0 0 0 0 0 0 0 7b 7d"), "9 bytes of header follow, there are 2"},
           {file("[]"), "it is no JSON object"},
           {file("{\"x\":"), "it is no JSON object"},
           {file(std::string(50000, '[')), "it is no JSON object"},
           {file("{" + x + "," + x + "}", four), "'x' occurs twice"},
           {file("{\"x\":3}"), "'x' has no dtype"},
           {file("{\"x\":{\"dtype\":\"F32\"}}"), "'x' has no shape"},
           {file("{" + entry("x", "F8_E4M3", "[4]", 0, 4) + "}", four),
            "\"F8_E4M3\", which cannot"},
           {file("{" + entry("x", "F32", "[-1]", 0, 4) + "}", four), "no whole number"},
           {file("{" + entry("x", "F32", "[1.5]", 0, 4) + "}", four), "no whole number"},
           {file("{" + entry("x", "F32", "7", 0, 4) + "}", four), "no whole number"},
           {file("{" + entry("x", "F32", "[99999999999999999999]", 0, 4) + "}", four),
            "no whole number"},
           {file("{" + entry("x", "F32", "[4294967296,4294967296,4294967296]", 0, 4) + "}", four),
            "int64"},
           {file("{" + entry("x", "F32", "[2]", 0, 4) + "}", four), "takes 2 elements of 4 bytes"},
           {file("{" + entry("x", "F32", "[1]", 4, 0) + "}", four), "no two offsets in order"},
           {file("{" + entry("x", "F32", "[1]", 4, 8) + "}", eight), "behind a hole"},
           {file("{" + x + "," + entry("y", "F32", "[1]", 2, 6) + "}", eight),
            "within what stands before it"},
           {file("{" + x + "}", eight), "has 4 bytes after its end"},
           {file("{" + x + "}", "abc"), "ends early: its header needs 4 bytes, there are 3"},
           {file("{" + entry("x", "U64", "[1]", 0, 8) + "}", std::string(8, '\xff')),
            "larger than any int64"}}) {
    CAPTURE(row.part);
    write_file(folder / "a.safetensors", row.content);
    const std::string error = error_of([&] { read_safetensors(folder / "a.safetensors"); });
    CAPTURE(error);
    CHECK(contains(error, "a.safetensors: "));
    CHECK(contains(error, row.part));
  }
}

TEST_CASE("a changed or missing byte of a safetensors file is noticed or harmless") {
  const TemporaryFolder folder;
  write_safetensors(folder / "good", {{"W", Tensor::from<float>({2, 2}, {1, 2, 3, 4})},
                                      {"b", Tensor::from<double>({3}, {1, 2, 3})}});
  const std::string good = read_file(folder / "good");
  const auto read = [&](const std::string& content) {
    write_file(folder / "a", content);
    try {
      read_safetensors(folder / "a");
    } catch (const FileError&) {
    }
  };
  for (std::size_t k = 0; k < good.size(); ++k) {
    CHECK_NOTHROW(read(flipped(good, static_cast<std::ptrdiff_t>(k))));
    write_file(folder / "a", good.substr(0, k));
    CHECK_THROWS_AS(read_safetensors(folder / "a"), FileError);
  }
}

TEST_CASE("names and texts that a safetensors file cannot hold are refused") {
  const TemporaryFolder folder;
  const Tensor x(1.0);
  const auto refused = [&](const std::vector<std::pair<std::string, Tensor>>& arrays,
                           const std::string& part) {
    const std::string error = error_of([&] { write_safetensors(folder / "a", arrays); });
    CAPTURE(error);
    CHECK(contains(error, part));
    CHECK(folder.entries() == 0);
  };
  refused({{"", x}}, "cannot be an array's name");
  refused({{"__metadata__", x}}, "cannot be an array's name");
  refused({{"x", x}, {"x", x}}, "two arrays are named 'x'");
  refused({{"\xff", x}}, "no UTF-8");
}

}  // namespace
}  // namespace cinch
