#include "cinch/core/contract/symmetric.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>

#include "cinch/core/graph.hpp"
#include "cinch/core/op.hpp"

namespace cinch::contraction {

namespace {

/// An axis of the operand for each of the result, -1 for a new one.
using Pattern = std::vector<std::int64_t>;

Pattern identity(std::int64_t rank) {
  Pattern result(static_cast<std::size_t>(rank));
  std::iota(result.begin(), result.end(), 0);
  return result;
}

/// Without what changes neither shape nor elements.
Expr plain(Expr e) {
  while (e.op().algebra == Algebra::regroup && e.type().shape() == e.inputs()[0].type().shape())
    e = e.inputs()[0];
  return e;
}

/// What `e` is with its axes permuted, and in which order.
std::pair<Expr, Pattern> unpermuted(const Expr& e) {
  Expr of = plain(e);
  Pattern pattern = identity(e.rank());
  while (of.op().algebra == Algebra::permute) {
    for (std::int64_t& axis : pattern) {
      if (axis >= 0) axis = AxisPattern::of(of.attrs())[static_cast<std::size_t>(axis)];
    }
    of = plain(of.inputs()[0]);
  }
  return {of, pattern};
}

/// Whether `turned` is `other` with its last two axes exchanged.
bool is_turned(const Expr& turned, const Expr& other) {
  if (other.rank() < 2 || turned.rank() != other.rank()) return false;
  auto [a, order] = unpermuted(turned);
  std::swap(order.end()[-1], order.end()[-2]);
  return unpermuted(other) == std::pair(a, order);
}

bool is_symmetric_to(int depth, const Expr& e) {
  if (depth == 0 || e.rank() < 2) return false;
  const std::span<const Expr> x = e.inputs();
  const auto either_turned = [&] { return is_turned(x[0], x[1]) || is_turned(x[1], x[0]); };
  const auto operand_is = [&](const Expr& operand) {
    const Shape shape = operand.type().shape();
    const bool repeated = std::all_of(shape.end() - std::min<std::ptrdiff_t>(2, operand.rank()),
                                      shape.end(), [](std::int64_t n) { return n == 1; });
    return repeated || is_symmetric_to(depth - 1, operand);
  };
  switch (e.op().algebra) {
    case Algebra::matrix_product:
      return x[0].rank() == x[1].rank() && either_turned();
    case Algebra::identity:
      return true;
    case Algebra::repeat:
      return operand_is(x[0]);
    case Algebra::regroup:
      return !(plain(e) == e) && is_symmetric_to(depth - 1, plain(e));
    case Algebra::embed_diagonal: {
      const DiagonalAxes at = DiagonalAxes::of(e.attrs());
      const auto [first, second] = std::minmax(at.row, at.column);
      return at.offset == 0 && first == e.rank() - 2 && second == e.rank() - 1;
    }
    default:
      break;
  }
  if (!e.op().elementwise()) return false;
  if (e.op().linear == LinearForm::sum && either_turned()) return true;
  return std::ranges::all_of(x, operand_is);
}

}  // namespace

bool is_symmetric(const Expr& e) {
  constexpr int deepest = 12;
  return is_symmetric_to(deepest, e);
}

std::vector<Expr> without_symmetric_turned(std::span<const Expr> roots) {
  NodeMap<Expr> done;
  return rebuild(
      roots,
      [](const Expr& e) {
        if (e.op().algebra != Algebra::permute) return e;
        const Expr& x = e.inputs()[0];
        return e.dims() == x.dims() && is_turned(e, x) && is_symmetric(x) ? x : e;
      },
      done);
}

}  // namespace cinch::contraction
