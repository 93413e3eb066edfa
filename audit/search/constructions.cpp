#include "cinch/audit/search/constructions.hpp"

#include <algorithm>
#include <cmath>

#include "cinch/audit/search/flow.hpp"
#include "cinch/audit/search/formula.hpp"
#include "cinch/core/error.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/op.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch::searching {

namespace {

template <class... Ops>
bool is(const Expr& e, const Ops&... ops) {
  return ((&e.op() == &ops) || ...);
}

/// What is only repeated, laid out or converted.
Expr bare(Expr e) {
  while (is(e, broadcast_to_op, dimshuffle_op, reshape_op, cast_op)) e = e.inputs()[0];
  return e;
}

/// The parameters that are summands of `e`, and the nodes that add them.
void summands(const Expr& e, std::span<const Expr> parameters,
              std::vector<std::pair<Expr, Expr>>& found, const Expr& by) {
  const Expr plain = bare(e);
  if (std::ranges::find(parameters, plain) != parameters.end()) {
    found.emplace_back(plain, by);
  } else if (is(plain, add_op, sub_op, neg_op)) {
    for (const Expr& input : plain.inputs()) summands(input, parameters, found, plain);
  }
}

bool is_number(const Expr& e, double least, double most) {
  const Tensor* value = constant_value(bare(e));
  if (!value || value->size() != 1) return false;
  return value->item() >= least && value->item() <= most;
}

/// Whether `e` is made of `part` by elementwise steps alone.
bool is_made_of(const Expr& e, const std::function<bool(const Expr&)>& part, int depth = 8) {
  if (part(e)) return true;
  if (depth == 0) return false;
  const Expr plain = bare(e);
  if (part(plain)) return true;
  if (!is(plain, mul_op, switch_op, relu_op, maximum_op)) return false;
  return std::ranges::any_of(plain.inputs(),
                             [&](const Expr& input) { return is_made_of(input, part, depth - 1); });
}

}  // namespace

std::vector<Suspicion> counted_twice(const Construction& c) {
  std::vector<Suspicion> result;
  for (const Expr& node : value_nodes(c.root)) {
    if (!is(node, sub_op)) continue;
    for (const std::size_t k : {std::size_t{0}, std::size_t{1}}) {
      const Expr held = bare(node.inputs()[k]);
      if (!is(held, stop_gradient_op)) continue;
      std::vector<std::pair<Expr, Expr>> before, again;
      summands(held.inputs()[0], c.parameters, before, held);
      summands(node.inputs()[1 - k], c.parameters, again, node);
      for (const auto& [p, by] : again) {
        if (std::ranges::find(before, p, [](const auto& b) { return b.first; }) == before.end())
          continue;
        result.push_back(
            {Finding::counted_twice, by->where,
             text(describe(p), " is added here to what is to explain ", formula_text(held),
                  ", which has it as a summand already: it is counted twice. Leave it out of what "
                  "explains the rest.")});
      }
    }
  }
  return result;
}

std::vector<Suspicion> moving_targets(const Construction& c) {
  const std::vector<Expr> nodes = value_nodes(c.root);
  NodeMap<int> users;
  for (const Expr& node : nodes)
    for (const Expr& input : node.inputs()) ++users[input.get()];
  std::vector<Suspicion> result;
  for (const Expr& node : nodes) {
    if (!is(node, sub_op)) continue;
    const Expr& target = node.inputs()[0];
    if (!is(target, sub_op) || !c.depends.contains(node.inputs()[1].get())) continue;
    const Expr &x = target.inputs()[0], &z = target.inputs()[1];
    if (c.depends.contains(x.get()) || !c.depends.contains(z.get())) continue;
    // It is an error by itself, too.
    const bool error =
        users[target.get()] > 1 || std::ranges::any_of(nodes, [&](const Expr& e) {
          return is(e, sub_op) && e != target && e.inputs()[0] == x && e.inputs()[1] == z;
        });
    if (!error) continue;
    result.push_back({Finding::moving_target, target->where,
                      text("What is left over by one reconstruction, ", formula_text(target),
                           ", is the target of another one, ", formula_text(node.inputs()[1]),
                           ", which pulls on the first as well. Hold it: stop_gradient(",
                           formula_text(target), "), unless both are to be trained by it.")});
  }
  return result;
}

std::vector<Suspicion> selected_twice(const Construction& c) {
  std::vector<Suspicion> result;
  for (const Expr& node : value_nodes(c.root)) {
    if (!is(node, less_op, less_equal_op)) continue;
    const Expr threshold = bare(node.inputs()[0]), value = bare(node.inputs()[1]);
    if (!c.depends.contains(threshold.get()) || !c.depends.contains(value.get())) continue;
    const auto selects_by_it = [&](const Expr& e) {
      return is(e, less_op, less_equal_op) && bare(e.inputs()[0]) == threshold;
    };
    if (!is_made_of(value, selects_by_it)) continue;
    const bool known = std::ranges::any_of(
        result, [&](const Suspicion& s) { return s.where.text() == node->where.text(); });
    if (known) continue;
    result.push_back({Finding::selected_twice, node->where,
                      text("What is compared with the threshold ", formula_text(threshold),
                           " here was selected by it before: below it there are only zeros, so "
                           "that a slope over a window around it sees half of what there is. Take "
                           "the values as they were.")});
  }
  return result;
}

std::vector<Suspicion> foreign_axes(const Construction& c) {
  const std::vector<Expr> nodes = value_nodes(c.root);
  NodeMap<std::vector<Expr>> users;
  for (const Expr& node : nodes)
    for (const Expr& input : node.inputs()) users[input.get()].push_back(node);
  // Whether something that no parameter moves is compared with it.
  const auto is_reconstruction = [&](Expr e) {
    for (int steps = 0; steps < 4; ++steps) {
      const std::vector<Expr>& by = users[e.get()];
      Expr next;
      for (const Expr& user : by) {
        if (is(user, sub_op)) {
          const Expr& other = user.inputs()[user.inputs()[0] == e ? 1 : 0];
          if (!c.depends.contains(other.get())) return true;
        }
        if (is(user, add_op)) next = user;
      }
      if (!next.has_value()) return false;
      e = next;
    }
    return false;
  };
  std::vector<Suspicion> result;
  for (const Expr& node : nodes) {
    if (!is(node, dot_op) || !c.depends.contains(node.inputs()[0].get())) continue;
    const Expr& W = node.inputs()[1];
    if (!is(W, div_op) || W.rank() != 2) continue;
    const Expr p = bare(W.inputs()[0]);
    if (std::ranges::find(c.parameters, p) == c.parameters.end()) continue;
    const Tensor now = c.value(p);
    if (now.rank() != 2 || now.shape()[0] <= now.shape()[1]) continue;
    const std::vector<Expr> parts = value_nodes(W.inputs()[1]);
    const bool by_columns = std::ranges::any_of(parts, [&](const Expr& e) {
      return is(e, sum_op) && e.inputs()[0].rank() == 2 && is(e.inputs()[0], square_op) &&
             bare(e.inputs()[0].inputs()[0]) == p && OverAxes::of(e.attrs()).size() == 1 &&
             OverAxes::of(e.attrs())[0] == 0;
    });
    if (!by_columns || !is_reconstruction(node)) continue;
    result.push_back({Finding::foreign_axis, W->where,
                      text("The columns of ", describe(p), ", ", text(now.shape()),
                           ", are given the length 1, over its ", now.shape()[0],
                           " rows. Each row is what one unit of a code stands for: where these "
                           "are to have the length 1, take the norm along axis 1.")});
  }
  return result;
}

std::vector<Suspicion> misplaced_epsilons(const Construction& c) {
  std::vector<Suspicion> result;
  const auto inverse_root = [](const Expr& e) {
    const Expr plain = bare(e);
    if (is(plain, pow_op)) return is_number(plain.inputs()[1], -0.5, -0.5);
    return is(plain, div_op) && is_number(plain.inputs()[0], 1, 1) &&
           is(bare(plain.inputs()[1]), sqrt_op);
  };
  for (const Expr& node : value_nodes(c.root)) {
    if (!is(node, add_op)) continue;
    for (const std::size_t k : {std::size_t{0}, std::size_t{1}}) {
      if (!is_number(node.inputs()[k], 1e-30, 1e-3) || !inverse_root(node.inputs()[1 - k]))
        continue;
      result.push_back({Finding::misplaced_epsilon, node->where,
                        text(formula_text(node),
                             " adds a small number to the inverse of a root, where it keeps "
                             "nothing from being divided by 0. Add it below the root: "
                             "1 / sqrt(... + epsilon).")});
    }
  }
  return result;
}

std::vector<Suspicion> hidden_nans(const Construction& c) {
  std::vector<Suspicion> result;
  for (const Expr& node : value_nodes(c.root)) {
    if (!is(node, switch_op) || !c.depends.contains(node.get())) continue;
    for (const Expr& part : value_nodes(node.inputs()[0])) {
      if (!is(part, is_nan_op)) continue;
      const Expr asked = bare(part.inputs()[0]);
      const bool yes = bare(node.inputs()[1]) == asked, no = bare(node.inputs()[2]) == asked;
      if (yes == no || c.depends.contains(node.inputs()[yes ? 2 : 1].get())) continue;
      result.push_back({Finding::hidden_nan, node->where,
                        text("Where ", formula_text(asked),
                             " is NaN, something else stands for it, and nobody learns of it: the "
                             "examples it comes from are not trained, or the whole cost is not. "
                             "Write what makes it so that it cannot be NaN: logdet() of a Cholesky "
                             "factor, log1p(), a norm with an epsilon below the root.")});
      break;
    }
  }
  return result;
}

std::vector<Suspicion> slow_thresholds(const Construction& c) {
  std::vector<Suspicion> result;
  for (const Expr& node : value_nodes(c.root)) {
    if (!is(node, less_op, less_equal_op)) continue;
    const Expr threshold = bare(node.inputs()[0]), value = bare(node.inputs()[1]);
    if (!is(threshold, exp_op) || !c.depends.contains(value.get())) continue;
    const Expr logarithm = bare(threshold.inputs()[0]);
    if (std::ranges::find(c.parameters, logarithm) == c.parameters.end()) continue;
    double largest = 0, squares = 0;
    const Tensor t = c.value(threshold), v = c.value(value);
    for (std::int64_t k = 0; k < t.size(); ++k) largest = std::max(largest, t.at(k));
    for (std::int64_t k = 0; k < v.size(); ++k)
      squares += v.at(k) * v.at(k) / static_cast<double>(v.size());
    constexpr double far = 0.02;
    if (!(largest < far * std::sqrt(squares))) continue;
    const bool known = std::ranges::any_of(
        result, [&](const Suspicion& s) { return s.where.text() == threshold->where.text(); });
    if (known) continue;
    std::ostringstream sizes;
    sizes.imbue(std::locale::classic());
    sizes.precision(2);
    sizes << largest << ", where values are of the order of " << std::sqrt(squares);
    result.push_back(
        {Finding::slow_threshold, threshold->where,
         text("The thresholds exp(", describe(logarithm), ") are at most ", sizes.str(),
              ": a step of an optimizer changes them by a share of "
              "themselves, so that at a rate that suits weights they hardly move. "
              "Let the threshold itself be the parameter, start it where it is to "
              "be, or give it a rate of its own.")});
  }
  return result;
}

}  // namespace cinch::searching
