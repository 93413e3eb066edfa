// Small dictionaries find what their activations are made of, and a layer's Jacobian becomes
// sparse.
#include <doctest/doctest.h>

#include <filesystem>

#include "support/programs.hpp"

using namespace cinch;
using namespace cinch::testing;

TEST_CASE(
    "sparse_dictionaries: every kind finds features, some of them nearly all in a short run") {
  const Scratch scratch;
  const std::string out = scratch.path + "/out";
  const Ran ran = run_example(
      "sparse_dictionaries",
      "--inputs 24 --features 40 --latents 96 --active 2 --k 3 --samples 10000 --epochs 8 --kinds "
      "topk,multi_topk,batch_topk,jumprelu,smooth,gated,l1,matryoshka,transcoder,crosscoder "
      "--output " +
          out);
  CAPTURE(ran.output);
  REQUIRE(ran.status == 0);
  const auto of = [&](const std::string& what) { return std::stod(result(out, what)); };
  for (const std::string kind : {"topk", "multi_topk", "batch_topk", "jumprelu", "smooth", "gated",
                                 "l1", "matryoshka", "transcoder", "crosscoder"}) {
    CAPTURE(kind);
    const bool soon =
        kind == "topk" || kind == "multi_topk" || kind == "l1" || kind == "crosscoder";
    // Smooth counts take longer: they begin with most latents active.
    if (kind == "smooth") {
      CHECK(of(kind + ", explained variance") > 80);
    } else {
      CHECK(of(kind + ", features found") > (soon ? 90 : 45));
    }
    CHECK(std::filesystem::exists(out + "/" + kind + "_parameters.npz"));
  }
  CHECK(of("topk, latents active") <= 3);
  CHECK(of("batch_topk, latents active") <= 3);
  // A penalty on the code shrinks it, which gates are for: Rajamanoharan et al., 2024.
  CHECK(of("gated, explained variance") > of("l1, explained variance") + 3);
  CHECK(fault_of_figure(out + "/cosines", {"cosine", "share of the features", "topk"}) == "");
}

TEST_CASE(
    "sparse_dictionaries: the Jacobian between codes falls, and little of what is explained") {
  const Scratch scratch;
  const std::string out = scratch.path + "/out";
  const Ran ran = run_example("sparse_dictionaries",
                              "--inputs 24 --features 40 --latents 96 --hidden 96 --active 1 --k 4 "
                              "--samples 10000 --epochs 8 --kinds jacobian --output " +
                                  out);
  CAPTURE(ran.output);
  REQUIRE(ran.status == 0);
  const auto of = [&](const std::string& what) { return std::stod(result(out, what)); };
  CHECK(of("jacobian pair, times less than without") > 2);
  for (const std::string where : {"before the layer", "after it"}) {
    CAPTURE(where);
    CHECK(of("jacobian pair, explained variance " + where) >
          of("pair, explained variance " + where) - 8);
  }
}

TEST_CASE("sparse_dictionaries refuses sizes that do not belong together") {
  check_refused_alone("sparse_dictionaries",
                      {{"--k 9 --latents 8", "--k 9: there are only 8 latents"},
                       {"--active 9 --features 8", "--active 9: there are only 8 features"},
                       {"--samples 50", "--batch 100: an epoch has only 50 samples"},
                       {"--kinds other", "--kinds"},
                       {"--penalty -1", "--penalty"}});
}
