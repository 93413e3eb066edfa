#include "cinch/models/sparse.hpp"

#include "cinch/core/refusal.hpp"
#include "cinch/ops/along.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/order.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

/// Which are among a share of the largest along axis 0.
Expr lifetime_winners(const char* function, const Arg& h, double rate) {
  if (!(rate > 0 && rate <= 1)) {
    refuse<ValueError>(function, text("the rate is a share of the examples in (0, 1], got ", rate),
                       h.where());
  }
  // The position in a position's place says how many come before it.
  const Expr place = argsort(argsort(h, 0, /*descending=*/true), 0);
  return place < maximum(1, round(rate * cast(size(h, 0), DType::float64)));
}

}  // namespace

Expr largest(const Arg& x, std::int64_t count, std::int64_t axis) {
  const Attribution as(x.where());
  axis = axis_of("largest", x, axis);
  const Dim length = x->dims()[static_cast<std::size_t>(axis)];
  if (count < 1 || (length.known() && count > length.size())) {
    refuse("largest", text("between 1 and all elements along axis ", axis, ", not ", count), x);
  }
  const Expr positions = topk(x, count, axis).indices;
  return add_along_axis(ones_like(cast(positions, x->dtype())), positions, x, axis) > 0;
}

Expr k_sparse(const Arg& h, std::int64_t k) {
  const Attribution as(h.where());
  if (h->rank() != 2) refuse("k_sparse", "codes must be (batch, units)", h);
  const Dim units = h->dims()[1];
  if (k < 1 || (units.known() && k > units.size())) {
    refuse<ValueError>("k_sparse", text("k must be between 1 and the number of units, got ", k), h);
  }
  return switch_(largest(h, k, 1), h, 0);
}

Expr winner_take_all(const Arg& h, double rate) {
  const Attribution as(h.where());
  if (h->rank() != 2) refuse("winner_take_all", "codes must be (batch, units)", h);
  return switch_(lifetime_winners("winner_take_all", h, rate), h, 0);
}

Expr spatial_winners(const Arg& maps, double rate) {
  const Attribution as(maps.where());
  if (maps->rank() != 4) {
    refuse("spatial_winners", "maps must be (batch, channels, height, width)", maps);
  }
  const Expr flat = flatten(maps, 2);
  const Expr winner = equal(arange(size(flat, 2)), expand_dims(argmax(flat, 2), 2));
  const Expr lifetime = lifetime_winners("spatial_winners", Arg(max(flat, 2), maps.where()), rate);
  const Expr kept = logical_and(winner, expand_dims(lifetime, 2));
  return reshape(switch_(kept, flat, 0), sizes(maps));
}

}  // namespace cinch
