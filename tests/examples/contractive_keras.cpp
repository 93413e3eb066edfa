#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "cinch/io/image.hpp"
#include "support/programs.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

const std::string program = "contractive_keras";

double norm_after(const std::string& folder, const std::string& which) {
  const std::string change = result(folder, which);
  return std::stod(change.substr(change.find(" to ") + 4));
}

}  // namespace

TEST_CASE("contractive_keras trains on 11 of 12 images and shows what untied weights do") {
  const Scratch scratch;
  const std::string data = small_data(scratch), out = scratch.path + "/out";
  const Ran ran =
      run_example(program, "--data " + data +
                               " --epochs 30 --batch 5 --hidden 8 --rate 0.01 --lambda 0.05 "
                               "--output " +
                               out);
  CAPTURE(ran.output);
  REQUIRE(ran.status == 0);
  CHECK(ran.output.find("55 images of 8 x 8") != std::string::npos);
  CHECK(ran.output.find("5 to validate") != std::string::npos);
  for (const std::string name : {"tied", "untied"}) {
    CAPTURE(name);
    CHECK(fault_of_figure(out + "/filters_" + name, {"least", "largest"}, {89, 89}) == "");
    CHECK(fault_of_figure(out + "/pairs_" + name, {"original", "reconstruction"}, {89, 17}) == "");
    const auto log = read_csv(out + "/" + name + "_log.csv");
    REQUIRE(log.size() == 31);
    CHECK(std::stod(log[30][2]) < std::stod(log[1][2]));
  }
  CHECK(fault_of_figure(out + "/weights", {"untied, encoder", "tied"}) == "");
  const double untied_encoder = norm_after(out, "untied, norm of the encoder's weights");
  CHECK(untied_encoder < norm_after(out, "tied, norm of the encoder's weights"));
  CHECK(untied_encoder < norm_after(out, "untied, norm of the decoder's weights"));
  CHECK(result(out, "tied, norm of the encoder's weights") ==
        result(out, "tied, norm of the decoder's weights"));
}

TEST_CASE("contractive_keras: one of the two alone, and no epoch at all") {
  const Scratch scratch;
  const std::string out = scratch.path + "/out";
  const Ran ran = run_example(
      program, "--data " + small_data(scratch) + " --epochs 0 --batch 5 --tied no --output " + out);
  CAPTURE(ran.output);
  REQUIRE(ran.status == 0);
  CHECK(std::filesystem::exists(out + "/pairs_untied.png"));
  CHECK_FALSE(std::filesystem::exists(out + "/pairs_tied.png"));
  CHECK_FALSE(std::filesystem::exists(out + "/weights.png"));
}

TEST_CASE("contractive_keras refuses what makes no sense") {
  check_refused(program, {{"--lambda -1", "--lambda"},
                          {"--tied perhaps", "--tied"},
                          {"--hidden 0", "--hidden"},
                          {"--batch 56", "only 55 images"}});
}
