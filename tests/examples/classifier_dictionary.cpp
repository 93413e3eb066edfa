// A dictionary of a small classifier's activations.
#include <doctest/doctest.h>

#include <filesystem>

#include "support/programs.hpp"

using namespace cinch;
using namespace cinch::testing;

TEST_CASE("classifier_dictionary: as many latents as asked for explain most of the activations") {
  const Scratch scratch;
  const std::string out = scratch.path + "/out";
  const Ran ran = run_example("classifier_dictionary",
                              "--epochs 60 --batch 10 --hidden 8 --latents 24 --k 4 --rate 0.005 "
                              "--data " +
                                  small_data(scratch) + " --output " + out);
  CAPTURE(ran.output);
  REQUIRE(ran.status == 0);
  const auto of = [&](const std::string& what) { return std::stod(result(out, what)); };
  CHECK(of("explained variance") > 60);
  CHECK(of("latents active for an image") <= 4);
  CHECK(of("latents active for an image") > 1);
  for (const char* file : {"latents.png", "dictionary_parameters.npz", "dictionary_log.csv",
                           "classifier_parameters.npz"}) {
    CAPTURE(file);
    CHECK(std::filesystem::exists(out + "/" + file));
  }
}

TEST_CASE("classifier_dictionary refuses options that make no sense") {
  check_refused("classifier_dictionary", {{"--k 9 --latents 8", "--k 9: there are only 8 latents"},
                                          {"--k 0", "--k"},
                                          {"--hidden 0", "--hidden"}});
}
