// What a run of a program leaves behind and ends with, whatever it computes.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "support/programs.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// Programs with arguments that are done in no time, on small_data().
struct SmallRun {
  const char *name, *arguments, *other;  ///< `other`: an option that decides results.
};
const std::vector<SmallRun> programs = {
    {"mlp", "--batch 10 --hidden 5", "--decay 0.5"},
    {"logistic_regression", "--batch 10", "--rate 0.17"},
    {"contractive_autoencoder", "--batch 10 --hidden 5", "--lambda 0.3"},
    {"denoising_autoencoder", "--batch 10 --hidden 5", "--emphasis 0.8"},
    {"vae", "--batch 10", "--rate 0.017"},
    {"sparse", "--batch 10 --hidden 5", "--seed 4"},
    {"k_sparse", "--batch 10", "--dtype float64"},
};

std::string command(const SmallRun& p, const std::string& data, const std::string& more) {
  return std::string(p.arguments) + " --data " + data + " " + more;
}

}  // namespace

TEST_CASE("a run's folder knows how it was made, and resuming refuses what differs") {
  const Scratch scratch, other_scratch;
  const std::string data = small_data(scratch), out = scratch.path + "/out";
  for (const SmallRun& p : programs) {
    CAPTURE(p.name);
    std::filesystem::remove_all(out);
    const std::string to = " --epochs 1 --output " + out;
    const Ran nothing = run_example(p.name, command(p, data, to + " --resume"));
    CAPTURE(nothing.output);
    CHECK(nothing.status == 1);
    CHECK(nothing.output.find("--resume: there is nothing to go on from in " + out) !=
          std::string::npos);
    CHECK_FALSE(std::filesystem::exists(out));

    const Ran first = run_example(p.name, command(p, data, to));
    CAPTURE(first.output);
    REQUIRE(first.status == 0);
    const std::string record = contents(out + "/run.txt");
    CAPTURE(record);
    for (const std::string& line :
         {std::string("program: ") + p.name, std::string("version: "), std::string("commit: "),
          std::string("--seed: "), std::string("--batch: 10\n"), std::string("data: ")})
      CHECK(record.find(line) != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(out + "/run.txt.lock"));

    const Ran same = run_example(p.name, command(p, data, to + " --resume"));
    CAPTURE(same.output);
    CHECK(same.status == 0);
    const Ran other = run_example(p.name, command(p, data, to + " --resume " + p.other));
    CAPTURE(other.output);
    CHECK(other.status == 1);
    const std::string option = std::string(p.other).substr(0, std::string(p.other).find(' '));
    CHECK(other.output.find("are of another run: " + option + " is ") != std::string::npos);
    CHECK(contents(out + "/run.txt") == record);
  }
  // Other data of the same size.
  const SmallRun& p = programs[0];
  const std::string changed = scratch.path + "/changed";
  std::filesystem::copy(data, changed, std::filesystem::copy_options::recursive);
  {
    std::fstream images(changed + "/train-images-idx3-ubyte",
                        std::ios::binary | std::ios::in | std::ios::out);
    images.seekp(100);
    images.put(static_cast<char>(77));
  }
  const std::string to = " --epochs 1 --output " + scratch.path + "/data_out";
  REQUIRE(run_example(p.name, command(p, data, to)).status == 0);
  const Ran refused = run_example(p.name, command(p, changed, to + " --resume"));
  CAPTURE(refused.output);
  CHECK(refused.status == 1);
  CHECK(refused.output.find("are of another run: data is ") != std::string::npos);
}

TEST_CASE("exit codes tell interrupted runs, errors and output that is lost apart") {
  const Scratch scratch;
  const std::string data = small_data(scratch);
  for (const SmallRun& p : programs) {
    CAPTURE(p.name);
    const std::string out = scratch.path + "/" + p.name;
    const Ran ran = interrupt_example(p.name, command(p, data, "--epochs 1000000 --output " + out));
    CAPTURE(ran.output);
    // Early stopping may be faster than the signal, which then finds nothing that asks for it.
    if (ran.output.find("interrupted") == std::string::npos) {
      CHECK((ran.status == 0 || ran.status == 130));
      continue;
    }
    CHECK(ran.status == 130);
    CHECK(ran.output.find("train: interrupted in epoch ") != std::string::npos);
    CHECK(ran.output.ends_with(": interrupted; --resume goes on from here\n"));
    CHECK_FALSE(std::filesystem::exists(out + "/results.md"));
  }
  const SmallRun& p = programs[1];
  const std::string out = scratch.path + "/lost";
  const Ran lost =
      run_example(p.name, command(p, data, "--epochs 1 --output " + out + " > /dev/full"));
  CAPTURE(lost.output);
  CHECK(lost.status == 1);
  const Ran refused = run_example(p.name, command(p, data, "--epochs -1 --output " + out));
  CHECK(refused.status > 100);
  CHECK(refused.status < 128);
}

TEST_CASE("published figures stand only beside the published settings and data") {
  const Scratch scratch;
  // As many images as MNIST has, of four pixels, and its first labels.
  const std::string data = made_up_data(scratch, 60000, 600, 2);
  {
    std::fstream labels(data + "/train-labels-idx1-ubyte",
                        std::ios::binary | std::ios::in | std::ios::out);
    labels.seekp(8);
    for (const int label : {5, 0, 4, 1, 9, 2, 1, 3, 1, 4, 3, 5, 3, 6, 1, 7})
      labels.put(static_cast<char>(label));
  }
  const std::string out = scratch.path + "/out";
  const auto published = [&](const std::string& more) {
    const Ran ran =
        run_example("logistic_regression", "--data " + data + " --output " + out + more);
    CAPTURE(ran.output);
    REQUIRE(ran.status == 0);
    const bool printed = ran.output.find("(published: 7.489 %)") != std::string::npos;
    const bool written = contents(out + "/results.md").find("| 7.489 % |") != std::string::npos;
    CHECK(printed == written);
    return printed;
  };
  CHECK(published(""));
  CHECK(published(" --seed 5 --rate 0.130"));  // Which decide nothing, or are as they were.
  for (const std::string more : {"--images 600", "--epochs 2", "--rate 0.2", "--batch 300"}) {
    CAPTURE(more);
    CHECK_FALSE(published(" " + more));
  }
  const auto log = read_csv(out + "/log.csv");
  REQUIRE(log.size() > 1);
  CHECK(log[0] ==
        std::vector<std::string>{"epoch", "step", "cost", "validation error", "best", "seconds"});
  const std::string other = made_up_data(scratch, 6000, 600, 2);
  CHECK_FALSE(published(""));
}

TEST_CASE("two runs do not share a folder") {
  const Scratch scratch;
  const std::string data = small_data(scratch), out = scratch.path + "/out";
  const SmallRun& p = programs[2];
  const std::string call =
      std::string(CINCH_EXAMPLES_DIR) + "/" + p.name + " " + command(p, data, "--output " + out);
  const Ran both = run_command("{ timeout --foreground --preserve-status -s INT 2 " + call +
                               " --epochs 1000000 > /dev/null & sleep 1; " + call +
                               " --epochs 1; echo second ended with $?; wait; }");
  CAPTURE(both.output);
  CHECK(both.output.find("is being written by another run (process ") != std::string::npos);
  CHECK(both.output.find("second ended with 1") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(out + "/run.txt.lock"));
}

TEST_CASE("a CINCH_THREADS that is no number is refused before data are read") {
  const Ran ran = run_command(std::string("CINCH_THREADS=many ") + CINCH_EXAMPLES_DIR +
                              "/mlp --data /no/such/folder");
  CAPTURE(ran.output);
  CHECK(ran.status == 1);
  CHECK(ran.output.find("mlp: CINCH_THREADS=many must be a number") != std::string::npos);
}
