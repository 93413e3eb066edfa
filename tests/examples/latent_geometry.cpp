// Planes of codes, small: each penalty lowers what it is of.
#include <doctest/doctest.h>

#include "support/programs.hpp"

using namespace cinch;
using namespace cinch::testing;

TEST_CASE("latent_geometry: each penalty lowers its distortion, and there is a picture of each") {
  const Scratch scratch;
  const std::string out = scratch.path + "/out";
  const Ran ran = run_example("latent_geometry",
                              "--epochs 20 --batch 10 --hidden 12 --grid 4 --strength 3 --data " +
                                  small_data(scratch) + " --output " + out);
  CAPTURE(ran.output);
  REQUIRE(ran.status == 0);
  const auto of = [&](const std::string& what) { return std::stod(result(out, what)); };
  const auto lowers = [&](const std::string& kind, const std::string& what) {
    CAPTURE(kind);
    CHECK(of(kind + ", " + what) < of("plain, " + what));
  };
  lowers("isometric", "distortion of lengths (1: none)");
  lowers("isometric", "distortion of angles (0: none)");
  lowers("conformal", "distortion of angles (0: none)");
  lowers("geometric", "sd of the log volume");
  lowers("flat", "curvature");
  for (const std::string kind :
       {"plain", "isometric", "conformal", "geometric", "flat", "topological", "neighbours"}) {
    CAPTURE(kind);
    CHECK(of(kind + ", distortion of lengths (1: none)") >= 0.999);
    CHECK(fault_of_figure(out + "/plane_" + kind, {"codes of test images", "as far in the images",
                                                   "first number of the code"}) == "");
  }
}

TEST_CASE("latent_geometry refuses options that make no sense") {
  const Scratch scratch;
  const std::string data = small_data(scratch);
  for (const Refused& row : {Refused{"--kinds round", "--kinds"}, Refused{"--hidden 0", "--hidden"},
                             Refused{"--batch 4", "5 images at least have neighbours"},
                             Refused{"--batch 100000", "there are only"}}) {
    const Ran ran =
        run_example("latent_geometry",
                    row.arguments + (" --data " + data + " --output " + scratch.path + "/none"));
    CAPTURE(ran.output);
    CHECK(ran.status > 0);
    CHECK(ran.output.find(row.says) != std::string::npos);
  }
}
