#include "cinch/ops/finite.hpp"

#include <limits>

#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/norm.hpp"
#include "cinch/ops/prod.hpp"

namespace cinch {

namespace {

constexpr double inf = std::numeric_limits<double>::infinity(),
                 quiet_nan = std::numeric_limits<double>::quiet_NaN();

/// `x` with another number in place of NaN.
Expr without_nan(const Expr& x, double instead) { return switch_(is_nan(x), instead, x); }

/// How many elements are not NaN, in x's dtype.
Expr count(const Expr& x, const Axes& axes, bool keepdims) {
  return sum(cast(logical_not(is_nan(x)), x.dtype()), axes, keepdims);
}

}  // namespace

double largest_number(DType dtype) {
  return dtype == DType::float32 ? std::numeric_limits<float>::max()
                                 : std::numeric_limits<double>::max();
}

Expr is_inf(const Arg& x) {
  const Attribution as(x.where());
  return equal(abs(x), inf);
}

Expr is_finite(const Arg& x) {
  const Attribution as(x.where());
  return abs(x) < inf;
}

Expr nan_to_num(const Arg& x, const Replacements& r) {
  const Attribution as(x.where());
  if (!is_float(x->dtype())) return x;
  const double most = largest_number(x->dtype());
  const Expr low = switch_(equal(x, -inf), r.minus_infinity.value_or(-most), x);
  const Expr high = switch_(equal(x, inf), r.infinity.value_or(most), low);
  return switch_(is_nan(x), r.nan, high);
}

Expr nansum(const Arg& x, const Axes& axes, bool keepdims) {
  const Attribution as(x.where());
  return sum(is_float(x->dtype()) ? without_nan(x, 0) : x.expr(), axes, keepdims);
}

Expr nanprod(const Arg& x, const Axes& axes, bool keepdims) {
  const Attribution as(x.where());
  return prod(is_float(x->dtype()) ? without_nan(x, 1) : x.expr(), axes, keepdims);
}

Expr nanmean(const Arg& x, const Axes& axes, bool keepdims) {
  const Attribution as(x.where());
  if (!is_float(x->dtype())) return mean(x, axes, keepdims);
  return nansum(x, axes, keepdims) / count(x, axes, keepdims);
}

Expr nanmax(const Arg& x, const Axes& axes, bool keepdims) {
  const Attribution as(x.where());
  if (!is_float(x->dtype())) return max(x, axes, keepdims);
  return switch_(count(x, axes, keepdims) > 0, max(without_nan(x, -inf), axes, keepdims),
                 quiet_nan);
}

Expr nanmin(const Arg& x, const Axes& axes, bool keepdims) {
  const Attribution as(x.where());
  if (!is_float(x->dtype())) return min(x, axes, keepdims);
  return switch_(count(x, axes, keepdims) > 0, min(without_nan(x, inf), axes, keepdims), quiet_nan);
}

Expr nanvar(const Arg& x, const Axes& axes, bool keepdims, std::int64_t ddof) {
  const Attribution as(x.where());
  if (!is_float(x->dtype())) return var(x, axes, keepdims, ddof);
  const Expr center = nanmean(x, axes, /*keepdims=*/true);
  const Expr deviation = switch_(is_nan(x), 0, without_nan(x, 0) - center);
  const Expr n = count(x, axes, keepdims);
  const Expr divisor = n - static_cast<double>(ddof);
  return sum(square(deviation), axes, keepdims) / switch_(divisor > 0, divisor, quiet_nan);
}

Expr nanstd(const Arg& x, const Axes& axes, bool keepdims, std::int64_t ddof) {
  const Attribution as(x.where());
  if (!is_float(x->dtype())) return std_(x, axes, keepdims, ddof);
  // The length of the deviations, with norm()'s gradient where all are equal.
  const Expr center = nanmean(x, axes, /*keepdims=*/true);
  const Expr deviation = switch_(is_nan(x), 0, without_nan(x, 0) - center);
  const Expr divisor = count(x, axes, keepdims) - static_cast<double>(ddof);
  return norm(deviation, 2, axes, keepdims) / sqrt(switch_(divisor > 0, divisor, quiet_nan));
}

Expr isclose(const Arg& a, const Arg& b, const Closeness& c) {
  const Attribution as(a.where());
  const Expr near = logical_and(is_finite(b), abs(a - b) <= c.atol + c.rtol * abs(b));
  const Expr close = logical_or(equal(a, b), near);
  return c.equal_nan ? logical_or(close, logical_and(is_nan(a), is_nan(b))) : close;
}

Expr allclose(const Arg& a, const Arg& b, const Closeness& closeness) {
  const Attribution as(a.where());
  return all(isclose(a, b, closeness));
}

}  // namespace cinch
