#include <doctest/doctest.h>

#include <string>

#include "cinch/io/image.hpp"
#include "support/programs.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

const std::string program = "k_sparse";

}  // namespace

TEST_CASE("k_sparse keeps k units of an image, winner_take_all a share of each unit's values") {
  const Scratch scratch;
  const std::string out = scratch.path + "/out";
  const Ran ran = run_example(program, "--data " + small_data(scratch) +
                                           " --epochs 20 --batch 10 --hidden 12 --k 3 --share 0.2 "
                                           "--output " +
                                           out);
  CAPTURE(ran.output);
  REQUIRE(ran.status == 0);
  for (const std::string name : {"k_sparse", "winner_take_all"}) {
    CAPTURE(name);
    CHECK(fault_of_figure(out + "/filters_" + name, {"least", "largest"}, {89, 89}) == "");
    CHECK(fault_of_figure(out + "/pairs_" + name, {"original", "reconstruction"}, {89, 17}) == "");
    const auto log = read_csv(out + "/" + name + "_log.csv");
    REQUIRE(log.size() == 21);
    CHECK(std::stod(log[20][2]) < std::stod(log[1][2]));
  }
  CHECK(result(out, "k_sparse, units not 0 for a test image") == "25.00 %");
  // Less than the share where a winning unit is 0 itself.
  const double winners = std::stod(result(out, "winner_take_all, units not 0 for a test image"));
  CHECK(winners > 0);
  CHECK(winners <= 20);
}

TEST_CASE("k_sparse refuses what makes no sense") {
  check_refused(program, {{"--k 0", "--k"},
                          {"--k 13 --hidden 12", "there are only 12 units"},
                          {"--share 0", "--share"},
                          {"--share 1.1", "--share"},
                          {"--code topk", "--code"},
                          {"--hidden 0", "--hidden"}});
}
