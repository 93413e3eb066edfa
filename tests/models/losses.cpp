// Reconstruction losses against plain loops.
#include "cinch/models/losses.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

TEST_CASE("reconstruction losses are one number for each example, with gradients to second order") {
  std::mt19937 random(3);
  const Expr x = dmatrix("x"), z = dmatrix("z");
  const Tensor vx = random_tensor(DType::float64, {4, 5}, random, 0, 1),
               vz = random_tensor(DType::float64, {4, 5}, random, 0.1, 0.9);
  struct Row {
    Expr loss;
    double (*of)(double, double);
  };
  const Row rows[] = {
      {cross_entropy(x, z),
       [](double a, double b) { return -a * std::log(b) - (1 - a) * std::log(1 - b); }},
      {squared_error(x, z), [](double a, double b) { return (a - b) * (a - b); }},
      {absolute_error(x, z), [](double a, double b) { return std::abs(a - b); }},
  };
  const std::vector<Expr> wrt{z};
  for (const Row& row : rows) {
    CAPTURE(describe(row.loss));
    const Tensor got = evaluate(row.loss, {{x, vx}, {z, vz}});
    REQUIRE(got.shape() == Shape{4});
    for (std::int64_t r = 0; r < 4; ++r) {
      double expected = 0;
      for (std::int64_t k = 5 * r; k < 5 * r + 5; ++k) expected += row.of(vx.at(k), vz.at(k));
      CHECK(got.at(r) == doctest::Approx(expected).epsilon(1e-14));
    }
    const GradCheck check = check_grad(sum(row.loss), wrt, {{x, vx}, {z, vz}}, {.order = 2});
    CHECK_MESSAGE(check.ok, check.report);
  }
}
