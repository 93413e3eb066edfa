#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "cinch/io/image.hpp"
#include "support/programs.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

const std::string program = "cae_h";

}  // namespace

TEST_CASE("cae_h: the Jacobian's change falls with gamma, by draws and in the limit") {
  const Scratch scratch;
  const std::string data = small_data(scratch);
  for (const std::string exact : {"", " --exact"}) {
    CAPTURE(exact);
    const std::string out = scratch.path + "/out";
    const Ran ran = run_example(program, "--data " + data +
                                             " --epochs 5 --batch 10 --hidden 12 --gamma 0,30 "
                                             "--output " +
                                             out + exact);
    CAPTURE(ran.output);
    REQUIRE(ran.status == 0);
    for (const std::string gamma : {"0", "30"}) {
      CAPTURE(gamma);
      CHECK(fault_of_figure(out + "/filters_gamma_" + gamma, {"least", "largest"}, {89, 89}) == "");
      CHECK(fault_of_figure(out + "/penalties_gamma_" + gamma, {"‖J‖²"}) == "");
      const auto log = read_csv(out + "/gamma_" + gamma + "_log.csv");
      REQUIRE(log.size() == 6);
      CHECK(log[0][4] == "contraction");
      CHECK(log[0][5] == "change");
      // One is a mean over draws, 50 in an epoch, of what the other is the limit of.
      CHECK(std::stod(log[5][5]) == doctest::Approx(std::stod(log[5][6])).epsilon(0.2));
    }
    const auto limit = [&](const std::string& gamma) {
      return std::stod(result(out, "gamma " + gamma + ", test sd^2 ||d^2h/dx^2||^2"));
    };
    CHECK(limit("30") < 0.8 * limit("0"));
    std::filesystem::remove_all(out);
  }
}

TEST_CASE("cae_h refuses what makes no sense") {
  check_refused(program, {{"--sd 0", "--sd"},
                          {"--gamma -1", "--gamma"},
                          {"--lambda -1", "--lambda"},
                          {"--samples 0", "--samples"},
                          {"--hidden 0", "--hidden"}});
}
