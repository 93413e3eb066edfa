#include "cinch/ops/statistics.hpp"

#include <algorithm>

#include "cinch/core/refusal.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/arrange.hpp"
#include "cinch/ops/diagonal.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/order.hpp"
#include "cinch/ops/records/operands.hpp"
#include "cinch/ops/records/sizes.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

/// x as floats with the reduced axes as one, the last.
Expr lanes_last(const Expr& x, const std::vector<std::int64_t>& reduced) {
  const Expr real = is_float(x.dtype()) ? x : cast(x, DType::float64);
  std::vector<std::int64_t> order;
  std::vector<Expr> kept, gone;
  for (std::int64_t axis = 0; axis < x.rank(); ++axis) {
    if (std::ranges::find(reduced, axis) != reduced.end()) continue;
    order.push_back(axis);
    kept.push_back(size(x, axis));
  }
  for (const std::int64_t axis : reduced) {
    order.push_back(axis);
    gone.push_back(size(x, axis));
  }
  const Expr moved = dimshuffle(real, order);
  if (reduced.size() == 1) return moved;
  kept.push_back(product(gone));
  return reshape(moved, kept);
}

/// Element `at` of each lane, `at` a scalar or (k): k more axes at the end.
Expr element(const Expr& ordered, const Expr& at) { return take(ordered, at, -1); }

/// The lanes at position `at`, which need not be whole.
Expr interpolated(const Expr& ordered, const Expr& at) {
  const Expr n = size(ordered, -1);
  const Expr low = cast(floor(at), DType::int64), high = minimum(low + 1, n - 1);
  const Expr a = element(ordered, records::computed(low)),
             b = element(ordered, records::computed(high));
  const Expr share = cast(at - floor(at), ordered.dtype());
  // Two infinities that are the same have no difference.
  const Expr step = switch_(equal(a, b), 0, b - a);
  return a + switch_(equal(share, 0), 0, share * step);
}

Expr with_kept_axes(Expr y, const std::vector<std::int64_t>& reduced, std::int64_t lead) {
  for (const std::int64_t axis : reduced) y = expand_dims(y, axis + lead);
  return y;
}

}  // namespace

Expr quantile(const Arg& x, const Arg& q, const Axes& axes, bool keepdims) {
  const Attribution as(x.where());
  if (q->rank() > 1) refuse("quantile", "q must be a number or (k)", x, {q});
  if (const Tensor* value = constant_value(q)) {
    for (std::int64_t k = 0; k < value->size(); ++k) {
      if (!(value->at(k) >= 0 && value->at(k) <= 1))
        refuse<ValueError>("quantile", "q must be in [0, 1]", x, {q});
    }
  }
  const std::vector<std::int64_t> reduced = axes.of("quantile", x);
  if (x->rank() == 0) {
    const Expr y = cast(x, is_float(x->dtype()) ? x->dtype() : DType::float64);
    return q->rank() == 1 ? broadcast_to(y, {size(q, 0)}) : y;
  }
  const Expr ordered = sort(records::with_elements("quantile", lanes_last(x, reduced)), -1);
  const Expr n = size(ordered, -1);
  const Expr share = is_float(q->dtype()) && !q->type().weak ? cast(q, DType::float64) : q.expr();
  const Expr value = interpolated(ordered, share * (n - 1));
  // NaN stands last.
  const Expr last = element(ordered, n - 1);
  Expr y = switch_(is_nan(q->rank() == 1 ? expand_dims(last, -1) : last),
                   q->rank() == 1 ? expand_dims(last, -1) : last, value);
  if (q->rank() == 1) y = moveaxis(y, -1, 0);
  return keepdims ? with_kept_axes(y, reduced, q->rank()) : y;
}

Expr median(const Arg& x, const Axes& axes, bool keepdims) {
  const Attribution as(x.where());
  const std::vector<std::int64_t> reduced = axes.of("median", x);
  if (x->rank() == 0) return cast(x, is_float(x->dtype()) ? x->dtype() : DType::float64);
  const Expr ordered = sort(records::with_elements("median", lanes_last(x, reduced)), -1);
  const Expr n = size(ordered, -1);
  const Expr low = element(ordered, records::computed(floor_div(n - 1, 2))),
             high = element(ordered, records::computed(floor_div(n, 2))),
             last = element(ordered, records::computed(n - 1));
  const Expr middle = switch_(equal(low, high), low, low + 0.5 * (high - low));
  const Expr y = switch_(is_nan(last), last, middle);
  return keepdims ? with_kept_axes(y, reduced, 0) : y;
}

Expr ptp(const Arg& x, const Axes& axes, bool keepdims) {
  const Attribution as(x.where());
  return max(x, axes, keepdims) - min(x, axes, keepdims);
}

Expr average(const Arg& x, const Arg& weights, std::int64_t axis) {
  const Attribution as(x.where());
  axis = axis_of("average", x, axis);
  Expr w = weights;
  if (w.rank() == 1 && x->rank() > 1) {
    std::vector<std::int64_t> pattern(static_cast<std::size_t>(x->rank()), -1);
    pattern[static_cast<std::size_t>(axis)] = 0;
    w = dimshuffle(w, pattern);
  }
  if (w.rank() != x->rank()) {
    refuse("average", "weights must have x's shape or be (n) along the axis", x, {weights});
  }
  w = records::beside_along("average", w, x, axis);
  return sum(w * x, axis) / sum(broadcast_like(w, x), axis);
}

namespace {

Expr deviations(const char* name, const Arg& x) {
  if (x->rank() != 2) {
    refuse(name, "takes (variables, observations)", x);
  }
  return x - mean(x, 1, /*keepdims=*/true);
}

}  // namespace

Expr cov(const Arg& x, std::int64_t ddof) {
  const Attribution as(x.where());
  const Expr d = deviations("cov", x);
  return dot(d, transpose(d)) / maximum(size(x, 1) - ddof, 0);
}

Expr corrcoef(const Arg& x) {
  const Attribution as(x.where());
  const Expr d = deviations("corrcoef", x);
  const Expr scaled = d / sqrt(sum(square(d), 1, /*keepdims=*/true));
  return dot(scaled, transpose(scaled));
}

}  // namespace cinch
