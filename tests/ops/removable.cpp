// Quotients of functions that are both 0 at one point, where another value is chosen: derivatives
// there are those of the smooth function that it all is.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cinch/cinch.hpp"
#include "cinch/core/run/interpret.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

constexpr std::size_t terms = 9;
constexpr int highest_order = 3;
using Taylor = std::array<double, terms>;

/// A function that is 0 at 0, and its power series.
struct Vanishing {
  const char* name;
  std::function<Expr(const Expr&)> f;
  Taylor c;
};

std::vector<Vanishing> vanishing_functions() {
  return {
      {"v", [](const Expr& v) { return v; }, {0, 1}},
      {"v (2 + v)", [](const Expr& v) { return v * (2 + v); }, {0, 2, 1}},
      {"v exp v",
       [](const Expr& v) { return v * exp(v); },
       {0, 1, 1, 1. / 2, 1. / 6, 1. / 24, 1. / 120, 1. / 720, 1. / 5040}},
      {"sin", [](const Expr& v) { return sin(v); }, {0, 1, 0, -1. / 6, 0, 1. / 120, 0, -1. / 5040}},
      {"sinh",
       [](const Expr& v) { return 0.5 * (exp(v) - exp(-v)); },
       {0, 1, 0, 1. / 6, 0, 1. / 120, 0, 1. / 5040}},
      {"tanh",
       [](const Expr& v) { return tanh(v); },
       {0, 1, 0, -1. / 3, 0, 2. / 15, 0, -17. / 315}},
      {"arctan", [](const Expr& v) { return arctan(v); }, {0, 1, 0, -1. / 3, 0, .2, 0, -1. / 7}},
      {"erf",
       [](const Expr& v) { return 0.88622692545275801365 * erf(v); },
       {0, 1, 0, -1. / 3, 0, .1, 0, -1. / 42}},
      {"exp - 1",
       [](const Expr& v) { return exp(v) - 1; },
       {0, 1, 1. / 2, 1. / 6, 1. / 24, 1. / 120, 1. / 720, 1. / 5040, 1. / 40320}},
      {"log(1 + v)",
       [](const Expr& v) { return log(1 + v); },
       {0, 1, -1. / 2, 1. / 3, -1. / 4, 1. / 5, -1. / 6, 1. / 7, -1. / 8}},
      {"1 - cos", [](const Expr& v) { return 1 - cos(v); }, {0, 0, .5, 0, -1. / 24, 0, 1. / 720}},
      {"log cosh", [](const Expr& v) { return log(cosh(v)); }, {0, 0, .5, 0, -1. / 12, 0, 1. / 45}},
      {"v^2", [](const Expr& v) { return square(v); }, {0, 0, 1}},
  };
}

std::size_t zeros_of(const Taylor& a) {
  std::size_t k = 0;
  while (a[k] == 0) ++k;
  return k;
}

/// Of the quotient, as far as its terms are known.
Taylor quotient(const Taylor& a, const Taylor& b) {
  const std::size_t n = zeros_of(b);
  Taylor q{};
  for (std::size_t k = 0; k + n < terms; ++k) {
    q[k] = a[k + n];
    for (std::size_t j = 0; j < k; ++j) q[k] -= q[j] * b[k + n - j];
    q[k] /= b[n];
  }
  return q;
}

double derivative(const Taylor& c, int order, double v) {
  double result = 0;
  for (std::size_t k = terms; k-- > static_cast<std::size_t>(order);) {
    double factor = c[k];
    for (int i = 0; i < order; ++i) factor *= static_cast<double>(k) - i;
    result = result * v + factor;
  }
  return result;
}

/// f(v) / g(v) of v = x - point, guarded.
using Guarded = std::function<Expr(const Expr& x, double point, const Vanishing& f,
                                   const Vanishing& g, double limit)>;
struct Guard {
  const char* name;
  Guarded make;
};

Expr from(const Expr& x, double point) { return point == 0 ? x : x - point; }

std::vector<Guard> guards() {
  return {
      {"where(x == c, limit, f / g)",
       [](const Expr& x, double c, const auto& f, const auto& g, double limit) {
         const Expr v = from(x, c);
         return where(equal(x, c), limit, f.f(v) / g.f(v));
       }},
      {"where(x != c, f * (1 / g), limit)",
       [](const Expr& x, double c, const auto& f, const auto& g, double limit) {
         const Expr v = from(x, c);
         return where(not_equal(x, c), f.f(v) * (1 / g.f(v)), limit);
       }},
      {"where(|v| > 0, f / g, limit)",
       [](const Expr& x, double c, const auto& f, const auto& g, double limit) {
         const Expr v = from(x, c);
         return where(abs(v) > 0, f.f(v) / g.f(v), limit);
       }},
      {"a divisor that is chosen",
       [](const Expr& x, double c, const auto& f, const auto& g, double limit) {
         const Expr v = from(x, c), zero = equal(v, 0);
         return where(zero, limit, f.f(v) / g.f(where(zero, 1, v)));
       }},
      {"both of what is chosen",
       [](const Expr& x, double c, const auto& f, const auto& g, double limit) {
         const Expr v = from(x, c), zero = square(v) <= 0, safe = where(zero, 0.5, v);
         return where(logical_not(zero), f.f(safe) / g.f(safe), limit);
       }},
  };
}

std::vector<double> in_both_modes(const Expr& y, const std::vector<Binding>& at) {
  return {evaluate(y, at).item(),
          cinch::running::interpret(std::span(&y, 1), at, /*watch=*/false)[0].item()};
}

}  // namespace

TEST_CASE(
    "a value chosen where a quotient has none: derivatives of the smooth function they make") {
  int turn = 0;
  for (const Vanishing& f : vanishing_functions()) {
    for (const Vanishing& g : vanishing_functions()) {
      if (zeros_of(f.c) < zeros_of(g.c) || std::string_view(f.name) == g.name) continue;
      const Taylor q = quotient(f.c, g.c);
      for (const Guard& guard : guards()) {
        if (++turn % 3 != 0) continue;  // There are many of these, each as good as the next one.
        const double point = turn % 2 == 0 ? 0 : 0.75;
        const DType dtype = turn % 5 == 0 ? DType::float32 : DType::float64;
        const double digits = dtype == DType::float32 ? 2e-4 : 1e-9;
        const Expr x = variable("x", dtype, {}), h = variable("h", dtype, {});
        const Expr y = h * guard.make(x, point, f, g, q[0]);
        const Expr plain = h * f.f(from(x, point)) / g.f(from(x, point));
        CAPTURE(std::string(f.name));
        CAPTURE(std::string(g.name));
        CAPTURE(std::string(guard.name));
        CAPTURE(point);
        CAPTURE(name(dtype));
        Expr whole = y, apart = plain;
        for (int order = 0; order <= highest_order; ++order) {
          if (order > 0) {
            whole = grad(whole, x, {.disconnected = Disconnected::zero});
            apart = grad(apart, x, {.disconnected = Disconnected::zero});
          }
          CAPTURE(order);
          for (const double v : {0.0, 0x1p-16, -0x1p-16, 0.5, -0.5}) {
            CAPTURE(v);
            // As they are written, values close to the point have lost their digits.
            if (order == 0 && v != 0 && std::abs(v) < 0.1) continue;
            const std::vector<Binding> at{{x, Tensor(v + point).cast(dtype)},
                                          {h, Tensor(2.0).cast(dtype)}};
            const bool far = std::abs(v) > 0.1;
            const double expected = far ? in_both_modes(apart, at)[0] : 2 * derivative(q, order, v);
            for (const double got : in_both_modes(whole, at))
              CHECK(std::abs(got - expected) <=
                    (far ? 100 : 1) * digits * (1 + std::abs(expected)));
          }
        }
        // By what else there is, before and after.
        const Expr mixed = grad(grad(y, h), x, {.disconnected = Disconnected::zero});
        const std::vector<Binding> at{{x, Tensor(point).cast(dtype)}, {h, Tensor(2.0).cast(dtype)}};
        const Expr either = grad(grad(y, x, {.disconnected = Disconnected::zero}), h,
                                 {.disconnected = Disconnected::zero});
        for (const Expr& e : {mixed, either}) {
          for (const double got : in_both_modes(e, at))
            CHECK(std::abs(got - q[1]) <= digits * (1 + std::abs(q[1])));
        }
      }
    }
  }
  CHECK(turn > 500);
}

TEST_CASE("what is chosen counts where it is not the limit, has none, or is one from one side") {
  const Expr x = dvector("x"), p = dscalar("p");
  const std::vector<Binding> at{{x, Tensor::from<double>({3}, {0, 0.5, -0.5})}, {p, Tensor(1.0)}};
  struct Row {
    const char* name;
    Expr y;
    double slope;  ///< At 0.
  };
  for (const Row& row : {Row{"another value", where(equal(x, 0), 3.0, expm1(x) / x), 0},
                         Row{"a variable", where(equal(x, 0), p, expm1(x) / x), 0},
                         Row{"from above alone", where(x > 0, expm1(x) / x, 1.0), 0},
                         Row{"a kink", where(equal(x, 0), 0.0, abs(x)), 0},
                         Row{"a pole", where(equal(x, 0), 0.0, 1 / x), 0},
                         Row{"no series", where(equal(x, 0), 0.0, x * log(abs(x))), 0},
                         Row{"a jump", where(equal(x, 0), 1.0, sign(x)), 0},
                         Row{"another's", where(equal(x, 0), 3 * x + p, expm1(x) / x + 5), 3}}) {
    CAPTURE(std::string(row.name));
    const Expr slope = grad(sum(row.y), x, {.disconnected = Disconnected::zero});
    CHECK(evaluate(slope, at).at(0) == row.slope);
  }
}
