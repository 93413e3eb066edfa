#include <doctest/doctest.h>

#include <string>

#include "cinch/io/image.hpp"
#include "support/programs.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

const std::string program = "sparse";

double share(const std::string& percent) { return std::stod(percent); }

}  // namespace

TEST_CASE("sparse: either penalty leaves fewer active units than none") {
  const Scratch scratch;
  const std::string out = scratch.path + "/out";
  const Ran ran = run_example(program, "--data " + small_data(scratch) +
                                           " --epochs 60 --batch 10 --hidden 12 --rate 0.02 "
                                           "--output " +
                                           out);
  CAPTURE(ran.output);
  REQUIRE(ran.status == 0);
  for (const std::string name : {"none", "kl", "l1"}) {
    CAPTURE(name);
    CHECK(fault_of_figure(out + "/filters_" + name, {"least", "largest"}, {89, 89}) == "");
    CHECK(fault_of_figure(out + "/pairs_" + name, {"original", "reconstruction"}, {89, 17}) == "");
    CHECK(read_csv(out + "/" + name + "_log.csv").size() == 61);
  }
  const auto activity = [&](const std::string& name) {
    return std::stod(result(out, name + ", mean activity"));
  };
  CHECK(activity("kl") < 0.5 * activity("none"));
  const auto active = [&](const std::string& name) {
    return share(result(out, name + ", units above 0.1 for an image"));
  };
  CHECK(active("kl") < active("none"));
  CHECK(active("l1") < active("none"));
  CHECK(share(result(out, "none, units not 0 for an image")) == 100);
  CHECK(share(result(out, "l1, units not 0 for an image")) < 100);
}

TEST_CASE("sparse refuses what makes no sense") {
  check_refused(program, {{"--penalty l2", "--penalty"},
                          {"--rho 0", "--rho"},
                          {"--rho 1", "--rho"},
                          {"--kl-weight -1", "--kl-weight"},
                          {"--l1-weight -1", "--l1-weight"},
                          {"--hidden 0", "--hidden"}});
}
