// The program as a user runs it.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "cinch/io/image.hpp"
#include "cinch/io/npy.hpp"
#include "support/mnist.hpp"
#include "support/programs.hpp"
#include "support/settings.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

Ran run(const std::string& arguments) { return run_example("contractive_autoencoder", arguments); }

}  // namespace

TEST_CASE("a small run writes its pictures, parameters and log, and prints a line an epoch") {
  const Scratch scratch;
  const std::string out = scratch.path + "/out";
  const Ran r =
      run("--data " + small_data(scratch) + " --epochs 3 --batch 7 --hidden 12 --output " + out);
  CAPTURE(r.output);
  REQUIRE(r.status == 0);
  CHECK(r.output.find("epoch 2") != std::string::npos);
  CHECK(fault_of_figure(out + "/filters", {"least", "largest"}, {89, 89}) == "");
  CHECK(fault_of_figure(out + "/reconstructions", {"original", "reconstruction"}, {89, 17}) == "");
  CHECK(fault_of_figure(out + "/training_curve", {"‖J‖", "nats an image", "epoch"}) == "");
  const auto arrays = read_npz(out + "/parameters.npz");
  CHECK(arrays.at("W").shape() == Shape{64, 12});
  const auto rows = read_csv(out + "/log.csv");
  REQUIRE(rows.size() == 4);
  CHECK(rows[0] ==
        std::vector<std::string>{"epoch", "step", "reconstruction", "jacobian_norm", "seconds"});
  CHECK(std::stod(rows[3][2]) < std::stod(rows[1][2]));
}

TEST_CASE("a training that goes on where an earlier one ended has the log of an unbroken one") {
  const Scratch scratch;
  const std::string common =
      " --batch 7 --hidden 12 --quiet --data " + small_data(scratch) + " --output " + scratch.path;
  REQUIRE(run("--epochs 5" + common + "/one").status == 0);
  REQUIRE(run("--epochs 2" + common + "/two").status == 0);
  REQUIRE(run("--epochs 5 --resume" + common + "/two").status == 0);
  auto one = read_csv(scratch.path + "/one/log.csv"), two = read_csv(scratch.path + "/two/log.csv");
  for (auto* rows : {&one, &two}) {
    for (auto& row : *rows) row.pop_back();  // Seconds.
  }
  CHECK(one.size() == 6);
  CHECK(one == two);
  CHECK(read_npz(scratch.path + "/one/parameters.npz").at("W") ==
        read_npz(scratch.path + "/two/parameters.npz").at("W"));
}

TEST_CASE("the three ways to write the penalty give the same log") {
  const Scratch scratch;
  const std::string data = small_data(scratch);
  std::vector<double> last;
  for (const std::string penalty : {"closed", "literal", "jacobian"}) {
    const std::string log = scratch.path + "/" + penalty + ".csv";
    const Ran r = run("--data " + data +
                      " --epochs 2 --batch 5 --hidden 6 --dtype float64 --quiet --penalty " +
                      penalty + " --output " + scratch.path + "/out --log " + log);
    REQUIRE(r.status == 0);
    CHECK(r.output.empty());
    last.push_back(std::stod(read_csv(log).back()[3]));
  }
  CHECK(last[1] == doctest::Approx(last[0]).epsilon(1e-12));
  CHECK(last[2] == doctest::Approx(last[0]).epsilon(1e-12));
}

TEST_CASE(
    "Ctrl-C ends after the current step, still writes everything, and says that it was "
    "interrupted") {
  const Scratch scratch;
  const std::string out = scratch.path + "/out";
  const Ran ran =
      interrupt_example("contractive_autoencoder", "--epochs 1000000 --batch 2 --hidden 4 --data " +
                                                       small_data(scratch) + " --output " + out);
  CHECK(ran.status == 130);
  CHECK(ran.output.ends_with("contractive_autoencoder: interrupted; --resume goes on from here\n"));
  CHECK(std::filesystem::exists(out + "/filters.png"));
  CHECK(std::filesystem::exists(out + "/parameters.npz"));
  CHECK(std::filesystem::exists(out + "/training_curve.png"));
  CHECK(read_csv(out + "/log.csv").size() > 1);
}

TEST_CASE("options and files that make no sense end in a message, before any training") {
  check_refused("contractive_autoencoder", {{"--preset other", "--preset"},
                                            {"--batch 0", "--batch"},
                                            {"--hidden 0", "--hidden"},
                                            {"--rate -1", "--rate"},
                                            {"--lambda -1", "--lambda"},
                                            {"--dtype int64", "--dtype"},
                                            {"--penalty none", "--penalty"},
                                            {"--seed -1", "--seed"},
                                            {"--what 1", "--what"},
                                            {"--batch 100", "only 60 images"}});
}

TEST_CASE("on MNIST: the tutorial preset reproduces epochs of the published log to 1e-10") {
  const auto folder = mnist_folder();
  if (!folder) {
    MESSAGE("skipped: no MNIST; name its folder in CINCH_MNIST");
    return;
  }
#if defined(__SANITIZE_ADDRESS__) || !defined(NDEBUG)
  MESSAGE("skipped: only optimised builds run so many epochs");
#else
  const Scratch scratch;
  setenv("CINCH_THREADS", "1", 1);  // The same bits as of several, and other tests run meanwhile.
  const std::size_t epochs = number_from("CINCH_LONG", 0) ? 20 : 8;  // All take minutes.
  const Ran r = run("--preset tutorial --data " + *folder + " --output " + scratch.path +
                    "/out --epochs " + std::to_string(epochs));
  unsetenv("CINCH_THREADS");
  CAPTURE(r.output);
  REQUIRE(r.status == 0);
  const auto rows = read_csv(scratch.path + "/out/log.csv");
  REQUIRE(rows.size() == epochs + 1);
  for (std::size_t epoch = 0; epoch < epochs; ++epoch) {
    CAPTURE(epoch);
    CHECK(std::stod(rows[epoch + 1][4]) ==
          doctest::Approx(published_log[epoch].cost).epsilon(1e-10).scale(0));
    CHECK(std::stod(rows[epoch + 1][5]) ==
          doctest::Approx(published_log[epoch].norm).epsilon(1e-10).scale(0));
  }
  MESSAGE(epochs, " of 20 epochs");
#endif
}
