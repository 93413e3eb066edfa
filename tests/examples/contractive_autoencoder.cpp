// The program as a user runs it.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "io/image.hpp"
#include "io/npy.hpp"
#include "support/mnist.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// A folder of its own, gone with it.
struct Scratch {
  std::string path =
      (std::filesystem::temp_directory_path() / ("cinch-" + std::to_string(getpid()))).string();
  Scratch() { std::filesystem::create_directories(path); }
  ~Scratch() { std::filesystem::remove_all(path); }
};

void write_idx(const std::string& path, const std::vector<std::uint32_t>& sizes, unsigned seed) {
  std::ofstream out(path, std::ios::binary);
  out.put(0).put(0).put(8).put(static_cast<char>(sizes.size()));
  std::size_t count = 1;
  for (const std::uint32_t n : sizes) {
    for (int shift = 24; shift >= 0; shift -= 8) out.put(static_cast<char>(n >> shift & 255));
    count *= n;
  }
  for (std::size_t i = 0; i < count; ++i) out.put(static_cast<char>((i * 7919 + seed) % 10));
}

std::string small_data(const Scratch& scratch, std::uint32_t images = 60) {
  const std::string folder = scratch.path + "/data";
  std::filesystem::create_directories(folder);
  write_idx(folder + "/train-images-idx3-ubyte", {images, 8, 8}, 1);
  write_idx(folder + "/train-labels-idx1-ubyte", {images}, 2);
  write_idx(folder + "/t10k-images-idx3-ubyte", {12, 8, 8}, 3);
  write_idx(folder + "/t10k-labels-idx1-ubyte", {12}, 4);
  return folder;
}

struct Result {
  int status;
  std::string output;
};

Result run(const std::string& arguments) {
  const std::string command =
      std::string(CINCH_EXAMPLES_DIR "/contractive_autoencoder ") + arguments + " 2>&1";
  Result result;
  FILE* pipe = popen(command.c_str(), "r");
  char buffer[4096];
  while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, pipe))
    result.output.append(buffer, n);
  const int status = pclose(pipe);
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return result;
}

std::vector<std::vector<std::string>> read_csv(const std::string& path) {
  std::ifstream in(path);
  std::vector<std::vector<std::string>> rows;
  for (std::string line; std::getline(in, line);) {
    std::vector<std::string> cells;
    std::istringstream cut(line);
    for (std::string cell; std::getline(cut, cell, ',');) cells.push_back(cell);
    rows.push_back(cells);
  }
  return rows;
}

}  // namespace

TEST_CASE("a small run writes its pictures, parameters and log, and prints a line an epoch") {
  const Scratch scratch;
  const std::string out = scratch.path + "/out";
  const Result r =
      run("--data " + small_data(scratch) + " --epochs 3 --batch 7 --hidden 12 --output " + out);
  CAPTURE(r.output);
  REQUIRE(r.status == 0);
  CHECK(r.output.find("epoch   2") != std::string::npos);
  CHECK(read_png(out + "/filters.png").width == 89);
  CHECK(read_png(out + "/reconstructions.png").height == 17);
  CHECK(std::filesystem::file_size(out + "/training_curve.png") > 1000);
  const auto arrays = read_npz(out + "/parameters.npz");
  CHECK(arrays.at("W").shape() == Shape{64, 12});
  const auto rows = read_csv(out + "/log.csv");
  REQUIRE(rows.size() == 4);
  CHECK(rows[0] == std::vector<std::string>{"epoch", "reconstruction", "jacobian_norm",
                                            "tutorial_cost", "tutorial_norm", "seconds"});
  CHECK(std::stod(rows[3][1]) < std::stod(rows[1][1]));
}

TEST_CASE("the three ways to write the penalty give the same log") {
  const Scratch scratch;
  const std::string data = small_data(scratch);
  std::vector<double> last;
  for (const std::string penalty : {"closed", "literal", "jacobian"}) {
    const std::string log = scratch.path + "/" + penalty + ".csv";
    const Result r = run("--data " + data +
                         " --epochs 2 --batch 5 --hidden 6 --dtype float64 --quiet --penalty " +
                         penalty + " --output " + scratch.path + "/out --log " + log);
    REQUIRE(r.status == 0);
    CHECK(r.output.empty());
    last.push_back(std::stod(read_csv(log).back()[2]));
  }
  CHECK(last[1] == doctest::Approx(last[0]).epsilon(1e-12));
  CHECK(last[2] == doctest::Approx(last[0]).epsilon(1e-12));
}

TEST_CASE("Ctrl-C ends after the current step and still writes everything") {
  const Scratch scratch;
  const std::string out = scratch.path + "/out", data = small_data(scratch);
  const std::string command =
      std::string("timeout --preserve-status -s INT 1 " CINCH_EXAMPLES_DIR) +
      "/contractive_autoencoder --data " + data +
      " --epochs 1000000 --batch 2 --hidden 4 --output " + out + " > /dev/null 2>&1";
  CHECK(std::system(command.c_str()) == 0);
  CHECK(std::filesystem::exists(out + "/filters.png"));
  CHECK(std::filesystem::exists(out + "/parameters.npz"));
  CHECK(std::filesystem::exists(out + "/training_curve.png"));
  CHECK(read_csv(out + "/log.csv").size() > 1);
}

TEST_CASE("options and files that make no sense end in a message, before any training") {
  const Scratch scratch;
  const std::string data = small_data(scratch);
  struct Row {
    const char* arguments;
    const char* says;
  };
  for (const Row& row :
       {Row{"--data /no/such/folder", "/no/such/folder"}, Row{"--preset other", "--preset"},
        Row{"--batch 0", "--batch"}, Row{"--hidden 0", "--hidden"}, Row{"--rate -1", "--rate"},
        Row{"--lambda -1", "--lambda"}, Row{"--dtype int64", "--dtype"},
        Row{"--penalty none", "--penalty"}, Row{"--seed -1", "--seed"}, Row{"--what 1", "--what"},
        Row{"--batch 100", "only 60 images"}}) {
    const std::string where =
        std::string(row.arguments).find("--data") == 0 ? "" : " --data " + data;
    const Result r = run(row.arguments + where + " --output " + scratch.path + "/none");
    CAPTURE(row.arguments);
    CAPTURE(r.output);
    CHECK(r.status != 0);
    CHECK(r.output.find(row.says) != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(scratch.path + "/none"));
  }
  std::filesystem::resize_file(data + "/train-images-idx3-ubyte", 1000);
  const Result cut = run("--data " + data + " --output " + scratch.path + "/none");
  CHECK(cut.status != 0);
  CHECK(cut.output.find("train-images-idx3-ubyte") != std::string::npos);
}

TEST_CASE("on MNIST: the tutorial preset reproduces all 20 epochs of the published log to 1e-10") {
  const auto folder = mnist_folder();
  if (!folder) {
    MESSAGE("skipped: no MNIST; name its folder in CINCH_MNIST");
    return;
  }
#if defined(__SANITIZE_ADDRESS__) || !defined(NDEBUG)
  MESSAGE("skipped: only optimised builds run all 20 epochs");
#else
  const Scratch scratch;
  const Result r =
      run("--preset tutorial --data " + *folder + " --output " + scratch.path + "/out");
  CAPTURE(r.output);
  REQUIRE(r.status == 0);
  const auto rows = read_csv(scratch.path + "/out/log.csv");
  REQUIRE(rows.size() == 21);
  for (std::size_t epoch = 0; epoch < 20; ++epoch) {
    CAPTURE(epoch);
    CHECK(std::stod(rows[epoch + 1][3]) ==
          doctest::Approx(published_log[epoch].cost).epsilon(1e-10).scale(0));
    CHECK(std::stod(rows[epoch + 1][4]) ==
          doctest::Approx(published_log[epoch].norm).epsilon(1e-10).scale(0));
  }
#endif
}
