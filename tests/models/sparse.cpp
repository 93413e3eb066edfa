// Codes of which few units are kept.
#include "cinch/models/sparse.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

std::int64_t nonzeros(const Tensor& x, std::int64_t begin, std::int64_t count, std::int64_t step) {
  std::int64_t result = 0;
  for (std::int64_t k = 0; k < count; ++k) result += x.at(begin + k * step) != 0;
  return result;
}

}  // namespace

TEST_CASE("k-sparse codes have exactly the k largest units of each example") {
  const Tensor h = RandomState(1).normal(0, 1, {7, 9});
  for (std::int64_t k = 1; k <= 9; ++k) {
    const Tensor kept = evaluate(k_sparse(constant(h), k));
    for (std::int64_t n = 0; n < 7; ++n) {
      REQUIRE(nonzeros(kept, n * 9, 9, 1) == k);
      double least = 1e9, largest_dropped = -1e9;
      for (std::int64_t j = n * 9; j < n * 9 + 9; ++j) {
        if (kept.at(j) != 0) {
          CHECK(kept.at(j) == h.at(j));
          least = std::min(least, h.at(j));
        } else {
          largest_dropped = std::max(largest_dropped, h.at(j));
        }
      }
      CHECK(least > largest_dropped);
    }
  }
}

TEST_CASE("of equal elements the first are the largest, along any axis") {
  const Expr x = constant(Tensor::from<double>({2, 4}, {1, 2, 2, 2, 5, 5, 0, 5}));
  CHECK(evaluate(largest(x, 2)) ==
        Tensor::from<bool>({2, 4}, {false, true, true, false, true, true, false, false}));
  CHECK(evaluate(largest(x, 1, 0)) ==
        Tensor::from<bool>({2, 4}, {false, false, true, false, true, true, false, true}));
  const Expr cube = constant(Tensor::from<double>({1, 3, 2}, {1, 6, 3, 5, 2, 4}));
  CHECK(evaluate(largest(cube, 2, 1)) ==
        Tensor::from<bool>({1, 3, 2}, {false, true, true, true, true, false}));
}

TEST_CASE("winner take all keeps the same share of the examples for every unit") {
  const Tensor h = RandomState(1).normal(0, 1, {20, 6});
  struct Row {
    double rate;
    std::int64_t kept;
  };
  for (const Row& row : {Row{0.05, 1}, Row{0.01, 1}, Row{0.2, 4}, Row{0.5, 10}, Row{1, 20}}) {
    CAPTURE(row.rate);
    const Tensor code = evaluate(winner_take_all(constant(h), row.rate));
    for (std::int64_t j = 0; j < 6; ++j) CHECK(nonzeros(code, j, 20, 6) == row.kept);
  }
}

TEST_CASE("spatial winners are one element of each map") {
  const Tensor maps = RandomState(1).uniform(0.1, 1, {4, 3, 5, 2});
  const Tensor code = evaluate(spatial_winners(constant(maps)));
  REQUIRE(code.shape() == maps.shape());
  for (std::int64_t map = 0; map < 12; ++map) {
    CHECK(nonzeros(code, map * 10, 10, 1) == 1);
    double top = 0, kept = 0;
    for (std::int64_t k = map * 10; k < map * 10 + 10; ++k) {
      top = std::max(top, maps.at(k));
      kept += code.at(k);
    }
    CHECK(kept == top);
  }
}

TEST_CASE("with a rate, each channel keeps its largest winners among the examples") {
  const Tensor maps = RandomState(1).uniform(0.1, 1, {10, 3, 2, 3});
  const Tensor all = evaluate(spatial_winners(constant(maps))),
               few = evaluate(spatial_winners(constant(maps), 0.3));
  for (std::int64_t channel = 0; channel < 3; ++channel) {
    double least_kept = 1, largest_lost = 0;
    std::int64_t kept = 0;
    for (std::int64_t n = 0; n < 10; ++n) {
      for (std::int64_t k = (n * 3 + channel) * 6; k < (n * 3 + channel) * 6 + 6; ++k) {
        if (few.at(k) != 0) {
          ++kept;
          CHECK(few.at(k) == all.at(k));
          least_kept = std::min(least_kept, few.at(k));
        } else {
          largest_lost = std::max(largest_lost, all.at(k));
        }
      }
    }
    CHECK(kept == 3);
    CHECK(least_kept > largest_lost);
  }
}

TEST_CASE("the gradient goes through what is kept and nowhere else") {
  const Expr h = dmatrix("h");
  const Tensor value = RandomState(1).normal(0, 1, {5, 6});
  for (const Expr& code : {k_sparse(h, 2), winner_take_all(h, 0.4)}) {
    const auto v = function({.inputs = {h}, .outputs = {code, grad(sum(code), h)}})({value});
    for (std::int64_t i = 0; i < 30; ++i) CHECK(v[1].at(i) == (v[0].at(i) != 0));
  }
  // Examples stay apart in the one, and not in the other.
  CHECK(examples_are_separate(k_sparse(h, 2), h));
}

TEST_CASE("a k-sparse autoencoder reconstructs from k columns of its decoder") {
  RandomState random(1);
  const auto m =
      autoencoder({6, 8}, random, {.code = linear, .output = linear, .dtype = DType::float64});
  const Expr x = constant(random.uniform(0, 1, {5, 6}));
  const Expr code = k_sparse(m.encode(x), 3);
  const Tensor J = evaluate(jacobian(m.decode(code), x));
  const Tensor s = evaluate(singular_values(constant(J)));
  for (std::int64_t n = 0; n < 5; ++n) {
    CHECK(s.at(n * 6 + 2) > 1e-3);  // The map from x to z has rank 3.
    CHECK(s.at(n * 6 + 3) < 1e-13);
  }
}

TEST_CASE("more units than there are, and rates that are no share, are refused") {
  const Expr h = constant(Tensor(DType::float64, {5, 6}));
  for (const std::int64_t k : {0, 7, -1}) {
    CHECK_THROWS_WITH_AS(k_sparse(h, k),
                         doctest::Contains("k must be between 1 and the number of units, got"),
                         ValueError);
  }
  CHECK_THROWS_WITH_AS(k_sparse(h, 7), doctest::Contains("written at sparse.cpp:"), ValueError);
  CHECK_THROWS_WITH_AS(k_sparse(dvector("v"), 1), doctest::Contains("codes must be (batch, units)"),
                       TypeError);
  CHECK_THROWS_WITH_AS(largest(h, 6, 0), doctest::Contains("along axis 0, not 6"), TypeError);
  const Expr batch = dmatrix("batch");
  CHECK_THROWS_AS(evaluate(largest(batch, 6, 0), {{batch, Tensor(DType::float64, {5, 6})}}), Error);
  for (const double rate : {0.0, -0.5, 1.01, std::nan("")}) {
    CHECK_THROWS_WITH_AS(winner_take_all(h, rate),
                         doctest::Contains("a share of the examples in (0, 1], got"), ValueError);
    CHECK_THROWS_WITH_AS(spatial_winners(tensor4("maps"), rate),
                         doctest::Contains("spatial_winners: the rate is a share"), ValueError);
  }
  CHECK_THROWS_WITH_AS(winner_take_all(dvector("v"), 0.5), doctest::Contains("codes must be"),
                       TypeError);
  CHECK_THROWS_WITH_AS(spatial_winners(h), doctest::Contains("maps must be (batch, channels"),
                       TypeError);
}
