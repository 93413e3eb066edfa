// Variances, deviations and norms against long double, and their slopes at 0.
#include "cinch/ops/norm.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "cinch/cinch.hpp"
#include "cinch/core/run/interpret.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

using Real = long double;
constexpr double inf = std::numeric_limits<double>::infinity(),
                 quiet_nan = std::numeric_limits<double>::quiet_NaN();

std::vector<Tensor> in_both_modes(const Expr& y, const std::vector<Binding>& bindings) {
  return {evaluate(y, bindings), cinch::running::interpret(std::span(&y, 1), bindings, false)[0]};
}

Real variance(const Tensor& x, Real ddof) {
  Real mean = 0, total = 0;
  for (std::int64_t i = 0; i < x.size(); ++i) mean += Real(x.at(i)) / x.size();
  for (std::int64_t i = 0; i < x.size(); ++i) total += (x.at(i) - mean) * (x.at(i) - mean);
  return total / (x.size() - ddof);
}

Real norm_of(const Tensor& x, Real p) {
  Real total = 0, most = 0, fewest = inf;
  for (std::int64_t i = 0; i < x.size(); ++i) {
    const Real a = std::abs(Real(x.at(i)));
    most = std::max(most, a);
    fewest = std::min(fewest, a);
    total += p == 0 ? a != 0 : std::pow(a, p);
  }
  return p == 0 ? total : p > 1e300L ? most : p < -1e300L ? fewest : std::pow(total, 1 / p);
}

}  // namespace

TEST_CASE("var and std_ keep their digits where the mean is large, with any ddof") {
  std::mt19937 random(31);
  const Expr x = dvector("x");
  for (const double mean : {0.0, 3.0, 1e8, -1e12}) {
    for (const std::int64_t ddof : {0, 1, 3}) {
      const Tensor v = random_tensor(DType::float64, {500}, random, mean - 1, mean + 1);
      const Real expected = variance(v, static_cast<Real>(ddof));
      // What remains is the rounding of the mean, squared, and of the deviations.
      const double tolerance = 1e-14 + std::abs(mean) * 1e-16;
      CAPTURE(mean);
      CAPTURE(ddof);
      for (const Tensor& got : in_both_modes(var(x, {}, false, ddof), {{x, v}}))
        CHECK(got.item() == doctest::Approx(static_cast<double>(expected)).epsilon(tolerance));
      for (const Tensor& got : in_both_modes(std_(x, {}, false, ddof), {{x, v}}))
        CHECK(got.item() ==
              doctest::Approx(static_cast<double>(std::sqrt(expected))).epsilon(tolerance));
    }
  }
}

TEST_CASE(
    "var and std_ over axes, of integers, of float32, and where nothing is left to divide by") {
  const Expr x = dmatrix("x"), i = lvector("i"), f = fmatrix("f");
  const Tensor v = Tensor::from<double>({2, 3}, {1, 2, 6, -1, -1, -1});
  CHECK(distance(evaluate(var(x, 1), {{x, v}}), Tensor::from<double>({2}, {14.0 / 3, 0})) < 1e-15);
  CHECK(distance(evaluate(var(x, 1, true, 1), {{x, v}}), Tensor::from<double>({2, 1}, {7, 0})) <
        1e-15);
  CHECK(evaluate(std_(x, 0), {{x, v}}) == Tensor::from<double>({3}, {1, 1.5, 3.5}));
  CHECK(evaluate(var(i, {}, false, 1), {{i, Tensor::from<std::int64_t>({3}, {1, 2, 3})}}) ==
        Tensor(1.0));
  CHECK(var(f).dtype() == DType::float32);
  CHECK(std_(f, 0, false, 1).dtype() == DType::float32);
  CHECK(std::isnan(evaluate(var(x, 0, false, 2), {{x, Tensor(DType::float64, {2, 1})}}).at(0)));
  CHECK(evaluate(var(x, 0, false, 3), {{x, Tensor::from<double>({2, 1}, {1, 2})}}).at(0) == inf);
  CHECK_THROWS_WITH_AS(var(x, 2), doctest::Contains("axis"), TypeError);
}

TEST_CASE("norms for any p, over any axes, are their definitions") {
  std::mt19937 random(32);
  const Tensor v = random_tensor(DType::float64, {2, 3, 5}, random, -2, 2);
  const Expr x = variable("x", DType::float64, {-1, -1, -1});
  for (const double p : {2.0, 1.0, inf, -inf, 0.0, 3.0, 1.5, 0.5, -1.0, -2.0}) {
    CAPTURE(p);
    const double expected = static_cast<double>(norm_of(v, p));
    for (const Tensor& got : in_both_modes(norm(x, p), {{x, v}}))
      CHECK(got.item() == doctest::Approx(expected).epsilon(1e-14));
    // Over two axes the third one's elements are apart.
    const Tensor some = evaluate(norm(x, p, {0, 2}, true), {{x, v}});
    CHECK(some.shape() == Shape{1, 3, 1});
    for (std::int64_t k = 0; k < 3; ++k) {
      const Tensor part = evaluate(at(x, k, 1), {{x, v}});
      CHECK(some.at(k) == doctest::Approx(static_cast<double>(norm_of(part, p))).epsilon(1e-14));
    }
    if (p == 0) continue;
    const std::vector<Expr> wrt{x};
    const GradCheck check = check_grad(sum(norm(x, p, 1)), wrt, {{x, v}}, {.order = 2});
    CHECK_MESSAGE(check.ok, check.report);
  }
  CHECK(norm(lvector("i")).dtype() == DType::float64);
  CHECK(norm(fvector("f"), 3).dtype() == DType::float32);
  CHECK_THROWS_WITH_AS(norm(x, quiet_nan), doctest::Contains("norm: p must be a number"),
                       ValueError);
}

TEST_CASE("norms and deviations have slope 0 at 0, whose own slope is NaN, and pass NaN on") {
  const Expr x = dvector("x");
  const Tensor zeros(DType::float64, {3}), ones = Tensor::full(DType::float64, {3}, 1);
  struct Row {
    Expr y;
    Tensor at;
  };
  for (const Row& row : {Row{norm(x), zeros}, Row{norm(x, 1), zeros}, Row{norm(x, inf), zeros},
                         Row{norm(x, 3), zeros}, Row{std_(x), zeros}, Row{std_(x), ones}}) {
    CAPTURE(describe(row.y));
    const Expr slope = grad(row.y, x);
    CHECK(evaluate(row.y, {{x, row.at}}).item() == 0);
    for (const Tensor& got : in_both_modes(slope, {{x, row.at}})) CHECK(got == zeros);
  }
  const Expr curvature = grad(sum(square(grad(norm(x), x))), x);
  for (const Tensor& got : in_both_modes(curvature, {{x, zeros}})) {
    for (std::int64_t k = 0; k < 3; ++k) CHECK(std::isnan(got.at(k)));
  }
  const Tensor nan = Tensor::from<double>({3}, {1, quiet_nan, 2});
  for (const Expr& y : {norm(x), norm(x, 3), std_(x), norm(x, inf), norm(x, -inf)}) {
    for (const Tensor& got : in_both_modes(y, {{x, nan}})) CHECK(std::isnan(got.item()));
  }
}
