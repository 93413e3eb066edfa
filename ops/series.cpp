#include "ops/series.hpp"

#include <algorithm>
#include <cmath>

#include "core/leaves.hpp"
#include "ops/activation.hpp"
#include "ops/arithmetic.hpp"
#include "ops/root.hpp"
#include "ops/shape.hpp"
#include "ops/slopes.hpp"
#include "ops/special.hpp"
#include "ops/trigonometry.hpp"

namespace cinch {

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

constexpr std::size_t terms = Series::terms;

Series constant_series(const Coefficient& c) {
  Series result;
  result.c[0] = c;
  return result;
}

Series operator+(const Series& a, const Series& b) {
  Series result{{}, a.varies || b.varies};
  for (std::size_t k = 0; k < terms; ++k) result.c[k] = a.c[k] + b.c[k];
  return result;
}

Series operator*(const Series& a, const Series& b) {
  Series result{{}, a.varies || b.varies};
  for (std::size_t k = 0; k < terms; ++k) {
    for (std::size_t j = 0; j <= k; ++j) result.c[k] = result.c[k] + a.c[j] * b.c[k - j];
  }
  return result;
}

Series operator*(double a, const Series& b) { return constant_series(a) * b; }
Series operator-(const Series& a, const Series& b) { return a + -1 * b; }

/// Nothing where b is 0 at 0.
std::optional<Series> quotient(const Series& a, const Series& b) {
  if (b.c[0].zero()) return {};
  Series result{{}, a.varies || b.varies};
  for (std::size_t k = 0; k < terms; ++k) {
    Coefficient rest = a.c[k];
    for (std::size_t j = 0; j < k; ++j) rest = rest - result.c[j] * b.c[k - j];
    result.c[k] = rest / b.c[0];
  }
  return result;
}

Series derivative(const Series& a) {
  Series result{{}, a.varies};
  for (std::size_t k = 0; k + 1 < terms; ++k)
    result.c[k] = a.c[k + 1] * Coefficient(static_cast<double>(k + 1));
  return result;
}

Series integral(const Coefficient& at_zero, const Series& slope) {
  Series result = constant_series(at_zero);
  result.varies = slope.varies;
  for (std::size_t k = 1; k < terms; ++k)
    result.c[k] = slope.c[k - 1] / Coefficient(static_cast<double>(k));
  return result;
}

/// The solution f of f' = slope(f, u) u': one more coefficient is right after each turn.
template <class F>
Series solution(const Coefficient& at_zero, const Series& u, F&& slope) {
  Series f = constant_series(at_zero);
  for (std::size_t k = 1; k < terms; ++k) f = integral(at_zero, slope(f) * derivative(u));
  f.varies = u.varies;
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
  Series s = constant_series(odd), c = constant_series(even);
  for (std::size_t k = 1; k < terms; ++k) {
    const Series next = integral(odd, c * derivative(u));
    c = integral(even, sign * (s * derivative(u)));
    s = next;
  }
  s.varies = c.varies = u.varies;
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
  if (!u.c[0].known() || u.c[0].zero() || u.c[0].value() < 0) return {};
  const Series slope = *quotient(p * derivative(u), u);
  return solution(std::pow(u.c[0].value(), p), constant_series(0) + Series{{0, 1}, u.varies},
                  [&](const Series& f) { return f * slope; });
}

std::optional<Series> log_series(const Series& u) {
  if (u.c[0].zero()) return {};
  const auto slope = quotient(derivative(u), u);
  if (!slope) return {};
  return integral(function_of(u.c[0], std::log, log), *slope);
}

/// |u| a little above 0; nothing where the sign is not known.
std::optional<Series> abs_series(const Series& u) {
  for (const Coefficient& c : u.c) {
    if (!c.known()) return {};
    if (!c.zero()) return c.value() < 0 ? -1 * u : u;
  }
  return u;
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

namespace {

bool value_matters(const Expr& node, std::size_t input) {
  return !(node.op().shape_only >> input & 1u);
}

/// The leaves that the value of `root` depends on; nothing if more than `limit` nodes lie between.
std::optional<NodeSet> value_leaves(const Expr& root, std::size_t limit) {
  NodeSet seen{root.get()}, leaves;
  std::vector<Expr> left{root};
  while (!left.empty()) {
    const Expr e = left.back();
    left.pop_back();
    if (e.inputs().empty() && !constant_value(e)) leaves.insert(e.get());
    for (std::size_t k = 0; k < e.inputs().size(); ++k) {
      if (value_matters(e, k) && seen.insert(e.inputs()[k].get()).second)
        left.push_back(e.inputs()[k]);
    }
    if (seen.size() > limit) return {};
  }
  return leaves;
}

}  // namespace

bool SeriesAround::independent(const Expr& e) {
  const auto mine = value_leaves(e, 200);
  if (!mine) return false;
  if (mine->empty()) return true;
  if (!leaves_) leaves_ = value_leaves(y_, SIZE_MAX);
  return std::ranges::none_of(*mine, [&](const Node* leaf) { return leaves_->contains(leaf); });
}

const std::optional<Series>& SeriesAround::of(const Expr& e) {
  const auto found = known_.find(e.get());
  if (found != known_.end()) return found->second;
  std::optional<Series> result;
  if (budget_-- > 0 && depth_ < deepest) {
    ++depth_;
    result = find(e);
    --depth_;
  }
  return known_[e.get()] = std::move(result);
}

std::optional<Series> SeriesAround::find(const Expr& e) {
  if (e == y_) return Series{{0, 1}, true};
  if (const Tensor* value = constant_value(e)) {
    if (value->size() == 0 || !is_constant(e, value->at(0))) return {};
    return constant_series(value->at(0));
  }
  const Op& op = e.op();
  const bool moves =
      &op == &dimshuffle_op || &op == &broadcast_to_op || &op == &reshape_op || &op == &copy_op;
  if (moves) return of(e.inputs()[0]);
  if (op.elementwise() && is_float(e.dtype())) {
    if (const auto result = find_function(e)) return result;
  }
  if (e.rank() == 0 && e.dtype() != DType::bool_ && independent(e))
    return constant_series(Coefficient(is_float(e.dtype()) ? e : cast(e, DType::float64)));
  return {};
}

std::optional<bool> SeriesAround::truth(const Expr& e) {
  if (depth_ >= deepest) return {};
  ++depth_;
  const auto result = find_truth(e);
  --depth_;
  return result;
}

std::optional<bool> SeriesAround::find_truth(const Expr& e) {
  if (const Tensor* value = constant_value(e); value && value->size() > 0)
    return is_constant(e, value->at(0)) ? std::optional(value->at(0) != 0) : std::nullopt;
  if (budget_-- <= 0) return {};
  const Op* op = &e.op();
  if (op == &not_op) {
    const auto a = truth(e.inputs()[0]);
    return a ? std::optional(!*a) : std::nullopt;
  }
  if (op == &and_op || op == &or_op) {
    const auto a = truth(e.inputs()[0]), b = truth(e.inputs()[1]);
    if (!a || !b) return {};
    return op == &and_op ? *a && *b : *a || *b;
  }
  if (op != &equal_op && op != &not_equal_op && op != &less_op && op != &less_equal_op) return {};
  const auto a = of(e.inputs()[0]), b = of(e.inputs()[1]);
  if (!a || !b || !a->c[0].known() || !b->c[0].known()) return {};
  const double x = a->c[0].value(), y = b->c[0].value();
  if (op == &equal_op) return x == y;
  if (op == &not_equal_op) return x != y;
  return op == &less_op ? x < y : x <= y;
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
    return x[1].varies || !p.known() ? std::nullopt : power(x[0], p.value());
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
  if (op == &softplus_op)
    return from_slope(function_of(
                          u.c[0], [](double a) { return std::log1p(std::exp(a)); }, softplus),
                      u, sigmoid_series(u));
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
  if (op == &hypot_op) return power(u * u + x[1] * x[1], 0.5);
  return {};
}

}  // namespace

std::optional<Series> SeriesAround::find_function(const Expr& e) {
  const Op* op = &e.op();
  if (op == &switch_op) {
    const auto first = truth(e.inputs()[0]);
    if (!first) return {};
    std::optional<Series> result = of(e.inputs()[*first ? 1 : 2]);
    if (result) result->varies = true;
    return result;
  }
  if (op == &cast_op && e.inputs()[0].dtype() == DType::bool_) {
    const auto value = truth(e.inputs()[0]);
    if (!value) return {};
    Series result = constant_series(*value ? 1.0 : 0.0);
    result.varies = true;
    return result;
  }
  std::vector<Series> x;
  for (const Expr& input : e.inputs()) {
    const auto one = of(input);
    if (!one) return {};
    x.push_back(*one);
  }
  // What does not vary is one scalar, whatever it is made of.
  if (std::ranges::none_of(x, &Series::varies) && e.rank() == 0 &&
      std::ranges::any_of(x, [](const Series& s) { return !s.c[0].known(); }))
    return constant_series(Coefficient(e));
  return applied(op, x);
}

}  // namespace cinch
