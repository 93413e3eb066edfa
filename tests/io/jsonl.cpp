#include "cinch/io/jsonl.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>

#include "support/programs.hpp"
#include "temporary_folder.hpp"

namespace cinch {
namespace {

using testing::contains, testing::error_of, testing::read_file, testing::TemporaryFolder,
    testing::write_file;

TEST_CASE("a row of JSON lines is in the file as soon as it is written") {
  const TemporaryFolder folder;
  const std::string path = folder / "log.jsonl";
  write_file(path, "an older and longer log\n");
  JsonlWriter log(path, {"epoch", "cost, \"mean\"", "a\\b\x1b\n\xff"});
  CHECK(read_file(path).empty());
  log.row({0, 0.1, -1e300});
  const std::string first = R"({"epoch":0,"cost, \"mean\"":0.1,"a\\b\\x1b\n\\xff":-1e+300})"
                            "\n";
  CHECK(read_file(path) == first);
  log.row({1, std::nan(""), -HUGE_VAL});
  CHECK(read_file(path) == first + R"({"epoch":1,"cost, \"mean\"":null,"a\\b\\x1b\n\\xff":null})"
                                   "\n");
  CHECK(contains(error_of([&] { JsonlWriter(path, {"x"}); }), ": is being written by another"));
}

TEST_CASE("doubles are read back exactly from JSON lines, by us and by Python") {
  const TemporaryFolder folder;
  const std::string path = folder / "log.jsonl";
  const std::vector<double> values{1.0 / 3,
                                   std::numeric_limits<double>::denorm_min(),
                                   std::numeric_limits<double>::max(),
                                   -589.571872577,
                                   123456789012.0,
                                   -0.0};
  std::string hex = "[";
  {
    JsonlWriter log(path, {"x"});
    for (const double value : values) {
      log.row({value});
      const std::string text = read_file(path);
      CHECK(std::strtod(text.c_str() + text.rfind(':') + 1, nullptr) == value);
      char digits[64];
      std::snprintf(digits, sizeof digits, "float.fromhex('%a'),", value);
      hex += digits;
    }
  }
  if (testing::run_command("python3 -c pass").status != 0) {
    MESSAGE("skipped: python3 is not installed");
    return;
  }
  const testing::Ran ran =
      testing::run_command("python3 -c \"import json; assert [json.loads(l)['x'] for l in open('" +
                           path + "')] == " + hex + "]\"");
  CAPTURE(ran.output);
  CHECK(ran.status == 0);
}

TEST_CASE("what JSON lines cannot take is an error") {
  const TemporaryFolder folder;
  JsonlWriter log(folder / "log.jsonl", {"a", "b"});
  CHECK(error_of<TypeError>([&] { log.row({1}); }) == "JsonlWriter: 2 columns, got 1 values");
  CHECK(error_of<TypeError>([&] {
          JsonlWriter(folder / "two.jsonl", {"a", "b", "a"});
        }) == "JsonlWriter: two columns have the name \"a\"");
  CHECK(contains(error_of([] { JsonlWriter("/dev/full", {"a"}).row({1}); }),
                 "/dev/full: cannot be written: "));
}

}  // namespace
}  // namespace cinch
