#include "cinch/core/grad.hpp"

#include <algorithm>

#include "cinch/core/derive/choice.hpp"
#include "cinch/core/derive/derivative_of.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/graph/derivation.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/rewrite/rewrite.hpp"
#include "cinch/core/rewrite/trace.hpp"

namespace cinch {

constinit const Op graphs::held_op{
    .name = "held",
    .type = [](Args x, const Attrs&) { return x[0].type(); },
    .operands = Operands::any,
    .grad = [](Args, const Expr&, const Expr& gy) -> Grads { return {gy}; },
};

namespace {

bool value_matters(const Expr& node, std::size_t input) { return node.op().reads(input); }

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
    bool flows = wrt.contains(node.get()), touched = flows, stopped = false;
    for (std::size_t i = 0; i < node.inputs().size(); ++i) {
      const Node* input = node.inputs()[i].get();
      if (!value_matters(node, i)) continue;
      touched = touched || depends.contains(input);
      const bool active = result.active.contains(input);
      (node.op().passes(node, i) ? flows : stopped) |= active;
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
    } else if (stopped) {
      result.cuts.push_back(node);
    }
  }
  return result;
}

[[noreturn]] void refuse_path(const Expr& cost, const Expr& wrt, std::span<const Expr> cuts) {
  std::string what = "the cost does not depend on " + describe(wrt) + " (" + text(wrt.type()) + ")";
  if (!cuts.empty()) {
    what += " but through what has no gradient:";
    for (std::size_t i = 0; i < std::min<std::size_t>(cuts.size(), 3); ++i) {
      what += "\n  " + describe(cuts[i]) + "  at " + cuts[i]->where.text();
    }
  }
  what += "\n  cost: " + describe(cost) + "  at " + cost->where.text() +
          "\n  Leave the parameter out, correct the cost, or pass Disconnected::zero to get zeros.";
  throw GradError(refusal("grad", what, {}, attributed(cost->where)));
}

Expr fitted(const Expr& gradient, const Expr& input) {
  const Expr g = gradient.dims() == input.dims() ? gradient : sum_like(gradient, input);
  return cast(g, input.dtype());
}

/// Formulas with each of some nodes behind a held(), which rewriting can neither look into nor
/// remove. Two nodes that compute the same stay two.
class Holder {
 public:
  explicit Holder(std::span<const Expr> nodes) : nodes_(nodes) {
    for (const Expr& node : nodes) wanted_.insert(node.get());
  }

  Expr operator()(const Expr& root) {
    const Expr shown = graphs::showing(std::span(&root, 1), nodes_).front();
    for (const Expr& node : topological(std::span(&shown, 1), wanted_)) {
      if (wanted_.contains(node.get())) stand_in(node);
    }
    NodeMap<Expr> done = held_;
    return rebuild(std::span(&shown, 1), done).front();
  }

  /// What stands for one of the nodes. It may be made of others.
  Expr stand_in(const Expr& node) {
    if (const auto found = held_.find(node.get()); found != held_.end()) return found->second;
    Expr result = node;
    if (!graphs::stays_itself(node)) {
      std::vector<Expr> inputs;
      for (const Expr& input : node.inputs()) inputs.push_back((*this)(input));
      const auto number = static_cast<std::uint64_t>(held_.size()) + 1;
      result = apply(graphs::held_op, {with_inputs(node, std::move(inputs))}, {.id = number},
                     node->where);
    }
    held_[node.get()] = result;
    return result;
  }

 private:
  std::span<const Expr> nodes_;
  NodeSet wanted_;
  NodeMap<Expr> held_;
};

/// Another node that computes the same.
Expr copy_of(const Expr& e) {
  return Expr(std::make_shared<const Node>(
      e.op(), std::vector(e.inputs().begin(), e.inputs().end()), e->attrs, e.type(), e->where));
}

/// The formula that a held node stands for; any other node itself.
Expr held_formula(const Expr& node) {
  const bool has_rule = &node.op() == &graphs::held_op && node.inputs()[0].op().grad;
  return has_rule ? Expr(node.inputs()[0]) : node;
}

/// The nodes whose gradients go on at `node`, of those that have one: itself; or, of parts of one
/// computation, all of them at the first. What they are made of comes before that, and what is made
/// of any of them has been met.
template <class F>
std::vector<Expr> taken_together(const Expr& node, std::span<const Expr> order, F has_one) {
  std::vector<Expr> result;
  if (!node.op().grads) {
    if (has_one(node)) result.push_back(node);
    return result;
  }
  bool first = true;
  for (const Expr& other : order) {
    if (&other.op() != &node.op() || !node.op().siblings(node, other)) continue;
    if (first && !(other == node)) return {};
    first = false;
    if (has_one(other)) result.push_back(other);
  }
  return result;
}

/// By the inputs of `formula`, which computes `node`. Where its value appears, it is as `node`.
Grads gradients_of(const Expr& node, const Expr& formula, const Expr& gy) {
  if (formula == node) return deriving::gradients_inside_choice(node, gy);
  const Expr value = copy_of(formula);
  return graphs::replaced(deriving::gradients_inside_choice(value, gy), {{value, node}});
}

/// The same graphs, in terms that have a derivative wherever the whole has one.
std::vector<Expr> smoothed(std::vector<Expr> roots) {
  std::vector<std::vector<Expr> (*)(std::span<const Expr>)> ways;
  for (const Expr& node : topological(roots)) {
    const auto way = node.op().smoothed;
    if (way && std::ranges::find(ways, way) == ways.end()) ways.push_back(way);
  }
  for (const auto way : ways) roots = way(roots);
  return roots;
}

/// What is done before a derivative is taken.
void prepare(std::vector<Expr>& roots) {
  const auto simplify = [&](std::vector<Applied>* log) {
    roots = rewriting::rewrite(roots, {.fold_constants = false, .log = log});
  };
  if (!rewriting::is_traced()) {
    simplify(nullptr);
    roots = smoothed(roots);
    return;
  }
  std::vector<Applied> rules;
  rewriting::staged("grad", "simplify", roots, rules, [&] { simplify(&rules); });
  rewriting::staged("grad", "past roots", roots, rules, [&] { roots = smoothed(roots); });
}

std::vector<Expr> accumulate(const Expr& y, const Expr& v, const std::vector<Expr>& wrt,
                             const GradOptions& options, const std::vector<Expr>& whole) {
  std::vector<Expr> named = wrt;
  named.insert(named.end(), options.consider_constant.begin(), options.consider_constant.end());
  named.insert(named.end(), whole.begin(), whole.end());
  // The vector comes in at the end: what is named is itself in there.
  const Expr seed = graphs::is_leaf(v) ? v : variable("seed", v.type());

  // Stable formulas first: what is differentiated is log(sigmoid(a)) as -softplus(-a). What is
  // named stays as it is.
  Holder held(named);
  std::vector<Expr> roots{held(y)};
  for (const Expr& node : named) roots.push_back(held.stand_in(node));
  prepare(roots);
  NodeMap<Expr> original;
  for (std::size_t k = 0; k < named.size(); ++k) {
    // Rewriting may have taken a named node for another one that computes the same.
    if (!graphs::stays_itself(named[k])) original[named[k].get()] = copy_of(named[k]);
    original[roots[k + 1].get()] = named[k];
  }
  const std::span<const Expr> by = std::span(roots).subspan(1, wrt.size());
  const std::span<const Expr> stopped =
      std::span(roots).subspan(1 + wrt.size(), options.consider_constant.size());
  NodeSet wanted, constants;
  for (const Expr& w : by) wanted.insert(w.get());
  for (const Expr& c : stopped) constants.insert(c.get());

  const std::vector<Expr> order = topological(std::span(roots).first(1));
  const Reach flow = reach(order, wanted, constants);
  NodeMap<Expr> gradient;
  if (flow.active.contains(roots[0].get())) gradient[roots[0].get()] = seed;
  for (auto node = order.rbegin(); node != order.rend(); ++node) {
    if (graphs::is_leaf(*node)) continue;
    const std::vector<Expr> ys = taken_together(*node, order, [&](const Expr& part) {
      return gradient.contains(part.get()) && !constants.contains(part.get());
    });
    // A parameter may itself depend on another parameter: the flow goes on through it where it is
    // differentiable.
    if (ys.empty() || !node->op().grad) continue;
    const bool goes_on = std::ranges::any_of(
        node->inputs(), [&](const Expr& input) { return flow.active.contains(input.get()); });
    if (!goes_on) continue;
    const Attribution as((*node)->where, /*force=*/true);
    const Expr rule = held_formula(*node);
    Grads grads;
    if (node->op().grads) {
      std::vector<Expr> gys;
      for (const Expr& part : ys) gys.push_back(gradient.at(part.get()));
      grads = node->op().grads(ys, gys);
    } else {
      grads = gradients_of(*node, rule, gradient.at(node->get()));
    }
    for (std::size_t i = 0; i < grads.size(); ++i) {
      const Expr& input = rule.inputs()[i];
      if (!grads[i].has_value() || !value_matters(rule, i) || !flow.active.contains(input.get()))
        continue;
      const Expr part = fitted(grads[i], input);
      Expr& total = gradient[input.get()];
      total = total.has_value() ? deriving::sum_of_choices(total, part) : part;
    }
  }
  std::vector<Expr> result;
  for (std::size_t k = 0; k < wrt.size(); ++k) {
    const auto found = gradient.find(by[k].get());
    if (found != gradient.end()) {
      result.push_back(found->second);
    } else if (options.disconnected == Disconnected::zero ||
               deriving::is_flat_derivative(y, wrt[k])) {
      result.push_back(broadcast_like(cast(Arg(0.0), wrt[k].dtype()), wrt[k]));
    } else {
      // Only the cuts that this parameter feeds.
      const Reach alone = reach(order, {by[k].get()}, constants);
      refuse_path(y, wrt[k], alone.cuts);
    }
  }
  result = rebuild(result, original);
  if (!(seed == v))
    result = graphs::replaced(result, {{seed, graphs::showing(std::span(&v, 1), whole).front()}});
  NodeSet given;  // Found by identity themselves.
  for (const Expr& node : topological(std::vector{y, v})) given.insert(node.get());
  for (std::size_t k = 0; k < wrt.size(); ++k) {
    if (graphs::is_leaf(result[k]) || given.contains(result[k].get())) continue;
    const auto again = [=](const std::vector<Expr>& shown) {
      return accumulate(y, v, wrt, options, shown)[k];
    };
    result[k] = graphs::derived(result[k], {{y, v}, named, again});
  }
  return result;
}

}  // namespace

std::vector<Expr> Lop(const Arg& y, const Parameters& wrt, const Expr& v,
                      const GradOptions& options) {
  const Attribution as(y.where());
  if (!is_float(y->dtype())) refuse("Lop", "what is differentiated must be a float", y);
  for (const Expr& c : options.consider_constant) c.type();  // An empty one would go unnoticed.
  for (const Expr& w : wrt.all()) {
    if (!is_float(w.dtype())) {
      refuse("grad",
             "cannot differentiate by " + describe(w) + ", it is " + text(w.type()) +
                 (is_storage(w.dtype()) ? ": what is stored narrow is data; a parameter, and what "
                                          "widened() gives, is float32 or float64"
                                        : ": only floats change by small steps"),
             y, {w});
    }
  }
  return accumulate(y, cast(records::alike("Lop", v, y), y->dtype()), wrt.all(), options, {});
}

Expr Lop(const Arg& y, const Expr& wrt, const Expr& v, const GradOptions& options) {
  return Lop(y, Parameters(wrt), v, options).front();
}

std::vector<Expr> grad(const Arg& cost, const Parameters& wrt, const GradOptions& options) {
  const Attribution as(cost.where());
  if (cost->rank() != 0 || !is_float(cost->dtype())) {
    refuse("grad",
           text("the cost must be a float scalar, it is ", text(cost->type()), "  ", describe(cost),
                "\n  made at ", cost.expr()->where.text(),
                cost->rank() != 0 ? "\n  Take sum() or mean() of it." : "",
                is_float(cost->dtype()) ? ""
                                        : "\n  Whole numbers have no slope: compute the cost from "
                                          "floats, as cast(x, DType::float64)."),
           cost);
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
