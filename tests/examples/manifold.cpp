// Four small autoencoders and what is measured of them.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

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

TEST_CASE("manifold: error bars of the sweep are the spread of runs from several seeds") {
  const Scratch scratch;
  const std::string data = small_data(scratch), one = scratch.path + "/one",
                    three = scratch.path + "/three";
  const std::string call =
      "--epochs 2 --batch 10 --hidden 6 --examples 4 --tangents 3 --sweep 0.1 --data " + data;
  const std::string row = "lambda 0.1: contraction, reconstruction";
  std::vector<double> alone;
  for (const char* seed : {"5", "6", "7"}) {
    const Ran ran = run_example("manifold", call + " --seed " + seed + " --output " + one + seed);
    INFO(ran.output);
    REQUIRE(ran.status == 0);
    const std::string found = result(one + seed, row);
    alone.push_back(std::stod(found.substr(found.find(", ") + 2)));
    CHECK(found.find("±") == std::string::npos);
  }
  const Ran ran = run_example("manifold", call + " --seed 5 --seeds 3 --output " + three);
  INFO(ran.output);
  REQUIRE(ran.status == 0);
  const double mean = (alone[0] + alone[1] + alone[2]) / 3;
  double squares = 0;
  for (const double value : alone) squares += (value - mean) * (value - mean);
  const std::string found = result(three, row);
  const std::size_t comma = found.find(", "), plus = found.find("± ", comma);
  CAPTURE(found);
  REQUIRE(plus != std::string::npos);
  CHECK(std::stod(found.substr(comma + 2)) == doctest::Approx(mean).epsilon(1e-3));
  CHECK(std::stod(found.substr(plus + 3)) == doctest::Approx(std::sqrt(squares / 2)).epsilon(0.06));
  CHECK(result(three, "AE: norm of J") == result(one + "5", "AE: norm of J"));
  CHECK(fault_of_figure(three + "/sweep", {"mean and deviation of 3 seeds"}) == "");
  CHECK(std::filesystem::exists(three + "/cae_0.1_seed_7_log.csv"));
  check_refused("manifold", {{"--seeds 0", "--seeds"}});
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
