#include "cinch/io/npy.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "support/samples.hpp"
#include "temporary_folder.hpp"

namespace cinch {
namespace {

using testing::contains, testing::error_of, testing::flipped, testing::from_hex, testing::gzip,
    testing::same_bits, testing::read_file, testing::replaced, testing::TemporaryFolder,
    testing::write_file;
using Named = std::vector<std::pair<std::string, Tensor>>;

/// Tensors of every dtype and of awkward shapes.
Named samples() {
  return {{"bools", Tensor::from<bool>({3}, {true, false, true})},
          {"integers", Tensor::from<std::int64_t>(
                           {2, 2}, {-1, 0, std::numeric_limits<std::int64_t>::max(), 7})},
          {"singles", Tensor::from<float>({1, 3, 1}, {0.1F, -2.5F, 1e30F})},
          {"doubles", Tensor::from<double>({2, 3}, {0.1, -0.0, 1e300, 5e-324, 3, 4})},
          {"scalar", Tensor(0.25)},
          {"empty", Tensor(DType::float32, {0, 784})},
          {"layer 1/W \xce\xbb", Tensor(DType::float64, {1, 1, 1, 1, 1})}};
}

/// An npy file of version 1.0 with this header and this content.
std::string npy(const std::string& header, const std::string& content) {
  return from_hex("93 4e 55 4d 50 59 1 0") + static_cast<char>(header.size() % 256) +
         static_cast<char>(header.size() / 256) + header + content;
}

TEST_CASE("npy files give back every tensor") {
  const TemporaryFolder folder;
  for (const auto& sample : samples()) {
    CAPTURE(sample.first);
    write_npy(folder / "a.npy", sample.second);
    CHECK(read_npy(folder / "a.npy") == sample.second);
    CHECK((read_file(folder / "a.npy").size() - sample.second.bytes()) % 64 ==
          0);  // aligned as NumPy does
  }
}

TEST_CASE("bytes and numbers of 16 bits are written as such, and kept where that is asked for") {
  const TemporaryFolder folder;
  Tensor halves(DType::float16, {65536}), bytes(DType::uint8, {2, 128});
  for (std::size_t k = 0; k < 65536; ++k)
    halves.data<Float16>()[k].bits = static_cast<std::uint16_t>(k);
  for (std::size_t k = 0; k < 256; ++k)
    bytes.data<std::uint8_t>()[k] = static_cast<std::uint8_t>(k);
  write_npz(folder / "a.npz", {{"halves", halves}, {"bytes", bytes}});
  const Arrays kept = read_npz(folder / "a.npz", Elements::as_stored);
  CHECK(same_bits(kept.at("halves"), halves));
  CHECK(same_bits(kept.at("bytes"), bytes));
  const Arrays wide = read_npz(folder / "a.npz");
  CHECK(wide.at("bytes") == bytes.cast(DType::int64));
  CHECK(wide.at("halves").dtype() == DType::float32);
  write_npy(folder / "a.npy", bytes);
  CHECK(contains(read_file(folder / "a.npy"), "'descr': '|u1'"));
  CHECK(same_bits(read_npy(folder / "a.npy", Elements::as_stored), bytes));
  write_npy(folder / "h.npy", halves);
  CHECK(contains(read_file(folder / "h.npy"), "'descr': '<f2'"));
  CHECK(same_bits(read_npy(folder / "h.npy", Elements::as_stored), halves));
  // In the other byte order and in columns.
  std::string big = npy(
      "{'descr': '>f2', 'fortran_order': True, 'shape': (2, 3), }                                 "
      "          \n",
      from_hex("3c 0 40 0 42 0 44 0 45 0 46 0"));
  write_file(folder / "big.npy", big);
  const Tensor turned = read_npy(folder / "big.npy", Elements::as_stored);
  CHECK(turned == Tensor::from<double>({2, 3}, {1, 3, 5, 2, 4, 6}).cast(DType::float16));
  // Everything else is as without.
  for (const auto& sample : samples()) {
    write_npy(folder / "s.npy", sample.second);
    CHECK(read_npy(folder / "s.npy", Elements::as_stored) == sample.second);
  }
  const std::string before = read_file(folder / "a.npy");
  CHECK(contains(
      error_of<FileError>([&] { write_npy(folder / "a.npy", Tensor(DType::bfloat16, {2})); }),
      "NumPy has no bfloat16"));
  CHECK(read_file(folder / "a.npy") == before);
}

TEST_CASE("npz archives give back every tensor, and equal tensors give equal files") {
  const TemporaryFolder folder;
  write_npz(folder / "a.npz", samples());
  const auto arrays = read_npz(folder / "a.npz");
  CHECK(arrays.size() == samples().size());
  for (const auto& sample : samples()) {
    CAPTURE(sample.first);
    REQUIRE(arrays.contains(sample.first));
    CHECK(arrays.at(sample.first) == sample.second);
  }
  write_npz(folder / "b.npz", samples());
  CHECK(read_file(folder / "a.npz") == read_file(folder / "b.npz"));
  write_npz(folder / "b.npz", {});
  CHECK(read_npz(folder / "b.npz").empty());
}

TEST_CASE("headers are read as Python reads them") {
  const TemporaryFolder folder;
  const std::string two = from_hex("1 0 0 0  fe ff ff ff");
  const Tensor expected = Tensor::from<std::int64_t>({2}, {1, -2});
  for (const std::string header :
       {"{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }   \n",
        "{\"shape\":(2L,),\"fortran_order\":True,\"descr\":\"<i4\"}",
        "  { 'fortran_order' :False,'descr':'<i4' , 'shape' : ( 2 , ) }"}) {
    CAPTURE(header);
    write_file(folder / "a.npy", npy(header, two));
    CHECK(read_npy(folder / "a.npy") == expected);
    std::string version_2 = npy(header, two);
    version_2[6] = 2;
    version_2.insert(10, 2, '\0');
    write_file(folder / "a.npy", gzip(version_2));
    CHECK(read_npy(folder / "a.npy") == expected);
  }
  write_file(folder / "a.npy",
             npy("{'descr': '|b1', 'fortran_order': False, 'shape': ()}", "\x02"));
  CHECK(read_npy(folder / "a.npy") == Tensor(true));
}

TEST_CASE("column-major arrays are put in row-major order") {
  const TemporaryFolder folder;
  const std::string header = "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3, 2)}";
  write_file(folder / "a.npy", npy(header, from_hex("0 6 2 8 4 a 1 7 3 9 5 b")));
  CHECK(read_npy(folder / "a.npy") ==
        Tensor::from<std::int64_t>({2, 3, 2}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
}

TEST_CASE("a malformed npy file is named together with what is wrong") {
  const TemporaryFolder folder;
  const auto header = [](const std::string& type, const std::string& shape) {
    return "{'descr': " + type + ", 'fortran_order': False, 'shape': " + shape + ", }\n";
  };
  const std::string one(8, '\0');
  const std::string good = npy(header("'<f8'", "(1,)"), one);
  struct Row {
    std::string content, complaint;
  };
  const Row rows[] = {
      {"", "is empty"},
      {good.substr(0, 7), "ends early: the npy header"},
      {"PK\x03\x04 rather a zip", "is not an npy file"},
      {replaced(good, from_hex("59 1 0"), from_hex("59 3 0")), "npy version 3.0 cannot be read"},
      {good.substr(0, 9), "ends early: the length of the npy header"},
      {good.substr(0, 30), "ends early: the npy header should be"},
      {from_hex("93 4e 55 4d 50 59 2 0 ff ff ff ff 7b"), "it claims to be 4294967295 bytes long"},
      {good.substr(0, good.size() - 1),
       "ends early: shape (1,) needs 1 elements of 8 bytes, there are 7"},
      {good + "xyz", "has 3 bytes after its end"},
      {npy(header("'=f8'", "(1,)"), one),
       "elements of type '=f8' cannot be read: convert them to bool"},
      {npy(header("'|O'", "(1,)"), one), "elements of type '|O' cannot be read"},
      {npy(header("'<c16'", "(1,)"), one), "elements of type '<c16' cannot be read"},
      {npy(header("[('x', '<f8')]", "(1,)"), one), "its elements have fields"},
      {npy(header("'<f8'", "(-1,)"), one), "a size in the shape is negative"},
      {npy(header("'<f8'", "(1, x)"), one), "expected a number in the shape"},
      {npy(header("'<f8'", "(1 1)"), one), "expected , or ) in the shape"},
      {npy(header("'<f8'", "(1,"), one), "bad npy header: "},
      {npy(header("'<f8'", "1"), one), "bad npy header: expected ("},
      {npy(header("'<f8'", "(99999999999999999999,)"), one), "a size in the shape is too large"},
      {npy(header("'<f8'", "(4294967296, 4294967296)"), one),
       "more elements than an int64 can count"},
      {npy(header("'<f8'", "(2305843009213693953,)"), one),
       "ends early: shape (2305843009213693953,)"},
      {npy(header("'<f8'", "(1000000000000,)"), one), "there are 8 bytes"},
      {npy(header("'<f8", "(1,)"), one), "bad npy header: "},
      {npy("", one), "bad npy header: expected {"},
      {npy("{}", one), "descr, fortran_order or shape is missing"},
      {npy("{'descr': '<f8', 'shape': (1,)}", one), "descr, fortran_order or shape is missing"},
      {npy("{'descr': '<f8', 'fortran_order': None}", one),
       "fortran_order is neither True nor False"},
      {npy("{'a': 1}", one), "unknown key 'a'"},
      {npy("{'descr': '<f8' 'shape'", one), "expected , or }"},
      {npy("{'descr'", one), "expected :"},
      {npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)} + {", one),
       "text after the closing brace"},
      {npy(std::string("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}\0", 56), one),
       "text after the closing brace"},
      {gzip(good).substr(0, 40), "the gzip data ends early"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.complaint);
    write_file(folder / "a.npy", row.content);
    const std::string error = error_of([&] { read_npy(folder / "a.npy"); });
    CAPTURE(error);
    CHECK(contains(error, (folder / "a.npy") + ": "));
    CHECK(contains(error, row.complaint));
  }
  CHECK(contains(error_of([&] { read_npy(folder / "none.npy"); }),
                 "none.npy: there is no such file"));
  CHECK(contains(error_of([&] { read_npy(folder.path()); }), "is a folder"));
}

TEST_CASE("a malformed npz archive is named together with what is wrong") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.npz";
  const Tensor values = Tensor::from<double>({2}, {1.0 / 3, 2.0 / 3});
  write_npz(path, {{"first", values}, {"other", values}});
  const std::string good = read_file(path);
  const std::string element(static_cast<const char*>(values.raw()), 8);
  struct Row {
    std::string content, complaint;
  };
  const Row rows[] = {
      {"", "a.npz: is empty"},
      {"no zip at all", "a.npz: bad zip archive: "},
      {good.substr(0, good.size() - 1), "a.npz: bad zip archive: "},
      {good.substr(good.size() / 2), "a.npz: bad zip archive: "},
      {replaced(good, "other.npy", "other.txt"),
       "a.npz: its member 'other.txt' is not an npy file"},
      {replaced(good, "other.npy", "first.npy"), "a.npz: "},
      {replaced(good, element, "01234567"), "a.npz: first: damaged zip archive: CRC error"},
      {gzip(good), "a.npz: bad zip archive: "},
  };
  for (const Row& row : rows) {
    CAPTURE(row.complaint);
    write_file(path, row.content);
    const std::string error = error_of([&] { read_npz(path); });
    CAPTURE(error);
    CHECK(contains(error, row.complaint));
  }
  CHECK(contains(error_of([&] { read_npz(folder / "none.npz"); }),
                 "none.npz: there is no such file"));
  CHECK(contains(error_of([&] { read_npz(folder.path()); }), "is a folder"));
}

TEST_CASE("a changed or missing byte of an archive is noticed or harmless, never a crash") {
  const TemporaryFolder folder;
  write_npz(folder / "a.npz", {{"W", Tensor::from<double>({2}, {1, 2})}});
  const std::string good = read_file(folder / "a.npz");
  const auto read = [&](const std::string& content) {
    write_file(folder / "b.npz", content);
    try {
      const auto arrays = read_npz(folder / "b.npz");
      return !arrays.contains("W") || arrays.at("W") == Tensor::from<double>({2}, {1, 2});
    } catch (const FileError&) {
      return true;
    }
  };
  for (std::size_t i = 0; i < good.size(); ++i) {
    CAPTURE(i);
    CHECK(read(flipped(good, static_cast<std::ptrdiff_t>(i))));
    CHECK(error_of([&] {
            write_file(folder / "b.npz", good.substr(0, i));
            read_npz(folder / "b.npz");
          }) != "no error");
  }
}

TEST_CASE("names that an archive cannot hold are refused") {
  const TemporaryFolder folder;
  const Tensor zero;
  CHECK(contains(error_of([&] {
                   write_npz(folder / "a.npz", {{"", zero}});
                 }),
                 "an array has no valid name"));
  CHECK(contains(error_of([&] {
                   write_npz(folder / "a.npz", {{std::string("a\0b", 3), zero}});
                 }),
                 "an array has no valid name"));
  CHECK(contains(error_of([&] {
                   write_npz(folder / "a.npz", {{"W", zero}, {"W", zero}});
                 }),
                 "two arrays are named 'W'"));
  // The longest is kept whole, one more byte is refused.
  const std::string longest(65531, 'W');
  const TemporaryFolder other;
  write_npz(other / "b.npz", {{longest, zero}});
  CHECK(read_npz(other / "b.npz").at(longest).size() == 1);
  CHECK(contains(error_of([&] {
                   write_npz(folder / "a.npz", {{longest + "W", zero}});
                 }),
                 "the name of an array has 65532 bytes, more than 65531"));
  CHECK(folder.entries() == 0);
}

/// A Python with NumPy; "" where there is none.
std::string python() {
  for (const std::string command : {"/usr/bin/python3", "python3"}) {
    if (std::system((command + " -c 'import numpy' >/dev/null 2>&1").c_str()) == 0) return command;
  }
  return "";
}

TEST_CASE("NumPy reads what Cinch writes, and the other way round") {
  if (python().empty()) {
    MESSAGE("skipped: there is no Python with NumPy");
    return;
  }
  const TemporaryFolder folder;
  write_npz(folder / "ours.npz", samples());
  write_npy(folder / "ours.npy", samples()[3].second);
  write_file(folder / "exchange.py", R"(
import sys, numpy as np
folder = sys.argv[1] + '/'
ours = np.load(folder + 'ours.npz')
assert (np.load(folder + 'ours.npy') == ours['doubles']).all()
assert [ours[name].dtype for name in ('bools', 'integers', 'singles', 'doubles')] == [bool, 'i8', 'f4', 'f8']
assert ours['bools'].tolist() == [True, False, True]
assert ours['integers'].tolist() == [[-1, 0], [2**63 - 1, 7]]
assert ours['singles'].shape == (1, 3, 1) and ours['singles'][0, 1, 0] == -2.5
assert ours['doubles'].tolist() == [[0.1, -0.0, 1e300], [5e-324, 3, 4]]
assert ours['scalar'].shape == () and ours['scalar'] == 0.25
assert ours['empty'].shape == (0, 784)
assert ours.files[-1] == 'layer 1/W \u03bb'
back = {name: ours[name] for name in ours.files}
np.savez(folder + 'stored.npz', **back)
np.savez_compressed(folder + 'deflated.npz', **back)
np.savez(folder + 'none.npz')
rows = np.arange(6).reshape(2, 3)
np.save(folder + 'columns.npy', np.asfortranarray(rows * 0.5))
np.save(folder + 'bytes.npy', rows.astype('u1'))
np.save(folder + 'ints.npy', rows.astype('i4'))
np.save(folder + 'zeros.npy', np.asfortranarray(np.zeros((3, 0, 2), 'f4')))
np.save(folder + 'objects.npy', np.array([None, {}]), allow_pickle=True)
np.save(folder + 'big.npy', rows.astype('>f8'))
for name in ('i1', 'i2', 'u2', 'u4', 'u8'): np.save(folder + name + '.npy', rows.astype(name))
np.save(folder + 'f2.npy', np.array([1, -2.5, 2.0**-24], 'f2'))
np.lib.format.write_array(open(folder + 'version2.npy', 'wb'), rows, version=(2, 0))
)");
  const std::string command =
      python() + " '" + (folder / "exchange.py") + "' '" + folder.path() + "'";
  REQUIRE(std::system(command.c_str()) == 0);

  for (const std::string archive : {"stored.npz", "deflated.npz"}) {
    const auto arrays = read_npz(folder / archive);
    CHECK(arrays.size() == samples().size());
    for (const auto& sample : samples()) {
      CAPTURE(sample.first);
      REQUIRE(arrays.contains(sample.first));
      CHECK(arrays.at(sample.first) == sample.second);
    }
  }
  CHECK(read_npz(folder / "none.npz").empty());
  const Tensor rows = Tensor::from<std::int64_t>({2, 3}, {0, 1, 2, 3, 4, 5});
  CHECK(read_npy(folder / "columns.npy") == Tensor::from<double>({2, 3}, {0, 0.5, 1, 1.5, 2, 2.5}));
  for (const std::string name : {"bytes.npy", "ints.npy", "version2.npy"})
    CHECK(read_npy(folder / name) == rows);
  CHECK(read_npy(folder / "zeros.npy") == Tensor(DType::float32, {3, 0, 2}));
  CHECK(contains(error_of([&] { read_npy(folder / "objects.npy"); }),
                 "elements of type '|O' cannot be read"));
  CHECK(read_npy(folder / "big.npy") == rows.cast(DType::float64));
  for (const std::string name : {"i1", "i2", "u2", "u4", "u8"})
    CHECK(read_npy(folder / (name + ".npy")) == rows);
  CHECK(read_npy(folder / "f2.npy") == Tensor::from<float>({3}, {1, -2.5F, 0x1p-24F}));
}

TEST_CASE("an array that an archive lacks is named with those it has") {
  const TemporaryFolder folder;
  const std::string path = folder / "weights.npz";
  write_npz(path, {{"W1", Tensor(1.0)}, {"b1", Tensor(2.0)}});
  Arrays arrays = read_npz(path);
  CHECK(arrays.at("W1").item() == 1);
  arrays.at("b1") = Tensor(3.0);
  CHECK(arrays.at("b1").item() == 3);
  const std::string error = error_of([&] { arrays.at("W2"); });
  CHECK(contains(error, path));
  CHECK(contains(error, "has no array 'W2'; it holds W1, b1"));
  const std::map<std::string, Tensor> plain = read_npz(path);
  CHECK(plain.size() == 2);
}

}  // namespace
}  // namespace cinch
