#include "cinch/ops/subscript.hpp"

#include <algorithm>

#include "cinch/core/refusal.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/arrange.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/records/sizes.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/subtensor.hpp"

namespace cinch {

namespace {

[[noreturn]] void fail(const Arg& x, const std::string& what) { refuse("subscript", what, x); }

/// An int64 index from an argument that may be a literal.
Expr index_from(const Arg& x, const Arg& i) {
  if (i->dtype() == DType::bool_) {
    fail(x,
         "a bool tensor would give a size that depends on values: switch_(condition, a, b) "
         "chooses elementwise, x * condition leaves out of sums");
  }
  if (i->dtype() != DType::int64)
    fail(x, text("indices must be int64, ", describe(i), " is ", text(i->type())));
  return records::whole_number(i);
}

Expr sliced(const Expr& x, const Slice& s, std::int64_t axis) {
  if (!s.start && !s.stop && s.step == 1) return x;
  const Expr n = size(x, axis);
  const Arg first = s.step > 0 ? Arg(0) : Arg(records::computed(n - 1));
  // Backwards the stop lies before the first element, which counts from the end as -1 - n.
  const Arg last = s.step > 0 ? Arg(n) : Arg(records::computed(-1 - n));
  return slice(x, s.start.value_or(first), s.stop.value_or(last), axis, s.step);
}

/// An index of one axis of what the slices have left.
struct Chosen {
  std::int64_t axis;
  Expr index;
};

/// x at the indices, whose axes come first or, where `in_place`, where the first one stood.
Expr choose(const Expr& x, const std::vector<Chosen>& chosen, bool in_place) {
  std::vector<std::int64_t> order;
  std::vector<Expr> indices;
  std::int64_t rank = 0;
  for (const Chosen& c : chosen) {
    order.push_back(c.axis);
    indices.push_back(c.index);
    rank = std::max(rank, c.index.rank());
  }
  if (chosen.size() == 1 && in_place) return take(x, indices[0], order[0]);
  for (std::int64_t axis = 0; axis < x.rank(); ++axis) {
    if (std::ranges::find(chosen, axis, &Chosen::axis) == chosen.end()) order.push_back(axis);
  }
  const Expr result = gather(dimshuffle(x, order), indices);
  if (!in_place) return result;
  std::vector<std::int64_t> from, to;
  for (std::int64_t k = 0; k < rank; ++k) {
    from.push_back(k);
    to.push_back(chosen[0].axis + k);
  }
  return moveaxis(result, from, to);
}

}  // namespace

Expr subscript(const Arg& x, const std::vector<Subscript>& subscripts) {
  const Attribution as(x.where());
  std::int64_t spoken_of = 0, ellipses = 0;
  bool tensors = false;
  for (const Subscript& s : subscripts) {
    spoken_of += std::holds_alternative<Arg>(s) || std::holds_alternative<Slice>(s);
    ellipses += std::holds_alternative<Ellipsis>(s);
    if (const Arg* i = std::get_if<Arg>(&s)) tensors = tensors || index_from(x, *i).rank() > 0;
  }
  if (spoken_of > x->rank())
    fail(x, text("there are ", x->rank(), " axes, the subscripts speak of ", spoken_of));
  if (ellipses > 1) fail(x, "there may be one ellipsis");

  Expr result = x;
  std::vector<Chosen> chosen;
  std::int64_t axis = 0;
  bool side_by_side = true, left = false;
  for (const Subscript& s : subscripts) {
    if (const Arg* given = std::get_if<Arg>(&s)) {
      const Expr i = index_from(x, *given);
      if (!tensors) {
        result = at(result, i, axis);
        continue;
      }
      side_by_side = side_by_side && !left;
      chosen.push_back({axis++, i});
      continue;
    }
    left = !chosen.empty();
    if (const Slice* part = std::get_if<Slice>(&s)) {
      result = sliced(result, *part, axis++);
    } else if (std::holds_alternative<NewAxis>(s)) {
      result = expand_dims(result, axis++);
    } else {
      axis += x->rank() - spoken_of;
    }
  }
  return chosen.empty() ? result : choose(result, chosen, side_by_side);
}

}  // namespace cinch
