// A small variational autoencoder.
#include <doctest/doctest.h>

#include "cinch/io/image.hpp"
#include "support/programs.hpp"

using namespace cinch;
using namespace cinch::testing;

TEST_CASE("vae writes samples and the map, and beta takes nats out of the code") {
  const Scratch scratch;
  const std::string data = small_data(scratch);
  double divergence[2];
  for (const bool strong : {false, true}) {
    const std::string out = scratch.path + (strong ? "/strong" : "/weak");
    const Ran ran = run_example(
        "vae", "--epochs 40 --batch 10 --hidden 12 --code 3 --grid 5 --rate 0.01 --beta " +
                   std::string(strong ? "20" : "0.1") + " --data " + data + " --output " + out);
    CAPTURE(ran.output);
    REQUIRE(ran.status == 0);
    CHECK(fault_of_figure(out + "/map", {}, {40, 40}) == "");
    CHECK(fault_of_figure(out + "/samples", {}, {89, 89}) == "");
    CHECK(fault_of_figure(out + "/reconstructions", {"original", "reconstruction"}, {89, 17}) ==
          "");
    const auto log = read_csv(out + "/log.csv");
    REQUIRE(log.size() == 41);
    REQUIRE(log[0][2] == "cost");
    CHECK(std::stod(log.back()[2]) < std::stod(log[1][2]));
    divergence[strong] = std::stod(result(out, "test divergence"));
  }
  CHECK(divergence[1] < 0.5 * divergence[0]);
}

TEST_CASE("vae refuses options and files that make no sense") {
  check_refused("vae", {{"--code 1", "--code"},
                        {"--beta -1", "--beta"},
                        {"--grid 0", "--grid"},
                        {"--hidden 0", "--hidden"}});
}
