// Four small autoencoders and what is measured of them.
#include <doctest/doctest.h>

#include <filesystem>

#include "cinch/io/image.hpp"
#include "support/programs.hpp"

using namespace cinch;
using namespace cinch::testing;

TEST_CASE("manifold draws and measures, and a resumed run finds the same without training again") {
  const Scratch scratch;
  const std::string out = scratch.path + "/out";
  const std::string call =
      "--epochs 20 --batch 10 --hidden 6 --examples 4 --tangents 3 --lambda 1 "
      "--sweep 0,0.1 --data " +
      small_data(scratch) + " --output " + out;
  const Ran ran = run_example("manifold", call);
  CAPTURE(ran.output);
  REQUIRE(ran.status == 0);
  for (const char* picture : {"contraction", "spectra", "sweep"}) {
    CHECK(fault_of_figure(out + "/" + picture, {}) == "");
  }
  // An image and three tangents, ten times.
  CHECK(fault_of_figure(out + "/tangents_cae", {"image", "largest"}, {35, 89}) == "");
  CHECK(fault_of_figure(out + "/sweep", {"λ = 0.1", "λ = 1", "nats an image"}) == "");
  CHECK(fault_of_figure(out + "/tangents_ae", {"image"}, {35, 89}) == "");
  CHECK(std::stod(result(out, "CAE: norm of J")) < std::stod(result(out, "AE: norm of J")));
  const auto contraction = [&](const std::string& lambda) {
    return std::stod(result(out, "lambda " + lambda + ": contraction, reconstruction"));
  };
  CHECK(contraction("0.1") < contraction("0"));
  CHECK(contraction("1") < contraction("0.1"));

  const std::string before = contents(out + "/results.md");
  const Ran again = run_example("manifold", call + " --resume");
  CAPTURE(again.output);
  CHECK(again.status == 0);
  CHECK(again.output.find("epoch 19") == std::string::npos);
  CHECK(contents(out + "/results.md") == before);
}

TEST_CASE("manifold: Ctrl-C ends it with a checkpoint and a message instead of half a comparison") {
  const Scratch scratch;
  const std::string out = scratch.path + "/out";
  const Ran ran =
      interrupt_example("manifold", "--epochs 1000000 --batch 10 --hidden 6 --tangents 3 --data " +
                                        small_data(scratch) + " --output " + out);
  CAPTURE(ran.output);
  CHECK(ran.status != 0);
  CHECK(ran.output.find("manifold: interrupted; --resume goes on from here") != std::string::npos);
  CHECK(std::filesystem::exists(out + "/cae_0_checkpoint.npz"));
  CHECK_FALSE(std::filesystem::exists(out + "/results.md"));
}

TEST_CASE("manifold refuses options and files that make no sense") {
  check_refused("manifold", {{"--batch 10 --hidden 6 --tangents 7",
                              "--tangents 7: there are at most 6 singular values"},
                             {"--sweep 0,-1", "--sweep"},
                             {"--sd 0", "--sd"},
                             {"--masked 1.5", "--masked"},
                             {"--examples 0", "--examples"}});
}
