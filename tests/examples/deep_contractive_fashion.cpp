#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "cinch/io/image.hpp"
#include "support/programs.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

const std::string program = "deep_contractive_fashion";

}  // namespace

TEST_CASE("deep_contractive_fashion: the penalty of all three layers falls with lambda") {
  const Scratch scratch;
  const std::string common = "--data " + small_data(scratch) +
                             " --epochs 30 --batch 10 --layers 12,8,4 --rate 0.01 --output " +
                             scratch.path + "/";
  double penalty[2];
  for (const int lambda : {0, 1}) {
    const std::string out = scratch.path + "/" + std::to_string(lambda);
    const Ran ran = run_example(
        program, common + std::to_string(lambda) + " --lambda " + std::to_string(lambda));
    CAPTURE(ran.output);
    REQUIRE(ran.status == 0);
    CHECK(fault_of_figure(out + "/pairs", {"original", "reconstruction"}, {89, 17}) == "");
    CHECK(fault_of_figure(out + "/training_curve", {"‖dh/dx‖²"}) == "");
    const auto log = read_csv(out + "/log.csv");
    REQUIRE(log.size() == 31);
    CHECK(log[0][4] == "penalty");
    CHECK(std::stod(log[30][2]) < std::stod(log[1][2]));
    penalty[lambda] = std::stod(result(out, "test ||dh/dx||^2"));
  }
  CHECK(penalty[0] > 0);
  CHECK(penalty[1] < penalty[0] / 2);
}

TEST_CASE("deep_contractive_fashion refuses what makes no sense") {
  check_refused(program, {{"--lambda -1", "--lambda"},
                          {"--layers 0", "--layers"},
                          {"--layers a", "--layers"},
                          {"--batch 51", "only 50 images"}});
}
