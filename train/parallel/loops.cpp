// What loops are, seen from a part of the minibatch's rows: by what their steps are.
#include <algorithm>

#include "cinch/core/derive/choice.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/recurrence.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/train/parallel/kinds.hpp"

namespace cinch::parallel {

using deriving::Place;
using deriving::Separation;
using graphs::Recurrence;

Kinds::Kinds(const Kinds& around, std::span<const Expr> roots,
             std::span<const StepVariable> variables, std::span<const Separation::Given> given)
    : what_(around.what_),
      examples_(around.examples_),
      all_(roots, given, examples_),
      known_symbols_(around.known_symbols_) {
  for (const StepVariable& variable : variables) {
    kinds_[variable.given.x.get()] = variable.kind;
    if (variable.counts) counting_.insert(variable.given.x.get());
    for (const auto& size : variable.given.sizes) {
      if (variable.kind != Kind::local)
        known_symbols_.insert(size.symbols().begin(), size.symbols().end());
    }
  }
  follow(topological(roots));
  if (replacement_) refuse_mixing(replacement_->node);
}

/// Throws where a step needs what a part of the rows does not have: a sum over all of them, or, as
/// a value, their number.
void Kinds::require_alone(std::span<const Expr> roots) const {
  if (!needed_.empty()) {
    refuse(
        what_,
        text(".distribute cuts a minibatch into parts of its rows, and each step of a loop needs "
             "this of all of them:\n  ",
             needed_[0].type(), "  ", describe(needed_[0]),
             "\n  Take it out of the loop, or train without .distribute."),
        needed_[0]->where);
  }
  const auto refuse_number = [&](const Expr& node) {
    refuse(what_,
           text("a step of a loop computes with the number of the minibatch's rows, which a part "
                "does not know there: ",
                describe(node), ": take it out of the loop"),
           node->where);
  };
  for (const Expr& node : topological(roots)) {
    for (std::size_t k = 0; k < node.inputs().size(); ++k) {
      if (of(node.inputs()[k]) == Kind::size && of(node) != Kind::size &&
          !is_local_operand(node, k))
        refuse_number(node);
    }
  }
  for (const Expr& root : roots) {
    if (of(root) == Kind::size) refuse_number(root);
  }
}

namespace {

/// The same result by a loop of no more than it depends on, whose steps are counted by a sequence
/// of their number where no other is left.
Expr without_others(const Expr& node, const std::vector<bool>& needed) {
  const Recurrence r = Recurrence::of(node.attrs());
  Recurrence less = r;
  less.variables.clear(), less.updates.clear();
  std::vector<Expr> roots, operands;
  const auto place_of = [&](std::int64_t state) {
    return state < 0 ? state
                     : std::count(needed.begin(),
                                  needed.begin() + static_cast<std::ptrdiff_t>(state), true);
  };
  for (std::size_t k = 0; k < r.states; ++k) {
    if (needed[k]) less.updates.push_back(r.updates[k]);
  }
  roots = less.updates;
  if (r.last < 0) roots.push_back(r.value);
  NodeSet used;
  for (const Expr& each : topological(roots)) used.insert(each.get());
  less.sequences = less.states = 0;
  const auto take = [&](std::size_t k) {
    less.variables.push_back(r.variables[k]);
    operands.push_back(node.inputs()[k]);
  };
  for (std::size_t k = 0; k < r.sequences; ++k) {
    if (!used.contains(r.variables[k].get())) continue;
    take(k);
    ++less.sequences;
  }
  if (less.sequences == 0) {
    less.variables.push_back(variable("step", Type{DType::bool_, {}}));
    operands.push_back(broadcast_to(Expr(constant(Tensor(false))), {size(node.inputs()[0], 0)}));
    ++less.sequences;
  }
  for (std::size_t k = 0; k < r.states; ++k) {
    if (!needed[k]) continue;
    take(r.sequences + k);
    ++less.states;
  }
  for (std::size_t k = r.others_begin(); k < r.variables.size(); ++k) {
    if (used.contains(r.variables[k].get())) take(k);
  }
  less.last = place_of(r.last), less.until = place_of(r.until);
  return apply(scan_op, operands, less.attrs(), node->where);
}

}  // namespace

/// A loop keeps rows apart where its steps do. What a step sums over rows, as a gradient by
/// weights, it gives a sum of for each step; what a state adds up of such sums from 0 on is one.
Kind Kinds::kind_of_loop(const Expr& node) {
  const Recurrence r = Recurrence::of(node.attrs());
  std::vector<StepVariable> variables;
  for (std::size_t k = 0; k < r.variables.size(); ++k) {
    const Expr& operand = node.inputs()[k];
    const std::int64_t lost = k < r.sequences ? 1 : 0;
    StepVariable one{{r.variables[k], all_.place(operand), {}}, of(operand), false};
    one.counts = counting_.contains(operand.get());
    if (one.kind == Kind::size && !is_local_operand(node, k)) one.kind = Kind::same;
    if (one.given.place.found() && one.given.place.axis < lost) refuse_mixing(node);
    if (one.given.place.found()) one.given.place.axis -= lost;
    for (std::int64_t axis = lost; axis < operand.rank(); ++axis)
      one.given.sizes.push_back(all_.size(operand, axis));
    variables.push_back(std::move(one));
  }
  const std::vector<bool> needed = r.states_behind_result();
  std::vector<Expr> roots;
  for (std::size_t k = 0; k < r.states; ++k) {
    if (needed[k]) roots.push_back(r.updates[k]);
  }
  if (r.last < 0) roots.push_back(r.value);
  for (bool settled = false; !settled;) {
    settled = true;
    std::vector<Separation::Given> given;
    for (const StepVariable& one : variables) given.push_back(one.given);
    const Kinds step(*this, roots, variables, given);
    for (std::size_t k = 0; k < r.states; ++k) {
      if (!needed[k]) continue;
      StepVariable& state = variables[r.sequences + k];
      const Kind after = step.of(r.updates[k]);
      const Place place = step.all_.place(r.updates[k]);
      if (after == state.kind && (after != Kind::local || place == state.given.place)) continue;
      if (after == Kind::same && state.kind == Kind::local) continue;  // Repeated for each row.
      // What begins the same for all does not stay so; what is added to 0 may be a sum.
      const bool spreads = after == Kind::local && !state.given.place.found(),
                 adds = (after == Kind::sum || after == Kind::blocked) &&
                        deriving::is_zeros(node.inputs()[r.sequences + k]);
      if (state.kind == Kind::sum || !(spreads || adds)) {
        step.require_alone(roots);
        refuse_mixing(r.updates[k]);
      }
      state.kind = adds ? Kind::sum : Kind::local;
      state.given.place = place;
      settled = false;
    }
    if (!settled) continue;
    step.require_alone(roots);
    const Expr& result = r.last < 0 ? r.value : r.state(static_cast<std::size_t>(r.last));
    switch (const Kind kind = step.of(result)) {
      case Kind::local:
        if (step.counting_.contains(result.get())) counting_.insert(node.get());
        if (!all_.place(node).found()) refuse_mixing(node);
        return kind;
      case Kind::extreme:
        extremes_[node.get()] = step.how(result);
        return kind;
      case Kind::sum:
        return kind;
      case Kind::same:
        replacement_ = {node, without_others(node, needed)};
        if (std::ranges::equal(replacement_->by.inputs(), node.inputs())) refuse_mixing(node);
        return Kind::blocked;
      default:
        refuse_mixing(node);
    }
  }
  return Kind::blocked;  // Not reached.
}

}  // namespace cinch::parallel
