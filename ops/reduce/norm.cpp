#include "cinch/ops/norm.hpp"

#include <cmath>
#include <limits>

#include "cinch/core/refusal.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/rules/root.hpp"

namespace cinch {

Expr var(const Arg& x, const Axes& axes, bool keepdims, std::int64_t ddof) {
  const Attribution as(x.where());
  std::vector<Expr> counts;
  for (const std::int64_t axis : axes.of("var", x)) counts.push_back(size(x, axis));
  const Expr deviation = x - mean(x, axes, /*keepdims=*/true);
  const Expr total = sum(square(deviation), axes, keepdims);
  return total / maximum(product(counts) - ddof, 0);
}

Expr std_(const Arg& x, const Axes& axes, bool keepdims, std::int64_t ddof) {
  const Attribution as(x.where());
  return rules::length_of(var(x, axes, keepdims, ddof));
}

Expr norm(const Arg& x, double p, const Axes& axes, bool keepdims) {
  const Attribution as(x.where());
  if (std::isnan(p)) refuse<ValueError>("norm", "p must be a number, it is NaN", x);
  const Expr v = is_float(x->dtype()) ? x.expr() : cast(x, DType::float64);
  if (p == 2) return rules::length_of(sum(square(v), axes, keepdims));
  const Expr magnitude = abs(v);
  if (p == 1) return sum(magnitude, axes, keepdims);
  if (p == 0) return sum(cast(not_equal(v, 0), v.dtype()), axes, keepdims);
  if (std::isinf(p)) {
    return p > 0 ? max(magnitude, axes, keepdims) : min(magnitude, axes, keepdims);
  }
  return rules::root_of_powers(sum(pow(magnitude, p), axes, keepdims), 1 / p);
}

Expr norm(const Arg& x, const NormOptions& options) {
  return norm(x, options.p, options.axes, options.keepdims);
}

}  // namespace cinch
