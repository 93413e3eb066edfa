#include "cinch/ops/rules/placed.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/op.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/records/sizes.hpp"
#include "cinch/ops/rules/identities.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch::rules {

namespace {

constexpr std::size_t most_parts = 8;            // Of a concatenation; each is a loop of its own.
constexpr std::int64_t largest_constant = 4096;  // Whose elements are looked at.

std::size_t index(std::int64_t axis) { return static_cast<std::size_t>(axis); }

/// Zeros but for `x`, at positions along an axis.
struct Placed {
  Expr x;
  std::int64_t axis;
  Expr start;
  std::int64_t step;

  /// What of another tensor stands at the same positions.
  Expr of(const Expr& other, std::int64_t at) const {
    return narrow(other, at, start, size(x, axis), step);
  }
};

/// The elements of a constant from `start` on, `length` of them along `axis`.
Expr part_of_constant(const Tensor& value, std::size_t axis, std::int64_t start,
                      std::int64_t length) {
  Shape shape = value.shape();
  const std::int64_t n = shape[axis];
  shape[axis] = length;
  std::int64_t inner = 1;
  for (std::size_t k = axis + 1; k < shape.size(); ++k) inner *= shape[k];
  Tensor part(value.dtype(), shape);
  dispatch_float(value.dtype(), [&]<class T> {
    for (std::int64_t k = 0; k < part.size(); ++k) {
      const std::int64_t outer = k / (length * inner), at = k / inner % length;
      part.data<T>()[static_cast<std::size_t>(k)] =
          value.data<T>()[static_cast<std::size_t>((outer * n + start + at) * inner + k % inner)];
    }
  });
  return constant(std::move(part));
}

/// A block of an identity beside zeros, or one of its columns, whose elements have been computed
/// already.
std::optional<Placed> placed_constant(const Expr& e) {
  const Tensor* value = constant_value(e);
  if (!value || !is_float(e.dtype()) || value->size() > largest_constant || value->size() == 0)
    return std::nullopt;
  const Shape& shape = value->shape();
  std::int64_t inner = value->size();
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    const std::int64_t n = shape[axis];
    inner /= n;
    if (n == 1) continue;
    std::int64_t first = n, last = -1;
    for (std::int64_t k = 0; k < value->size(); ++k) {
      if (value->at(k) == 0) continue;
      first = std::min(first, k / inner % n);
      last = std::max(last, k / inner % n);
    }
    if (last < 0 || last - first + 1 == n) continue;
    const Expr part = part_of_constant(*value, axis, first, last - first + 1);
    const bool is_one = shape.size() > 1 && value->size() == n;
    if (is_one ? first == last : is_identity_constant(part))
      return Placed{part, static_cast<std::int64_t>(axis), constant(Tensor(first)), 1};
  }
  return std::nullopt;
}

std::optional<Placed> placed(const Expr& e) {
  if (&e.op() != &embed_op) return placed_constant(e);
  const auto [axis, step] = Narrowing::of(e.attrs());
  if (e.dims()[index(axis)] == Dim(1)) return std::nullopt;  // Not beside zeros.
  return Placed{e.inputs()[0], axis, e.inputs()[2], step};
}

/// The sizes of `y` in terms of what it is made of; empty where they do not show.
std::vector<Expr> sizes_by_operands(const Expr& y) {
  if (y.op().algebra == Algebra::repeat || y.op().algebra == Algebra::regroup)
    return {y.inputs().begin() + 1, y.inputs().end()};
  std::vector<Expr> result;
  for (const Dim dim : y.dims()) {
    Expr found;
    if (dim.known()) found = constant(Tensor(dim.size()));
    for (std::size_t k = 0; k < y.inputs().size() && !found.has_value(); ++k) {
      const Dims& dims = y.inputs()[k].dims();
      const auto at = std::ranges::find(dims, dim);
      if (at != dims.end()) found = size(y.inputs()[k], at - dims.begin());
    }
    if (!found.has_value()) return {};
    result.push_back(found);
  }
  return result;
}

/// `value` with zeros around, as large as `y`.
Expr put(const Expr& value, const Expr& y, std::int64_t axis, const Placed& p) {
  const std::vector<Expr> shape = sizes_by_operands(y);
  if (shape.empty()) return {};
  return embed(value, zeros(shape, y.dtype(), y->where), axis, p.start, p.step);
}

/// The axis of an operand that is axis `axis` of `y`; -1 where the operand is repeated along it.
/// Nothing where sizes do not tell.
std::optional<std::int64_t> aligned(const Expr& x, const Expr& y, std::int64_t axis) {
  const std::int64_t own = axis - (y.rank() - x.rank());
  if (own < 0 || x.dims()[own] == Dim(1)) return -1;
  if (x.dims()[own] == y.dims()[axis]) return own;
  return std::nullopt;
}

Expr made_of(const Expr& y, std::vector<Expr> operands) {
  return apply(y.op(), std::move(operands), y.attrs(), y->where);
}

/// Whether 0 in operand k makes 0, whatever the others are.
bool keeps_zeros(const Expr& y, std::size_t k) {
  const Op& op = y.op();
  if (&op == &switch_op) return k > 0 && graphs::is_constant(y.inputs()[3 - k], 0);
  if (&op == &div_op) return k == 0;
  return &op == &mul_op || &op == &neg_op || &op == &square_op || &op == &abs_op;
}

/// The same over one part of each operand; empty where sizes do not tell which.
template <class F>
Expr elementwise_part(const Expr& y, std::int64_t axis, F&& part) {
  std::vector<Expr> operands;
  for (std::size_t i = 0; i < y.inputs().size(); ++i) {
    const auto own = aligned(y.inputs()[i], y, axis);
    if (!own) return {};
    operands.push_back(*own < 0 ? y.inputs()[i] : part(i, *own));
  }
  return made_of(y, std::move(operands));
}

/// Where axis `axis` of a sum's operand is in the result.
std::int64_t after_sum(const Expr& y, std::int64_t axis) {
  return axis - std::ranges::count_if(OverAxes::of(y.attrs()),
                                      [&](std::int64_t over) { return over < axis; });
}

bool is_summed(const Expr& y, std::int64_t axis) {
  return std::ranges::find(OverAxes::of(y.attrs()), axis) != OverAxes::of(y.attrs()).end();
}

/// A reshape of a part along `axis`, which is `at` in the result.
Expr regrouped(const Expr& y, const Expr& part, std::int64_t axis, const Regrouped& at) {
  std::vector<Expr> shape(y.inputs().begin() + 1, y.inputs().end());
  shape[index(at.axis)] = records::computed(size(part, axis) * at.each);
  return reshape(part, shape);
}

/// Where an axis of its operand is in what sum_like() makes; -1 where it may be summed over.
std::int64_t axis_kept_by_sum(const Expr& y, std::int64_t axis) {
  const std::int64_t own = axis - (y.inputs()[0].rank() - y.rank());
  const bool kept = own >= 0 && y.dims()[index(own)] == y.inputs()[0].dims()[index(axis)] &&
                    y.inputs()[1].dims()[index(own)] == y.dims()[index(own)];
  return kept ? own : -1;
}

/// What axis `axis` of operand k is to a product of matrices.
struct InProduct {
  bool summed;
  std::int64_t other,
      result;  ///< The same axis of the other operand, of the result; -1: it has none.
};

std::optional<InProduct> in_product(const Expr& y, std::size_t k, std::int64_t axis) {
  const Expr &a = y.inputs()[0], &b = y.inputs()[1];
  const bool batched = &y.op() == &batched_dot_op;
  if (batched ? a.rank() != b.rank() : b.rank() > 2 || b.rank() == 0 || a.rank() == 0)
    return std::nullopt;
  const bool pair = batched && axis < a.rank() - 2;
  if (pair) return InProduct{false, axis, axis};
  if (k == 0) {
    if (axis == a.rank() - 1) return InProduct{true, std::max<std::int64_t>(b.rank() - 2, 0), -1};
    return InProduct{false, -1, axis};
  }
  if (axis == b.rank() - 1 && b.rank() > 1) return InProduct{false, -1, y.rank() - 1};
  return InProduct{true, a.rank() - 1, -1};
}

Expr zeros_outside(const Expr& y, std::size_t k, const Placed& p) {
  const Expr& e = y.inputs()[k];
  const Op& op = y.op();
  if (op.elementwise()) {
    const std::int64_t axis = p.axis + y.rank() - e.rank();
    if (!keeps_zeros(y, k) || !(y.dims()[index(axis)] == e.dims()[index(p.axis)])) return {};
    const Expr part = elementwise_part(y, axis, [&](std::size_t i, std::int64_t own) {
      return i == k ? p.x : p.of(y.inputs()[i], own);
    });
    return part.has_value() ? put(part, y, axis, p) : Expr();
  }
  if (op.algebra == Algebra::permute) {
    const auto& pattern = AxisPattern::of(y.attrs());
    const auto at = std::ranges::find(pattern, p.axis);
    return at == pattern.end() ? Expr() : put(dimshuffle(p.x, pattern), y, at - pattern.begin(), p);
  }
  if (op.algebra == Algebra::repeat) {
    const std::int64_t axis = p.axis + y.rank() - e.rank();
    if (!(y.dims()[index(axis)] == e.dims()[index(p.axis)])) return {};
    std::vector<Expr> shape(y.inputs().begin() + 1, y.inputs().end());
    shape[index(axis)] = size(p.x, p.axis);
    return put(broadcast_to(p.x, shape), y, axis, p);
  }
  if (op.algebra == Algebra::regroup) {
    const auto at = regrouped_axis(y, p.axis);
    if (!at || (at->each > 1 && p.step != 1)) return {};
    const Expr part = regrouped(y, p.x, p.axis, *at), start = records::computed(p.start * at->each);
    return put(part, y, at->axis, Placed{part, at->axis, start, p.step});
  }
  if (&op == &sum_like_op) {
    const std::int64_t own = axis_kept_by_sum(y, p.axis);
    if (own < 0) return {};
    return put(sum_like(p.x, p.of(y.inputs()[1], own)), y, own, p);
  }
  if (op.algebra == Algebra::sum) {
    const Expr part = made_of(y, {p.x});
    return is_summed(y, p.axis) ? part : put(part, y, after_sum(y, p.axis), p);
  }
  if (op.algebra == Algebra::matrix_product) {
    const auto in = in_product(y, k, p.axis);
    if (!in) return {};
    std::vector<Expr> operands(y.inputs().begin(), y.inputs().end());
    operands[k] = p.x;
    if (in->other >= 0) operands[1 - k] = p.of(operands[1 - k], in->other);
    const Expr part = made_of(y, std::move(operands));
    return in->summed ? part : put(part, y, in->result, p);
  }
  return {};
}

/// A concatenation of few parts, and where each of them starts.
struct Joined {
  std::vector<Expr> parts, starts;
  std::int64_t axis;

  Expr of(const Expr& other, std::int64_t at, std::size_t k) const {
    return narrow(other, at, starts[k], size(parts[k], axis));
  }
};

std::optional<Joined> joined_rows(const Expr& e) {
  if (&e.op() != &concatenate_op || e.inputs().size() > most_parts || !is_float(e.dtype()))
    return std::nullopt;
  const std::int64_t axis = AlongAxis::of(e.attrs()).axis;
  if (e.dims()[index(axis)] == Dim(1)) return std::nullopt;
  if (std::ranges::none_of(e.inputs(), stems_from_identity)) return std::nullopt;
  Joined result{{e.inputs().begin(), e.inputs().end()}, {}, axis};
  Expr start = constant(Tensor(std::int64_t{0}));
  for (const Expr& part : result.parts) {
    result.starts.push_back(start);
    start = records::computed(start + size(part, result.axis));
  }
  return result;
}

Expr parts_apart(const Expr& y, std::size_t k, const Joined& j) {
  const Expr& e = y.inputs()[k];
  const Op& op = y.op();
  std::vector<Expr> parts;
  const auto each = [&](auto&& part) {
    for (std::size_t i = 0; i < j.parts.size(); ++i) {
      parts.push_back(part(i));
      if (!parts.back().has_value()) return false;
    }
    return true;
  };
  const auto total = [&] {
    Expr result = parts[0];
    for (std::size_t i = 1; i < parts.size(); ++i) result = result + parts[i];
    return result;
  };
  if (op.elementwise()) {
    const std::int64_t axis = j.axis + y.rank() - e.rank();
    const bool same = y.dims()[index(axis)] == e.dims()[index(j.axis)];
    const bool made = same && each([&](std::size_t i) {
                        return elementwise_part(y, axis, [&](std::size_t n, std::int64_t own) {
                          return n == k ? j.parts[i] : j.of(y.inputs()[n], own, i);
                        });
                      });
    return made ? concatenate(parts, axis, y->where) : Expr();
  }
  if (op.algebra == Algebra::permute) {
    const auto& pattern = AxisPattern::of(y.attrs());
    const auto at = std::ranges::find(pattern, j.axis);
    if (at == pattern.end()) return {};
    each([&](std::size_t i) { return dimshuffle(j.parts[i], pattern); });
    return concatenate(parts, at - pattern.begin(), y->where);
  }
  if (op.algebra == Algebra::regroup) {
    const auto at = regrouped_axis(y, j.axis);
    if (!at) return {};
    each([&](std::size_t i) { return regrouped(y, j.parts[i], j.axis, *at); });
    return concatenate(parts, at->axis, y->where);
  }
  if (&op == &sum_like_op) {
    const std::int64_t own = axis_kept_by_sum(y, j.axis);
    if (own < 0) return {};
    each([&](std::size_t i) { return sum_like(j.parts[i], j.of(y.inputs()[1], own, i)); });
    return concatenate(parts, own, y->where);
  }
  if (op.algebra == Algebra::sum) {
    each([&](std::size_t i) { return made_of(y, {j.parts[i]}); });
    return is_summed(y, j.axis) ? total() : concatenate(parts, after_sum(y, j.axis), y->where);
  }
  if (op.algebra == Algebra::matrix_product) {
    const auto in = in_product(y, k, j.axis);
    if (!in) return {};
    each([&](std::size_t i) {
      std::vector<Expr> operands(y.inputs().begin(), y.inputs().end());
      operands[k] = j.parts[i];
      if (in->other >= 0) operands[1 - k] = j.of(operands[1 - k], in->other, i);
      return made_of(y, std::move(operands));
    });
    return in->summed ? total() : concatenate(parts, in->result, y->where);
  }
  return {};
}

}  // namespace

Expr with_zeros_outside(const Expr& y) {
  if (!is_float(y.dtype())) return {};
  for (std::size_t k = 0; k < y.inputs().size(); ++k) {
    if (y.op().is_size(k) || !y.op().reads(k)) continue;
    const auto p = placed(y.inputs()[k]);
    if (!p) continue;
    Expr result = zeros_outside(y, k, *p);
    if (result.has_value()) return result;
  }
  return {};
}

Expr with_parts_apart(const Expr& y) {
  if (!is_float(y.dtype())) return {};
  for (std::size_t k = 0; k < y.inputs().size(); ++k) {
    if (y.op().is_size(k) || !y.op().reads(k)) continue;
    const auto j = joined_rows(y.inputs()[k]);
    if (!j) continue;
    Expr result = parts_apart(y, k, *j);
    if (result.has_value()) return result;
  }
  return {};
}

Expr of_parts(const Expr& y) {
  Expr result = with_zeros_outside(y);
  return result.has_value() ? result : with_parts_apart(y);
}

}  // namespace cinch::rules
