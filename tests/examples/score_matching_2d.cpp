// Small autoencoders on densities in the plane: they find the score all the same.
#include <doctest/doctest.h>

#include <filesystem>

#include "support/programs.hpp"

using namespace cinch;
using namespace cinch::testing;

TEST_CASE("score_matching_2d: both costs find the blurred score, and blur away the true one") {
  const Scratch scratch;
  const std::string out = scratch.path + "/out";
  const Ran ran = run_example(
      "score_matching_2d",
      "--samples 3000 --epochs 20 --batch 50 --rate 0.02 --hidden 16 --sigma 0.4 --output " + out);
  CAPTURE(ran.output);
  REQUIRE(ran.status == 0);
  for (const std::string part :
       {"mixture_denoising", "mixture_contractive", "ring_denoising", "ring_contractive"}) {
    CAPTURE(part);
    CHECK(fault_of_figure(out + "/" + part, {"∇ log p", "x₁", "x₂", "(r(x) − x) / σ²"}) == "");
    const auto error_and_cosine = [&](const std::string& of) {
      const std::string both = result(out, part + ", " + of + ": relative error, cosine");
      return std::pair(std::stod(both), std::stod(both.substr(both.find(", ") + 2)));
    };
    const auto blurred = error_and_cosine("blurred score"), exact = error_and_cosine("true score");
    CHECK(blurred.first < 0.3);
    CHECK(blurred.second > 0.95);
    CHECK(exact.first > 0.4);  // With this much noise; the field has the right directions still.
    CHECK(exact.second > 0.9);
  }
}

TEST_CASE("score_matching_2d refuses options that make no sense and a folder that cannot be") {
  const Scratch scratch;
  for (const Refused& row :
       {Refused{"--sigma 0", "--sigma"}, Refused{"--hidden 0", "--hidden"},
        Refused{"--samples 0", "--samples"}, Refused{"--data " CINCH_SOURCE_DIR, "--data"}}) {
    const Ran ran =
        run_example("score_matching_2d", row.arguments + (" --output " + scratch.path + "/none"));
    CAPTURE(ran.output);
    CHECK(ran.status > 0);
    CHECK(ran.output.find(row.says) != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(scratch.path + "/none"));
  }
  const Ran ran = run_example("score_matching_2d", "--output /dev/null/out");
  CHECK(ran.status == 1);
  CHECK(ran.output.find("/dev/null/out") != std::string::npos);
}
