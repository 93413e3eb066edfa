#include "cinch/io/table.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "cinch/io/npy.hpp"
#include "cinch/io/safetensors.hpp"
#include "temporary_folder.hpp"

namespace cinch {
namespace {

using testing::contains, testing::error_of, testing::from_hex, testing::gzip,
    testing::TemporaryFolder, testing::write_file;

TEST_CASE("tables of numbers are read however they are separated, with names and without") {
  const TemporaryFolder folder;
  const Tensor expected = Tensor::from<double>({2, 3}, {1, -2.5, 3e2, 4, 5, 0.25});
  for (const std::string text :
       {"1,-2.5,3e2\n4,5,0.25\n", "1, -2.5, 3e2\r\n4, 5, 0.25", "1;-2.5;300\n4;5;.25\n",
        "1\t-2.5\t3e2\n4\t5\t0.25\n", "  1 -2.5   3e2 \n 4 5  0.25\n\n",
        "# made by hand\n1,-2.5,+3e2\n\n4,5,0.25\n", "\"1\",\"-2.5\",\"3e2\"\n4,5,0.25\n",
        "\xef\xbb\xbf"
        "1,-2.5,300\n4,5,0.25\n"}) {
    CAPTURE(text);
    write_file(folder / "a.csv", text);
    const NumberTable table = read_table(folder / "a.csv", DType::float64);
    CHECK(table.values == expected);
    CHECK(table.columns.empty());
    write_file(folder / "a.csv.gz", gzip(text));
    CHECK(read_table(folder / "a.csv.gz", DType::float64).values == expected);
  }
  write_file(folder / "a.csv", "# one\nheight,\"width, in m\",n\n1,-2.5,300\n4,5,0.25\n");
  const NumberTable named = read_table(folder / "a.csv");
  CHECK(named.values == expected.cast(DType::float32));
  CHECK(named.columns == std::vector<std::string>{"height", "width, in m", "n"});
  write_file(folder / "a.csv", "7\n");
  CHECK(read_table(folder / "a.csv").values == Tensor::from<float>({1, 1}, {7}));
  write_npy(folder / "a.npy", expected);
  CHECK(read_table(folder / "a.npy", DType::float64).values == expected);
  write_npy(folder / "a.npy", Tensor::from<std::int64_t>({2}, {3, 4}));
  CHECK(read_table(folder / "a.npy").values == Tensor::from<float>({2, 1}, {3, 4}));
  write_npz(folder / "a.npz", {{"x", expected}});
  CHECK(read_table(folder / "a.npz", DType::float64).values == expected);
  write_safetensors(folder / "a.safetensors", {{"x", expected}});
  CHECK(read_table(folder / "a.safetensors", DType::float64).values == expected);
}

TEST_CASE("what is no table is refused with its line and column, or with who reads it") {
  const TemporaryFolder folder;
  struct Row {
    std::string content, part;
  };
  for (const Row& row :
       std::vector<Row>{{"", "is empty"},
                        {"\n# nothing\n", "holds no row of numbers"},
                        {"a,b\n", "holds no row of numbers"},
                        {"1,2\n3\n", "line 2 has 1 cell, those before it have 2"},
                        {"a,b\n1,2,3\n", "line 2 has 3 cells, there are names for 2"},
                        {"a,b\n1,x\n", "line 2, column 2 (b): 'x' is no number"},
                        {"1,2\n3,\n", "line 2, column 2: there is nothing"},
                        {"1,2\n\n3,nan\n", "line 3, column 2: 'nan' is not finite"},
                        {"1,2\n3,-inf\n", "'-inf' is not finite"},
                        {"1,2\n3,1e999\n", "line 2, column 2"},
                        {"1,x\n2,3\n", "line 1, column 2: 'x' is no number"},
                        {"1,2\n3,4 5\n", "'4 5' is no number"},
                        {"1,2\n3,0x10\n", "'0x10' is no number"},
                        {from_hex("89 50 4e 47 d a 1a a 0"), "a PNG picture: read_images()"},
                        {from_hex("0 0 8 3 0 0 0 1"), "an IDX file: read_images()"},
                        {from_hex("50 4b 3 4 0 0"), "bad zip archive"},
                        {from_hex("10 0 0 0 0 0 0 0 7b 7d"), "safetensors"},
                        {from_hex("1 0 2 0"), "no text"}}) {
    CAPTURE(row.content);
    write_file(folder / "a.csv", row.content);
    const std::string error = error_of([&] { read_table(folder / "a.csv"); });
    CAPTURE(error);
    CHECK(contains(error, "a.csv: "));
    CHECK(contains(error, row.part));
  }
  write_npy(folder / "a.npy", Tensor::from<double>({2, 2}, {1, 2, 3, 1e300}));
  CHECK(contains(error_of([&] { read_table(folder / "a.npy"); }),
                 "row 1, column 1: inf is not finite as float32"));
  write_npz(folder / "a.npz", {{"x", Tensor::from<double>({1, 2}, {1, std::nan("")})}});
  CHECK(contains(error_of([&] { read_table(folder / "a.npz"); }),
                 "a.npz: x: row 0, column 1: nan is not finite"));
  write_npz(folder / "a.npz", {{"x", Tensor(DType::float64, {2})}, {"y", Tensor(1.0)}});
  CHECK(contains(error_of([&] { read_table(folder / "a.npz"); }),
                 "a.npz: holds 2 arrays: x (2,), y (), a table is one"));
  CHECK(contains(error_of([&] { read_table(folder.path()); }), "is a folder: name the file"));
  write_npy(folder / "a.npy", Tensor(DType::float64, {2, 2, 2}));
  CHECK(contains(error_of([&] { read_table(folder / "a.npy"); }), "shape (2, 2, 2)"));
  CHECK(
      contains(error_of<TypeError>([&] { read_table(folder / "a.npy", DType::int64); }), "int64"));
  CHECK(contains(error_of([&] { read_table(folder / "none.csv"); }), "none.csv"));
}

}  // namespace
}  // namespace cinch
