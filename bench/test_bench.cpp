// The implementations of each work are the same training, and the program says what it measured.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cinch/cinch.hpp>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cinch/core/function.hpp"
#include "cinch/ops/random_state.hpp"
#include "formulas.hpp"
#include "works.hpp"

using namespace cinch;
using namespace cinch::bench;

namespace {

/// Losses of the first five steps, on made-up data.
std::vector<double> losses(const Config& config) {
  Data data = load_data("synthetic", config.dtype);
  const Step step = make_step(config, data).step;
  std::vector<double> result;
  for (std::int64_t index = 0; index < 5; ++index) result.push_back(step(index));
  return result;
}

struct Outcome {
  int status;
  std::string output;
};
/// A call of bench_steps.
Outcome call(const std::string& arguments) {
  FILE* pipe = popen((CINCH_BENCH_STEPS " " + arguments + " 2>&1").c_str(), "r");
  REQUIRE(pipe);
  std::string output;
  char buffer[4096];
  while (const auto n = std::fread(buffer, 1, sizeof buffer, pipe)) output.append(buffer, n);
  return {pclose(pipe), output};
}

}  // namespace

TEST_CASE("the modes of each work compute the same losses") {
  struct Row {
    DType dtype;
    std::int64_t batch;
    double tolerance;  // Rounding of a few hundred thousand terms, over five steps of training.
  };
  // Small batches: the literal Jacobian of W1 is stored as written in mode checked.
  for (const Row& row : {Row{DType::float32, 7, 1e-5}, Row{DType::float64, 1, 1e-11},
                         Row{DType::float64, 10, 1e-11}}) {
    for (const bench::Work& work : works()) {
      Config config{std::string(work.name), "checked", row.dtype, row.batch};
      const auto expected = losses(config);
      for (const std::string_view mode : work.modes) {
        if (mode == "checked" || mode == "blas" || (mode == "hand" && !hand_lacks().empty()))
          continue;
        config.mode = mode;
        CAPTURE(config.work);
        CAPTURE(config.mode);
        CAPTURE(name(config.dtype));
        CAPTURE(config.batch);
        const auto got = losses(config);
        for (std::size_t k = 0; k < 5; ++k) {
          CAPTURE(k);
          CHECK(got[k] == doctest::Approx(expected[k]).epsilon(row.tolerance));
        }
      }
    }
  }
}

TEST_CASE("W1, W2 and W2j are one step") {
  Config config{"W1", "fast", DType::float64, 10};
  const auto expected = losses(config);
  for (const char* work : {"W2", "W2j"}) {
    config.work = work;
    const auto got = losses(config);
    for (std::size_t k = 0; k < 5; ++k)
      CHECK(got[k] == doctest::Approx(expected[k]).epsilon(1e-12));
  }
}

TEST_CASE("initial weights are the numbers everyone can make") {
  // By hand from the formula, in exact arithmetic.
  const Tensor W = initial_matrix(1, 2, 3, 4, DType::float64);
  CHECK(W.shape() == Shape{2, 3});
  const double bound = 4 * std::sqrt(6.0 / 5);
  for (const auto& [k, u] :
       {std::pair{0, 0.8934754519184256}, {1, 0.021279436396660634}, {5, 0.49139647138725195}})
    CHECK(W.at(k) == doctest::Approx(bound * (2 * u - 1)).epsilon(1e-15));
}

TEST_CASE("bench_steps prints an object a line, the same loss in every mode") {
  for (const bench::Work& work : works()) {
    CAPTURE(work.name);
    const Outcome outcome =
        call("--data synthetic --steps 3 --batch 3 --mode fast,checked --work " +
             std::string(work.name));
    CAPTURE(outcome.output);
    REQUIRE(outcome.status == 0);
    std::istringstream lines(outcome.output);
    std::vector<nlohmann::json> objects;
    for (std::string line; std::getline(lines, line);)
      objects.push_back(nlohmann::json::parse(line));
    REQUIRE(objects.size() == 2);
    for (const auto& object : objects) {
      for (const char* key : {"work", "mode", "dtype", "batch", "threads", "median_us", "min_us",
                              "steps", "loss5", "loss_end", "first_s", "build_ms", "rss_peak_mb",
                              "simd", "blas_core", "openblas_coretype"}) {
        CAPTURE(key);
        CHECK(object.contains(key));
      }
      CHECK(object["steps"] == 3);
      CHECK(object["median_us"].get<double>() >= object["min_us"].get<double>());
    }
    CHECK(objects[0]["loss5"].get<double>() ==
          doctest::Approx(objects[1]["loss5"].get<double>()).epsilon(1e-5));
  }
}

TEST_CASE("bench_steps says what it cannot do") {
  struct Row {
    std::string arguments, message;
  };
  for (const Row& row :
       {Row{"--work W9", "W9"}, Row{"--work W6 --mode hand", "no such work in that mode"},
        Row{"--work W2 --batch 10 --mode hand --threads 2 --data synthetic", "1 thread only"},
        Row{"--work W2 --batch 10 --data /nowhere", "/nowhere"}}) {
    CAPTURE(row.arguments);
    const Outcome outcome = call(row.arguments);
    CAPTURE(outcome.output);
    CHECK(outcome.status != 0);
    CHECK(outcome.output.find(row.message) != std::string::npos);
  }
}

TEST_CASE("formulas cost what their forms by hand do, and take the memory that is said") {
  for (const Formula& formula : formulas()) {
    CAPTURE(formula.name);
    const Expr x = input_of(formula);
    const Tensor data = RandomState(3).uniform(0, 1, formula.input, DType::float32);
    const Objective printed = formula.as_printed(x);
    const Function step = step_of(printed, x);
    const double cost = step({data})[0].item();
    const double after = step({data})[0].item();
    CHECK(std::isfinite(after));
    const auto bytes = static_cast<std::int64_t>(step.arena_bytes());
    CHECK(bytes <= formula.most_bytes);
    CHECK(bytes * 2 >= formula.most_bytes);  // Else the bound has to follow.
    if (!formula.by_hand) continue;
    const Objective by_hand = formula.by_hand(x);
    const Function hand_step = step_of(by_hand, x);
    CHECK(hand_step({data})[0].item() == doctest::Approx(cost).epsilon(1e-4));
    CHECK(hand_step({data})[0].item() == doctest::Approx(after).epsilon(1e-4));
    for (std::size_t k = 0; k < printed.params.size(); ++k) {
      const Tensor a = printed.params[k].get(), b = by_hand.params[k].get();
      double most = 0, apart = 0;
      for (std::int64_t i = 0; i < a.size(); ++i) {
        most = std::max(most, std::abs(b.at(i)));
        apart = std::max(apart, std::abs(a.at(i) - b.at(i)));
      }
      CAPTURE(k);
      CHECK(apart <= 1e-5 * most + 1e-9);
    }
  }
}
