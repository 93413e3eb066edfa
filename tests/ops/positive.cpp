// Products, quotients, powers and sums of exponentials, written as papers print them and at random:
// values and derivatives to third order against the same computed in logarithms by a small
// evaluator of its own, where the formulas as written overflow and where they do not.
#include "cinch/ops/rules/positive.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "cinch/cinch.hpp"
#include "cinch/core/rewrite/rewrite.hpp"
#include "support/jet.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// A formula that is positive, and its logarithm.
struct Positive {
  Expr y;
  std::function<Jet(Real x)> log;
  double steepness;  // How fast its exponents grow with x.
};

class Grammar {
 public:
  Grammar(const Expr& x, std::uint64_t seed, bool narrow) : x_(x), random_(seed), narrow_(narrow) {}

  Positive positive(int depth) {
    switch (pick(depth == 0 ? 4 : 11)) {
      case 0: {
        const auto [a, b, line_of] = affine();
        return {exp(a), line_of, b};
      }
      case 1: {
        const auto [a, b, l] = affine();
        return {sigmoid(a), [l = l](Real x) { return log_sigmoid(l(x)); }, b};
      }
      case 2: {
        const auto [a, b, l] = affine();
        return {cosh(a), [l = l](Real x) { return log_cosh_of(l(x)); }, b};
      }
      case 3: {
        const double c = std::exp(uniform(-2, 2));
        return {constant_of(c), [c](Real) { return constant_jet(std::log(Real(c))); }, 0};
      }
      case 4:
      case 5: {
        const Positive p = positive(depth - 1), q = positive(depth - 1);
        return {p.y + q.y,
                [p, q](Real x) {
                  return log_sum({p.log(x), q.log(x)});
                },
                std::max(p.steepness, q.steepness)};
      }
      case 6: {
        const Positive p = positive(depth - 1), q = positive(depth - 1);
        return {p.y * q.y, [p, q](Real x) { return combine(p.log(x), 1, q.log(x)); },
                p.steepness + q.steepness};
      }
      case 7: {
        const Positive p = positive(depth - 1), q = positive(depth - 1);
        return {p.y / q.y, [p, q](Real x) { return combine(p.log(x), -1, q.log(x)); },
                p.steepness + q.steepness};
      }
      case 8: {
        const Positive p = positive(depth - 1);
        const double k = std::vector{2.0, 0.5, -1.0, 3.0, 1.5, -2.0}[pick(6)];
        const Expr y = k == 2 ? square(p.y) : k == 0.5 ? sqrt(p.y) : pow(p.y, k);
        return {y, [p, k](Real x) { return scaled(k, p.log(x)); }, std::abs(k) * p.steepness};
      }
      case 9: {
        // A weighted sum of exponentials.
        const auto [terms, b, lines] = table();
        std::vector<double> w;
        for (int k = 0; k < 3; ++k) w.push_back(std::exp(uniform(-2, 2)));
        const Expr weights = constant(Tensor::from<double>({3}, std::span(w)).cast(x_.dtype()));
        return {sum(weights * exp(terms), 1),
                [w, lines = lines](Real x) {
                  std::vector<Jet> logs = lines(x);
                  for (std::size_t k = 0; k < 3; ++k)
                    logs[k] = combine(logs[k], std::log(Real(w[k])), constant_jet(1));
                  return log_sum(logs);
                },
                b};
      }
      default: {
        const auto [terms, b, lines] = table();
        return {mean(sigmoid(terms), 1),
                [lines = lines](Real x) {
                  std::vector<Jet> logs;
                  for (const Jet& l : lines(x))
                    logs.push_back(combine(log_sigmoid(l), -std::log(Real(3)), constant_jet(1)));
                  return log_sum(logs);
                },
                b};
      }
    }
  }

 private:
  struct Affine {
    Expr y;
    double slope;
    std::function<Jet(Real)> line;
  };
  struct Table {
    Expr y;
    double slope;
    std::function<std::vector<Jet>(Real)> lines;
  };

  std::size_t pick(std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_);
  }
  double uniform(double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random_);
  }
  /// Numbers that float32 holds exactly, so that both dtypes compute the same formula.
  double slope() {
    const double scale = std::vector{1.0, 10.0, 100.0, 1000.0}[pick(narrow_ ? 3 : 4)];
    return std::round(uniform(-1, 1) * 64) / 64 * scale;
  }
  Expr constant_of(double c) { return cast(Arg(c), x_.dtype()); }

  Affine affine() {
    const double a = slope(), b = pick(2) ? slope() : 0;
    return {a * x_ + b, std::abs(a), [a, b](Real x) { return line(a, x, b); }};
  }
  Table table() {
    std::vector<double> a, b;
    double steepest = 0;
    for (int k = 0; k < 3; ++k) {
      a.push_back(slope());
      b.push_back(slope());
      steepest = std::max(steepest, std::abs(a.back()));
    }
    const auto row = [&](const std::vector<double>& v) {
      return constant(Tensor::from<double>({3}, std::span(v)).cast(x_.dtype()));
    };
    return {expand_dims(x_, 1) * row(a) + row(b), steepest, [a, b](Real x) {
              std::vector<Jet> lines;
              for (std::size_t k = 0; k < 3; ++k) lines.push_back(line(a[k], x, b[k]));
              return lines;
            }};
  }

  Expr x_;
  std::mt19937_64 random_;
  bool narrow_;
};

struct Limits {
  Real tolerance, largest, least;
};
Limits limits_of(DType dtype) {
  if (dtype == DType::float64) return {1e-9L, 1e300L, 1e-300L};
  return {2e-3L, 1e36L, 1e-36L};
}

}  // namespace

TEST_CASE("random formulas of exponentials: logarithms and quotients are right to third order") {
  int compared = 0, far = 0;
  for (const DType dtype : {DType::float64, DType::float32}) {
    const bool narrow = dtype == DType::float32;
    const Limits limits = limits_of(dtype);
    const Expr x = variable("x", dtype, {-1});
    const std::vector<double> at{-1, -0.5, -0.25, -0.0078125, 0, 0.0078125, 0.25, 0.5, 1};
    const Tensor points =
        Tensor::from<double>({static_cast<std::int64_t>(at.size())}, std::span(at)).cast(dtype);
    for (std::uint64_t seed = 0; seed < 150; ++seed) {
      Grammar grammar(x, seed, narrow);
      const bool logarithm = seed % 2 == 0;
      Positive p = grammar.positive(2);
      if (!logarithm) {
        const Positive q = grammar.positive(2);
        p = {p.y / q.y, [p, q](Real v) { return combine(p.log(v), -1, q.log(v)); },
             p.steepness + q.steepness};
      }
      if (p.y.rank() == 0) p.y = broadcast_like(p.y, x);
      const std::vector<Expr> y = derivatives(logarithm ? log(p.y) : p.y, x, orders);
      const std::vector<Tensor> values = function({x}, y)({points});
      for (std::size_t i = 0; i < at.size(); ++i) {
        const Jet l = p.log(at[i]), right = logarithm ? l : exp_of(l);
        Real factorial = 1, scale = std::abs(right.c[0]) + (logarithm ? 1 : 0);
        // The exponents' own rounding is multiplied by what they are.
        const Real loss = 1 + (logarithm ? 0 : std::abs(l.c[0]));
        for (int k = 0; k < orders; ++k) {
          if (k > 0) factorial *= k, scale *= 1 + p.steepness;
          const Real expected = right.c[k] * factorial,
                     got = values[static_cast<std::size_t>(k)].at(static_cast<std::int64_t>(i));
          if (std::abs(expected) > limits.largest || scale > limits.largest) continue;
          CAPTURE(name(dtype));
          CAPTURE(seed);
          CAPTURE(describe(p.y, 5));
          CAPTURE(at[i]);
          CAPTURE(k);
          CAPTURE(static_cast<double>(expected));
          CAPTURE(static_cast<double>(got));
          CHECK(std::abs(got - expected) <=
                limits.tolerance * loss * (std::abs(expected) + scale) + limits.least);
          ++compared;
          far += std::abs(l.c[0]) > 300;
        }
      }
    }
  }
  CHECK(compared > 6000);
  CHECK(far > 500);
}

TEST_CASE("logarithms of normal distributions are right where the probability vanishes") {
  // (1 - P) / density at z > 0, as a continued fraction from its end.
  const auto mills = [](Real z) {
    Real rest = 0;
    for (int k = 4000; k > 0; --k) rest = k / (z + rest);
    return 1 / (z + rest);
  };
  const Real log_root_two_pi = std::log(2 * std::acos(Real(-1))) / 2;
  for (const DType dtype : {DType::float64, DType::float32}) {
    const double eps = dtype == DType::float64 ? 2.3e-16 : 1.2e-7;
    const Expr x = scalar("x", dtype), root_half = cast(Arg(std::sqrt(0.5)), dtype);
    for (const Expr& y : {log(ndtr(x)), log(1 - ndtr(-x)), log(0.5 * (1 + erf(x * root_half))),
                          log(erfc(-x * root_half) / 2)}) {
      const std::vector<Expr> all = derivatives(y, x, orders);
      const Function f = function({x}, all);
      for (const double z : {4.0, 9.5, 10.5, 14.0, 19.5, 20.5, 22.0, 37.0, 60.0, 1000.0}) {
        CAPTURE(name(dtype));
        CAPTURE(describe(y));
        CAPTURE(z);
        const Real ratio = mills(z), slope = 1 / ratio;
        const auto value =
            static_cast<double>(-Real(z) * z / 2 - log_root_two_pi + std::log(ratio));
        const std::vector<Tensor> got = f({Tensor(-z).cast(dtype)});
        // Rounding of the argument, and what cancels in the ratio's derivatives.
        CHECK(std::abs(got[0].item() / value - 1) <= 8 * eps);
        CHECK(std::abs(got[1].item() / static_cast<double>(slope) - 1) <=
              8 * eps * (1 + z * z / 2));
        const double second = -static_cast<double>(slope * (slope - z));
        CHECK(std::abs(got[2].item() - second) <= 1e3 * eps * (1 + z));
        CHECK(got[3].item() ==
              doctest::Approx(z < 30 ? got[3].item() : 2 / (z * z * z)).epsilon(0.01));
        CHECK(std::isfinite(got[3].item()));
      }
    }
  }
}

TEST_CASE("formulas as papers print them are right to third order however large their exponents") {
  struct Row {
    const char* name;
    std::function<Expr(const Expr&)> y;
    std::function<Jet(const Jet&)> value;
    double most = 1000;  ///< So far from 0 it holds: where 1 - exp(-x) does not vanish.
  };
  const auto sig = [](const Jet& x) { return exp_of(log_sigmoid(x)); };
  const auto tanh_of = [sig](const Jet& x) {
    return combine(sig(scaled(2, x)), -1, sig(scaled(-2, x)));
  };
  const auto plus_number = [](const Jet& a, Real c) { return combine(a, c, constant_jet(1)); };
  const Real ln2 = std::log(Real(2));
  /// log(1 - exp(a)) for a below 0.
  const auto log_rest = [](const Jet& a) {
    Jet y = scaled(-1, exp_of(a));
    y.c[0] = -std::expm1(a.c[0]);
    y = log_of(y);
    if (a.c[0] < -1) y.c[0] = std::log1p(-std::exp(a.c[0]));
    return y;
  };
  const std::vector<Row> rows{
      {"2 sigmoid - 1", [](const Expr& x) { return 2 / (1 + exp(-x)) - 1; },
       [=](const Jet& x) { return tanh_of(scaled(0.5L, x)); }},
      {"1 / (1 + exp)^2", [](const Expr& x) { return 1 / square(1 + exp(-x)); },
       [](const Jet& x) { return exp_of(scaled(2, log_sigmoid(x))); }},
      {"(1 + exp)^-2", [](const Expr& x) { return pow(1 + exp(-x), -2); },
       [](const Jet& x) { return exp_of(scaled(2, log_sigmoid(x))); }},
      {"exp / (1 + exp)^2", [](const Expr& x) { return exp(-x) / square(1 + exp(-x)); },
       [=](const Jet& x) { return product(sig(x), sig(scaled(-1, x))); }},
      {"tanh by exp(2x)", [](const Expr& x) { return (exp(2 * x) - 1) / (exp(2 * x) + 1); },
       tanh_of},
      {"tanh by exp(-2x)", [](const Expr& x) { return (1 - exp(-2 * x)) / (1 + exp(-2 * x)); },
       tanh_of},
      {"tanh", [](const Expr& x) { return (exp(x) - exp(-x)) / (exp(x) + exp(-x)); }, tanh_of},
      {"sinh / cosh", [](const Expr& x) { return sinh(x) / cosh(x); }, tanh_of},
      {"sech", [](const Expr& x) { return 2 / (exp(x) + exp(-x)); },
       [](const Jet& x) { return exp_of(scaled(-1, log_cosh_of(x))); }},
      {"1 / cosh", [](const Expr& x) { return 1 / cosh(x); },
       [](const Jet& x) { return exp_of(scaled(-1, log_cosh_of(x))); }},
      {"1 / cosh^2", [](const Expr& x) { return 1 / square(cosh(x)); },
       [](const Jet& x) { return exp_of(scaled(-2, log_cosh_of(x))); }},
      {"log cosh", [](const Expr& x) { return log(cosh(x)); }, log_cosh_of},
      {"log (exp + exp-)", [](const Expr& x) { return log(0.5 * (exp(x) + exp(-x))); },
       log_cosh_of},
      {"log(1 - tanh^2)", [](const Expr& x) { return log(1 - square(tanh(x))); },
       [](const Jet& x) { return scaled(-2, log_cosh_of(x)); }},
      {"log(1 + tanh)", [](const Expr& x) { return log(1 + tanh(x)); },
       [=](const Jet& x) { return plus_number(log_sigmoid(scaled(2, x)), ln2); }},
      {"log(2 sigmoid)", [](const Expr& x) { return log(2 * sigmoid(x)); },
       [=](const Jet& x) { return plus_number(log_sigmoid(x), ln2); }},
      {"log(sigmoid / 2)", [](const Expr& x) { return log(sigmoid(x) / 2); },
       [=](const Jet& x) { return plus_number(log_sigmoid(x), -ln2); }},
      {"log(exp(-x^2) / 2)", [](const Expr& x) { return log(0.5 * exp(-square(x))); },
       [=](const Jet& x) { return plus_number(scaled(-1, product(x, x)), -ln2); }},
      {"exp(x) / exp(x - 1)", [](const Expr& x) { return exp(x) / exp(x - 1); },
       [](const Jet&) { return constant_jet(std::exp(Real(1))); }},
      {"exp(x) / (exp(x) + exp(2 - x))",
       [](const Expr& x) { return exp(x) / (exp(x) + exp(2 - x)); },
       [=](const Jet& x) { return sig(plus_number(scaled(2, x), -2)); }},
      {"3 exp / (1 + exp)", [](const Expr& x) { return 3 * exp(x) / (1 + exp(x)); },
       [=](const Jet& x) { return scaled(3, sig(x)); }},
      {"exp / (5 + exp)", [](const Expr& x) { return exp(x) / (5 + exp(x)); },
       [=](const Jet& x) { return sig(plus_number(x, -std::log(Real(5)))); }},
      {"sigmoid sigmoid", [](const Expr& x) { return sigmoid(x) * (1 - sigmoid(x)); },
       [=](const Jet& x) { return product(sig(x), sig(scaled(-1, x))); }},
      {"odds of sigmoid", [](const Expr& x) { return log(sigmoid(x) / (1 - sigmoid(x))); },
       [](const Jet& x) { return x; }},
      {"log(sigmoid(x) sigmoid(-x))", [](const Expr& x) { return log(sigmoid(x) * sigmoid(-x)); },
       [](const Jet& x) { return combine(log_sigmoid(x), 1, log_sigmoid(scaled(-1, x))); }},
      {"log(1 / (1 + exp))", [](const Expr& x) { return log(1 / (1 + exp(x))); },
       [](const Jet& x) { return log_sigmoid(scaled(-1, x)); }},
      {"log1p(exp)", [](const Expr& x) { return log1p(exp(x)); },
       [](const Jet& x) { return scaled(-1, log_sigmoid(scaled(-1, x))); }},
      {"log1p(3 exp)", [](const Expr& x) { return log1p(3 * exp(x)); },
       [=](const Jet& x) {
         return scaled(-1, log_sigmoid(plus_number(scaled(-1, x), -std::log(Real(3)))));
       }},
      {"log2(1 + exp2)", [](const Expr& x) { return log2(1 + exp2(x)); },
       [=](const Jet& x) { return scaled(-1 / ln2, log_sigmoid(scaled(-ln2, x))); }},
      {"log(exp + exp + 2)", [](const Expr& x) { return log(exp(x) + exp(3 * x) + 2); },
       [=](const Jet& x) {
         return log_sum({x, scaled(3, x), constant_jet(ln2)});
       }},
      {"log sqrt", [](const Expr& x) { return log(sqrt(1 + exp(2 * x))); },
       [](const Jet& x) { return scaled(-0.5L, log_sigmoid(scaled(-2, x))); }},
      {"log(p^3)", [](const Expr& x) { return log(pow(sigmoid(x), 3)); },
       [](const Jet& x) { return scaled(3, log_sigmoid(x)); }},
      {"sqrt sigmoid", [](const Expr& x) { return sqrt(sigmoid(x)); },
       [](const Jet& x) { return exp_of(scaled(0.5L, log_sigmoid(x))); }},
      {"sigmoid^1.5", [](const Expr& x) { return pow(sigmoid(x), 1.5); },
       [](const Jet& x) { return exp_of(scaled(1.5L, log_sigmoid(x))); }},
      {"exp(x) exp(1 - x)", [](const Expr& x) { return exp(x) * exp(1 - x); },
       [](const Jet&) { return constant_jet(std::exp(Real(1))); }},
      {"cosh exp-", [](const Expr& x) { return cosh(x) * exp(-x); },
       [](const Jet& x) { return exp_of(combine(log_cosh_of(x), -1, x)); }},
      {"log softplus", [](const Expr& x) { return log(log(1 + exp(x))); },
       [](const Jet& x) { return log_of(scaled(-1, log_sigmoid(scaled(-1, x)))); }},
      {"log(-log sigmoid)", [](const Expr& x) { return log(-log(sigmoid(x))); },
       [](const Jet& x) { return log_of(scaled(-1, log_sigmoid(x))); }},
      {"one of two",
       [](const Expr& x) { return log(1 - (1 - sigmoid(x)) * (1 - sigmoid(2 * x + 1))); },
       [=](const Jet& x) {
         const Jet other = log_sigmoid(plus_number(scaled(-2, x), -1));
         return log_rest(combine(log_sigmoid(scaled(-1, x)), 1, other));
       },
       40},
      {"one of several",
       [](const Expr& x) {
         return log1p(-prod(1 - sigmoid(stack({x, x - 1, 2 * x}, 1)), 1));
       },
       [=](const Jet& x) {
         const Jet two = combine(log_sigmoid(scaled(-1, x)), 1, log_sigmoid(scaled(-2, x)));
         return log_rest(combine(two, 1, log_sigmoid(plus_number(scaled(-1, x), 1))));
       },
       40},
      {"discretised logistic",
       [](const Expr& x) { return log(sigmoid(x + 0.5) - sigmoid(x - 0.5)); },
       [=](const Jet& x) {
         const Jet both = combine(log_sigmoid(plus_number(x, 0.5L)), 1,
                                  log_sigmoid(plus_number(scaled(-1, x), 0.5L)));
         return plus_number(both, std::log(-std::expm1(Real(-1))));
       }},
      {"log1p(-tanh^2)", [](const Expr& x) { return log1p(-square(tanh(x))); },
       [](const Jet& x) { return scaled(-2, log_cosh_of(x)); }},
      {"arctanh tanh", [](const Expr& x) { return arctanh(tanh(x)); },
       [](const Jet& x) { return x; }},
      {"tanh by expm1", [](const Expr& x) { return expm1(2 * x) / (expm1(2 * x) + 2); }, tanh_of},
      {"a difference over a sum", [](const Expr& x) { return (2 * exp(x) - 1) / (exp(x) + 2); },
       [=](const Jet& x) {
         return plus_number(scaled(-2.5L, sig(scaled(-1, plus_number(x, -ln2)))), 2);
       }},
      {"weights of any sign",
       [](const Expr& x) { return (x * exp(x) - exp(-x)) / (exp(x) + exp(-x)); },
       [=](const Jet& x) {
         return combine(product(x, sig(scaled(2, x))), -1, sig(scaled(-2, x)));
       }},
      {"log norm",
       [](const Expr& x) {
         return log(norm(exp(stack({x, -x}, 1)), {.axes = 1}));
       },
       [=](const Jet& x) { return scaled(0.5L, plus_number(log_cosh_of(scaled(2, x)), ln2)); }},
      {"a step of a chain",
       [](const Expr& x) {
         return log(sum(exp(stack({x, 2 * x}, 1)) * stack({exp(-2 * x) + 1, exp(x)}, 1), 1));
       },
       [=](const Jet& x) {
         return log_sum({scaled(-1, x), x, scaled(3, x)});
       }},
      {"cross-entropy in parts",
       [](const Expr& x) { return maximum(x, 0) - 0.25 * x + log(1 + exp(-abs(x))); },
       [=](const Jet& x) { return combine(scaled(-0.25L, x), -1, log_sigmoid(scaled(-1, x))); }},
      {"cross-entropy in parts of relu",
       [](const Expr& x) { return relu(x) + log1p(exp(-abs(x))) - 0.25 * x; },
       [=](const Jet& x) { return combine(scaled(-0.25L, x), -1, log_sigmoid(scaled(-1, x))); }},
      {"two Gaussians",
       [](const Expr& x) {
         return log(0.3 * exp(-0.5 * square(x - 1)) + 0.7 * exp(-0.5 * square(x + 1)));
       },
       [=](const Jet& x) {
         const Jet a = plus_number(x, -1), b = plus_number(x, 1);
         return log_sum({plus_number(scaled(-0.5L, product(a, a)), std::log(Real(0.3))),
                         plus_number(scaled(-0.5L, product(b, b)), std::log(Real(0.7)))});
       }},
      {"share of a Gaussian",
       [](const Expr& x) {
         const Expr a = exp(-0.5 * square(x - 1)), b = exp(-0.5 * square(x + 1));
         return a / (a + b);
       },
       [=](const Jet& x) { return sig(scaled(2, x)); }},
  };
  for (const DType dtype : {DType::float64, DType::float32}) {
    const Limits limits = limits_of(dtype);
    const Expr x = variable("x", dtype, {-1});
    const std::vector<double> at =
        dtype == DType::float64
            ? std::vector<double>{-800, -40, -3, -0.125, 0, 0.125, 1, 3, 40, 800}
            : std::vector<double>{-1000, -100, -3, -0.125, 0, 0.125, 1, 3, 100, 1000};
    const Tensor points =
        Tensor::from<double>({static_cast<std::int64_t>(at.size())}, std::span(at)).cast(dtype);
    for (const Row& row : rows) {
      const std::vector<Tensor> values = function({x}, derivatives(row.y(x), x, orders))({points});
      for (std::size_t i = 0; i < at.size(); ++i) {
        if (std::abs(at[i]) > row.most) continue;
        const Jet right = row.value(line(1, at[i], 0));
        Real factorial = 1;
        for (int k = 0; k < orders; ++k) {
          if (k > 0) factorial *= k;
          const Real expected = right.c[k] * factorial,
                     got = values[static_cast<std::size_t>(k)].at(static_cast<std::int64_t>(i));
          CAPTURE(std::string(row.name));
          CAPTURE(name(dtype));
          CAPTURE(at[i]);
          CAPTURE(k);
          CAPTURE(static_cast<double>(expected));
          CAPTURE(static_cast<double>(got));
          if (!(std::abs(expected) < limits.largest && std::abs(right.c[0]) < limits.largest))
            continue;
          // Relative to the value itself at the far ends, where it is tiny.
          const Real scale = std::abs(expected) + 1e-3L * std::abs(right.c[0]);
          const Real tolerance = dtype == DType::float64 ? 1e-12L : 2e-4L;
          CHECK(std::abs(got - expected) <= tolerance * scale + limits.least);
        }
      }
    }
  }
}

TEST_CASE("weights may be variables: sums, pairs and averages of exponentials, products, det") {
  const Expr x = dvector("x"), w = dvector("w"), A = dmatrix("A");
  struct Row {
    Expr naive, stable;
  };
  const Expr y = -x;
  const Row rows[] = {
      {log(sum(w * exp(x))), logsumexp(x + log(w))},
      {log(mean(w * exp(x) / 3)), logsumexp(x + log(w)) - std::log(9.)},
      {log(-2 * sum(-w * exp(x))), logsumexp(x + log(w)) + std::log(2.)},
      {log(w * sum(w * exp(x))), logsumexp(x + log(w)) + log(w)},
      {log(max(w) / sum(w * exp(x))), log(max(w)) - logsumexp(x + log(w))},
      {log(A * sum(w * exp(x))), logsumexp(x + log(w)) + log(A)},
      {sum(log(w * exp(x) + 3 * w * exp(y))), sum(logaddexp(x + log(w), y + log(3 * w)))},
      {sum(w * exp(y)) / sum(exp(y)), sum(w * softmax(y))},
      {log(prod(w)) * sum(x), sum(log(w)) * sum(x)},
      {log(prod(sigmoid(x)) * prod(w)), sum(log(w)) - sum(softplus(-x))},
      {sum(pow(sigmoid(x), w)), sum(exp(-w * softplus(-x)))},
  };
  for (const auto& [at_x, at_w] : std::vector<std::pair<std::vector<double>, std::vector<double>>>{
           {{0.5, -1, 2}, {0.5, 2, 3}},
           {{800, 799, -800}, {0.5, 2, 3}},
           {{-800, -801, -802}, {1e-200, 3e-180, 2}}}) {
    const std::vector<Binding> given{{x, Tensor::from<double>({3}, std::span(at_x))},
                                     {w, Tensor::from<double>({3}, std::span(at_w))},
                                     {A, Tensor::from<double>({2, 3}, {1, 2, 3, 4, 5, 6})}};
    for (const Row& row : rows) {
      const auto all = [&](const Expr& f) {
        const Expr g = grad(sum(f), x), h = grad(sum(f), w);
        return std::vector{f, g, h, grad(sum(g * w) + sum(h), x)};
      };
      const std::vector<Expr> naive = all(row.naive), stable = all(row.stable);
      double steepest = 1;
      for (std::size_t k = 0; k < naive.size(); ++k) {
        const Tensor got = evaluate(naive[k], given), right = evaluate(stable[k], given);
        for (std::int64_t i = 0; i < got.size(); ++i) {
          CAPTURE(describe(row.naive, 5));
          CAPTURE(given[0].second.at(0));
          CAPTURE(k);
          CAPTURE(right.at(i));
          CAPTURE(got.at(i));
          // An exponent as large as x is rounded by a few of its last digits, which the slopes
          // multiply.
          const double rounded = 1e-15 * (10 + std::abs(at_x[0])) * steepest;
          CHECK((got.at(i) == right.at(i) ||
                 std::abs(got.at(i) - right.at(i)) <= 1e-11 * (1e-300 + std::abs(right.at(i))) ||
                 std::abs(got.at(i) - right.at(i)) <= rounded));
        }
        for (std::int64_t i = 0; i < right.size(); ++i)
          steepest = std::max(steepest, std::abs(right.at(i)));
      }
    }
  }
  // What is masked by weight 0 may be as large as it likes.
  const std::vector<Binding> masked{{x, Tensor::from<double>({3}, {1, 5000, 2})},
                                    {w, Tensor::from<double>({3}, {1, 0, 3})}};
  const Expr bits = log(sum(w * exp(x)));
  CHECK(evaluate(bits, masked).item() == doctest::Approx(std::log(std::exp(1) + 3 * std::exp(2))));
  const Tensor slopes = evaluate(grad(bits, x), masked);
  CHECK(slopes.at(0) == doctest::Approx(1 / (1 + 3 * std::exp(1))));
  CHECK(slopes.at(1) == 0);
  // What is negative has no logarithm.
  const std::vector<Binding> negative{{x, Tensor::from<double>({2}, {1, 2})},
                                      {w, Tensor::from<double>({2}, {1, -1})}};
  CHECK(std::isnan(evaluate(log(sum(w * exp(x))), negative).item()));
  CHECK(std::isnan(evaluate(log(prod(w)), negative).item()));
  const Tensor large = Tensor::from<double>({2, 2}, {1e200, 0, 0, 1e200});
  CHECK(evaluate(log(det(A)), {{A, large}}).item() == doctest::Approx(400 * std::log(10.0)));
  const Tensor flipped = Tensor::from<double>({2, 2}, {0, 1, 1, 0});
  CHECK(std::isnan(evaluate(log(det(A)), {{A, flipped}}).item()));
}

TEST_CASE("what cannot go wrong stays as it is written") {
  const Expr x = dvector("x"), w = dvector("w");
  for (const Expr& e : {exp(x) * w, sigmoid(x) * exp(w), log(x + 1e-8), x / (1 + square(x)),
                        exp(-square(x)) / 3, log(sigmoid(x) + 1e-8), pow(0.9, x), x / w,
                        sum(exp(x)) / 5, sigmoid(x) * w, softmax(x, 0) * w}) {
    CAPTURE(describe(e));
    CHECK(describe(cinch::rewriting::rewrite(std::span(&e, 1))[0], 9) == describe(e, 9));
  }
  CHECK(cinch::rules::is_positive(exp(x) + 3));
  CHECK(cinch::rules::is_positive(mean(sigmoid(x)) / 2));
  CHECK_FALSE(cinch::rules::is_positive(w * exp(x)));
  CHECK_FALSE(cinch::rules::is_positive(x));
}
