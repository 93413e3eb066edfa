// Derivatives of functions of lengths where the length is 0: against the same function written in
// the square of the length, without any root.
#include "ops/root.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "cinch/cinch.hpp"
#include "core/interpret.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

using Formula = std::function<Expr(const Expr&)>;

constexpr int highest_order = 4;

/// f(r) for a length r, and its even power series: coefficient k belongs to r^2k.
struct Outer {
  const char* name;
  Formula f;
  std::vector<double> series;
};

std::vector<Outer> outer_functions() {
  const Expr scale = constant(Tensor(2.0));
  return {
      {"r^2", [](const Expr& r) { return square(r); }, {0, 1, 0}},
      {"r r", [](const Expr& r) { return r * r; }, {0, 1, 0}},
      {"r^4", [](const Expr& r) { return pow(r, 4); }, {0, 0, 1}},
      {"r r r r", [](const Expr& r) { return r * (r * r) * r; }, {0, 0, 1}},
      {"exp(-r^2)", [](const Expr& r) { return exp(-square(r)); }, {1, -1, 0.5}},
      {"exp(-(r / 2)^2)",
       [=](const Expr& r) { return exp(-square(r / scale)); },
       {1, -0.25, 1. / 32}},
      {"(r - 1)^2 + 2 r", [](const Expr& r) { return square(r - 1) + 2 * r; }, {1, 1, 0}},
      {"1 / (1 + r^2)", [](const Expr& r) { return 1 / (1 + pow(r, 2)); }, {1, -1, 1}},
      {"log(1 + r^2)", [](const Expr& r) { return log(1 + square(r)); }, {0, 1, -0.5}},
      {"sqrt(1 + r^2)", [](const Expr& r) { return sqrt(1 + square(r)); }, {1, 0.5, -0.125}},
      {"tanh(r^2)", [](const Expr& r) { return tanh(square(r)); }, {0, 1, 0}},
      {"cosh", [](const Expr& r) { return cosh(r); }, {1, 1. / 2, 1. / 24}},
      {"cos(3 r)", [](const Expr& r) { return cos(3 * r); }, {1, -9. / 2, 81. / 24}},
      {"log_cosh", [](const Expr& r) { return log_cosh(r); }, {0, 1. / 2, -1. / 12}},
      {"log(cosh)", [](const Expr& r) { return log(cosh(r)); }, {0, 1. / 2, -1. / 12}},
      {"1 / cosh", [](const Expr& r) { return 1 / cosh(r); }, {1, -1. / 2, 5. / 24}},
      {"r tanh(r)", [](const Expr& r) { return r * tanh(r); }, {0, 1, -1. / 3}},
      {"r sin(r)", [](const Expr& r) { return r * sin(r); }, {0, 1, -1. / 6}},
      {"r sinh(r)", [](const Expr& r) { return r * sinh(r); }, {0, 1, 1. / 6}},
      {"r arctan(r)", [](const Expr& r) { return r * arctan(r); }, {0, 1, -1. / 3}},
      {"r erf(r)",
       [](const Expr& r) { return r * erf(r); },
       {0, 1.1283791670955126, -1.1283791670955126 / 3}},
      {"r arcsinh(r)", [](const Expr& r) { return r * arcsinh(r); }, {0, 1, -1. / 6}},
      {"tanh^2", [](const Expr& r) { return square(tanh(r)); }, {0, 1, -2. / 3}},
      {"sech^2", [](const Expr& r) { return 1 - square(tanh(r)); }, {1, -1, 2. / 3}},
      {"softplus(r) + softplus(-r)",
       [](const Expr& r) { return softplus(r) + softplus(-r); },
       {1.3862943611198906, 0.25, -1. / 96}},
      {"sigmoid(r) sigmoid(-r)",
       [](const Expr& r) { return sigmoid(r) * sigmoid(-r); },
       {0.25, -1. / 16, 1. / 96}},
      {"Huber", [](const Expr& r) { return where(r < 1, 0.5 * square(r), r - 0.5); }, {0, 0.5, 0}},
      {"max(r, 1) + cosh(r)",
       [](const Expr& r) { return maximum(r, 1) + cosh(r); },
       {2, 0.5, 1. / 24}},
  };
}

/// A sum of f(length) over something of x, which is a matrix (3, 2), and of a function of the
/// square.
struct Spelling {
  const char* name;
  std::function<Expr(const Expr&x, const Formula&f)> with_root, with_square;
  Tensor at;  ///< Where all lengths are 0.
};

std::vector<Spelling> spellings() {
  const Tensor zero(DType::float64, {3, 2});
  const Tensor equal_rows = Tensor::from<double>({3, 2}, {1, 2, 1, 2, 1, 2});
  const auto all = [](const Expr& x, const Formula& f) { return f(sum(square(x))); };
  const auto rows = [](const Expr& x, const Formula& f) { return sum(f(sum(square(x), 1))); };
  const auto each = [](const Expr& x, const Formula& f) { return sum(f(square(x))); };
  const auto points = [](const Expr& x) { return expand_dims(x, 0) - expand_dims(x, 1); };
  return {
      {"norm", [](const Expr& x, const Formula& f) { return f(norm(x)); }, all, zero},
      {"sqrt of a sum", [](const Expr& x, const Formula& f) { return f(sqrt(sum(square(x)))); },
       all, zero},
      {"sqrt of x x", [](const Expr& x, const Formula& f) { return f(sqrt(sum(x * x))); }, all,
       zero},
      {"sqrt of dot",
       [](const Expr& x, const Formula& f) { return f(sqrt(dot(flatten(x), flatten(x)))); }, all,
       zero},
      {"Frobenius", [](const Expr& x, const Formula& f) { return f(frobenius_norm(x)); }, all,
       zero},
      {"rows", [](const Expr& x, const Formula& f) { return sum(f(norm(x, 2, 1))); }, rows, zero},
      {"rows, kept", [](const Expr& x, const Formula& f) { return sum(f(norm(x, 2, 1, true))); },
       rows, zero},
      {"hypot",
       [](const Expr& x, const Formula& f) { return sum(f(hypot(at(x, 0, 1), at(x, 1, 1)))); },
       rows, zero},
      {"abs", [](const Expr& x, const Formula& f) { return sum(f(abs(x))); }, each, zero},
      {"sqrt of square", [](const Expr& x, const Formula& f) { return sum(f(sqrt(square(x)))); },
       each, zero},
      {"distances", [=](const Expr& x, const Formula& f) { return sum(f(norm(points(x), 2, 2))); },
       [=](const Expr& x, const Formula& f) { return sum(f(sum(square(points(x)), 2))); },
       equal_rows},
      {"std", [](const Expr& x, const Formula& f) { return sum(f(std_(x, 0))); },
       [](const Expr& x, const Formula& f) { return sum(f(var(x, 0))); }, equal_rows},
  };
}

Tensor as_written(const Expr& y, const std::vector<Binding>& bindings) {
  return interpret(std::span(&y, 1), bindings, /*watch=*/false)[0];
}

/// The derivative in one direction more.
Expr along(const Expr& f, const Expr& x, std::mt19937& random) {
  const Tensor u = random_tensor(DType::float64, {3, 2}, random, 0.5, 1.5).cast(x.dtype());
  return sum(grad(f, x, {.disconnected = Disconnected::zero}) * constant(u));
}

}  // namespace

TEST_CASE("smooth functions of a length have their derivatives where it is 0") {
  for (const Outer& outer : outer_functions()) {
    const Formula in_square = [&](const Expr& s) {
      return outer.series[0] + outer.series[1] * s + outer.series[2] * square(s);
    };
    for (const Spelling& spelling : spellings()) {
      for (const DType dtype : {DType::float64, DType::float32}) {
        const Expr x = variable("x", dtype, {3, 2});
        const std::vector<Binding> at{{x, spelling.at.cast(dtype)}};
        std::mt19937 first(7), second(7);
        Expr f = spelling.with_root(x, outer.f), g = spelling.with_square(x, in_square);
        for (int order = 1; order <= highest_order; ++order) {
          f = along(f, x, first);
          g = along(g, x, second);
          const double expected = as_written(g, at).item();
          CAPTURE(std::string(outer.name));
          CAPTURE(std::string(spelling.name));
          CAPTURE(name(dtype));
          CAPTURE(order);
          const double tolerance = dtype == DType::float64 ? 1e-11 : 2e-4;
          const double checked = as_written(f, at).item();
          CHECK(std::abs(checked - expected) <= tolerance * (1 + std::abs(expected)));
          // Compiling takes its time.
          if (order > 2 && dtype == DType::float32) continue;
          const double fast = evaluate(f, at).item();
          CHECK(std::abs(fast - expected) <= tolerance * (1 + std::abs(expected)));
        }
      }
    }
  }
}

TEST_CASE("smooth functions of lengths: some rows of a batch are 0") {
  std::mt19937 random(8);
  const Expr x = dmatrix("x");
  Tensor v = random_tensor(DType::float64, {5, 3}, random);
  for (const std::int64_t k : {1, 4})
    for (std::int64_t j = 0; j < 3; ++j) v.data<double>()[static_cast<std::size_t>(3 * k + j)] = 0;
  const Expr s = sum(square(x), 1), r = norm(x, 2, 1);
  struct Row {
    const char* name;
    Expr with_root, with_square;
  };
  for (const Row& row :
       {Row{"r^2", square(r), s}, Row{"r^4", pow(r, 4), square(s)},
        Row{"exp(-r^2)", exp(-square(r)), exp(-s)},
        Row{"(1 + r^2)^-1", 1 / (1 + r * r), 1 / (1 + s)},
        Row{"(1 + r^2)^.5", sqrt(1 + pow(r, 2)), sqrt(1 + s)},
        Row{"cosh^2 - sinh^2 + r^2", square(cosh(r)) - square(sinh(r)) + r * r, 1 + s}}) {
    CAPTURE(std::string(row.name));
    Expr f = sum(row.with_root), g = sum(row.with_square);
    for (int order = 1; order <= 3; ++order) {
      const Expr df = grad(f, x), dg = grad(g, x);
      const Tensor expected = as_written(dg, {{x, v}});
      CAPTURE(order);
      CHECK(distance(as_written(df, {{x, v}}), expected) < 1e-9);
      CHECK(distance(evaluate(df, {{x, v}}), expected) < 1e-9);
      f = sum(df * sin(dg));
      g = sum(dg * sin(dg));
    }
  }
}

TEST_CASE(
    "where a function of a length has no derivative it is NaN or the convention, never a quiet 0") {
  const Expr x = dvector("x");
  const std::vector<Binding> zero{{x, Tensor(DType::float64, {3})}};
  struct Row {
    const char* name;
    Expr f;
    int last;  ///< The last order that is a number at 0.
  };
  const Expr r = norm(x), X = expand_dims(x, 0);
  const Expr u = constant(Tensor::from<double>({3}, {0.6, 0, 0.8}));
  for (const Row& row : {Row{"r", r, 1}, Row{"exp(-r)", exp(-r), 1}, Row{"tanh(r)", tanh(r), 1},
                         Row{"(r - 1)^2", square(r - 1), 1}, Row{"r^3", pow(r, 3), 2},
                         Row{"Matern 3/2", (1 + r) * exp(-r), 2}, Row{"r^5", pow(r, 5), 4},
                         Row{"u x / (r + 1)", sum(u * x / (r + 1)), 1}, Row{"std", std_(x), 1},
                         Row{"Frobenius", frobenius_norm(X), 1}, Row{"norm, p = 3", norm(x, 3), 1},
                         Row{"hypot", hypot(at(x, 0), at(x, 2)), 1}}) {
    CAPTURE(std::string(row.name));
    Expr f = row.f;
    for (int order = 1; order <= row.last + 1; ++order) {
      f = sum(grad(f, x, {.disconnected = Disconnected::zero}) * u);
      CAPTURE(order);
      CHECK(std::isnan(evaluate(f, zero).item()) == (order > row.last));
      CHECK(std::isnan(as_written(f, zero).item()) == (order > row.last));
    }
  }
}

TEST_CASE("what has no kink after all has its curvature at 0") {
  const Expr x = dvector("x");
  for (const Expr& y : {abs(square(x)), abs(x * x), sqrt(square(square(x))), abs(abs(x)) * abs(x),
                        square(maximum(x, -x)), square(minimum(-x, x))}) {
    CAPTURE(describe(y));
    const Expr curvature = grad(sum(grad(sum(y), x)), x);
    const std::vector<Binding> at{{x, Tensor::from<double>({3}, {-1, 0, 2})}};
    CHECK(evaluate(curvature, at) == Tensor::from<double>({3}, {2, 2, 2}));
    CHECK(interpret(std::span(&curvature, 1), at, false)[0] ==
          Tensor::from<double>({3}, {2, 2, 2}));
  }
}

TEST_CASE("powers of norms for other p are those of the sum where they are whole") {
  const Expr x = dmatrix("x");
  const Tensor v = Tensor::from<double>({2, 2}, {0, 0, 0, 2});
  for (const double p : {4.0, 6.0}) {
    Expr f = sum(pow(norm(x, p, 1), p)), g = sum(pow(x, p));
    for (int order = 1; order <= 4; ++order) {
      f = sum(grad(f, x));
      g = sum(grad(g, x));
      CAPTURE(p);
      CAPTURE(order);
      const double expected = as_written(g, {{x, v}}).item();
      CHECK(as_written(f, {{x, v}}).item() == doctest::Approx(expected).epsilon(1e-12));
      CHECK(evaluate(f, {{x, v}}).item() == doctest::Approx(expected).epsilon(1e-12));
    }
  }
}

TEST_CASE(
    "a length's scale may be a variable: derivatives by both are right where the length is 0") {
  const Expr x = dvector("x"), scale = dscalar("scale");
  const std::vector<Binding> at{{x, Tensor(DType::float64, {2})}, {scale, Tensor(0.5)}};
  const Expr r = norm(x), s = sum(square(x));
  const Expr f = (1 + scale * r) * exp(-scale * r) + cosh(r / scale);
  const Expr g = 1 - square(scale) * s / 2 + 1 + s / (2 * square(scale));
  const auto by = [](const Expr& cost, const std::vector<Expr>& wrt) {
    Expr result = cost;
    for (const Expr& w : wrt) result = sum(grad(result, w, {.disconnected = Disconnected::zero}));
    return result;
  };
  const std::vector<std::vector<Expr>> orders{{x},           {scale},        {x, x},
                                              {x, scale},    {scale, scale}, {x, x, scale},
                                              {x, scale, x}, {scale, x, x}};
  for (const auto& wrt : orders) {
    const double expected = as_written(by(g, wrt), at).item();
    CAPTURE(wrt.size());
    CHECK(as_written(by(f, wrt), at).item() == doctest::Approx(expected).epsilon(1e-12));
    CHECK(evaluate(by(f, wrt), at).item() == doctest::Approx(expected).epsilon(1e-12));
  }
}
