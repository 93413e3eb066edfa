#include "cinch/ops/rules/series.hpp"

#include <algorithm>
#include <cmath>

#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/run/interpret.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/quantile_functions.hpp"
#include "cinch/ops/rules/even.hpp"
#include "cinch/ops/rules/root.hpp"
#include "cinch/ops/rules/shares.hpp"
#include "cinch/ops/rules/slopes.hpp"
#include "cinch/ops/special.hpp"
#include "cinch/ops/trigonometry.hpp"

namespace cinch::rules {

// Coefficients
// -------------------------------------------------------------------------------------------------

Coefficient::Coefficient(double value) : value_(value), size_(std::abs(value)) {}

bool Coefficient::zero() const { return known() && std::abs(value_) <= 1e-13 * size_; }

Expr Coefficient::expr() const { return known() ? weak_constant(Tensor(value_)) : scalar_; }

Coefficient operator+(const Coefficient& a, const Coefficient& b) {
  if (a.known() && b.known()) {
    Coefficient result(a.value_ + b.value_);
    result.size_ = a.size_ + b.size_;
    return result;
  }
  if (a.zero()) return b;
  if (b.zero()) return a;
  return Coefficient(a.expr() + b.expr());
}

Coefficient operator-(const Coefficient& a, const Coefficient& b) {
  if (!a.known() && !b.known() && a.scalar_ == b.scalar_) return 0;
  return a + Coefficient(-1.0) * b;
}

Coefficient operator*(const Coefficient& a, const Coefficient& b) {
  if (a.zero() || b.zero()) {
    Coefficient result(0.0);
    result.size_ = a.size_ * b.size_;
    return result;
  }
  if (a.known() && b.known()) {
    Coefficient result(a.value_ * b.value_);
    result.size_ = a.size_ * b.size_;
    return result;
  }
  if (a.known() && a.value_ == 1) return b;
  if (b.known() && b.value_ == 1) return a;
  return Coefficient(a.expr() * b.expr());
}

Coefficient operator/(const Coefficient& a, const Coefficient& b) {
  if (b.known()) return a * Coefficient(1 / b.value_);
  return a.zero() ? a : Coefficient(a.expr() / b.expr());
}

namespace {

Coefficient function_of(const Coefficient& x, double (*number)(double), Expr (*expr)(const Arg&)) {
  return x.known() ? Coefficient(number(x.value())) : Coefficient(expr(x.expr()));
}

// Series
// -------------------------------------------------------------------------------------------------

Series constant_series(const Coefficient& c) {
  Series result;
  result.c[0] = c;
  if (!c.known()) result.terms = Series::unknown;
  return result;
}

/// 0, as right and as variable as what is made of both.
Series joined(const Series& a, const Series& b) {
  Series result;
  result.terms = std::min(a.terms, b.terms);
  result.varies = a.varies || b.varies;
  result.removable = a.removable || b.removable;
  result.jumps = a.jumps || b.jumps;
  return result;
}

Series operator+(const Series& a, const Series& b) {
  Series result = joined(a, b);
  for (std::size_t k = 0; k < result.terms; ++k) result.c[k] = a.c[k] + b.c[k];
  return result;
}

Series operator*(const Series& a, const Series& b) {
  Series result = joined(a, b);
  for (std::size_t k = 0; k < result.terms; ++k) {
    for (std::size_t j = 0; j <= k; ++j) result.c[k] = result.c[k] + a.c[j] * b.c[k - j];
  }
  return result;
}

Series operator*(double a, const Series& b) {
  Series result = b;
  for (std::size_t k = 0; k < b.terms; ++k) result.c[k] = Coefficient(a) * b.c[k];
  return result;
}
Series operator-(const Series& a, const Series& b) { return a + -1 * b; }

/// a / v^k, of which a is a multiple; or times v^-k.
Series shifted(const Series& a, std::ptrdiff_t k) {
  Series result = a;
  result.c = {};
  const auto n = static_cast<std::ptrdiff_t>(a.terms);
  result.terms = static_cast<std::size_t>(
      std::clamp<std::ptrdiff_t>(n - k, 0, static_cast<std::ptrdiff_t>(Series::most)));
  for (std::ptrdiff_t j = 0; j < static_cast<std::ptrdiff_t>(result.terms); ++j) {
    if (j + k >= 0) result.c[static_cast<std::size_t>(j)] = a.c[static_cast<std::size_t>(j + k)];
  }
  return result;
}

/// Nothing where there is a pole.
std::optional<Series> quotient(const Series& x, const Series& y) {
  const std::size_t zeros = order_of(y);
  if (zeros == y.terms || order_of(x) < zeros) return {};
  const auto by = static_cast<std::ptrdiff_t>(zeros);
  const Series a = shifted(x, by), b = shifted(y, by);
  Series result = joined(a, b);
  if (zeros > 0) result.removable = result.jumps = true;
  for (std::size_t k = 0; k < result.terms; ++k) {
    Coefficient rest = a.c[k];
    for (std::size_t j = 0; j < k; ++j) rest = rest - result.c[j] * b.c[k - j];
    result.c[k] = rest / b.c[0];
  }
  return result;
}

Series derivative(const Series& a) {
  Series result = a;
  for (std::size_t k = 0; k + 1 < a.terms; ++k)
    result.c[k] = a.c[k + 1] * Coefficient(static_cast<double>(k + 1));
  if (a.terms > 0) result.c[a.terms - 1] = 0;
  return result;
}

Series integral(const Coefficient& at_zero, const Series& slope) {
  Series result = slope;
  result.c[0] = at_zero;
  for (std::size_t k = 1; k < slope.terms; ++k)
    result.c[k] = slope.c[k - 1] / Coefficient(static_cast<double>(k));
  return result;
}

/// The solution f of f' = slope(f) u'. One more coefficient is right after each turn, and stays.
template <class F>
Series solution(const Coefficient& at_zero, const Series& u, F&& slope) {
  Series f = joined(constant_series(at_zero), u);
  f.c[0] = at_zero;
  const Series of_u = derivative(u);
  for (std::size_t k = 1; k < f.terms; ++k) f.c[k] = integral(at_zero, slope(f) * of_u).c[k];
  return f;
}

Series exp_series(const Series& u) {
  return solution(function_of(u.c[0], std::exp, exp), u, [](const Series& f) { return f; });
}
Series tanh_series(const Series& u) {
  return solution(function_of(u.c[0], std::tanh, tanh), u,
                  [](const Series& f) { return constant_series(1) - f * f; });
}
Series sigmoid_series(const Series& u) {
  return solution(function_of(
                      u.c[0], [](double x) { return 1 / (1 + std::exp(-x)); }, sigmoid),
                  u, [](const Series& f) { return f * (constant_series(1) - f); });
}

/// A pair of functions that are each other's derivative, but for the sign of the second's.
std::pair<Series, Series> waves(const Series& u, const Coefficient& odd, const Coefficient& even,
                                double sign) {
  Series s = joined(constant_series(odd), u), c = s;
  s.c[0] = odd;
  c.c[0] = even;
  const Series of_u = derivative(u);
  for (std::size_t k = 1; k < s.terms; ++k) {
    const Coefficient next = integral(odd, c * of_u).c[k];
    c.c[k] = integral(even, sign * (s * of_u)).c[k];
    s.c[k] = next;
  }
  return {s, c};
}

/// u^p; nothing where that is no series.
std::optional<Series> power(const Series& u, double p) {
  if (p == std::floor(p) && std::abs(p) <= 64) {
    Series result = constant_series(1);
    result.varies = u.varies;
    for (int k = 0; k < static_cast<int>(std::abs(p)); ++k) result = result * u;
    return p < 0 ? quotient(constant_series(1), result) : result;
  }
  const std::size_t zeros = order_of(u);
  if (zeros == u.terms) return {};
  const double left = static_cast<double>(zeros) * p;
  if (left < 0 || std::abs(left - std::round(left)) > 1e-6) return {};  // 4 / 3 may be a float32.
  const Series w = shifted(u, static_cast<std::ptrdiff_t>(zeros));
  if (w.c[0].known() && w.c[0].value() < 0) return {};
  const Coefficient first = w.c[0].known() ? Coefficient(std::pow(w.c[0].value(), p))
                                           : Coefficient(pow(w.c[0].expr(), p));
  const Series slope = *quotient(p * derivative(w), w);
  Series result = joined(constant_series(first), w);
  result.c[0] = first;
  for (std::size_t k = 1; k < result.terms; ++k) result.c[k] = integral(first, result * slope).c[k];
  result.removable = result.removable || zeros > 0;  // Its derivatives' formulas are 0 / 0.
  return shifted(result, -static_cast<std::ptrdiff_t>(std::round(left)));
}

std::optional<Series> log_series(const Series& u) {
  if (u.c[0].zero()) return {};
  const auto slope = quotient(derivative(u), u);
  if (!slope) return {};
  return integral(function_of(u.c[0], std::log, log), *slope);
}

/// The sign a little above 0: 0 for a series that is 0; nothing where it is not known.
std::optional<int> sign_beside(const Series& u) {
  for (std::size_t k = 0; k < u.terms; ++k) {
    if (u.c[k].zero()) continue;
    if (!u.c[k].known()) return {};
    return u.c[k].value() < 0 ? -1 : 1;
  }
  return 0;
}

std::optional<Series> abs_series(const Series& u) {
  const auto sign = sign_beside(u);
  if (!sign) return {};
  return *sign < 0 ? -1 * u : u;
}

/// From a derivative that may not exist.
std::optional<Series> from_slope(const Coefficient& at_zero, const Series& u,
                                 const std::optional<Series>& slope) {
  if (!slope) return {};
  return integral(at_zero, *slope * derivative(u));
}

}  // namespace

// Finding them
// -------------------------------------------------------------------------------------------------

bool identically_zero(const Coefficient& a) {
  if (a.known()) return a.zero();
  const Expr e = a.expr();
  std::vector<Expr> leaves;
  for (const Expr& node : topological(std::span(&e, 1))) {
    if (is_variable(node)) leaves.push_back(node);
    if (!is_variable(node) && graphs::is_leaf(node) && !constant_value(node)) return false;
  }
  // In float64, so that only what cancels is 0.
  std::uint64_t state = 1;
  const auto draw = [&] {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return 0.3 + 1.4 * static_cast<double>(state >> 11) / 9007199254740992.0;
  };
  for (int turn = 0; turn < 3; ++turn) {
    Substitutions values;
    for (const Expr& leaf : leaves) {
      const double x = draw();
      values.emplace_back(leaf, leaf.dtype() == DType::bool_ ? constant(Tensor(x < 1))
                                : is_float(leaf.dtype())     ? constant(Tensor(x))
                                                         : constant(Tensor(std::int64_t{turn})));
    }
    std::vector<Expr> parts = substitute(std::span(&e, 1), values);
    // Beside the terms that it is a sum of.
    const Expr root = parts[0];
    for (const Expr& input : root.inputs()) {
      if (is_float(input.dtype()) && input.rank() == 0) parts.push_back(input);
    }
    const std::vector<Tensor> found = running::interpret(parts, {}, /*watch=*/false);
    double size = 1e-3;
    for (const Tensor& t : found) size = std::max(size, std::abs(t.at(0)));
    if (!(std::abs(found[0].at(0)) <= 1e-12 * size)) return false;
  }
  return true;
}

std::size_t order_of(const Series& a) {
  std::size_t k = 0;
  while (k < a.terms && a.c[k].zero()) ++k;
  return k;
}

namespace {

/// But for the rounding of numbers of this type.
bool same(const Coefficient& a, const Coefficient& b, DType dtype) {
  const double rounding = dtype == DType::float32 ? 1e-6 : 1e-12;
  if (a.known() && b.known())
    return std::abs(a.value() - b.value()) <= rounding * (1 + std::abs(a.value()));
  return identically_zero(a - b);
}

std::optional<Series> applied(const Op* op, const std::vector<Series>& x);

}  // namespace

const std::optional<Series>& SeriesIn::of(const Expr& e) {
  const auto found = known_.find(e.get());
  if (found != known_.end()) return found->second;
  std::optional<Series> result;
  if (budget_-- > 0 && depth_ < deepest) {
    ++depth_;
    result = find(e);
    --depth_;
  }
  alive_.push_back(e);
  return known_[e.get()] = std::move(result);
}

bool SeriesIn::varies(const Expr& e) const {
  const std::vector<Expr> nodes = topological(std::span(&e, 1));
  return std::ranges::find(nodes, v_) != nodes.end();
}

/// The series hold where `condition` does, as it does just above 0.
void SeriesIn::keep(const Expr& condition) {
  if (varies(condition))
    unchanged_ = unchanged_.has_value() ? logical_and(unchanged_, condition) : condition;
}

std::optional<Series> SeriesIn::find(const Expr& e) {
  if (e == v_) {
    Series result;
    result.c[1] = 1;
    result.varies = true;
    return result;
  }
  if (const Tensor* value = constant_value(e)) return constant_series(value->at(0));
  const auto as_coefficient = [&] {
    return constant_series(Coefficient(is_float(e.dtype()) ? e : cast(e, DType::float64)));
  };
  if (graphs::is_leaf(e)) return as_coefficient();
  const Op* op = &e.op();
  const std::span<const Expr> in = e.inputs();
  if (op == &switch_op) return choice(in[0], in[1], in[2]);
  if (op == &cast_op && in[0].dtype() == DType::bool_) return choice(in[0], Expr(1.0), Expr(0.0));
  if (op == &maximum_op || op == &minimum_op) return larger(in[0], in[1], op == &maximum_op);
  if (op == &relu_op) return larger(in[0], Expr(0.0), true);
  if (op == &share_op) return of(in[0]);
  if (op == &even_op) {
    const Expr formula = formula_of_even(e, v_);
    return formula.has_value() ? of(formula) : std::nullopt;
  }
  std::vector<Series> x;
  for (const Expr& input : in) {
    const auto one = of(input);
    if (!one) return divided(e);
    x.push_back(*one);
  }
  // What does not vary is one scalar, whatever it is made of.
  if (std::ranges::none_of(x, &Series::varies) &&
      std::ranges::any_of(x, [](const Series& s) { return !s.c[0].known(); })) {
    return as_coefficient();
  }
  if ((op == &abs_op || op == &sign_op) && in[0] != v_) {
    if (const auto sign = sign_beside(x[0]))
      keep(*sign < 0 ? in[0] < 0 : *sign > 0 ? in[0] > 0 : equal(in[0], 0));
  }
  auto result = applied(op, x);
  return result ? result : divided(e);
}

/// sin(v) (1 / v), say: of what is made of parts that have poles, by one division in the end.
std::optional<Series> SeriesIn::divided(const Expr& e) {
  const auto whole = ratio(e, most_products);
  return whole && order_of(whole->below) > 0 ? quotient(whole->above, whole->below) : std::nullopt;
}

std::optional<SeriesIn::Ratio> SeriesIn::ratio(const Expr& e, int depth) {
  const Op* op = &e.op();
  const bool two = op == &mul_op || op == &div_op || op == &add_op || op == &sub_op;
  if (depth > 0 && budget_-- > 0 && !graphs::is_leaf(e)) {
    if (two || op == &square_op) {
      const auto a = ratio(e.inputs()[0], depth - 1);
      const auto b = two ? ratio(e.inputs()[1], depth - 1) : a;
      if (!a || !b) return {};
      const Series below = a->below * b->below;
      if (op == &div_op) return Ratio{a->above * b->below, a->below * b->above};
      if (op == &mul_op || op == &square_op) return Ratio{a->above * b->above, below};
      const Series left = a->above * b->below, right = b->above * a->below;
      return Ratio{op == &add_op ? left + right : left - right, below};
    }
    if (op == &neg_op || (op == &cast_op && is_float(e.inputs()[0].dtype()))) {
      auto a = ratio(e.inputs()[0], depth - 1);
      if (a && op == &neg_op) a->above = -1 * a->above;
      return a;
    }
  }
  const auto& whole = of(e);
  return whole ? std::optional(Ratio{*whole, constant_series(1)}) : std::nullopt;
}

std::optional<Series> SeriesIn::choice(const Expr& condition, const Expr& yes, const Expr& no) {
  const auto when = truth(condition);
  if (!when) return {};
  // How far it holds where v and other values decide together cannot be said here.
  if (when->unknown.has_value() && varies(condition)) return {};
  if (!when->unknown.has_value()) {
    keep(when->beside ? condition : logical_not(condition));
    auto result = of(when->beside ? yes : no);
    if (!result || when->at == when->beside) return result;
    const auto there = of(when->at ? yes : no);
    result->removable = true;
    result->jumps = !there || there->jumps || !same(there->c[0], result->c[0], yes.dtype());
    return result;
  }
  const auto a = of(yes), b = of(no);
  if (!a || !b) return {};
  Series result = joined(*a, *b);
  result.terms = std::min(result.terms, Series::unknown);
  for (std::size_t k = 0; k < result.terms; ++k) {
    const Coefficient &p = a->c[k], &q = b->c[k];
    const bool equal = p.known() && q.known() ? p.value() == q.value() : (p - q).zero();
    result.c[k] = equal ? p : Coefficient(switch_(when->unknown, p.expr(), q.expr()));
  }
  return result;
}

std::optional<Series> SeriesIn::larger(const Expr& a, const Expr& b, bool largest) {
  const auto first = of(a), second = of(b);
  if (!first || !second) return {};
  const Series difference = *first - *second;
  if (const auto sign = sign_beside(difference)) {
    const bool is_larger = *sign > 0;
    keep(is_larger ? b < a : a <= b);
    return is_larger == largest ? *first : *second;
  }
  return choice(largest ? b < a : a < b, a, b);
}

std::optional<Truth> SeriesIn::truth(const Expr& e) {
  if (const Tensor* value = constant_value(e)) {
    const bool holds = value->at(0) != 0;
    return Truth{holds, holds};
  }
  if (graphs::is_leaf(e)) return Truth{.unknown = e};
  if (budget_-- <= 0 || depth_ >= deepest) return {};
  const Op& op = e.op();
  const std::span<const Expr> in = e.inputs();
  if (&op == &equal_op || &op == &not_equal_op || &op == &less_op || &op == &less_equal_op)
    return comparison(op, in[0], in[1]);
  ++depth_;
  std::vector<Truth> parts;
  for (const Expr& input : in) {
    const auto part = input.dtype() == DType::bool_ ? truth(input) : std::nullopt;
    if (part) parts.push_back(*part);
  }
  --depth_;
  if (parts.size() != in.size()) return {};
  if (std::ranges::any_of(parts, [](const Truth& t) { return t.unknown.has_value(); })) {
    std::vector<Expr> inputs;
    for (const Truth& t : parts) {
      if (!t.unknown.has_value() && t.at != t.beside) return {};
      inputs.push_back(t.unknown.has_value() ? t.unknown : constant(Tensor(t.at)));
    }
    return Truth{.unknown = with_inputs(e, std::move(inputs))};
  }
  if (&op == &not_op) return Truth{!parts[0].at, !parts[0].beside};
  if (&op == &and_op) return Truth{parts[0].at && parts[1].at, parts[0].beside && parts[1].beside};
  if (&op == &or_op) return Truth{parts[0].at || parts[1].at, parts[0].beside || parts[1].beside};
  return {};
}

std::optional<Truth> SeriesIn::comparison(const Op& op, const Expr& a, const Expr& b) {
  const auto x = of(a), y = of(b);
  if (!x || !y) return {};
  const Series difference = *x - *y;
  if (difference.jumps) return {};
  const Coefficient& first = difference.c[0];
  if (!first.known()) return Truth{.unknown = apply(op, {first.expr(), literal(0)})};
  const auto beside = sign_beside(difference);
  if (!beside) return {};
  const int at = first.zero() ? 0 : first.value() < 0 ? -1 : 1;
  const auto holds = [&](int sign) {
    if (&op == &equal_op) return sign == 0;
    if (&op == &not_equal_op) return sign != 0;
    return &op == &less_op ? sign < 0 : sign <= 0;
  };
  return Truth{holds(at), holds(*beside)};
}

namespace {

/// The series of op applied to what has the series x; nothing for an op that is not known here.
std::optional<Series> applied(const Op* op, const std::vector<Series>& x) {
  if (op == &cast_op) return x[0];
  if (op == &add_op) return x[0] + x[1];
  if (op == &sub_op) return x[0] - x[1];
  if (op == &mul_op) return x[0] * x[1];
  if (op == &div_op) return quotient(x[0], x[1]);
  if (op == &neg_op) return -1 * x[0];
  if (op == &square_op) return x[0] * x[0];
  if (op == &pow_op) {
    const Coefficient& p = x[1].c[0];
    if (!x[1].varies && p.known()) return power(x[0], p.value());
    const auto exponent = log_series(x[0]);
    return exponent ? std::optional(exp_series(x[1] * *exponent)) : std::nullopt;
  }
  if (op == &sqrt_op || op == &length_op) return power(x[0], 0.5);
  if (op == &abs_op) return abs_series(x[0]);
  const Series one = constant_series(1), &u = x[0];
  if (op == &exp_op) return exp_series(u);
  if (op == &expm1_op) {
    Series result = exp_series(u);
    result.c[0] = function_of(u.c[0], std::expm1, expm1);
    return result;
  }
  if (op == &exp2_op) return exp_series(std::log(2.0) * u);
  if (op == &log_op) return log_series(u);
  if (op == &log1p_op) {
    auto result = log_series(one + u);
    if (result) result->c[0] = function_of(u.c[0], std::log1p, log1p);
    return result;
  }
  if (op == &sin_op || op == &cos_op) {
    const auto [s, c] =
        waves(u, function_of(u.c[0], std::sin, sin), function_of(u.c[0], std::cos, cos), -1);
    return op == &sin_op ? s : c;
  }
  if (op == &sinh_op || op == &cosh_op) {
    const auto [s, c] =
        waves(u, function_of(u.c[0], std::sinh, sinh), function_of(u.c[0], std::cosh, cosh), 1);
    return op == &sinh_op ? s : c;
  }
  if (op == &sech_op) {
    const auto waves_of_u =
        waves(u, function_of(u.c[0], std::sinh, sinh), function_of(u.c[0], std::cosh, cosh), 1);
    return quotient(one, waves_of_u.second);
  }
  if (op == &sigmoid_slope_op) return sigmoid_series(u) * sigmoid_series(-1 * u);
  if (op == &one_minus_square_op) return one - u * u;
  if (op == &exp_of_product_op) return exp_series(u * x[1]);
  if (op == &tanh_op) return tanh_series(u);
  if (op == &sigmoid_op) return sigmoid_series(u);
  if (op == &log_cosh_op)
    return from_slope(function_of(
                          u.c[0], [](double a) { return std::log(std::cosh(a)); }, log_cosh),
                      u, tanh_series(u));
  if (op == &tan_op)
    return solution(function_of(u.c[0], std::tan, tan), u,
                    [&](const Series& f) { return one + f * f; });
  if (op == &arctan_op)
    return from_slope(function_of(u.c[0], std::atan, arctan), u, quotient(one, one + u * u));
  if (op == &arcsinh_op)
    return from_slope(function_of(u.c[0], std::asinh, arcsinh), u, power(one + u * u, -0.5));
  if (op == &arcsin_op)
    return from_slope(function_of(u.c[0], std::asin, arcsin), u, power(one - u * u, -0.5));
  if (op == &arccos_op)
    return from_slope(function_of(u.c[0], std::acos, arccos), -1 * u, power(one - u * u, -0.5));
  if (op == &arctanh_op)
    return from_slope(function_of(u.c[0], std::atanh, arctanh), u, quotient(one, one - u * u));
  if (op == &erf_op || op == &erfc_op) {
    const Series bell = 1.1283791670955125739 * exp_series(-1 * (u * u));
    return op == &erf_op ? from_slope(function_of(u.c[0], std::erf, erf), u, bell)
                         : from_slope(function_of(u.c[0], std::erfc, erfc), u, -1 * bell);
  }
  if (op == &normal_cdf_op) {
    const auto value = [](double a) { return std::erfc(a * -0.70710678118654752440) / 2; };
    return from_slope(function_of(u.c[0], value, normal_cdf), u,
                      0.39894228040143267794 * exp_series(-0.5 * (u * u)));
  }
  const auto softplus_series = [](const Series& a) {
    return from_slope(function_of(
                          a.c[0], [](double t) { return std::log1p(std::exp(t)); }, softplus),
                      a, sigmoid_series(a));
  };
  if (op == &softplus_op) return softplus_series(u);
  if (op == &logaddexp_op) return u + *softplus_series(x[1] - u);
  const auto scaled_log = [](const Series& a, double by) {
    auto result = log_series(a);
    if (result) *result = by * *result;
    return result;
  };
  if (op == &log2_op) return scaled_log(u, 1 / std::log(2.0));
  if (op == &log10_op) return scaled_log(u, 1 / std::log(10.0));
  if (op == &xlogy_op || op == &xlog1py_op) {
    const auto logarithm = log_series(op == &xlogy_op ? x[1] : one + x[1]);
    return logarithm ? std::optional(u * *logarithm) : std::nullopt;
  }
  if (op == &erfinv_op && u.c[0].zero()) {
    return solution(0, u,
                    [](const Series& f) { return 0.88622692545275801365 * exp_series(f * f); });
  }
  if (op == &logit_op) {
    const auto a = log_series(u), b = log_series(one - u);
    return a && b ? std::optional(*a - *b) : std::nullopt;
  }
  if (op == &hypot_op) return power(u * u + x[1] * x[1], 0.5);
  if (op == &sign_op) {
    const auto sign = sign_beside(u);
    if (!sign || u.c[0].zero()) return {};
    Series result = joined(u, u);
    result.c[0] = *sign;
    return result;
  }
  return {};
}

}  // namespace

}  // namespace cinch::rules
