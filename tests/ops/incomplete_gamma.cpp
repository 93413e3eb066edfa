// The gamma distribution function, its quantile and its slopes by the shape; gamma and Poisson
// draws.
#include "cinch/ops/incomplete_gamma.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "cinch/cinch.hpp"

using namespace cinch;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

/// f at one pair of numbers, from both modes, which agree to their last digits.
double at(Expr (*f)(const Arg&, const Arg&), double a, double x) {
  const Expr u = dscalar("a"), v = dscalar("x");
  const Expr y = f(u, v);
  const double fast = function({u, v}, {y})({a, x})[0].item();
  const double checked =
      function({.inputs = {u, v}, .outputs = {y}, .mode = Mode::checked, .watch = Watch::nothing})(
          {a, x})[0]
          .item();
  if (std::isfinite(fast)) CHECK(fast == doctest::Approx(checked).epsilon(1e-15));
  return fast;
}

double relative(double x, double y) { return x == y ? 0 : std::abs(x - y) / std::abs(y); }

double ln_density(double a, double x) { return (a - 1) * std::log(x) - x - std::lgamma(a); }

}  // namespace

TEST_CASE("gammainc and gammaincc: known forms, both tails, and where there is no value") {
  for (const double x : {1e-12, 1e-3, 0.5, 1.0, 3.0, 20.0, 100.0}) {
    CAPTURE(x);
    CHECK(relative(at(gammainc, 0.5, x), std::erf(std::sqrt(x))) < 1e-14);
    CHECK(relative(at(gammaincc, 0.5, x), std::erfc(std::sqrt(x))) < 1e-13);
    CHECK(relative(at(gammainc, 1, x), -std::expm1(-x)) < 1e-14);
    // Fewer than n events of a Poisson process.
    for (const int n : {1, 2, 7, 40}) {
      long double term = std::exp(-static_cast<long double>(x)), below = 0;
      for (int k = 0; k < n; ++k) {
        below += term;
        term *= static_cast<long double>(x) / (k + 1);
      }
      CHECK(relative(at(gammaincc, n, x), static_cast<double>(below)) < 1e-14);
    }
  }
  CHECK(at(gammainc, 2.5, 0) == 0);
  CHECK(at(gammaincc, 2.5, 0) == 1);
  CHECK(at(gammainc, 2.5, inf) == 1);
  CHECK(at(gammaincc, 2.5, inf) == 0);
  CHECK(at(gammainc, 0, 1) == 1);
  CHECK(at(gammainc, inf, 1) == 0);
  for (const auto& [a, x] : std::vector<std::pair<double, double>>{
           {-1, 1}, {1, -1}, {0, 0}, {inf, inf}, {std::nan(""), 1}, {1, std::nan("")}}) {
    CHECK(std::isnan(at(gammainc, a, x)));
    CHECK(std::isnan(at(gammaincc, a, x)));
  }
  CHECK(at(gammaincinv, 2.5, 0) == 0);
  CHECK(at(gammaincinv, 2.5, 1) == inf);
  for (const double p : {-0.1, 1.1, std::nan("")}) CHECK(std::isnan(at(gammaincinv, 2.5, p)));
  CHECK(std::isnan(at(gammaincinv, 0, 0.5)));
  CHECK_THROWS_WITH_AS(gamma_slope(9, 1, 1), doctest::Contains("[1, 8]"), ValueError);
  CHECK_THROWS_AS(gamma_slope(0, 1, 1), ValueError);
}

TEST_CASE("quantiles are those of the distribution function, over many orders of magnitude") {
  for (const double a : {1e-3, 0.03, 0.5, 1.0, 2.5, 30.0, 1e3, 1e6}) {
    for (const double p : {1e-12, 1e-3, 0.3, 0.7, 0.999}) {
      const double x = at(gammaincinv, a, p);
      if (x < 1e-300) continue;  // Below what there are numbers for.
      CAPTURE(a);
      CAPTURE(p);
      // As far as the last digit of x decides.
      const double slack = 4e-16 * std::exp(ln_density(a, x)) * x / p;
      CHECK(relative(at(gammainc, a, x), p) < 1e-13 + 4 * slack + 1e-15 * a);
    }
  }
}

TEST_CASE("slopes by the shape: the recurrence of the distribution function, to eighth order") {
  // d^k/da^k of P(a + 1, x) = P(a, x) - density(a + 1, x): at a and a + 1 other integrals are used,
  // and other sides of x.
  const Expr a = dscalar("a"), x = dscalar("x");
  const Expr density = a * exp(xlogy(a - 1, x) - x - gammaln(a + 1));
  std::vector<Expr> all;
  Expr derivative = density;
  for (int k = 1; k <= 8; ++k) {
    derivative = grad(derivative, a);
    all.push_back(gamma_slope(k, a, x) * density);
    all.push_back(derivative);
  }
  const Function f = function({a, x}, all);
  for (const double shape : {0.02, 0.3, 0.999, 1.0, 2.5, 12.0, 60.0}) {
    for (const double ratio : {0.01, 0.3, 0.9, 1.0, 1.1, 2.0, 8.0}) {
      const double point = std::max(shape, 0.5) * ratio;
      const auto here = f({shape, point}), next = f({shape + 1, point});
      for (std::size_t k = 0; k < 8; ++k) {
        const double left = next[2 * k].item(), first = here[2 * k].item(),
                     second = next[2 * k + 1].item();
        CAPTURE(shape);
        CAPTURE(point);
        CAPTURE(k + 1);
        const double size = std::max({std::abs(left), std::abs(first), std::abs(second)});
        // Derivatives of gammaln of higher orders lose a digit each.
        CHECK(std::abs(left - (first - second)) <= 1e-13 * std::pow(8.0, double(k)) * size);
      }
    }
  }
}

TEST_CASE("derivatives by the shape agree with differences, for shapes large and small") {
  const Expr a = dscalar("a"), x = dscalar("x"), p = dscalar("p");
  const Function slope = function({a, x}, {grad(gammainc(a, x), a), gammainc(a, x)});
  const Expr log_x = log(gammaincinv(a, p));
  const Function drawn = function({a, p}, {grad(log_x, a), log_x});
  for (const double shape : {0.05, 0.5, 3.0, 50.0, 1e4, 1e7}) {
    for (const double q : {0.01, 0.4, 0.9}) {
      CAPTURE(shape);
      CAPTURE(q);
      const double h = 1e-3 * std::min(shape, std::sqrt(shape));
      const double point = std::exp(drawn({shape, q})[1].item());
      const auto difference = [&](const Function& f, double other) {
        const auto value = [&](double by) { return f({shape + by * h, other})[1].item(); };
        return (8 * (value(1) - value(-1)) - (value(2) - value(-2))) / (12 * h);
      };
      CHECK(relative(slope({shape, point})[0].item(), difference(slope, point)) < 1e-7);
      CHECK(relative(drawn({shape, q})[0].item(), difference(drawn, q)) < 1e-7);
    }
  }
}

TEST_CASE("Poisson quantiles are the first counts that reach a probability") {
  for (const double mean : {0.0, 1e-3, 0.5, 3.0, 40.0, 700.0}) {
    for (const double p : {0.0, 1e-9, 0.2, 0.5, 0.95, 1 - 1e-12}) {
      CAPTURE(mean);
      CAPTURE(p);
      const double k = at(poisson_quantile, mean, p);
      CHECK(k == std::floor(k));
      CHECK(k >= 0);
      long double term = std::exp(-static_cast<long double>(mean)), up_to = term, below = 0;
      for (int n = 1; n <= static_cast<int>(k); ++n) {
        below = up_to;
        term *= static_cast<long double>(mean) / n;
        up_to += term;
      }
      CHECK(static_cast<double>(up_to) >= p * (1 - 1e-13));
      if (k > 0) CHECK(static_cast<double>(below) <= p * (1 + 1e-13));
    }
  }
  CHECK(at(poisson_quantile, 3, 1) == inf);
  CHECK(std::isnan(at(poisson_quantile, -1, 0.5)));
  CHECK(std::isnan(at(poisson_quantile, 3, 1.5)));
}

TEST_CASE("gamma draws have their distribution, mean and variance in both dtypes") {
  const std::int64_t count = 20000;
  for (const DType dtype : {DType::float32, DType::float64}) {
    for (const double shape : {0.1, 0.7, 1.0, 4.5, 300.0}) {
      RandomStreams streams(5);
      Tensor t = evaluate(streams.gamma({count}, shape, 2.0, dtype));
      REQUIRE(t.dtype() == dtype);
      std::vector<double> values;
      for (std::int64_t k = 0; k < count; ++k) values.push_back(t.at(k));
      std::ranges::sort(values);
      CHECK(values.front() > 0);
      // Kolmogorov's distance: over 2.2 / sqrt(n) once in 10^4 times.
      double apart = 0;
      const Tensor below = evaluate(
          gammainc(constant(Tensor(shape)), constant(Tensor::from<double>({count}, values)) / 2.0));
      for (std::int64_t k = 0; k < count; ++k)
        apart = std::max(apart, std::abs(below.at(k) - (double(k) + 0.5) / double(count)));
      CAPTURE(shape);
      CHECK(apart < 2.2 / std::sqrt(double(count)));
    }
  }
  // Sizes broadcast against the parameters, and each element has its own.
  RandomStreams streams(6);
  const Expr shapes = constant(Tensor::from<double>({2}, {1, 100}));
  const Tensor rows = evaluate(mean(streams.gamma({4000, 2}, shapes, 1.0, DType::float64), 0));
  CHECK(std::abs(rows.at(0) - 1) < 0.1);
  CHECK(std::abs(rows.at(1) - 100) < 1);
}

TEST_CASE("gradients of gamma draws are those of their moments, of two orders") {
  RandomStreams streams(7);
  Shared shape(Tensor(2.5), "shape"), scale(Tensor(1.5), "scale");
  const Expr x = streams.gamma({100000}, shape, scale, DType::float64);
  const std::vector<Expr> wrt{shape, scale};
  // E x = shape scale, E x^2 = shape (shape + 1) scale^2.
  const auto first = grad(mean(x), wrt), square_of = grad(mean(square(x)), wrt);
  const auto values = function({}, {first[0], first[1], square_of[0], square_of[1],
                                    grad(first[0], shape), grad(square_of[0], shape)})();
  const double expected[] = {1.5, 2.5, 6 * 2.25, 2 * 8.75 * 1.5, 0, 2 * 2.25};
  for (std::size_t k = 0; k < 6; ++k) {
    CAPTURE(k);
    CHECK(std::abs(values[k].item() - expected[k]) < 0.02 * std::max(1.0, expected[k]));
  }
  // The derivative of the very draw, number by number.
  const Expr a = dvector("a");
  const Expr draw = streams.gamma(sizes(a), a, 1.0, DType::float64);
  CHECK(check_grad(sum(sin(draw)), {a}, {{a, Tensor::from<double>({4}, {0.3, 1, 2.5, 40})}},
                   {.order = 3}));
  // So small that the smallest normal number is drawn: its slope is 0.
  const Expr tiny = streams.gamma({1000}, a[0] * 1e-6, 1.0, DType::float32);
  const auto least =
      function({a}, {min(tiny), grad(sum(tiny), a)})({Tensor::from<double>({1}, {1})});
  CHECK(least[0].item() == doctest::Approx(std::numeric_limits<float>::min()));
  CHECK(std::isfinite(least[1].at(0)));
}

TEST_CASE("Poisson draws are whole numbers of their mean and variance, without a gradient") {
  for (const double mean : {0.0, 0.3, 4.0, 60.0, 1e5}) {
    RandomStreams streams(8);
    const std::int64_t count = 20000;
    const Tensor t = evaluate(streams.poisson({count}, mean, DType::float64));
    double total = 0, squares = 0;
    for (std::int64_t k = 0; k < count; ++k) {
      CHECK_MESSAGE(t.at(k) == std::floor(t.at(k)), t.at(k));
      total += t.at(k);
      squares += (t.at(k) - mean) * (t.at(k) - mean);
    }
    CAPTURE(mean);
    CHECK(std::abs(total / double(count) - mean) <= 5 * std::sqrt(mean / double(count)));
    CHECK(std::abs(squares / double(count) - mean) <= 0.06 * mean);
  }
  RandomStreams streams(9);
  Shared rate(Tensor(3.0), "rate");
  CHECK_THROWS_AS(grad(sum(streams.poisson({4}, rate)), rate), GradError);
  CHECK(evaluate(streams.poisson({4}, 3.0, DType::int64)).dtype() == DType::int64);
}

TEST_CASE("shapes, scales and means that no distribution has are errors") {
  RandomStreams streams(3);
  const Expr b = dscalar("b");
  const auto run = [&](const Expr& y, double value, Mode mode) {
    function({.inputs = {b}, .outputs = {y}, .mode = mode})({value});
  };
  for (const double bad : {-1.0, std::nan(""), inf}) {
    CHECK_THROWS_WITH_AS(streams.gamma({4}, bad), doctest::Contains("incomplete_gamma.cpp"),
                         ValueError);
    CHECK_THROWS_WITH_AS(streams.gamma({4}, 1.0, bad), doctest::Contains("scale must be finite"),
                         ValueError);
    CHECK_THROWS_WITH_AS(streams.poisson({4}, bad), doctest::Contains("mean must be finite"),
                         ValueError);
    for (const Mode mode : {Mode::fast, Mode::checked}) {
      CHECK_THROWS_WITH_AS(run(streams.gamma({4}, b), bad, mode), doctest::Contains("gamma: shape"),
                           ValueError);
      CHECK_THROWS_WITH_AS(run(streams.gamma({4}, 1.0, b), bad, mode),
                           doctest::Contains("gamma: scale"), ValueError);
      CHECK_THROWS_WITH_AS(run(streams.poisson({4}, b), bad, mode),
                           doctest::Contains("poisson: mean"), ValueError);
    }
  }
  CHECK_THROWS_AS(streams.gamma({4}, 0.0), ValueError);
  CHECK_THROWS_WITH_AS(run(streams.gamma({4}, b), 0, Mode::fast), doctest::Contains("(0, "),
                       ValueError);
  CHECK_NOTHROW(run(streams.gamma({4}, 1.0, b), 0, Mode::fast));
  CHECK_NOTHROW(run(streams.poisson({4}, b), 0, Mode::fast));
}
