// The template: it runs as it stands, and its penalty does what it says.
#include <doctest/doctest.h>

#include "cinch/io/image.hpp"
#include "support/programs.hpp"

using namespace cinch;
using namespace cinch::testing;

TEST_CASE("your_own_variant: gradients agree, and codes mind brightness less with the penalty") {
  const Scratch scratch;
  const std::string data = small_data(scratch);
  double moved[2];  // The made-up images are dark, so it takes a large lambda.
  for (const bool with : {false, true}) {
    const std::string out = scratch.path + (with ? "/with" : "/without");
    const Ran ran = run_example("your_own_variant", "--epochs 30 --batch 7 --hidden 6 --lambda " +
                                                        std::string(with ? "1000" : "0") +
                                                        " --data " + data + " --output " + out);
    CAPTURE(ran.output);
    REQUIRE(ran.status == 0);
    CHECK(ran.output.find("check_grad: gradients agree") != std::string::npos);
    CHECK(ran.output.find("your_own_variant.cpp:") != std::string::npos);  // audit()'s table.
    CHECK(fault_of_figure(out + "/filters", {"least", "largest"}, {89, 89}) == "");
    CHECK(fault_of_figure(out + "/reconstructions", {"original", "reconstruction"}, {89, 17}) ==
          "");
    CHECK(read_csv(out + "/log.csv").size() == 31);
    moved[with] = std::stod(result(out, "code moved by 0.7 brightness"));
  }
  CHECK(moved[1] < 0.5 * moved[0]);
}

TEST_CASE("your_own_variant refuses options and files that make no sense") {
  check_refused("your_own_variant", {{"--lambda -1", "--lambda"},
                                     {"--hidden 0", "--hidden"},
                                     {"--batch 100", "--batch 100: there are only 50 images"}});
}
