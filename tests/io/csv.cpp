#include "cinch/io/csv.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>

#include "temporary_folder.hpp"

namespace cinch {
namespace {

using testing::contains, testing::error_of, testing::read_file, testing::TemporaryFolder,
    testing::write_file;

TEST_CASE("every row is in the file as soon as it is written") {
  const TemporaryFolder folder;
  write_file(folder / "log.csv", "an older and longer log\n");
  CsvWriter log(folder / "log.csv", {"epoch", "cost, mean", "\"norm\""});
  const std::string header = "epoch,\"cost, mean\",\"\"\"norm\"\"\"\n";
  CHECK(read_file(folder / "log.csv") == header);
  log.row({0, 0.1, -1e300});
  CHECK(read_file(folder / "log.csv") ==
        header + "0,0.10000000000000001,-1.0000000000000001e+300\n");
  log.row({1, std::nan(""), -HUGE_VAL});
  CHECK(contains(read_file(folder / "log.csv"), "\n1,nan,-inf\n"));
}

TEST_CASE("doubles are read back exactly") {
  const TemporaryFolder folder;
  for (const double value : {1.0 / 3, std::numeric_limits<double>::denorm_min(),
                             std::numeric_limits<double>::max(), -589.571872577}) {
    CsvWriter(folder / "log.csv", {"x"}).row({value});
    CHECK(std::strtod(read_file(folder / "log.csv").c_str() + 2, nullptr) == value);
  }
}

TEST_CASE("a log that is being written is refused, and stays what it is") {
  const TemporaryFolder folder;
  const std::string path = folder / "log.csv";
  {
    CsvWriter log(path, {"a"});
    log.row({1});
    CHECK(contains(error_of([&] { CsvWriter(path, {"b"}); }),
                   path + ": is being written by another"));
    CHECK(read_file(path) == "a\n1\n");
  }
  CsvWriter(path, {"b"}).row({2});
  CHECK(read_file(path) == "b\n2\n");
  CsvWriter("/dev/null", {"a"});
}

TEST_CASE("what a CSV file cannot take is an error") {
  const TemporaryFolder folder;
  CsvWriter log(folder / "log.csv", {"a", "b"});
  CHECK(error_of<TypeError>([&] { log.row({1}); }) == "CsvWriter: 2 columns, got 1 values");
  CHECK(
      contains(error_of([] { CsvWriter("/dev/full", {"a"}); }), "/dev/full: cannot be written: "));
  CHECK(contains(error_of([&] { CsvWriter(folder.path(), {"a"}); }), ": cannot be opened: "));
  CHECK(contains(error_of([&] { CsvWriter(folder / "no/log.csv", {"a"}); }),
                 "no/log.csv: cannot be opened: "));
}

}  // namespace
}  // namespace cinch
