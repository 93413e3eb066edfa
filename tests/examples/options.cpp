// Options of the programs: help, mistakes, files of options.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "support/programs.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// The names of all programs, from their sources.
std::vector<std::string> all_programs() {
  std::vector<std::string> result;
  for (const auto& entry : std::filesystem::directory_iterator(CINCH_SOURCE_DIR "/examples")) {
    if (entry.path().extension() == ".cpp") result.push_back(entry.path().stem().string());
  }
  std::ranges::sort(result);
  return result;
}

}  // namespace

TEST_CASE("help fits 80 columns, says what to expect, and what exit codes mean") {
  const std::vector<std::string> programs = all_programs();
  CHECK(programs.size() >= 19);
  for (const std::string& name : programs) {
    CAPTURE(name);
    const Ran r = run_example(name, "--help");
    CHECK(r.status == 0);
    std::istringstream lines(r.output);
    for (std::string line; std::getline(lines, line);) {
      CAPTURE(line);
      CHECK(line.size() <= 80);
    }
    for (const char* part : {"Expect", "Exit codes:", "--version", "--config"}) {
      CAPTURE(part);
      CHECK(r.output.find(part) != std::string::npos);
    }
  }
}

TEST_CASE("an option that does not exist is named, with the one that may be meant") {
  struct Row {
    const char *given, *says;
  };
  for (const Row& row :
       {Row{"--epoch 3", "mlp: --epoch is no option; did you mean --epochs?"},
        Row{"--lamda 1", "mlp: --lamda is no option\n"},
        Row{"--hiden=5", "mlp: --hiden=5 is no option; did you mean --hidden?"},
        Row{"--out x", "mlp: --out is no option; did you mean --output?"},
        Row{"--one --two",
            "mlp: --one is no option\nmlp: --two is no option\nRun with --help for all options.\n"},
        Row{"nine", "mlp: nine is no value that is expected\n"}}) {
    const Ran r = run_example("mlp", row.given);
    CAPTURE(row.given);
    CAPTURE(r.output);
    CHECK(r.status > 100);
    CHECK(r.output.find(row.says) != std::string::npos);
  }
}

TEST_CASE("rates and weights that are no finite numbers are refused in words") {
  struct Row {
    const char *program, *given, *says;
  };
  for (const Row& row :
       {Row{"mlp", "--rate inf", "inf is not a number above 0"},
        Row{"mlp", "--rate 0", "0 is not a number above 0"},
        Row{"contractive_autoencoder", "--lambda nan", "nan is not a number from 0 on"},
        Row{"contractive_autoencoder", "--lambda -1", "-1 is not a number from 0 on"},
        Row{"mlp", "--threads 0", "--threads"}}) {
    const Ran r = run_example(row.program, row.given);
    CAPTURE(row.given);
    CAPTURE(r.output);
    CHECK(r.status > 100);
    CHECK(r.output.find(row.says) != std::string::npos);
    CHECK(r.output.size() < 200);
  }
}

TEST_CASE("a run can be made again from the options that it left behind") {
  const Scratch scratch;
  const std::string data = " --data " + small_data(scratch);
  const auto folder = [&](const char* name) { return scratch.path + "/" + name; };
  struct Row {
    const char *program, *options, *file;
  };
  for (const Row& row :
       {Row{"contractive_autoencoder", "--preset tutorial --epochs 2 --hidden 7 --lambda 0.3",
            "parameters.npz"},
        Row{"denoising_autoencoder", "--epochs 1 --batch 10 --hidden 5 --corruption 0,0.4",
            "results.md"}}) {
    CAPTURE(row.program);
    const Ran first =
        run_example(row.program, row.options + data + " --quiet --output " + folder("first"));
    CAPTURE(first.output);
    REQUIRE(first.status == 0);
    const std::string configuration = folder("first") + "/run.ini";
    CAPTURE(contents(configuration));
    const Ran again = run_example(
        row.program, "--config " + configuration + " --threads 1 --output " + folder("again"));
    CAPTURE(again.output);
    REQUIRE(again.status == 0);
    CHECK(contents(folder("again") + "/" + row.file) == contents(folder("first") + "/" + row.file));
    std::filesystem::remove_all(folder("first"));
    std::filesystem::remove_all(folder("again"));
  }
}

TEST_CASE("a file of options that does not exist, or has others, is refused") {
  const Scratch scratch;
  std::ofstream(scratch.path + "/other.ini") << "epoks=3\n";
  const Ran none = run_example("mlp", "--config " + scratch.path + "/none.ini");
  CAPTURE(none.output);
  CHECK(none.status > 100);
  CHECK(none.output.find("none.ini") != std::string::npos);
  const Ran other = run_example("mlp", "--config " + scratch.path + "/other.ini");
  CAPTURE(other.output);
  CHECK(other.status > 100);
  CHECK(other.output.find("epoks") != std::string::npos);
}
