#include <doctest/doctest.h>

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
    CHECK(read_png(out + "/bases.png").height == 26);
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

TEST_CASE("linear_autoencoder_is_pca refuses what makes no sense") {
  check_refused(program, {{"--code 0", "--code"},
                          {"--code 64", "less than the number of pixels, 64"},
                          {"--code 50", "of images, 50"},
                          {"--rate 1", "--rate"},
                          {"--batch 10", "--batch"}});
}
