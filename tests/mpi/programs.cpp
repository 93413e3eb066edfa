// The example programs on several processes, as they are.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "launch.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

namespace fs = std::filesystem;

/// Three epochs of a program on `ranks` processes, or on one without mpirun where that is 0.
Ran run_program(const std::string& name, const std::string& arguments, int ranks, int threads) {
  const std::string program = CINCH_EXAMPLES_DIR "/" + name,
                    all = text(arguments, " --threads ", threads, " --distribute ");
  if (ranks == 0) return run_command(program + " " + all + "one");
  return run_command(started({vendors().front().run, program}, ranks, all + "mpi"));
}

/// All files of parameters in a folder, with their names.
std::string parameters_in(const std::string& folder) {
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string path = entry.path();
    if (path.ends_with("parameters.npz")) paths.push_back(path);
  }
  std::ranges::sort(paths);
  std::string result;
  for (const std::string& path : paths)
    result += fs::path(path).filename().string() + contents(path);
  return result;
}

std::size_t files_in(const std::string& folder) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

/// What the program printed, without times, where it writes, and what a terminal, which Open MPI
/// gives it, is told: bars come and go.
std::string said(std::string output) {
  for (const std::string code : {"\033[K", "\r"}) {
    for (std::size_t at = 0; (at = output.find(code)) != std::string::npos;)
      output.erase(at, code.size());
  }
  std::string result;
  for (std::size_t at = 0; at < output.size();) {
    const std::size_t end = std::min(output.find('\n', at), output.size());
    const std::string line = output.substr(at, end - at);
    at = end + 1;
    if (contains(line, "epoch ") || contains(line, "minutes") || contains(line, "seconds: ") ||
        contains(line, "pictures and figures are in"))
      continue;
    result += line + '\n';
  }
  return result;
}

const std::vector<std::pair<std::string, std::string>> trained{
    {"contractive_autoencoder", "--epochs 3 --batch 64 --hidden 20"},
    {"denoising_autoencoder", "--epochs 3 --batch 64 --hidden 20"},
    {"vae", "--epochs 3 --batch 64 --hidden 20"},
    {"stacked_denoising_autoencoder",
     "--epochs 3 --batch 64 --pretraining-batch 64 --hidden 20,10 --corruption 0.1,0.2 "
     "--pretraining-epochs 3"},
    {"recurrent_classifier", "--epochs 3 --batch 64 --hidden 6"},
    {"recurrent_autoencoder", "--epochs 3 --batch 64 --hidden 6"},
    {"linear_autoencoder_is_pca", "--code 3"}};

}  // namespace

TEST_CASE("programs leave the same bytes of parameters for any number of ranks and threads") {
  const Scratch scratch;
  const std::string data = made_up_data(scratch, 240, 30, 8);
  const bool all = std::getenv("CINCH_LONG") != nullptr;
  for (const auto& program : trained) {
    const std::string &name = program.first, &arguments = program.second;
    CAPTURE(name);
    const auto run = [&](int ranks, int threads) {
      const std::string out = text(scratch.path, "/", name, ranks, threads);
      const Ran ran =
          run_program(name, arguments + " --data " + data + " --output " + out, ranks, threads);
      CAPTURE(ran.output);
      REQUIRE(ran.status == 0);
      return std::tuple(parameters_in(out), said(ran.output), files_in(out));
    };
    const auto alone = run(0, 1);
    CHECK(std::get<0>(alone).size() > 1000);
    for (const int ranks : {1, 2, 3, 4, 8}) {
      for (const int threads : {1, 2}) {
        const bool some = (ranks == 2 && threads == 2) || (ranks == 3 && threads == 1) ||
                          (ranks == 8 && threads == 1 && name == trained[0].first);
        if (!all && !some) continue;
        CAPTURE(ranks);
        CAPTURE(threads);
        const auto together = run(ranks, threads);
        CHECK((std::get<0>(together) == std::get<0>(alone)));
        CHECK(std::get<1>(together) == std::get<1>(alone));  // One of them prints.
        CHECK(std::get<2>(together) == std::get<2>(alone));
      }
    }
  }
}

TEST_CASE("a program goes on with other ranks, to the same bytes, and not without parts") {
  const Scratch scratch;
  const std::string data = made_up_data(scratch, 240, 30, 8);
  const std::string what = "--batch 64 --hidden 20 --data " + data + " --output " + scratch.path;
  const std::string whole = scratch.path + "/whole", parts = scratch.path + "/parts";
  REQUIRE(run_program("vae", what + "/whole --epochs 4", 0, 1).status == 0);
  REQUIRE(run_program("vae", what + "/parts --epochs 2", 3, 1).status == 0);
  CHECK(parameters_in(parts) != parameters_in(whole));
  const Ran other = run_command(CINCH_EXAMPLES_DIR "/vae --resume --epochs 4 " + what + "/parts");
  CAPTURE(other.output);
  CHECK(other.status == 1);
  CHECK(contains(other.output, "--distribute is not given, there it is minibatches in parts"));
  const Ran resumed = run_program("vae", what + "/parts --epochs 4 --resume", 2, 1);
  CAPTURE(resumed.output);
  CHECK(resumed.status == 0);
  CHECK(parameters_in(parts) == parameters_in(whole));
  CHECK(contains(contents(parts + "/run.txt"), "\n--epochs: 4\n"));
}

TEST_CASE("started together without the option, programs say which") {
  const Scratch scratch;
  const auto refused = [&](const std::string& program, const std::string& arguments) {
    const Ran ran = run_command(started({vendors().front().run, CINCH_EXAMPLES_DIR "/" + program},
                                        2, arguments + " --output " + scratch.path + "/out"));
    CAPTURE(ran.output);
    CHECK(ran.status != 0);
    CHECK(contains(ran.output, program + ": this is one of 2 processes that were started "
                                         "together ("));
    CHECK(!fs::exists(scratch.path + "/out"));
    return ran.output;
  };
  CHECK(contains(refused("sparse", "--epochs 1"), "--distribute mpi lets them train together"));
  CHECK(contains(refused("sparse", "--epochs 1 --distribute one"), "--distribute mpi lets"));
  CHECK(contains(refused("hybrid_monte_carlo", ""), "start it without mpirun"));
  const Ran ran = run_command(CINCH_EXAMPLES_DIR "/sparse --distribute all");
  CHECK(ran.status > 100);
  CHECK(contains(ran.output, "--distribute"));
}
