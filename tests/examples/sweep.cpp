// scripts/sweep: a program for each value of an option, and one table.
#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "io/temporary_folder.hpp"
#include "support/programs.hpp"

using namespace cinch::testing;

namespace {

std::string sweep(const std::string& arguments) {
  return "bash " CINCH_SOURCE_DIR "/scripts/sweep " + arguments;
}

}  // namespace

TEST_CASE("a sweep makes each run once, goes on where it stopped, and writes one table") {
  const Scratch scratch;
  const std::string data = small_data(scratch), out = scratch.path + "/sweep";
  const std::string what = out + " " CINCH_EXAMPLES_DIR "/contractive_autoencoder --lambda 0 0.5 1";
  const std::string rest = " -- --epochs 2 --batch 10 --hidden 4 --quiet --data " + data;
  const Ran first = run_command(sweep("--jobs 2 " + what + rest));
  CAPTURE(first.output);
  CHECK(first.status == 0);
  CHECK(first.output == contents(out + "/results.md"));
  CHECK(contains(first.output, "| --lambda | reconstruction cost | norm of the Jacobian |\n"));
  for (const char* value : {"0", "0.5", "1"}) {
    const std::string folder = out + "/" + value;
    CHECK(contains(first.output, "\n| " + std::string(value) + " | " +
                                     result(folder, "reconstruction cost") + " | "));
    CHECK(contains(contents(folder + "/run.txt"), "--lambda"));
  }

  // One that is not whole goes on from its checkpoint; the others are left alone.
  const auto before = std::filesystem::last_write_time(out + "/1/results.md");
  std::filesystem::remove(out + "/0.5/results.md");
  const Ran again = run_command(sweep(what + rest));
  CHECK(again.status == 0);
  CHECK(again.output == first.output);
  CHECK(std::filesystem::last_write_time(out + "/1/results.md") == before);
}

TEST_CASE("a sweep says which run failed and why, and refuses what is none") {
  const Scratch scratch;
  const std::string program = CINCH_EXAMPLES_DIR "/contractive_autoencoder";
  const Ran failed =
      run_command(sweep(scratch.path + "/sweep " + program + " --lambda -3 -- --quiet"));
  CAPTURE(failed.output);
  CHECK(failed.status == 1);
  CHECK(contains(failed.output, "--lambda -3 failed, as "));
  for (const auto& [arguments, says] :
       {std::pair("", "Runs a program for each value"),
        std::pair("--jobs none x y --z 1", "--jobs takes a number of runs, got 'none'"),
        std::pair("x contractive_autoencoder lambda 1", "'lambda' is no option"),
        std::pair("x no_such_program --lambda 1", "there is no program no_such_program")}) {
    const Ran ran = run_command(sweep(arguments));
    CAPTURE(ran.output);
    CHECK(ran.status == 2);
    CHECK(contains(ran.output, says));
  }
}
