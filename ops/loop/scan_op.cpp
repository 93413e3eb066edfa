#include "cinch/ops/loop/scan_op.hpp"

#include <algorithm>
#include <cstring>

#include "cinch/core/derive/choice.hpp"
#include "cinch/core/derive/examples.hpp"
#include "cinch/core/derive/rows.hpp"
#include "cinch/core/grad.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/graph/derivation.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/graph/recurrence.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/rewrite/rewrite.hpp"
#include "cinch/core/run/interpret.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/arrange.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

Expr loops::like_a_row(const Expr& rows) {
  const Expr numbers = is_float(rows.dtype()) ? rows : cast(rows, DType::float64);
  return cast(sum_axes(numbers, {0}), rows.dtype());
}

namespace {

using graphs::Recurrence;

// Types and values
// -------------------------------------------------------------------------------------------------

/// Throws TypeError where a step leaves a state in another type than it finds it in.
void require_kept(const Recurrence& r) {
  for (std::size_t k = 0; k < r.states; ++k) {
    const Expr &before = r.state(k), &after = r.updates[k];
    bool same = before.dtype() == after.dtype() && before.rank() == after.rank();
    for (std::size_t axis = 0; same && axis < after.dims().size(); ++axis) {
      const Dim a = before.dims()[axis], b = after.dims()[axis];
      same = a == b || !a.known() || !b.known();
    }
    if (same) continue;
    throw TypeError(text("a step must leave ", describe(before), " in its type, ", before.type(),
                         ": it makes ", after.type(), " of it  ", describe(after),
                         written_at(after->where)));
  }
}

/// How many rows the sequences have. Throws TypeError where that differs.
Dim rows_of(Args sequences) {
  Dim result = sequences[0].dims()[0];
  for (const Expr& sequence : sequences) {
    const Dim rows = sequence.dims()[0];
    if (result.known() && rows.known() && !(rows == result)) {
      throw TypeError(
          text("sequences have different numbers of rows, ", result.size(), " and ", rows.size()));
    }
    if (!result.known()) result = rows;
  }
  return result;
}

/// `r` for these operands. Where all their sizes are known, so are those of what a step makes.
Recurrence fitted(const Recurrence& r, Args operands) {
  Recurrence result = r.fitted(operands);
  const auto is_static = [](const Expr& e) { return e.type().is_static(); };
  if (!std::ranges::all_of(operands, is_static)) return result;
  std::vector<Expr> roots = result.updates;
  roots.push_back(result.value);
  if (std::ranges::all_of(roots, is_static)) return result;
  roots = rewriting::rewrite(roots);
  result.value = roots.back();
  roots.pop_back();
  result.updates = std::move(roots);
  return result;
}

Type scan_type(Args x, const Attrs& attrs) {
  Recurrence r = Recurrence::of(attrs);
  for (const Expr& sequence : x.first(r.sequences)) {
    if (sequence.rank() < 1) throw TypeError("a sequence needs a first axis, its steps");
  }
  const Dim steps = rows_of(x.first(r.sequences));
  r = fitted(r, x);
  require_kept(r);
  if (r.last >= 0) {
    const auto k = static_cast<std::size_t>(r.last);
    Type kept{r.updates[k].dtype(), x[r.sequences + k].dims()};
    for (std::size_t axis = 0; axis < kept.dims.size(); ++axis) {
      const Dim after = r.updates[k].dims()[axis];
      if (!kept.dims[axis].known() && after.known()) kept.dims[axis] = after;
    }
    return kept;
  }
  Type result{r.value.dtype(), r.value.dims()};
  result.dims.insert(result.dims.begin(), steps);
  return result;
}

Tensor row_of(const Tensor& rows, std::int64_t t) {
  Tensor result(rows.dtype(), {rows.shape().begin() + 1, rows.shape().end()});
  std::memcpy(
      result.raw(),
      static_cast<const std::byte*>(rows.raw()) + static_cast<std::size_t>(t) * result.bytes(),
      result.bytes());
  return result;
}

/// The value at a step that is not made: of the states as they stay. What the rows make impossible
/// is as it was before.
Tensor after_the_end(const Recurrence& r, const std::vector<Binding>& bindings,
                     const Tensor& before) {
  const Expr& over = r.state(static_cast<std::size_t>(r.until));
  const bool chosen = &r.value.op() == &switch_op && r.value.inputs()[0] == over;
  const Expr value = chosen ? broadcast_to(r.value.inputs()[1], before.shape()) : r.value;
  try {
    return running::interpret(std::span(&value, 1), bindings, /*watch=*/false).front();
  } catch (const Error&) {
    return before;
  }
}

Tensor scan_reference(Values in, const Attrs& attrs) {
  std::vector<Expr> operands;
  for (const Tensor* value : in) {
    const bool number = value->dtype() == DType::int64 && value->rank() == 0;
    operands.push_back(number ? constant(*value) : variable("", type_of(*value)));
  }
  const Type type = scan_type(operands, attrs);
  const Recurrence r = fitted(Recurrence::of(attrs), operands);
  std::vector<Tensor> now;  // The states.
  for (std::size_t k = 0; k < r.states; ++k) now.push_back(*in[r.sequences + k]);
  if (!type.is_static())
    throw TypeError("the size of what a step makes depends on values of that step");
  Tensor result(type.dtype, type.shape());
  const std::int64_t steps = in[0]->shape()[0];
  std::vector<Expr> roots = r.updates;
  roots.push_back(r.value);
  const auto is_over = [&] {
    return r.ends_early() && now[static_cast<std::size_t>(r.until)].item() != 0;
  };
  Shape row_shape = type.shape();
  if (r.last < 0) row_shape.erase(row_shape.begin());
  Tensor row(type.dtype, row_shape);
  for (std::int64_t n = 0; n < steps; ++n) {
    const std::int64_t t = r.backward ? steps - 1 - n : n;
    std::vector<Binding> bindings;
    for (std::size_t k = 0; k < r.variables.size(); ++k) {
      if (k < r.sequences) {
        bindings.emplace_back(r.variables[k], row_of(*in[k], t));
      } else if (k < r.others_begin()) {
        bindings.emplace_back(r.variables[k], now[k - r.sequences]);
      } else {
        bindings.emplace_back(r.variables[k], *in[k]);
      }
    }
    if (!is_over()) {
      std::vector<Tensor> made = running::interpret(roots, bindings, /*watch=*/false);
      row = std::move(made.back());
      made.pop_back();
      now = std::move(made);
    } else if (r.last < 0) {
      row = after_the_end(r, bindings, row);
    }
    if (r.last >= 0) continue;
    std::memcpy(static_cast<std::byte*>(result.raw()) + static_cast<std::size_t>(t) * row.bytes(),
                row.raw(), row.bytes());
  }
  return r.last < 0 ? result : now[static_cast<std::size_t>(r.last)];
}

/// `e`, of the recurrence's variables, where only its shape matters.
Expr shape_outside(const Expr& e, const Recurrence& r, Args operands) {
  Substitutions values;
  for (std::size_t k = 0; k < r.variables.size(); ++k) {
    values.emplace_back(r.variables[k],
                        k < r.sequences ? loops::like_a_row(operands[k]) : Expr(operands[k]));
  }
  return graphs::replaced(std::span(&e, 1), values).front();
}

Expr scan_size(const Expr& y, std::int64_t axis) {
  const Recurrence r = Recurrence::of(y.attrs());
  if (r.last >= 0) return size(y.inputs()[r.sequences + static_cast<std::size_t>(r.last)], axis);
  if (axis == 0) return size(y.inputs()[0], 0);
  return size(shape_outside(r.value, r, y.inputs()), axis - 1);
}

// Derivatives
// -------------------------------------------------------------------------------------------------

/// The step that goes back: what cotangents of one step's results make those of what it was made
/// from.
class StepBack {
 public:
  /// Results of one recurrence `r`: `results[i]` says which the i-th one is.
  StepBack(const Recurrence& r, std::vector<Recurrence> results)
      : r_(r), results_(std::move(results)) {
    for (std::size_t k = 0; k < r_.variables.size(); ++k) {
      if (!is_float(r_.variables[k].dtype())) continue;
      wrt_.push_back(r_.variables[k]);
      place_.push_back(k);
    }
    carried_.resize(r_.states);
    for (const Recurrence& one : results_) {
      const Expr& e = one.last < 0 ? one.value : r_.state(static_cast<std::size_t>(one.last));
      const Expr cotangent = variable("cotangent", Type{e.dtype(), e.dims()});
      rows_.push_back(one.last < 0 ? cotangent : Expr());
      if (one.last >= 0) carried_[static_cast<std::size_t>(one.last)] = cotangent;
    }
    // Twice: first for which states have a cotangent at all, then each formula pulled back once.
    while (pull_back()) {
    }
  }

  /// By variable k, of the cotangents; empty where it is 0.
  const std::vector<Expr>& gradients() const { return total_; }
  /// The cotangent of result i at one step; empty for a last value.
  const Expr& row(std::size_t i) const { return rows_[i]; }
  /// The cotangent of state k; empty where it is 0 throughout.
  const Expr& carried(std::size_t k) const { return carried_[k]; }

 private:
  /// True where another state turns out to have a cotangent.
  bool pull_back() {
    Substitutions cotangents;  // Of formulas; those that are asked for twice have one sum.
    const auto add = [&](const Expr& formula, const Expr& cotangent) {
      if (!is_float(formula.dtype())) return;
      const auto found = std::ranges::find(cotangents, formula, &std::pair<Expr, Expr>::first);
      if (found == cotangents.end()) {
        cotangents.emplace_back(formula, cotangent);
      } else {
        found->second = found->second + cotangent;
      }
    };
    for (std::size_t i = 0; i < results_.size(); ++i) {
      if (rows_[i].has_value()) add(results_[i].value, rows_[i]);
    }
    for (std::size_t k = 0; k < r_.states; ++k) {
      if (carried_[k].has_value()) add(r_.updates[k], carried_[k]);
    }
    total_.assign(r_.variables.size(), {});
    if (wrt_.empty() || cotangents.empty()) return false;
    // Together, so that what formulas have in common is gone through once.
    Expr along;
    for (const auto& [formula, cotangent] : cotangents) {
      std::vector<std::int64_t> all;
      for (std::int64_t axis = 0; axis < formula.rank(); ++axis) all.push_back(axis);
      const Expr product = formula * cotangent;
      const Expr term = all.empty() ? product : sum_axes(product, all);
      along = along.has_value() ? along + term : term;
    }
    const std::vector<Expr> parts = grad(along, wrt_, {.disconnected = Disconnected::zero});
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (!deriving::is_zeros(parts[i])) total_[place_[i]] = parts[i];
    }
    bool grows = false;
    for (std::size_t k = 0; k < r_.states; ++k) {
      if (carried_[k].has_value() || !total_[r_.sequences + k].has_value()) continue;
      carried_[k] = variable("cotangent", Type{r_.state(k).dtype(), r_.state(k).dims()});
      grows = true;
    }
    return grows;
  }

  const Recurrence& r_;
  std::vector<Recurrence> results_;
  std::vector<Expr> wrt_;
  std::vector<std::size_t> place_;  // Of each of wrt_ among the variables.
  std::vector<Expr> rows_, carried_, total_;
};

/// Nodes of `roots` that `formulas` compute as well and that are worth keeping: what a step makes
/// of a state, and what it takes more than arithmetic on elements to make of one.
std::vector<Expr> worth_keeping(std::span<const Expr> roots, std::span<const Expr> formulas,
                                const Recurrence& r) {
  NodeSet of_states, work, known;
  for (std::size_t k = 0; k < r.states; ++k) of_states.insert(r.state(k).get());
  for (const Expr& node : topological(formulas)) {
    known.insert(node.get());
    const auto any_in = [&](const NodeSet& nodes) {
      for (std::size_t i = 0; i < node.inputs().size(); ++i) {
        if (node.op().reads(i) && nodes.contains(node.inputs()[i].get())) return true;
      }
      return false;
    };
    if (!any_in(of_states)) continue;
    of_states.insert(node.get());
    const bool is_work = !node.op().elementwise() && !node.op().view();
    if (is_work || any_in(work) || std::ranges::find(formulas, node) != formulas.end())
      work.insert(node.get());
  }
  std::vector<Expr> result;
  NodeSet met;
  const auto keep = [&](const Expr& node) {
    if (work.contains(node.get()) && met.insert(node.get()).second) result.push_back(node);
  };
  for (const Expr& node : topological(roots)) {
    if (known.contains(node.get())) continue;
    for (const Expr& input : node.inputs()) keep(input);
  }
  for (const Expr& root : roots) keep(root);
  return result;
}

/// The gradient's loop, of all results that are asked for: from the last step to the first it
/// carries the cotangent of each state.
Grads scan_grads(std::span<const Expr> ys, std::span<const Expr> gys) {
  const Args x = ys[0].inputs();
  const Recurrence r = Recurrence::of(ys[0].attrs());
  std::vector<Recurrence> results;
  for (const Expr& y : ys) results.push_back(Recurrence::of(y.attrs()));
  const StepBack step(r, results);
  std::vector<Expr> roots;
  std::vector<std::size_t> root_place;  // Of which variable each is the gradient.
  for (std::size_t k = 0; k < r.variables.size(); ++k) {
    if (!step.gradients()[k].has_value()) continue;
    roots.push_back(step.gradients()[k]);
    root_place.push_back(k);
  }
  Grads result(x.size());

  // What the loop has computed already is kept, not computed again.
  std::vector<Expr> formulas = r.updates;
  for (const Recurrence& one : results) formulas.push_back(one.value);
  const std::size_t count = formulas.size();
  formulas.insert(formulas.end(), roots.begin(), roots.end());
  formulas = rewriting::rewrite(formulas, {.fold_constants = false});
  roots.assign(formulas.begin() + static_cast<std::ptrdiff_t>(count), formulas.end());
  formulas.resize(count);
  const auto stack_of = [&](const Expr& value) {
    Recurrence all = r;
    all.last = -1;
    all.value = value;
    return apply(scan_op, {x.begin(), x.end()}, all.attrs(), ys[0]->where);
  };
  Substitutions kept;
  std::vector<std::pair<Expr, Expr>> rows;
  for (const Expr& node : r.checkpoint ? std::vector<Expr>() : worth_keeping(roots, formulas, r)) {
    const Expr v = variable("kept", Type{node.dtype(), node.dims()}, node->where);
    kept.emplace_back(node, v);
    rows.emplace_back(v, stack_of(node));
  }
  if (!kept.empty()) roots = graphs::replaced(roots, kept);
  // What users are shown they have seen.
  NodeMap<Expr> seen;
  roots = rebuild(
      roots, [](const Expr& e) { return e.attrs().observer ? Expr(e.inputs()[0]) : e; }, seen);

  // Of steps that were not made nothing comes back, whatever is made of what stands there.
  const Expr over = r.until >= 0 ? r.state(static_cast<std::size_t>(r.until)) : Expr();
  for (std::size_t i = 0; i < roots.size() && over.has_value(); ++i) {
    const std::size_t k = root_place[i];
    if (k < r.sequences) roots[i] = switch_(over, cast(Arg(0.0), roots[i].dtype()), roots[i]);
    if (k < r.sequences || k >= r.others_begin()) continue;
    roots[i] = switch_(over, step.carried(k - r.sequences), roots[i]);
  }

  NodeSet used;
  for (const Expr& node : topological(roots)) used.insert(node.get());
  if (over.has_value()) used.insert(over.get());
  Recurrence back;
  back.backward = !r.backward;
  back.checkpoint = r.checkpoint;
  std::vector<Expr> operands;
  const auto add = [&](const Expr& v, const Expr& operand) {
    back.variables.push_back(v);
    operands.push_back(operand);
  };
  for (std::size_t i = 0; i < ys.size(); ++i) {
    if (step.row(i).has_value() && used.contains(step.row(i).get())) add(step.row(i), gys[i]);
  }
  for (const auto& [v, stack] : rows) {
    if (used.contains(v.get())) add(v, stack);
  }
  for (std::size_t k = 0; k < r.states; ++k) {
    if (!used.contains(r.state(k).get())) continue;
    add(r.state(k), stack_of(r.state(k)));
  }
  for (std::size_t k = 0; k < r.sequences; ++k) {
    if (used.contains(r.variables[k].get())) add(r.variables[k], x[k]);
  }
  if (operands.empty()) add(r.variables[0], x[0]);  // It says how many steps there are.
  back.sequences = back.variables.size();
  if (r.until >= 0) {
    // Of steps that were not made the cotangents are 0, and so is what is made of them where all
    // else is as in the last step made, whatever stands in the rows after it.
    const Expr made = sum_axes(stack_of(cast(logical_not(over), DType::int64)), {0});
    const Expr last = maximum(made - std::int64_t{1}, std::int64_t{0});
    const Expr step_of_row = minimum(arange(size(x[0], 0)), last);
    for (std::size_t k = 0; k < back.sequences; ++k) {
      const Expr& v = back.variables[k];
      bool is_cotangent = v == over;
      for (std::size_t i = 0; i < ys.size(); ++i) is_cotangent = is_cotangent || v == step.row(i);
      if (!is_cotangent) operands[k] = take(operands[k], step_of_row, 0);
    }
  }
  // By variable k of the loop, the state that is the gradient by it at the end; -1: none.
  std::vector<std::int64_t> number(r.variables.size(), -1);
  for (std::size_t k = 0; k < r.states; ++k) {
    if (!step.carried(k).has_value()) continue;
    number[r.sequences + k] = static_cast<std::int64_t>(back.states++);
    Expr after_all;
    for (std::size_t i = 0; i < ys.size(); ++i) {
      if (results[i].last == static_cast<std::int64_t>(k)) after_all = gys[i];
    }
    const Expr& initial = x[r.sequences + k];
    add(step.carried(k), after_all.has_value() ? after_all : zeros_like(initial));
  }
  // Gradients by what is the same in all steps are sums over them; where there is no room for the
  // terms they are carried along.
  std::vector<Expr> sums(r.variables.size());
  for (const std::size_t k : root_place) {
    if (!r.checkpoint || k < r.others_begin()) continue;
    sums[k] = variable("sum", Type{x[k].dtype(), x[k].dims()});
    add(sums[k], zeros_like(x[k]));
    number[k] = static_cast<std::int64_t>(back.states++);
  }
  for (std::size_t k = r.others_begin(); k < r.variables.size(); ++k) {
    if (used.contains(r.variables[k].get())) add(r.variables[k], x[k]);
  }
  for (std::size_t k = 0; k < r.states; ++k) {
    if (number[r.sequences + k] < 0) continue;
    const auto found = std::ranges::find(root_place, r.sequences + k);
    back.updates.push_back(found == root_place.end()
                               ? zeros_like(step.carried(k))
                               : roots[static_cast<std::size_t>(found - root_place.begin())]);
  }
  for (std::size_t i = 0; i < roots.size(); ++i) {
    const std::size_t k = root_place[i];
    if (!sums[k].has_value()) continue;
    const Expr next = sums[k] + roots[i];
    back.updates.push_back(over.has_value() ? switch_(over, sums[k], next) : next);
  }
  const auto result_of = [&](const Expr& value, std::int64_t last) {
    Recurrence one = back;
    one.value = value;
    one.last = last;
    return apply(scan_op, operands, one.attrs(), ys[0]->where);
  };
  for (std::size_t i = 0; i < roots.size(); ++i) {
    const std::size_t k = root_place[i];
    if (number[k] >= 0) continue;
    const Expr rows_of_gradient = result_of(roots[i], -1);
    result[k] = k < r.sequences ? rows_of_gradient : sum_axes(rows_of_gradient, {0});
  }
  for (std::size_t k = 0; k < number.size(); ++k) {
    if (number[k] >= 0) result[k] = result_of({}, number[k]);
  }
  return result;
}

bool are_of_one_loop(const Expr& a, const Expr& b) {
  return std::ranges::equal(a.inputs(), b.inputs()) &&
         Recurrence::of(a.attrs()).has_steps_of(Recurrence::of(b.attrs()));
}

/// Many loops at once: rows, states and others of each, behind one more axis.
Expr scan_batch(Args x, const std::vector<bool>& batched, const Expr& y) {
  const Recurrence r = Recurrence::of(y.attrs());
  std::vector<Expr> operands(x.begin(), x.end());
  const std::size_t first =
      static_cast<std::size_t>(std::ranges::find(batched, true) - batched.begin());
  const Expr count = size(x[first], 0);
  std::vector<bool> many = batched;
  for (std::size_t k = 0; k < r.sequences; ++k) {
    if (many[k]) operands[k] = swapaxes(x[k], 0, 1);
  }
  std::vector<Expr> roots = r.updates, result;
  roots.push_back(r.value);
  Recurrence all = r;
  for (bool grows = true; grows;) {
    grows = false;
    all = r;
    Substitutions values;
    for (std::size_t k = 0; k < r.variables.size(); ++k) {
      if (!many[k]) continue;
      const Expr& old = r.variables[k];
      all.variables[k] = variable(old.attrs().label, all.variable_type(k, operands[k]), old->where);
      values.emplace_back(old, all.variables[k]);
    }
    result = deriving::over_many(roots, values);
    for (std::size_t k = 0; k < r.states; ++k) {
      if (many[r.sequences + k] || !result[k].has_value()) continue;
      // What begins the same for all does not stay so.
      many[r.sequences + k] = grows = true;
      operands[r.sequences + k] = deriving::repeated(x[r.sequences + k], count);
    }
  }
  // What depends on none of the many may still ask for the shape of one.
  Substitutions shapes;
  for (std::size_t k = 0; k < r.variables.size(); ++k) {
    if (many[k]) shapes.emplace_back(r.variables[k], deriving::one_of(all.variables[k]));
  }
  const auto alone = [&](const Expr& e) {
    return graphs::replaced(std::span(&e, 1), shapes).front();
  };
  const Expr inside = size(all.variables[first], 0);
  for (std::size_t k = 0; k < r.states; ++k) {
    // A state that begins differently for each may go on the same for all.
    const Expr& of_many = result[k];
    if (!of_many.has_value()) all.updates[k] = alone(r.updates[k]);
    if (many[r.sequences + k])
      all.updates[k] = of_many.has_value() ? of_many : deriving::repeated(all.updates[k], inside);
  }
  if (r.last < 0)
    all.value =
        result.back().has_value() ? result.back() : deriving::repeated(alone(r.value), inside);
  if (r.until >= 0 && many[r.sequences + static_cast<std::size_t>(r.until)]) all.until = -1;
  const Expr loop = apply(scan_op, operands, all.attrs(), y->where);
  if (r.last < 0) return swapaxes(loop, 0, 1);
  const bool same = !many[r.sequences + static_cast<std::size_t>(r.last)];
  return same ? deriving::repeated(loop, count) : loop;
}

deriving::Place trace_scan(const deriving::Flow& flow) {
  const Recurrence r = Recurrence::of(flow.y.attrs());
  std::vector<deriving::Separation::Given> given;
  for (std::size_t k = 0; k < r.variables.size(); ++k) {
    const Expr& operand = flow.inputs()[k];
    const std::int64_t lost = k < r.sequences ? 1 : 0;
    deriving::Separation::Given one{r.variables[k], flow.place(k), {}};
    if (one.place.found() && one.place.axis < lost) return {};  // Steps are no examples.
    if (one.place.found()) one.place.axis -= lost;
    for (std::int64_t axis = lost; axis < operand.rank(); ++axis)
      one.sizes.push_back(flow.size(operand, axis));
    given.push_back(std::move(one));
  }
  std::vector<Expr> roots = r.updates;
  roots.push_back(r.value);
  const std::vector<bool> needed = r.states_behind_result();
  while (true) {
    const deriving::Separation step(roots, given, flow.examples);
    bool same = true;
    for (std::size_t k = 0; k < r.states; ++k) {
      if (!needed[k]) continue;
      if (step.mixing(roots[k]).has_value()) return {};
      const deriving::Place after = step.place(roots[k]);
      deriving::Place& before = given[r.sequences + k].place;
      if (!after.found() || after == before) continue;
      if (before.found()) return {};
      before = after;
      same = false;
    }
    if (!same) continue;
    if (step.mixing(roots.back()).has_value()) return {};
    deriving::Place result = step.place(roots.back());
    if (r.last >= 0) return given[r.sequences + static_cast<std::size_t>(r.last)].place;
    if (result.found()) ++result.axis;
    return result;
  }
}

}  // namespace

constinit const Op scan_op{
    .name = "scan",
    .type = scan_type,
    .reference = scan_reference,
    .grad = [](Args, const Expr& y,
               const Expr& gy) { return scan_grads(std::span(&y, 1), std::span(&gy, 1)); },
    .siblings = are_of_one_loop,
    .grads = scan_grads,
    .batch = scan_batch,
    .trace = trace_scan,
    .size_of = scan_size,
    .examples = loops::scan_examples,
};

}  // namespace cinch
