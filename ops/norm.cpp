#include "ops/norm.hpp"

#include <cmath>
#include <limits>

#include "ops/arithmetic.hpp"

namespace cinch {

namespace {

/// f(s), s a sum of powers, with value and all derivatives 0 where s is 0, instead of 0 * inf.
template <class F>
Expr zero_at_zero(const Expr& s, F&& f) {
  const Expr zero = equal(s, 0);
  return switch_(zero, 0, f(switch_(zero, 1, s)));
}

Expr safe_sqrt(const Expr& s) {
  return zero_at_zero(s, [](const Expr& positive) { return sqrt(positive); });
}

}  // namespace

Expr var(const Arg& x, const Axes& axes, bool keepdims, std::int64_t ddof) {
  const Attribution as(x.where());
  const Expr deviation = x - mean(x, axes, /*keepdims=*/true);
  const Expr total = sum(square(deviation), axes, keepdims);
  std::vector<Expr> counts;
  for (const std::int64_t axis : axes.of_rank(x->rank())) counts.push_back(size(x, axis));
  return total / maximum(product(counts) - ddof, 0);
}

Expr std_(const Arg& x, const Axes& axes, bool keepdims, std::int64_t ddof) {
  const Attribution as(x.where());
  return safe_sqrt(var(x, axes, keepdims, ddof));
}

Expr norm(const Arg& x, double p, const Axes& axes, bool keepdims) {
  const Attribution as(x.where());
  if (std::isnan(p))
    throw TypeError("norm: p must be a number, it is NaN\n  written at " + x.where().text());
  const Expr v = is_float(x->dtype()) ? x.expr() : cast(x, DType::float64);
  if (p == 2) return safe_sqrt(sum(square(v), axes, keepdims));
  const Expr magnitude = abs(v);
  if (p == 1) return sum(magnitude, axes, keepdims);
  if (p == 0) return sum(cast(not_equal(v, 0), v.dtype()), axes, keepdims);
  if (std::isinf(p)) {
    return p > 0 ? max(magnitude, axes, keepdims) : min(magnitude, axes, keepdims);
  }
  return zero_at_zero(sum(pow(magnitude, p), axes, keepdims),
                      [&](const Expr& positive) { return pow(positive, 1 / p); });
}

}  // namespace cinch
