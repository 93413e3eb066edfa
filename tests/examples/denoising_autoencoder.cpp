#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "cinch/io/image.hpp"
#include "support/programs.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

const std::string program = "denoising_autoencoder";

}  // namespace

TEST_CASE("denoising_autoencoder trains one model for each level and writes what each learned") {
  const Scratch scratch;
  const std::string data = small_data(scratch), out = scratch.path + "/out";
  for (const std::string noise : {"masking", "count", "gaussian", "salt_and_pepper"}) {
    CAPTURE(noise);
    const Ran ran =
        run_example(program, "--data " + data +
                                 " --epochs 4 --batch 7 --hidden 12 --corruption 0,0.25 "
                                 "--noise " +
                                 noise + " --output " + out);
    CAPTURE(ran.output);
    REQUIRE(ran.status == 0);
    CHECK(ran.output.find("Expect: ") != std::string::npos);
    for (const std::string level : {"0", "0.25"}) {
      CAPTURE(level);
      CHECK(fault_of_figure(out + "/filters_corruption_" + level, {"least", "largest"}, {89, 89}) ==
            "");
      CHECK(fault_of_figure(out + "/reconstructions_corruption_" + level,
                            {"original", "noisy", "result"}, {89, 26}) == "");
      const auto log = read_csv(out + "/corruption_" + level + "_log.csv");
      REQUIRE(log.size() == 5);
      CHECK(std::stod(log[4][2]) < std::stod(log[1][2]));
      result(out, "corruption " + level + ", test cost at corruption 0.25");
    }
    std::filesystem::remove_all(out);
  }
}

TEST_CASE(
    "denoising_autoencoder: emphasis on corrupted pixels changes the cost of these levels only") {
  const Scratch scratch;
  const std::string common = "--data " + small_data(scratch) +
                             " --epochs 1 --hidden 6 --quiet --output " + scratch.path + "/";
  const Ran plain = run_example(program, common + "plain");
  const Ran emphasis = run_example(program, common + "emphasis --emphasis 0.9");
  CHECK(plain.status == 0);
  CHECK(emphasis.status == 0);
  CHECK(plain.output == "");
  const auto cost = [&](const std::string& run, const std::string& level) {
    return result(scratch.path + "/" + run, "corruption " + level + ", cost of the last epoch");
  };
  CHECK(cost("plain", "0") == cost("emphasis", "0"));
  CHECK(cost("plain", "0.3") != cost("emphasis", "0.3"));
}

TEST_CASE("denoising_autoencoder refuses what makes no sense") {
  check_refused(program, {{"--corruption 1.5", "--corruption"},
                          {"--corruption -0.1", "--corruption"},
                          {"--noise pink", "--noise"},
                          {"--emphasis 2", "--emphasis"},
                          {"--noise gaussian --emphasis 0.7", "gaussian noise changes every pixel"},
                          {"--hidden 0", "--hidden"},
                          {"--batch 51", "only 50 images"}});
}
