// Probabilities as papers spell them, in products, powers, mixtures and masks, over and under
// logarithms and quotients: values and two derivatives against long double, from where nothing
// happens to where everything is saturated.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <random>
#include <string>

#include "cinch/cinch.hpp"
#include "support/jet.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

constexpr int compared_orders = 3;

/// A probability and what it leaves to 1, neither computed from the other.
struct Share {
  Jet p, q;
};
Share rest_of(const Share& a) { return {a.q, a.p}; }
Share both(const Share& a, const Share& b) {
  return {product(a.p, b.p), combine(a.q, 1, product(a.p, b.q))};
}
Share mixed(Real w, const Share& a, const Share& b) {
  return {combine(scaled(w, a.p), 1 - w, b.p), combine(scaled(w, a.q), 1 - w, b.q)};
}
Jet log_of_share(const Share& a) {
  Jet y = log_of(a.p);
  if (a.q.c[0] < 0.5L) y.c[0] = std::log1p(-a.q.c[0]);
  return y;
}
/// The smaller of the two is exact in all orders; the other one's derivatives are its own.
Share from_smaller(Jet small, bool is_p) {
  Jet other = scaled(-1, small);
  other.c[0] = 1 - small.c[0];
  return is_p ? Share{small, other} : Share{other, small};
}
Share sigmoid_share(const Jet& a) {
  const bool low = a.c[0] < 0;
  return from_smaller(exp_of(log_sigmoid(low ? a : scaled(-1, a))), low);
}
/// The weighted part of a softmax: the weights are 0 or 1.
Share softmax_share(const std::vector<Jet>& z, const std::vector<double>& chosen) {
  const Jet total = log_sum(z);
  Jet inside, outside;
  for (std::size_t k = 0; k < z.size(); ++k) {
    const Jet p = exp_of(combine(z[k], -1, total));
    Jet& side = chosen[k] > 0 ? inside : outside;
    side = combine(side, 1, p);
  }
  return from_smaller(inside.c[0] < outside.c[0] ? inside : outside, inside.c[0] < outside.c[0]);
}

struct Form {
  Expr y;
  std::function<Share(Real)> share;
  double steepness;
  std::string text;
};
struct Outcome {
  Expr y;
  std::function<Jet(Real)> value;
  double steepness;
  std::string text;
  bool of_logs = true;  ///< Of logarithms beside which their own rounding is allowed.
};

class Forms {
 public:
  Forms(const Expr& x, std::uint64_t seed) : x_(x), random_(seed) {}

  std::vector<Expr> inputs{};   ///< Weights that are variables,
  std::vector<Tensor> given{};  ///< and what they are.

  Form share(int depth) {
    switch (pick(depth <= 0 ? 2 : 8)) {
      case 0:
        return spelled_sigmoid();
      case 1:
        return spelled_softmax();
      case 2:
      case 3: {
        const Form a = share(depth - 1);
        const std::size_t way = pick(3);
        return {way == 0   ? 1 - a.y
                : way == 1 ? -a.y + 1
                           : 1 + -1 * a.y,
                [a](Real x) { return rest_of(a.share(x)); }, a.steepness, "1 - (" + a.text + ")"};
      }
      case 4: {
        const Form a = share(depth - 1), b = share(depth - 1);
        return {a.y * b.y, [a, b](Real x) { return both(a.share(x), b.share(x)); },
                a.steepness + b.steepness, "(" + a.text + ") (" + b.text + ")"};
      }
      case 5: {
        const Form a = share(depth - 1);
        const bool twice = pick(2) == 0;
        const auto power = [a, twice](Real x) {
          const Share s = a.share(x), two = both(s, s);
          return twice ? two : both(two, s);
        };
        return {twice ? square(a.y) : pow(a.y, 3), power, 3 * a.steepness,
                "(" + a.text + (twice ? ")^2" : ")^3")};
      }
      case 6: {
        const Form a = share(depth - 1), b = share(depth - 1);
        const double w = std::vector{0.25, 0.75, 0.0, 1.0}[pick(4)];
        const bool constant_weight = w * (1 - w) != 0 && pick(2) == 0;
        const Expr weight = constant_weight ? cast(Arg(w), x_.dtype()) : weight_variable({w});
        return {weight * a.y + (1 - weight) * b.y,
                [a, b, w](Real x) { return mixed(w, a.share(x), b.share(x)); },
                std::max(a.steepness, b.steepness),
                text(w, " (", a.text, ") + (1 - w) (", b.text, ")")};
      }
      default: {
        // Either of two that are given: p / (p + q).
        const auto [a, l, s] = affine();
        const auto [b, m, t] = affine();
        const Expr p = exp(a), q = exp(b);
        return {p / (p + q),
                [l = l, m = m](Real x) { return sigmoid_share(combine(l(x), -1, m(x))); },
                std::max(s, t), "exp / (exp + exp)"};
      }
    }
  }

  Outcome outcome(int depth) {
    const Form a = share(depth);
    const auto log_p = [a](Real x) { return log_of_share(a.share(x)); };
    const auto log_q = [a](Real x) { return log_of_share(rest_of(a.share(x))); };
    const double s = a.steepness;
    switch (pick(9)) {
      case 0:
        return {log(a.y), log_p, s, "log(" + a.text + ")"};
      case 1:
        return {log(1 - a.y), log_q, s, "log(1 - " + a.text + ")"};
      case 2:
        return {log1p(-a.y), log_q, s, "log1p(-(" + a.text + "))"};
      case 3: {
        const double t = std::vector{0.0, 0.25, 1.0}[pick(3)];
        const Expr target = weight_variable({t});
        const Expr y = pick(2) ? -(target * log(a.y) + (1 - target) * log(1 - a.y))
                               : -(xlogy(target, a.y) + xlog1py(1 - target, -a.y));
        return {y,
                [=](Real x) {
                  Jet sum;
                  if (t > 0) sum = combine(sum, -t, log_p(x));
                  if (t < 1) sum = combine(sum, t - 1, log_q(x));
                  return sum;
                },
                s, text("cross-entropy of ", t, " and ", a.text)};
      }
      case 4:
        return {log(a.y / (1 - a.y)), [=](Real x) { return combine(log_p(x), -1, log_q(x)); }, s,
                "log odds of " + a.text};
      case 5: {
        const Form b = share(depth - 1);
        return {a.y / b.y,
                [=](Real x) { return exp_of(combine(log_p(x), -1, log_of_share(b.share(x)))); },
                s + b.steepness, "(" + a.text + ") / (" + b.text + ")", false};
      }
      case 6:
        return {a.y / a.y, [](Real) { return constant_jet(1); }, s, "p / p of " + a.text, false};
      case 7:
        return {sqrt(a.y), [=](Real x) { return exp_of(scaled(0.5L, log_p(x))); }, s,
                "sqrt(" + a.text + ")", false};
      default: {
        const Expr y = square(1 - a.y) * log(a.y);
        return {y,
                [=](Real x) {
                  const Share r = rest_of(a.share(x));
                  return product(product(r.p, r.p), log_p(x));
                },
                3 * s, "(1 - p)^2 log p of " + a.text};
      }
    }
  }

 private:
  struct Affine {
    Expr y;
    std::function<Jet(Real)> line;
    double slope;
  };

  std::size_t pick(std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_);
  }
  /// Numbers that float32 holds exactly.
  Affine affine() {
    const double a = std::vector{1.0, -1.0, 0.5, -2.0}[pick(4)],
                 b = std::vector{0.0, 0.0, 1.0, -0.5}[pick(4)];
    const Expr y = a == 1 && b == 0 ? x_ : a == -1 && b == 0 ? -x_ : a * x_ + b;
    return {y, [a, b](Real x) { return line(a, x, b); }, std::abs(a)};
  }
  Expr weight_variable(const std::vector<double>& values) {
    const auto n = static_cast<std::int64_t>(values.size());
    const Shape shape = n == 1 ? Shape{} : Shape{n};
    inputs.push_back(
        variable(text("w", inputs.size()), Type{x_.dtype(), n == 1 ? Dims{} : Dims{n}}));
    given.push_back(Tensor::from<double>(shape, std::span(values)).cast(x_.dtype()));
    return inputs.back();
  }

  Form spelled_sigmoid() {
    const auto [a, l, s] = affine();
    const std::vector<std::pair<const char*, Expr>> ways{
        {"sigmoid", sigmoid(a)},
        {"1 / (1 + exp-)", 1 / (1 + exp(-a))},
        {"exp / (1 + exp)", exp(a) / (1 + exp(a))},
        {"exp / (exp + 1)", exp(a) / (exp(a) + 1)},
        {"(1 + tanh) / 2", 0.5 * (1 + tanh(a / 2))},
        {"(tanh + 1) / 2", (tanh(0.5 * a) + 1) / 2},
        {"tanh / 2 + 1 / 2", 0.5 * tanh(0.5 * a) + 0.5},
        {"1 - 1 / (1 + exp)", 1 - 1 / (1 + exp(a))},
        {"1 - sigmoid-", 1 - sigmoid(-a)},
        {"exp(-softplus)", exp(-softplus(-a))},
        {"(1 + exp)^-1", pow(1 + exp(-a), -1)},
        {"reciprocal", reciprocal(exp(-a) + 1)},
        {"1 - exp- / (1 + exp-)", 1 - exp(-a) / (1 + exp(-a))},
        {"exp(log sigmoid)", exp(log(sigmoid(a)))},
    };
    const auto& [name, y] = ways[pick(ways.size())];
    return {y, [l = l](Real x) { return sigmoid_share(l(x)); }, s, name};
  }

  Form spelled_softmax() {
    std::vector<Expr> columns;
    std::vector<std::function<Jet(Real)>> lines;
    double steepest = 0;
    const std::size_t n = 2 + pick(3);
    for (std::size_t k = 0; k < n; ++k) {
      const auto [a, l, s] = affine();
      columns.push_back(a);
      lines.push_back(l);
      steepest = std::max(steepest, s);
    }
    const Expr z = stack(columns, 1);
    const Expr shifted = exp(z - max(z, 1, true));
    const std::vector<std::pair<const char*, Expr>> ways{
        {"softmax", softmax(z, 1)},
        {"exp / sum exp", exp(z) / sum(exp(z), 1, true)},
        {"shifted", shifted / sum(shifted, 1, true)},
        {"exp(z - logsumexp)", exp(z - logsumexp(z, 1, true))},
        {"exp(log_softmax)", exp(log_softmax(z, 1))},
    };
    const auto& [name, p] = ways[pick(ways.size())];
    std::vector<double> chosen(n, 0.0);
    const std::size_t one = pick(n);
    chosen[one] = 1;
    std::string how = " at one";
    Expr y;
    switch (pick(4)) {
      case 0:
        y = at(p, static_cast<std::int64_t>(one), 1);
        break;
      case 1: {
        const Tensor mask = Tensor::from<double>({static_cast<std::int64_t>(n)}, std::span(chosen));
        y = sum(constant(mask.cast(x_.dtype())) * p, 1);
        how = " by a constant mask";
        break;
      }
      case 2:
        y = sum(weight_variable(chosen) * p, 1);
        how = " by a mask";
        break;
      default:
        if (n > 2) chosen[(one + 1) % n] = 1;
        y = sum(p * weight_variable(chosen), 1);
        how = " by a mask of two";
    }
    return {y,
            [lines, chosen](Real x) {
              std::vector<Jet> logits;
              for (const auto& l : lines) logits.push_back(l(x));
              return softmax_share(logits, chosen);
            },
            steepest, name + how};
  }

  Expr x_;
  std::mt19937_64 random_;
};

struct Precision {
  Real tolerance, largest, least;
};
Precision precision_of(DType dtype) {
  if (dtype == DType::float64) return {64 * 2.3e-16L, 1e300L, 1e-300L};
  return {64 * 1.2e-7L, 1e36L, 1e-36L};
}

std::vector<double> points_of(DType dtype) {
  if (dtype == DType::float64)
    return {-800, -300, -90, -40, -20, -3, -0.125, 0, 0.125, 3, 20, 40, 90, 300, 800};
  return {-1000, -200, -90, -40, -18, -3, -0.125, 0, 0.125, 3, 18, 40, 90, 200, 1000};
}

/// How many of the comparisons hold, and how many were made; the first that fails is reported.
struct Tally {
  int compared = 0, failed = 0;
};

void compare(const Outcome& o, const Expr& x, const std::vector<Expr>& weights,
             const std::vector<Tensor>& given, Tally& tally) {
  const DType dtype = x.dtype();
  const Precision precision = precision_of(dtype);
  const std::vector<double> at = points_of(dtype);
  const Tensor points =
      Tensor::from<double>({static_cast<std::int64_t>(at.size())}, std::span(at)).cast(dtype);
  const Expr y = o.y.rank() == 0 ? broadcast_like(o.y, x) : o.y;
  std::vector<Expr> inputs{x};
  inputs.insert(inputs.end(), weights.begin(), weights.end());
  std::vector<Binding> bindings{{x, points}};
  for (std::size_t k = 0; k < weights.size(); ++k) bindings.emplace_back(weights[k], given[k]);
  std::vector<Tensor> values;
  for (const Expr& e : derivatives(y, x, compared_orders)) values.push_back(evaluate(e, bindings));
  for (std::size_t i = 0; i < at.size(); ++i) {
    const Jet right = o.value(at[i]);
    Real scale = 0, factorial = 1;
    for (int k = 0; k < compared_orders; ++k) scale = std::max(scale, std::abs(right.c[k]));
    if (!(scale < precision.largest)) continue;
    // Exponents are rounded, and the value by as much as they are large.
    const Real loss = 1 + static_cast<Real>(o.steepness) * std::abs(Real(at[i]));
    for (int k = 0; k < compared_orders; ++k) {
      if (k > 0) factorial *= k;
      const Real expected = right.c[k] * factorial,
                 got = values[static_cast<std::size_t>(k)].at(static_cast<std::int64_t>(i));
      ++tally.compared;
      // log_softmax is exact to the last digit of 1, its slopes to that of theirs.
      const Real slopes = 1 + static_cast<Real>(o.steepness);
      const Real floor = o.of_logs ? precision.tolerance * slopes * slopes : 0;
      const Real allowed =
          precision.tolerance * loss * (std::abs(expected) + 0.03L * scale) + floor;
      if (std::abs(got - expected) <= allowed + precision.least) continue;
      ++tally.failed;
      CAPTURE(name(dtype));
      CAPTURE(o.text);
      CAPTURE(describe(o.y, 6));
      CAPTURE(at[i]);
      CAPTURE(k);
      CAPTURE(static_cast<double>(expected));
      CAPTURE(static_cast<double>(got));
      CHECK(std::abs(got - expected) <= allowed + precision.least);
      return;
    }
  }
}

}  // namespace

TEST_CASE("spelled probabilities, their logarithms and quotients are right where they saturate") {
  Tally tally;
  for (const DType dtype : {DType::float64, DType::float32}) {
    const Expr x = variable("x", dtype, {-1});
    for (std::uint64_t seed = 0; seed < 400; ++seed) {
      Forms forms(x, seed);
      const Outcome o = forms.outcome(seed % 2 == 0 ? 0 : 1);
      CAPTURE(seed);
      compare(o, x, forms.inputs, forms.given, tally);
    }
  }
  CHECK(tally.compared > 20000);
}
