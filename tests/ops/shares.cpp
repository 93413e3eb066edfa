// What saturates keeps its slope's digits, guards that never act leave no trace, and powers say
// where they have no derivative.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// A function of x with two constants, and its first two derivatives.
struct Saturating {
  const char* name;
  std::function<Expr(const Expr& x, double c, double k)> f;
  std::function<double(double x, double c, double k)> first, second;
};

std::vector<Saturating> saturating_functions() {
  const auto sum = [](double x, double c, double k) { return c + k * x * x; };
  const auto slope = [=](double x, double c, double k) { return c * std::pow(sum(x, c, k), -1.5); };
  const auto bend = [=](double x, double c, double k) {
    return -3 * c * k * x * std::pow(sum(x, c, k), -2.5);
  };
  const auto root_slope = [=](double x, double c, double k) {
    return k * x / std::sqrt(sum(x, c, k));
  };
  const auto root_bend = [=](double x, double c, double k) { return k * slope(x, c, k); };
  const auto part_slope = [=](double x, double c, double k) {
    return 2 * c * x * std::pow(sum(x, c, k), -2);
  };
  const auto part_bend = [=](double x, double c, double k) {
    return 2 * c * (c - 3 * k * x * x) * std::pow(sum(x, c, k), -3);
  };
  using C = double;
  return {
      {"x / sqrt(c + k x x)", [](const Expr& x, C c, C k) { return x / sqrt(c + k * x * x); },
       slope, bend},
      {"x rsqrt(k x^2 + c)", [](const Expr& x, C c, C k) { return x * rsqrt(k * square(x) + c); },
       slope, bend},
      {"x / hypot",
       [](const Expr& x, C c, C k) { return x / std::sqrt(k) / hypot(x, std::sqrt(c / k)); }, slope,
       bend},
      {"hypot / sqrt(k)",
       [](const Expr& x, C c, C k) { return std::sqrt(k) * hypot(std::sqrt(c / k), x); },
       root_slope, root_bend},
      {"sqrt(k x x + c)", [](const Expr& x, C c, C k) { return sqrt(k * x * x + c); }, root_slope,
       root_bend},
      {"sqrt(1 + (x / s)^2)",
       [](const Expr& x, C c, C k) {
         return std::sqrt(c) * (sqrt(1 + square(x / std::sqrt(c / k))) - 1);
       },
       root_slope, root_bend},
      {"x x / (c + k x x)", [](const Expr& x, C c, C k) { return x * x / (c + k * x * x); },
       part_slope, part_bend},
      {"x^2 / (k x^2 + c)", [](const Expr& x, C c, C k) { return square(x) / (k * square(x) + c); },
       part_slope, part_bend},
      {"1 / k - c / (c + k x^2) / k",
       [](const Expr& x, C c, C k) { return (1 - c / (c + k * square(x))) / k; }, part_slope,
       part_bend},
      {"abs(x) / (c + k abs(x))", [](const Expr& x, C c, C k) { return abs(x) / (c + k * abs(x)); },
       [](double x, double c, double k) {
         return std::copysign(c * std::pow(c + k * std::abs(x), -2), x);
       },
       [](double x, double c, double k) { return -2 * c * k * std::pow(c + k * std::abs(x), -3); }},
  };
}

Tensor curvature(const Expr& cost, const Expr& x, const Tensor& at) {
  return evaluate(grad(sum(grad(cost, x)), x), {{x, at}});
}

}  // namespace

TEST_CASE("what saturates has slopes and curvatures to the last digits, however large x is") {
  const Tensor points = Tensor::from<double>({8}, {1e-3, 0.7, -3, 50, -800, 3000, 1e5, -1e6});
  for (const Saturating& row : saturating_functions()) {
    for (const auto& [constant, factor] :
         {std::pair{1.0, 1.0}, std::pair{0.01, 0.5}, std::pair{4.0, 3.0}}) {
      const double c = constant, k = factor;
      for (const DType dtype : {DType::float64, DType::float32}) {
        const Expr x = vector("x", dtype);
        const Expr slope = grad(sum(row.f(x, c, k)), x), bend = grad(sum(slope), x);
        const Tensor at = points.cast(dtype);
        for (const Mode mode : {Mode::fast, Mode::checked}) {
          const Function f = function({.inputs = {x}, .outputs = {slope, bend}, .mode = mode});
          const std::vector<Tensor> found = f({at});
          for (std::int64_t i = 0; i < points.size(); ++i) {
            CAPTURE(std::string(row.name));
            CAPTURE(name(dtype));
            CAPTURE(c);
            CAPTURE(at.at(i));
            const double tolerance = dtype == DType::float64 ? 1e-12 : 2e-5;
            CHECK(found[0].at(i) == doctest::Approx(row.first(at.at(i), c, k)).epsilon(tolerance));
            // Whose sign changes near its own zero, and which float32 cannot hold at 1e6.
            const double second = row.second(at.at(i), c, k);
            if (std::abs(second) > 1e-30)
              CHECK(std::abs(found[1].at(i) - second) <= tolerance * std::abs(second));
          }
        }
      }
    }
  }
}

TEST_CASE("a guard that never acts leaves the curvature at 0 as it is") {
  const Expr x = dvector("x");
  const Tensor zero(DType::float64, {2});
  for (const Expr& cost :
       {sum(maximum(square(x), 0.0)), sum(clip(square(x), 0.0, 10.0)), sum(relu(square(x))),
        maximum(sum(square(x)), 0.0), -sum(minimum(-square(x), 0.0)), sum(abs(square(x))),
        sum(maximum(-1.0, x * x)), 2 * sum(sqrt(maximum(square(x), 0.0) + 1)),
        sum(relu(x * x + abs(x) * abs(x))) / 2, sum(abs(pow(x, 4.0) + square(x)))}) {
    CAPTURE(describe(cost));
    CHECK(curvature(cost, x, zero) == Tensor::from<double>({2}, {2, 2}));
  }
}

TEST_CASE("roots of even powers are powers") {
  const Expr x = dvector("x");
  const Tensor at = Tensor::from<double>({3}, {0, -2, 0.5});
  for (const Expr& y : {sqrt(pow(x, 4.0)), sqrt(x * x * x * x), sqrt(square(x) * square(x))}) {
    CAPTURE(describe(y));
    CHECK(distance(evaluate(grad(sum(y), x), {{x, at}}), Tensor::from<double>({3}, {0, -4, 1})) <
          1e-14);
    CHECK(distance(curvature(sum(y), x, at), Tensor::from<double>({3}, {2, 2, 2})) < 1e-14);
  }
  CHECK(evaluate(grad(sum(sqrt(4 * square(x) / square(x - 1))), x), {{x, at}}).at(1) ==
        doctest::Approx(-2.0 / 9));
}

TEST_CASE("a power's slope by its exponent: 0 at base 0, -inf where 0^p jumps, NaN below") {
  const double inf = std::numeric_limits<double>::infinity();
  const Expr x = dvector("x"), p = dvector("p");
  const Tensor bases = Tensor::from<double>({4}, {0, 0, 3, -2}),
               exponents = Tensor::from<double>({4}, {2, 0, 2, 2});
  const Tensor slope = evaluate(grad(sum(pow(x, p)), p), {{x, bases}, {p, exponents}});
  CHECK(slope.at(0) == 0);
  CHECK(slope.at(1) == -inf);
  CHECK(slope.at(2) == doctest::Approx(9 * std::log(3.0)));
  CHECK(std::isnan(slope.at(3)));
  const Tensor same = evaluate(grad(sum(pow(x, x)), x), {{x, bases}});
  CHECK(same.at(0) == -inf);
  CHECK(same.at(2) == doctest::Approx(27 * (1 + std::log(3.0))));
  CHECK(std::isnan(same.at(3)));
}
