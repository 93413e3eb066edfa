#include "cinch/ops/rules/identities.hpp"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "cinch/core/graph.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/op.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/records/sizes.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch::rules {

namespace {

constexpr int most_looked_at = 96;               // Nodes.
constexpr std::int64_t largest_identity = 4096;  // Constants whose elements are looked at.

/// Whether what an identity is multiplied by, or summed with, may stand below `op`.
bool carries(const Op& op) {
  return op.algebra != Algebra::none || op.linear != LinearForm::none || &op == &embed_op ||
         &op == &narrow_op || &op == &concatenate_op || &op == &switch_op || &op == &abs_op ||
         &op == &cast_op || &op == &sum_like_op;
}

/// The part that a narrow() is of, to be taken of another tensor along another axis.
struct Taken {
  Expr start, length;
  std::int64_t step;

  Expr of(const Expr& x, std::int64_t axis) const { return narrow(x, axis, start, length, step); }
};

/// Axis `axis` of `y`, of an operand that is aligned with it at the right; -1 where it is repeated
/// along it. Nothing where sizes do not tell.
std::optional<std::int64_t> aligned(const Expr& x, const Expr& y, std::int64_t axis) {
  const std::int64_t own = axis - (y.rank() - x.rank());
  if (own < 0 || x.dims()[own] == Dim(1)) return -1;
  if (x.dims()[own] == y.dims()[axis]) return own;
  return std::nullopt;
}

Expr of_elementwise(const Expr& x, std::int64_t axis, const Taken& part) {
  std::vector<Expr> operands;
  for (const Expr& operand : x.inputs()) {
    const auto own = aligned(operand, x, axis);
    if (!own) return {};
    operands.push_back(*own < 0 ? operand : part.of(operand, *own));
  }
  return apply(x.op(), std::move(operands), x.attrs(), x->where);
}

Expr of_repeated(const Expr& x, std::int64_t axis, const Taken& part) {
  const Expr& once = x.inputs()[0];
  const auto own = aligned(once, x, axis);
  if (!own) return {};
  std::vector<Expr> shape(x.inputs().begin() + 1, x.inputs().end());
  shape[static_cast<std::size_t>(axis)] = part.length;
  return broadcast_to(*own < 0 ? once : part.of(once, *own), shape);
}

Expr of_moved(const Expr& x, std::int64_t axis, const Taken& part) {
  const auto& pattern = AxisPattern::of(x.attrs());
  const std::int64_t own = pattern[static_cast<std::size_t>(axis)];
  return own < 0 ? Expr() : dimshuffle(part.of(x.inputs()[0], own), pattern);
}

Expr of_sum(const Expr& x, std::int64_t axis, const Taken& part) {
  const auto& over = OverAxes::of(x.attrs());
  std::int64_t own = 0;
  for (std::int64_t left = axis;; ++own) {
    const bool goes = std::ranges::find(over, own) != over.end();
    if (!goes && left-- == 0) break;
  }
  return apply(x.op(), {part.of(x.inputs()[0], own)}, x.attrs(), x->where);
}

Expr of_product(const Expr& x, std::int64_t axis, const Taken& part) {
  Expr a = x.inputs()[0], b = x.inputs()[1];
  const bool batched = &x.op() == &batched_dot_op;
  if (batched ? a.rank() != b.rank() : b.rank() > 2) return {};
  const bool of_columns = b.rank() > 1 && axis == x.rank() - 1;
  const bool of_pairs = batched && axis < x.rank() - 2;
  if (of_columns || of_pairs) b = part.of(b, of_pairs ? axis : b.rank() - 1);
  if (!of_columns) a = part.of(a, axis);
  return apply(x.op(), {a, b}, x.attrs(), x->where);
}

Expr of_regrouped(const Expr& x, std::int64_t axis, const Taken& part) {
  for (std::int64_t own = 0; own < x.inputs()[0].rank(); ++own) {
    const auto at = regrouped_axis(x, own);
    if (!at || at->axis != axis || at->each != 1) continue;
    std::vector<Expr> shape(x.inputs().begin() + 1, x.inputs().end());
    shape[static_cast<std::size_t>(axis)] = part.length;
    return reshape(part.of(x.inputs()[0], own), shape);
  }
  return {};
}

Expr of_sum_like(const Expr& x, std::int64_t axis, const Taken& part) {
  const Expr &whole = x.inputs()[0], &like = x.inputs()[1];
  const std::int64_t own = axis + whole.rank() - x.rank();
  const Dim n = x.dims()[axis];
  if (!(whole.dims()[own] == n) || !(like.dims()[axis] == n)) return {};
  return sum_like(part.of(whole, own), part.of(like, axis));
}

/// Rows or columns of an identity: a smaller one, with zeros around along the other axis.
Expr of_identity(const Expr& x, std::int64_t axis, const Taken& part) {
  std::vector<Expr> shape(2, part.length);
  shape[static_cast<std::size_t>(1 - axis)] = x.inputs()[0];
  return embed(eye(part.length, x.dtype()), zeros(shape, x.dtype(), x->where), 1 - axis, part.start,
               part.step);
}

constexpr int deepest_repeated = 8;

/// Whether the elements of `x` along `axis` are the same one, repeated: there is nothing to choose.
bool is_repeated(const Expr& x, std::int64_t axis, int depth = 0) {
  const Op& op = x.op();
  const bool is_read = op.elementwise() || op.algebra == Algebra::repeat;
  if (x.dims()[axis] == Dim(1) || depth > deepest_repeated || !is_read) return false;
  if (op.algebra == Algebra::repeat) return aligned(x.inputs()[0], x, axis) == -1;
  return std::ranges::all_of(x.inputs(), [&](const Expr& operand) {
    const auto own = aligned(operand, x, axis);
    return own && (*own < 0 || is_repeated(operand, *own, depth + 1));
  });
}

/// A part of what is 0 but for a part along another axis, or along the same one.
Expr of_placed(const Expr& x, std::int64_t axis, const Taken& part, const Expr& y) {
  const Expr& placed = x.inputs()[0];
  const auto [own, step] = Narrowing::of(x.attrs());
  const Expr& start = x.inputs()[2];
  if (own != axis) {
    std::vector<Expr> shape = sizes(x.inputs()[1]);
    shape[static_cast<std::size_t>(axis)] = part.length;
    return embed(part.of(placed, axis), zeros(shape, x.dtype(), x->where), own, start, step);
  }
  const auto from = records::constant_size(part.start), count = records::constant_size(part.length),
             at = records::constant_size(start);
  const Dim n = placed.dims()[axis];
  if (part.step != 1 || step != 1 || !from || !count || !at || !n.known()) return {};
  const std::int64_t first = std::max(*from, *at), last = std::min(*from + *count, *at + n.size());
  std::vector<Expr> shape = sizes(x.inputs()[1]);
  shape[static_cast<std::size_t>(axis)] = part.length;
  const Expr nothing = zeros(shape, x.dtype(), x->where);
  if (first >= last) return nothing;
  const Expr common = narrow(placed, axis, first - *at, last - first);
  return common.dims() == y.dims() ? common : embed(common, nothing, axis, first - *from);
}

/// The part of a concatenation in which all positions lie.
Expr of_joined(const Expr& x, std::int64_t axis, const Taken& part) {
  const auto start = records::constant_size(part.start),
             length = records::constant_size(part.length);
  if (AlongAxis::of(x.attrs()).axis != axis || !start || !length || part.step != 1) return {};
  std::int64_t before = 0;
  for (const Expr& piece : x.inputs()) {
    const Dim n = piece.dims()[axis];
    if (!n.known()) return {};
    if (*start >= before && *start + *length <= before + n.size())
      return narrow(piece, axis, *start - before, part.length);
    before += n.size();
  }
  return {};
}

}  // namespace

bool is_identity_constant(const Expr& e) {
  const Tensor* value = constant_value(e);
  if (!value || !is_float(e.dtype()) || value->size() == 0 || value->size() > largest_identity)
    return false;
  std::int64_t n = 0, axes = 0;
  for (const std::int64_t size : value->shape()) {
    if (size == 1) continue;
    if (axes++ > 0 && size != n) return false;
    n = size;
  }
  if (axes != 2) return false;
  const double c = value->at(0);
  for (std::int64_t k = 0; k < n * n; ++k) {
    if (value->at(k) != (k % (n + 1) == 0 ? c : 0)) return false;
  }
  return c != 0;
}

std::optional<Regrouped> regrouped_axis(const Expr& y, std::int64_t axis) {
  const Expr& x = y.inputs()[0];
  if (!x.type().is_static() || !y.type().is_static()) return std::nullopt;
  const auto inner = [](const Expr& e, std::int64_t after) {
    std::int64_t n = 1;
    for (std::int64_t k = after + 1; k < e.rank(); ++k) n *= e.dims()[k].size();
    return n;
  };
  const std::int64_t own = x.dims()[axis].size(), behind = inner(x, axis);
  for (std::int64_t k = 0; k < y.rank(); ++k) {
    const std::int64_t n = y.dims()[k].size(), left = inner(y, k);
    if (own > 0 && n > 0 && n % own == 0 && n / own * left == behind) return Regrouped{k, n / own};
  }
  return std::nullopt;
}

bool stems_from_identity(const Expr& e) {
  std::vector<Expr> pending{e};
  NodeSet seen;
  for (int looked_at = 0; !pending.empty() && looked_at < most_looked_at; ++looked_at) {
    const Expr node = std::move(pending.back());
    pending.pop_back();
    if (&node.op() == &eye_op || is_identity_constant(node)) return true;
    if (!carries(node.op())) continue;
    for (std::size_t k = node.inputs().size(); k-- > 0;) {
      const bool looks = node.op().reads(k) && !node.op().is_size(k) && node.inputs()[k].rank() > 1;
      if (looks && seen.insert(node.inputs()[k].get()).second) pending.push_back(node.inputs()[k]);
    }
  }
  return false;
}

Expr part_of_factors(const Expr& y) {
  const Expr& x = y.inputs()[0];
  const auto [axis, step] = Narrowing::of(y.attrs());
  const Taken part{y.inputs()[1], y.inputs()[2], step};
  const Op& op = x.op();
  if (&op == &concatenate_op) return of_joined(x, axis, part);
  if (&op == &eye_op) return of_identity(x, axis, part);
  if (&op == &embed_op) return of_placed(x, axis, part, y);
  if (is_repeated(x, axis))
    return op.elementwise() ? of_elementwise(x, axis, part) : of_repeated(x, axis, part);
  if (!carries(op) || !is_float(x.dtype()) || !stems_from_identity(x)) return {};
  if (op.elementwise()) return of_elementwise(x, axis, part);
  if (&op == &sum_like_op) return of_sum_like(x, axis, part);
  switch (op.algebra) {
    case Algebra::regroup:
      return of_regrouped(x, axis, part);
    case Algebra::repeat:
      return of_repeated(x, axis, part);
    case Algebra::permute:
      return of_moved(x, axis, part);
    case Algebra::sum:
      return of_sum(x, axis, part);
    case Algebra::matrix_product:
      return of_product(x, axis, part);
    default:
      return {};
  }
}

}  // namespace cinch::rules
