// Corruption: how much, where, and what the loss makes of it.
#include "cinch/models/corruption.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

const Tensor all_ones = Tensor::full(DType::float64, {400, 50}, 0.5);

/// Where the corrupted input differs from 0.5, and where `changed` says so.
struct Counts {
  double differ = 0, changed = 0;
};

Counts count(const Corrupted& corrupted, Mode mode = Mode::fast) {
  const Function f = function({.outputs = {corrupted.x, corrupted.changed}, .mode = mode});
  const auto values = f();
  Counts result;
  for (std::int64_t i = 0; i < values[0].size(); ++i) {
    result.differ += values[0].at(i) != 0.5;
    result.changed += values[1].at(i);
  }
  return result;
}

}  // namespace

TEST_CASE("masking and salt-and-pepper change the share of elements asked for") {
  const Expr x = constant(all_ones);
  for (const double level : {0.0, 0.1, 0.3, 1.0}) {
    CAPTURE(level);
    RandomStreams random(1);
    // Three standard deviations of 20000 draws.
    const double bound = 3 * std::sqrt(20000 * level * (1 - level));
    for (const Counts& c :
         {count(masking(x, level, random)), count(salt_and_pepper(x, level, random))}) {
      CHECK(std::abs(c.changed - 20000 * level) <= bound);
      CHECK(c.differ == c.changed);
    }
  }
}

TEST_CASE("a fixed count of zeros falls on every example, at other places each time") {
  RandomStreams random(1);
  const Expr x = constant(all_ones);
  const Corrupted noisy = masking_count(x, 12, random);
  const Function zeros = function({.outputs = {noisy.x, sum(noisy.changed, 1)}});
  const auto first = zeros(), second = zeros();
  std::int64_t hits[50] = {};
  for (std::int64_t n = 0; n < 400; ++n) {
    CHECK(first[1].at(n) == 12);
    for (std::int64_t i = 0; i < 50; ++i) hits[i] += first[0].at(n * 50 + i) == 0;
  }
  // Each place is hit in 400 * 12 / 50 = 96 rows on average, with a standard deviation of 8.5.
  for (const std::int64_t h : hits) CHECK(std::abs(static_cast<double>(h) - 96) < 4 * 8.5);
  CHECK_FALSE(first[0] == second[0]);
  CHECK(count(masking_count(x, 50, random)).differ == 20000);
  CHECK(count(masking_count(x, 0, random)).differ == 0);
}

TEST_CASE("salt and pepper are equally many, of the values asked for") {
  RandomStreams random(1);
  const Tensor x = evaluate(salt_and_pepper(constant(all_ones), 0.5, random, -1, 2).x);
  double low = 0, high = 0, kept = 0;
  for (std::int64_t i = 0; i < x.size(); ++i) {
    low += x.at(i) == -1;
    high += x.at(i) == 2;
    kept += x.at(i) == 0.5;
  }
  CHECK(low + high + kept == 20000);
  CHECK(std::abs(low - 5000) < 3 * std::sqrt(20000 * 0.25 * 0.75));
  CHECK(std::abs(high - 5000) < 3 * std::sqrt(20000 * 0.25 * 0.75));
}

TEST_CASE("gaussian noise has the standard deviation asked for and changes everything") {
  RandomStreams random(1);
  const Corrupted noisy = gaussian(constant(all_ones), 0.2, random);
  const auto v = function({.outputs = {var(noisy.x), mean(noisy.x), sum(noisy.changed)}})();
  CHECK(v[0].item() == doctest::Approx(0.04).epsilon(0.04));  // Four deviations of 20000 draws.
  CHECK(v[1].item() == doctest::Approx(0.5).epsilon(0.012));
  CHECK(v[2].item() == 20000);
}

TEST_CASE("corruption repeats from its seed, in both modes") {
  const Expr x = constant(all_ones);
  const auto draw = [&](std::int64_t seed, Mode mode) {
    RandomStreams random(seed);
    const std::vector<Expr> all{masking(x, 0.3, random).x, masking_count(x, 5, random).x,
                                salt_and_pepper(x, 0.3, random).x, gaussian(x, 0.3, random).x};
    const Function f = function({.outputs = all, .mode = mode});
    f();
    return f();
  };
  const auto a = draw(1, Mode::fast), b = draw(1, Mode::checked), c = draw(2, Mode::fast);
  for (std::size_t k = 0; k < a.size(); ++k) {
    CHECK(distance(a[k], b[k]) < 1e-14);
    CHECK_FALSE(a[k] == c[k]);
  }
}

TEST_CASE("emphasis weighs the losses of corrupted elements and of the others") {
  const Expr losses = constant(Tensor::from<double>({2, 3}, {1, 2, 3, 4, 5, 6}));
  const Corrupted noisy{
      losses, constant(Tensor::from<bool>({2, 3}, {true, false, true, false, false, true}))};
  CHECK(evaluate(emphasized(losses, noisy, 10, 0.5)) == Tensor::from<double>({2}, {41, 64.5}));
  CHECK(evaluate(emphasized(losses, noisy, 1, 1)) == evaluate(example_sum(losses)));
  // What was changed has the losses' shape, and factors do not spread them.
  const Corrupted others{noisy.x, constant(Tensor(DType::bool_, {2}))};
  CHECK_THROWS_WITH_AS(emphasized(losses, others, 10, 0.5), doctest::Contains("emphasized: "),
                       TypeError);
  CHECK_THROWS_WITH_AS(emphasized(at(losses, 0), Corrupted{noisy.x, at(noisy.changed, 0)},
                                  constant(Tensor(DType::float64, {2, 1})), 1),
                       doctest::Contains("emphasized: "), TypeError);
}

TEST_CASE("levels, counts and deviations that make no sense are refused") {
  RandomStreams random(1);
  const Expr x = constant(all_ones);
  for (const double level : {-0.1, 1.5, std::nan("")}) {
    CHECK_THROWS_WITH_AS(masking(x, level, random),
                         doctest::Contains("masking: the level is a probability in [0, 1], got"),
                         ValueError);
    CHECK_THROWS_WITH_AS(salt_and_pepper(x, level, random),
                         doctest::Contains("written at corruption.cpp:"), ValueError);
  }
  CHECK_THROWS_WITH_AS(gaussian(x, -1, random), doctest::Contains("must be at least 0, got -1"),
                       ValueError);
  CHECK_THROWS_WITH_AS(masking_count(x, -1, random),
                       doctest::Contains("got -1 of float64 (400, 50)"), TypeError);
  CHECK_THROWS_WITH_AS(masking_count(x, 51, random), doctest::Contains("not 51"), TypeError);
  CHECK_THROWS_WITH_AS(masking_count(dvector("v"), 1, random), doctest::Contains("of each row"),
                       TypeError);
}
