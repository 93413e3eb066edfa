// Programs beside the Theano tutorials that follow the autoencoder ones, and learned iterations.
#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "support/programs.hpp"

using namespace cinch;
using namespace cinch::testing;

TEST_CASE("deep_belief_network: machines are trained one on the other, then the network") {
  const Scratch scratch;
  const std::string out = scratch.path + "/out";
  const Ran ran = run_example("deep_belief_network",
                              "--data " + small_data(scratch) +
                                  " --hidden 9,6 --pretraining-epochs 4 --epochs 2 --batch 10 "
                                  "--pretraining-batch 10 --output " +
                                  out);
  INFO(ran.output);
  REQUIRE(ran.status == 0);
  CHECK(result(out, "layers") == "64-9-6-10");
  const auto log = read_csv(out + "/layer1_log.csv");
  REQUIRE(log.size() == 5);
  CHECK(std::stod(log[4][2]) < std::stod(log[1][2]));
  CHECK(read_csv(out + "/layer2_log.csv").size() == 5);
  CHECK(read_csv(out + "/finetuning_log.csv").size() == 3);
  CHECK(std::filesystem::exists(out + "/filters.png"));
  check_refused("deep_belief_network", {{"--hidden 0", "--hidden"}, {"--steps 0", "--steps"}});
}

TEST_CASE("hybrid_monte_carlo: as many moves accepted as asked for, moments of a Gaussian") {
  const Scratch scratch;
  const std::string out = scratch.path + "/out";
  const Ran ran = run_example("hybrid_monte_carlo", "--output " + out);
  INFO(ran.output);
  REQUIRE(ran.status == 0);
  const auto of = [&](const std::string& what) { return std::stod(result(out, what)); };
  CHECK(std::abs(of("gaussian, share of moves accepted") - 0.9) < 0.05);
  CHECK(std::abs(of("ring, share of moves accepted") - 0.9) < 0.05);
  CHECK(of("gaussian, largest error of the mean") < 0.05);
  CHECK(of("gaussian, largest error of the covariance") < 0.1);
  CHECK(std::abs(of("ring, mean radius (2.005)") - 2.005) < 0.01);
  CHECK(fault_of_figure(out + "/samples_ring", {"x_1", "x_2"}) == "");
  check_refused_alone("hybrid_monte_carlo",
                      {{"--acceptance 2", "--acceptance"}, {"--kinds x", "--kinds"}});
}

TEST_CASE("lista: few learned steps come as near as many of the algorithm") {
  const Scratch scratch;
  const std::string out = scratch.path + "/out";
  const Ran ran = run_example("lista",
                              "--inputs 16 --atoms 32 --active 2 --samples 3000 --steps 1,3 "
                              "--output " +
                                  out);
  INFO(ran.output);
  REQUIRE(ran.status == 0);
  const auto of = [&](const std::string& what) { return std::stod(result(out, what)); };
  CHECK(of("LISTA, 1 step") < of("ISTA, 10 steps"));
  CHECK(of("LISTA, 3 steps") < of("FISTA, 10 steps"));
  CHECK(of("FISTA, 20 steps") < of("ISTA, 20 steps"));
  CHECK(fault_of_figure(out + "/errors", {"steps", "LISTA", "FISTA"}) == "");
  check_refused_alone("lista", {{"--active 9 --atoms 8", "--active 9: there are only 8 atoms"},
                                {"--samples 50", "--batch 100: there are only 50 samples"}});
}

TEST_CASE("recurrent_classifier: each kind of network learns from the rows") {
  const Scratch scratch;
  const std::string out = scratch.path + "/out";
  const Ran ran = run_example("recurrent_classifier", "--data " + small_data(scratch) +
                                                          " --hidden 8 --epochs 12 --batch 10 "
                                                          "--rate 0.03 --output " +
                                                          out);
  INFO(ran.output);
  REQUIRE(ran.status == 0);
  for (const std::string kind : {"elman", "gru", "lstm"}) {
    CAPTURE(kind);
    const auto log = read_csv(out + "/" + kind + "_log.csv");
    REQUIRE(log.size() == 13);
    CHECK(std::stod(log[12][2]) < std::stod(log[1][2]));
    CHECK(std::filesystem::exists(out + "/" + kind + "_parameters.npz"));
  }
  CHECK(fault_of_figure(out + "/training_curve", {"elman", "gru", "lstm"}) == "");
  check_refused("recurrent_classifier", {{"--hidden 0", "--hidden"}, {"--kinds x", "--kinds"}});
}
