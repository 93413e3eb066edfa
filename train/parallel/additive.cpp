#include "cinch/train/parallel/additive.hpp"

#include <algorithm>
#include <cstdint>

#include "cinch/core/algebra.hpp"
#include "cinch/core/derive/derivative_of.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/op.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/convolution.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/records/operands.hpp"
#include "cinch/ops/reduce.hpp"

namespace cinch::parallel {

namespace {

using deriving::Place;

/// Whether operand k has all its examples, or what is the same for all, along `axis`.
bool lies_along(const Place& place, bool local, std::int64_t axis) {
  return place.found() ? place.axis == axis : local;
}

/// Whether both are summed over together, example by example.
bool meet(const Place& a, const Place& b) {
  return !a.found() || !b.found() || (a.outer == b.outer && a.inner == b.inner);
}

bool product_adds(const Expr& node, const std::vector<Place>& places,
                  const std::vector<bool>& local) {
  const std::int64_t left = node.inputs()[0].rank() - 1,
                     right = std::max<std::int64_t>(node.inputs()[1].rank() - 2, 0);
  return lies_along(places[0], local[0], left) && lies_along(places[1], local[1], right) &&
         meet(places[0], places[1]);
}

/// Filters' gradients are sums over the images, which follow the groups if there are any.
bool filters_add(const Expr& node, const std::vector<Place>& places) {
  const std::int64_t axis = node.rank() - 4;
  return places[0].axis == axis && places[1].axis == axis && places[0] == places[1];
}

/// Of a reduction whose result has no rows.
bool reduces_examples(const Expr& node, const Place& place) {
  const auto& axes = OverAxes::of(node.attrs());
  // What is repeated for each example is reduced over that axis: no other has its size.
  return !place.found() || std::ranges::find(axes, place.axis) != axes.end();
}

bool adds_examples(const Expr& node, const std::vector<Place>& places,
                   const std::vector<bool>& local) {
  const Op& op = node.op();
  if (op.algebra == Algebra::sum) return reduces_examples(node, places[0]);
  if (op.algebra == Algebra::matrix_product) return product_adds(node, places, local);
  // Where the result has no rows, they are summed: an axis of another size than 1 would stay.
  if (&op == &sum_like_op) return !local[1];
  if (&op == &convolution_filters_op) return filters_add(node, places);
  if (&op == &scatter_add_op) {
    const Place rows{.axis = 0};
    return places[0] == rows && places[1] == rows && !local[2];
  }
  return false;
}

}  // namespace

std::optional<Combine> combination(const Expr& node, const std::vector<Place>& places,
                                   const std::vector<bool>& local) {
  const Op& op = node.op();
  if (adds_examples(node, places, local)) return Combine::add;
  if (&op == &max_op && reduces_examples(node, places[0])) return Combine::max;
  if (&op == &min_op && reduces_examples(node, places[0])) return Combine::min;
  return {};
}

bool is_linear(const Expr& node, const std::vector<bool>& partial) {
  const Op& op = node.op();
  const bool all = std::ranges::all_of(partial, [](bool p) { return p; });
  if (op.linear != LinearForm::none || op.algebra == Algebra::negative) return all;
  if (op.algebra == Algebra::product && partial.size() == 2 && partial[0] != partial[1])
    return node.inputs()[partial[0] ? 1 : 0].rank() == 0;
  if (op.algebra == Algebra::sum || op.algebra == Algebra::permute ||
      op.algebra == Algebra::regroup || &op == &sum_like_op || &op == &records::checked_shape_op ||
      &op == &deriving::derivative_op)
    return partial[0] && std::ranges::count(partial, true) == 1;
  // Any scalar divides a sum, while Algebra::quotient is for constants.
  return &op == &div_op && partial[0] && !partial[1] && node.inputs()[1].rank() == 0;
}

}  // namespace cinch::parallel
