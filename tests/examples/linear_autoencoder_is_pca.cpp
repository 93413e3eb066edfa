#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "cinch/io/image.hpp"
#include "support/programs.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

const std::string program = "linear_autoencoder_is_pca";

}  // namespace

TEST_CASE("linear_autoencoder_is_pca: the decoder's span is that of the principal components") {
  const Scratch scratch;
  const std::string data = small_data(scratch);
  for (const std::string code : {"2", "4"}) {
    CAPTURE(code);
    const std::string out = scratch.path + "/" + code;
    const Ran ran = run_example(program, "--data " + data + " --code " + code + " --output " + out);
    CAPTURE(ran.output);
    REQUIRE(ran.status == 0);
    for (const std::string name : {"tied", "untied"}) {
      CAPTURE(name);
      CHECK(std::stod(result(out, name + ", largest principal angle")) < 1e-3);
      CHECK(std::stod(result(out, name + ", squared error an image")) ==
            doctest::Approx(std::stod(result(out, "PCA, squared error an image"))).epsilon(1e-6));
    }
    CHECK(fault_of_figure(out + "/bases", {"PCA", "tied", "untied"},
                          {9 * std::stoi(code) - 1, 26}) == "");
  }
}

TEST_CASE("linear_autoencoder_is_pca: too few iterations show as an angle") {
  const Scratch scratch;
  const std::string out = scratch.path + "/out";
  const Ran ran = run_example(
      program, "--data " + small_data(scratch) + " --code 2 --epochs 2 --quiet --output " + out);
  CHECK(ran.status == 0);
  CHECK(ran.output == "");
  CHECK(result(out, "untied, iterations of L-BFGS") == "2");
  CHECK(std::stod(result(out, "untied, largest principal angle")) > 1e-3);
}

TEST_CASE("linear_autoencoder_is_pca: interrupted, it says so and goes on from there") {
  const Scratch scratch;
  const std::string data = made_up_data(scratch, 900, 12, 20), out = scratch.path + "/out";
  {
    // Noise, whose eigenvalues lie close together, so that it takes many iterations.
    std::fstream images(data + "/train-images-idx3-ubyte",
                        std::ios::binary | std::ios::in | std::ios::out);
    images.seekp(16);
    std::mt19937 random(1);
    for (int k = 0; k < 900 * 20 * 20; ++k) images.put(static_cast<char>(random() >> 24));
  }
  const std::string call = " --data " + data + " --code 30 --output " + out;
  const std::string said = scratch.path + "/said";
  // SIGTERM: a shell lets what it runs in the background ignore Ctrl-C.
  const Ran ran =
      run_command("{ " CINCH_EXAMPLES_DIR "/" + program + call + " --epochs 1000000 > " + said +
                  " 2>&1 & p=$!; while kill -0 $p && ! grep -q \"iteration 1 \" " + said +
                  "; do sleep 0.01; done; kill -TERM $p; wait $p; status=$?; cat " + said +
                  "; echo ended with $status; }");
  CAPTURE(ran.output);
  if (ran.output.find("ended with 0\n") != std::string::npos) {
    MESSAGE("skipped: it was done before the signal came");
    return;
  }
  REQUIRE(ran.output.find("ended with 130\n") != std::string::npos);
  CHECK(ran.output.find("lbfgs: interrupted after iteration ") != std::string::npos);
  CHECK(ran.output.find("; the parameters are saved\n") != std::string::npos);
  CHECK(ran.output.find(": interrupted; --resume goes on from here\n") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(out + "/results.md"));
  const Ran resumed = run_example(program, call + " --epochs 15 --resume");
  CAPTURE(resumed.output);
  CHECK(resumed.status == 0);
  const Ran again = run_example(program, call + " --epochs 15 --resume");
  CHECK(again.status == 0);
  CHECK(again.output.find("iteration ") == std::string::npos);  // They had been made.
}

TEST_CASE("linear_autoencoder_is_pca refuses what makes no sense") {
  check_refused(program, {{"--code 0", "--code"},
                          {"--code 64", "less than the number of pixels, 64"},
                          {"--code 50", "of images, 50"},
                          {"--rate 1", "--rate"},
                          {"--batch 10", "--batch"}});
}
