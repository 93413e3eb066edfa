// Small codes, and probes on them.
#include <doctest/doctest.h>

#include <filesystem>

#include "support/programs.hpp"

using namespace cinch;
using namespace cinch::testing;

TEST_CASE("features_for_classification measures every kind of code, and all sizes of two") {
  const Scratch scratch;
  const std::string out = scratch.path + "/out";
  const Ran ran =
      run_example("features_for_classification",
                  "--epochs 40 --batch 10 --rate 0.005 --units 40,9 --probe-epochs 3 --data " +
                      small_data(scratch) + " --output " + out);
  CAPTURE(ran.output);
  REQUIRE(ran.status == 0);
  const auto share = [&](const std::string& what) {
    const double value = std::stod(result(out, what));
    CHECK(value >= 0);
    return value;
  };
  share("probe on pixels");
  for (const char* kind : {"AE", "DAE", "sparse AE", "CAE"}) {
    const std::string name = std::string(kind) + ", 40 units: ";
    CHECK(share(name + "probe on codes") <= 100);
    CHECK(share(name + "probe on pixels and codes") <= 100);
    CHECK(share(name + "variance lost of test images") < share(name + "of shuffled pixels"));
    share(name + "of uniform noise");
  }
  share("untrained, 9 units: probe on codes");
  share("AE, 9 units: probe on codes");
  CHECK(std::filesystem::exists(out + "/AE_9_checkpoint.npz"));
  CHECK_FALSE(std::filesystem::exists(out + "/DAE_9_checkpoint.npz"));
}

TEST_CASE("features_for_classification refuses options and files that make no sense") {
  check_refused("features_for_classification", {{"--units 5,0", "--units"},
                                                {"--probe-epochs 0", "--probe-epochs"},
                                                {"--masked 2", "--masked"},
                                                {"--sparsity 1", "--sparsity"}});
}
