#include "cinch/audit/search/flow.hpp"

#include <algorithm>

#include "cinch/core/error.hpp"
#include "cinch/core/op.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch::searching {

namespace {

template <class... Ops>
bool is_one_of(const Expr& e, const Ops&... ops) {
  return ((&e.op() == &ops) || ...);
}

bool rounds(const Expr& e) { return is_one_of(e, floor_op, ceil_op, round_op, trunc_op); }

bool to_integer(const Expr& e) { return is_one_of(e, cast_op) && !is_float(e.dtype()); }

bool is_comparison(const Expr& e) {
  return is_one_of(e, equal_op, not_equal_op, less_op, less_equal_op, and_op, or_op, not_op,
                   is_nan_op);
}

bool is_slope_of_kink(const Expr& e, const NodeSet& kinks) {
  if (!is_comparison(e) && !is_one_of(e, sign_op)) return false;
  return std::ranges::any_of(e.inputs(), [&](Expr x) {
    while (is_one_of(x, broadcast_to_op, dimshuffle_op, reshape_op)) x = x.inputs()[0];
    return kinks.contains(x.get());
  });
}

bool value_matters(const Expr& node, std::size_t input) { return node.op().reads(input); }

}  // namespace

std::vector<Expr> value_nodes(const Expr& root) {
  std::vector<Expr> order = topological(std::span(&root, 1));
  NodeSet used{root.get()};
  for (auto node = order.rbegin(); node != order.rend(); ++node) {
    if (!used.contains(node->get())) continue;
    for (std::size_t k = 0; k < node->inputs().size(); ++k) {
      if (value_matters(*node, k)) used.insert(node->inputs()[k].get());
    }
  }
  std::erase_if(order, [&](const Expr& e) { return !used.contains(e.get()); });
  return order;
}

NodeSet dependents(const Expr& root, std::span<const Expr> leaves) {
  NodeSet result;
  for (const Expr& node : topological(std::span(&root, 1))) {
    bool depends = std::ranges::find(leaves, node) != leaves.end();
    for (std::size_t k = 0; k < node.inputs().size(); ++k) {
      depends = depends || (value_matters(node, k) && result.contains(node.inputs()[k].get()));
    }
    if (depends) result.insert(node.get());
  }
  return result;
}

NodeSet kinked(const Expr& root) {
  NodeSet result;
  for (const Expr& node : topological(std::span(&root, 1))) {
    if (is_one_of(node, relu_op, abs_op, maximum_op, minimum_op)) {
      for (const Expr& input : node.inputs()) result.insert(input.get());
    }
    if (is_one_of(node, max_op, min_op)) result.insert(node.get());
  }
  return result;
}

TermFlow flow(const Expr& root, const Expr& parameter, const NodeSet& constants,
              const NodeSet& kinks) {
  TermFlow result;
  NodeSet depends, active;
  for (const Expr& node : topological(std::span(&root, 1))) {
    if (node == parameter) {
      depends.insert(node.get());
      active.insert(node.get());
      continue;
    }
    bool arrives = false, mentions = false, passes = false;
    for (std::size_t k = 0; k < node.inputs().size(); ++k) {
      if (!value_matters(node, k)) continue;
      mentions = mentions || depends.contains(node.inputs()[k].get());
      const bool from = active.contains(node.inputs()[k].get());
      arrives = arrives || from;
      passes = passes || (from && node.op().passes(node, k));
    }
    if (!mentions || is_slope_of_kink(node, kinks)) continue;
    depends.insert(node.get());
    if (!arrives) continue;
    if (passes && node.op().grad && is_float(node.dtype()) && !constants.contains(node.get())) {
      active.insert(node.get());
    } else {
      result.stops.push_back(node);
    }
  }
  result.mentions = depends.contains(root.get());
  result.flows = active.contains(root.get());
  if (!result.mentions) result.stops.clear();
  return result;
}

bool is_choice(const Expr& stop, const Expr& root) {
  return is_comparison(stop) || selects(stop, root);
}

bool selects(const Expr& stop, const Expr& root) {
  if (is_float(stop.dtype())) return false;
  NodeSet integers{stop.get()}, numbers;  // The latter are floats by cast: compared, they choose.
  for (const Expr& node : value_nodes(root)) {
    for (std::size_t k = 0; k < node.inputs().size(); ++k) {
      if (!value_matters(node, k)) continue;
      const Node* input = node.inputs()[k].get();
      if (numbers.contains(input)) {
        if (!is_comparison(node)) return false;
        integers.insert(node.get());
      } else if (integers.contains(input)) {
        if (!is_float(node.dtype())) {
          integers.insert(node.get());
        } else if (is_one_of(node, cast_op)) {
          numbers.insert(node.get());
        }
      }
    }
  }
  return !numbers.contains(root.get());
}

std::string remedy(const Expr& stop, const NodeSet& constants) {
  if (constants.contains(stop.get())) {
    return "It is among consider_constant: leave it out there if a gradient is wanted.";
  }
  if (is_one_of(stop, floor_div_op)) {
    return "Integer division is a staircase, flat between its steps: write a / b.";
  }
  if (rounds(stop)) {
    return "Rounding is a staircase, flat between its steps: leave it out of the cost.";
  }
  if (is_one_of(stop, stop_gradient_op)) {
    return "Leave stop_gradient() out, unless the value is meant as a target.";
  }
  if (stop.op().given) {
    return "What with_gradient() does not name among its inputs is held: name it there, unless "
           "that is meant.";
  }
  if (to_integer(stop)) return "Integers and bools have no gradient: leave the cast out.";
  if (is_one_of(stop, argmax_op, argmin_op)) {
    return "An index jumps: use max(), or softmax() as a smooth choice.";
  }
  if (is_one_of(stop, sign_op)) return "The sign is flat: use tanh() as a smooth one.";
  if (is_comparison(stop)) {
    return "A comparison is flat: use switch_() to choose between values, or sigmoid() of the "
           "difference as a smooth one.";
  }
  return text(stop.op().name, " has no gradient.");
}

std::optional<Expr> without_stops(const Expr& root) {
  bool changed = false;
  const auto open = [&](const Expr& e) {
    const Attribution as(e.inputs().empty() ? Source{} : e->where, /*force=*/true);
    if (is_one_of(e, floor_div_op) && is_float(e.dtype())) {  // Not a size.
      changed = true;
      return e.inputs()[0] / e.inputs()[1];
    }
    const bool drop = (rounds(e) || is_one_of(e, stop_gradient_op) || to_integer(e)) &&
                      is_float(e.inputs()[0].dtype());
    changed = changed || drop;
    return drop ? e.inputs()[0] : e;
  };
  try {
    NodeMap<Expr> done;
    const Expr result = rebuild(std::span(&root, 1), open, done).front();
    if (!changed || !is_float(result.dtype())) return {};
    return result;
  } catch (const Error&) {
    return {};  // An index, say, that cannot be a float.
  }
}

}  // namespace cinch::searching
