#include "core/grad.hpp"

#include <algorithm>

#include "core/graph.hpp"
#include "core/leaves.hpp"
#include "core/op.hpp"
#include "core/rewrite.hpp"

namespace cinch {

namespace {

bool value_matters(const Expr& node, std::size_t input) {
  return !(node.op().shape_only >> input & 1u);
}

/// Nodes between `wrt` and the roots through which a gradient can flow, wrt included, and where
/// flows were cut.
struct Reach {
  NodeSet active;
  std::vector<Expr> cuts;  ///< Nodes without a gradient that depend on wrt.
};

Reach reach(std::span<const Expr> order, const NodeSet& wrt, const NodeSet& constants) {
  Reach result;
  NodeSet depends;  // On wrt, whether or not a gradient flows.
  for (const Expr& node : order) {
    bool flows = wrt.contains(node.get()), touched = flows;
    for (std::size_t i = 0; i < node.inputs().size(); ++i) {
      const Node* input = node.inputs()[i].get();
      if (!value_matters(node, i)) continue;
      touched = touched || depends.contains(input);
      flows = flows || result.active.contains(input);
    }
    if (constants.contains(node.get()) && !wrt.contains(node.get())) {
      if (flows) result.cuts.push_back(node);
      continue;
    }
    if (touched) depends.insert(node.get());
    if (wrt.contains(node.get())) {
      result.active.insert(node.get());
    } else if (flows) {
      if (node.op().grad && is_float(node.dtype())) {
        result.active.insert(node.get());
      } else {
        result.cuts.push_back(node);
      }
    }
  }
  return result;
}

std::string no_path(const Expr& cost, const Expr& wrt, std::span<const Expr> cuts) {
  std::string result =
      "grad: the cost does not depend on " + describe(wrt) + " (" + text(wrt.type()) + ")";
  if (!cuts.empty()) {
    result += " but through what has no gradient:";
    for (std::size_t i = 0; i < std::min<std::size_t>(cuts.size(), 3); ++i) {
      result += "\n  " + describe(cuts[i]) + "  at " + cuts[i]->where.text();
    }
  }
  result += "\n  cost: " + describe(cost) + "  at " + cost->where.text();
  return result +
         "\n  Leave the parameter out, correct the cost, or pass Disconnected::zero to get zeros.";
}

Expr fitted(const Expr& gradient, const Expr& input) {
  const Expr g = gradient.dims() == input.dims() ? gradient : sum_like(gradient, input);
  return cast(g, input.dtype());
}

std::vector<Expr> accumulate(const Expr& y, const Expr& v, std::vector<Expr> wrt,
                             const GradOptions& options) {
  // Stable formulas first: what is differentiated is log(sigmoid(a)) as -softplus(-a).
  std::vector<Expr> roots{y};
  roots.insert(roots.end(), wrt.begin(), wrt.end());
  roots.insert(roots.end(), options.consider_constant.begin(), options.consider_constant.end());
  RewriteOptions stable{.fold_constants = false};
  for (std::size_t i = 1; i < roots.size(); ++i) stable.opaque.insert(roots[i].get());
  const std::vector<Expr> original = wrt;
  roots = rewrite(roots, stable);
  std::copy_n(roots.begin() + 1, wrt.size(), wrt.begin());
  NodeSet wanted, constants;
  for (const Expr& w : wrt) wanted.insert(w.get());
  for (auto c = roots.begin() + 1 + std::ssize(wrt); c != roots.end(); ++c)
    constants.insert(c->get());

  const std::vector<Expr> order = topological(std::span(roots).first(1));
  const Reach flow = reach(order, wanted, constants);
  NodeMap<Expr> gradient;
  if (flow.active.contains(roots[0].get())) gradient[roots[0].get()] = v;
  for (auto node = order.rbegin(); node != order.rend(); ++node) {
    const auto found = gradient.find(node->get());
    if (found == gradient.end() || is_leaf(*node)) continue;
    // A parameter may itself depend on another parameter: the flow goes on through it where it is
    // differentiable.
    if (constants.contains(node->get()) || !node->op().grad) continue;
    const bool goes_on = std::ranges::any_of(
        node->inputs(), [&](const Expr& input) { return flow.active.contains(input.get()); });
    if (!goes_on) continue;
    const Attribution as((*node)->where, /*force=*/true);
    const Expr gy = found->second;
    const Grads grads = node->op().grad(node->inputs(), *node, gy);
    for (std::size_t i = 0; i < grads.size(); ++i) {
      const Expr& input = node->inputs()[i];
      if (!grads[i].has_value() || !value_matters(*node, i) || !flow.active.contains(input.get()))
        continue;
      const Expr part = fitted(grads[i], input);
      Expr& total = gradient[input.get()];
      total = total.has_value() ? total + part : part;
    }
  }
  std::vector<Expr> result;
  for (std::size_t k = 0; k < wrt.size(); ++k) {
    const auto found = gradient.find(wrt[k].get());
    if (found != gradient.end()) {
      result.push_back(found->second);
    } else if (options.disconnected == Disconnected::zero) {
      result.push_back(broadcast_like(cast(Arg(0.0), wrt[k].dtype()), wrt[k]));
    } else {
      // Only the cuts that this parameter feeds.
      std::vector<Expr> mine;
      const Reach alone = reach(order, {wrt[k].get()}, constants);
      throw GradError(no_path(y, original[k], alone.cuts));
    }
  }
  return result;
}

}  // namespace

std::vector<Expr> Lop(const Arg& y, const Parameters& wrt, const Expr& v,
                      const GradOptions& options) {
  const Attribution as(y.where());
  if (!is_float(y->dtype()))
    throw TypeError("Lop: y must be float, it is " + text(y->type()) + "  " + describe(y));
  for (const Expr& w : wrt.all()) {
    if (!w.has_value()) throw TypeError("grad: a parameter is an empty expression");
    if (!is_float(w.dtype())) {
      throw TypeError("grad: cannot differentiate by " + describe(w) + ", it is " + text(w.type()));
    }
  }
  return accumulate(y, cast(v, y->dtype()), wrt.all(), options);
}

Expr Lop(const Arg& y, const Expr& wrt, const Expr& v, const GradOptions& options) {
  return Lop(y, Parameters(wrt), v, options).front();
}

std::vector<Expr> grad(const Arg& cost, const Parameters& wrt, const GradOptions& options) {
  const Attribution as(cost.where());
  if (cost->rank() != 0 || !is_float(cost->dtype())) {
    throw TypeError("grad: the cost must be a float scalar, it is " + text(cost->type()) + "  " +
                    describe(cost) + "\n  written at " + cost.expr()->where.text() +
                    "\n  Take sum() or mean() of it.");
  }
  return Lop(cost, wrt, cast(Arg(1.0), cost->dtype()), options);
}

std::vector<Expr> grad(const Arg& cost, std::initializer_list<Expr> wrt,
                       const GradOptions& options) {
  return grad(cost, Parameters(wrt), options);
}

Expr grad(const Arg& cost, const Expr& wrt, const GradOptions& options) {
  return grad(cost, Parameters(wrt), options).front();
}

}  // namespace cinch
