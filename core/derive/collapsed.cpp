#include "cinch/core/derive/collapsed.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "cinch/core/derivatives.hpp"
#include "cinch/core/derive/choice.hpp"
#include "cinch/core/derive/examples.hpp"
#include "cinch/core/derive/factored.hpp"
#include "cinch/core/derive/rows.hpp"
#include "cinch/core/grad.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/graph/derivation.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/rewrite/rewrite.hpp"

namespace cinch::deriving {

namespace {

/// Where what only derivatives have meets what depends on x besides.
class Cut {
 public:
  Cut(const Expr& y, const Expr& x) {
    const std::vector<Expr> order = topological(std::span(&y, 1), {x.get()});
    for (const Expr& node : order) {
      if (!node->derivation) continue;
      for (const Expr& of : topological(node->derivation->of)) primal_.insert(of.get());
    }
    if (primal_.empty()) return;
    depth_[x.get()] = 0;
    for (const Expr& node : order) {
      if (node == x) continue;
      int deepest = -1;
      for (std::size_t k = 0; k < node.inputs().size(); ++k) {
        if (carries(node, k)) deepest = std::max(deepest, depth_.at(node.inputs()[k].get()));
      }
      if (deepest >= 0) depth_[node.get()] = deepest + 1;
    }
    for (auto node = order.rbegin(); node != order.rend(); ++node) {
      if (*node == y || passed_.contains(node->get())) pass(*node);
    }
  }

  /// The nodes at which to cut; none where that brings nothing: where cotangents meet no function
  /// of x, or where what they pass is in the way of a direction too.
  std::vector<Expr> nodes() const {
    if (!meets_) return {};
    std::vector<Expr> result;
    for (const Expr& node : ends_) {
      if (!passed_.contains(node.get())) result.push_back(node);
    }
    for (const Expr& node : topological(result)) {
      if (passed_.contains(node.get())) return {};
    }
    return result;
  }

 private:
  /// Whether input k depends on x in a way that has a derivative.
  bool carries(const Expr& node, std::size_t k) const {
    const Expr& input = node.inputs()[k];
    return node.op().reads(k) && is_float(input.dtype()) && depth_.contains(input.get());
  }

  void end(const Expr& node) {
    if (ended_.insert(node.get()).second) ends_.push_back(node);
  }

  void pass(const Expr& node) {
    std::vector<std::size_t> among;
    for (std::size_t k = 0; k < node.inputs().size(); ++k) {
      if (carries(node, k)) among.push_back(k);
    }
    std::vector<Expr> inputs(node.inputs().begin(), node.inputs().end());
    NodeSet taken;
    for (const std::size_t k : among) {
      inputs[k] = variable("input", inputs[k].type());
      taken.insert(inputs[k].get());
    }
    // By what each of them is multiplied, if it is: its gradient does not depend on itself.
    std::optional<std::size_t> on;
    bool each_alone = true;
    if (node.op().grad && !node.op().grads && !node.op().given) {
      const Expr alike = with_inputs(node, inputs);
      const Grads grads = node.op().grad(inputs, alike, variable("cotangent", alike.type()));
      for (const std::size_t k : among) {
        if (!grads[k].has_value()) {
          each_alone = false;
          continue;
        }
        const auto on_others = [&](const Expr& input) {
          return taken.contains(input.get()) && depends_on(grads[k], input);
        };
        each_alone = each_alone && std::ranges::none_of(inputs, on_others);
        const bool deeper =
            !on || depth_.at(node.inputs()[k].get()) > depth_.at(node.inputs()[*on].get());
        if (!depends_on(grads[k], inputs[k]) && deeper) on = k;
      }
    }
    if (!on) {
      passed_.erase(node.get());
      end(node);
      return;
    }
    meets_ = meets_ || (!each_alone && among.size() > 1);
    for (const std::size_t k : among) {
      const Expr& input = node.inputs()[k];
      const bool goes_on =
          (each_alone || k == *on) && !primal_.contains(input.get()) && !graphs::is_leaf(input);
      if (goes_on) {
        passed_.insert(input.get());
      } else {
        end(input);
      }
    }
  }

  NodeSet primal_, passed_, ended_;
  NodeMap<int> depth_;  // Of what depends on x: the longest way from it.
  std::vector<Expr> ends_;
  bool meets_ = false;
};

/// a * b, in which what both are multiples of is squared: the derivative of a square is one term.
Expr product(const Expr& a, const Expr& b) {
  const std::vector<Expr> of_a = factors_of(a);
  std::vector<Expr> of_b = factors_of(b);
  Expr squares, others;
  const auto multiply = [](Expr& all, const Expr& by) { all = all.has_value() ? all * by : by; };
  for (const Expr& factor : of_a) {
    const auto same = std::ranges::find(of_b, factor);
    if (same == of_b.end()) {
      multiply(others, factor);
    } else {
      multiply(squares, factor);
      of_b.erase(same);
    }
  }
  for (const Expr& factor : of_b) multiply(others, factor);
  if (!squares.has_value()) return a * b;
  return others.has_value() ? others * square(squares) : square(squares);
}

/// pulled * pushed where `pulled` is a choice between something and 0, which decides whether
/// `pushed`, which may not be finite elsewhere, is asked for; else empty.
Expr product_inside_choice(const Expr& pulled, const Expr& pushed) {
  const Expr multiplied = variable("multiplied", pulled.type()) * pushed;
  const Expr result = gradients_inside_choice(multiplied, pulled)[0];
  const bool chooses = &result.op() == &switch_op || &result.op() == &ifelse_op;
  return chooses ? result : Expr();
}

/// The sum over all axes but the one of examples.
Expr sum_of_each_example(const Expr& e, std::int64_t axis) {
  std::vector<std::int64_t> others;
  for (std::int64_t k = 0; k < e.rank(); ++k) {
    if (k != axis) others.push_back(k);
  }
  return others.empty() ? e : sum_axes(e, others);
}

/// (d y[b, :] / d x[b, :]) one . one of each example b, (batch).
Expr along(const Expr& y, const Expr& x, const Expr& one, std::span<const Expr> nodes,
           std::span<const std::int64_t> axes) {
  std::vector<Expr> cuts;
  NodeMap<Expr> done;
  Substitutions back;
  for (const Expr& node : nodes) {
    cuts.push_back(variable("cut", node.type()));
    done[node.get()] = cuts.back();
    back.emplace_back(cuts.back(), node);
  }
  const Expr of_cuts = rebuild(std::span(&y, 1), done).front();
  const Expr seed = variable("seed", y.type());
  const GradOptions linear{.disconnected = Disconnected::zero};
  std::vector<Expr> pulled = Lop(of_cuts, cuts, seed, linear), ways, pushed;
  back.emplace_back(seed, broadcast_to(one, sizes(y)));
  for (const Expr& e : pulled) ways.push_back(factored(e, seed));
  pulled = graphs::replaced(pulled, back);
  ways = graphs::replaced(ways, back);
  for (const Expr& node : nodes)
    pushed.push_back(Rop(node, x, broadcast_to(one, sizes(x)), linear));
  ways.insert(ways.end(), pushed.begin(), pushed.end());
  // What both ways have in common is one node then.
  ways = rewriting::rewrite(ways, {.fold_constants = false});
  Expr result;
  for (std::size_t k = 0; k < nodes.size(); ++k) {
    const Expr chosen = product_inside_choice(pulled[k], pushed[k]);
    const Expr part = sum_of_each_example(
        chosen.has_value() ? chosen : product(ways[k], ways[k + nodes.size()]), axes[k]);
    result = result.has_value() ? result + part : part;
  }
  return result;
}

}  // namespace

Expr collapsed_diagonal(const Expr& y, const Expr& x) {
  const std::vector<Expr> nodes = Cut(y, x).nodes();
  if (nodes.empty()) return {};
  const Separation examples(y, x);
  std::vector<std::int64_t> axes;
  for (const Expr& node : nodes) {
    const Place place = node == x ? Place{.axis = 0} : examples.place(node);
    if (!place.found() || !(place.outer == Count()) || !(place.inner == Count())) return {};
    axes.push_back(place.axis);
  }
  const Expr one = variable("one", Type{y.dtype(), {y.dims()[1]}});
  const Expr value = along(y, x, one, nodes, axes);
  return dimshuffle(vectorized(value, {{one, eye(size(x, 1), y.dtype())}}), {1, 0});
}

}  // namespace cinch::deriving
