#include "cinch/core/compile/compile.hpp"

#include <algorithm>

#include "cinch/core/compile/pipeline.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/graph/shared_state.hpp"
#include "cinch/core/plan/host.hpp"
#include "cinch/core/refusal.hpp"

namespace cinch::compiling {

namespace {

/// Whether `e` is a number of elements, and that is 0.
bool is_count_of_none(const Expr& e) {
  const auto of_input = [](const Expr& x) { return is_count_of_none(x); };
  if (&e.op() == &size_op) {
    const Dim dim = e.inputs()[0].dims()[AlongAxis::of(e.attrs()).axis];
    return dim.known() && dim.size() == 0;
  }
  if (const Tensor* value = constant_value(e))
    return value->rank() == 0 && !is_float(value->dtype()) && value->item() == 0;
  const std::string_view op = e.op().name;
  if (op != "cast" && op != "mul" && op != "broadcast_to" && op != "dimshuffle") return false;
  const std::size_t count = op == "mul" ? 2 : 1;
  return std::ranges::any_of(e.inputs().first(count), of_input);
}

/// What surely gets into one of the roots if it is NaN: not what a choice leaves out, nor, where
/// values decide, what it may leave out. Sizes are known.
NodeSet surely_passed_on(std::span<const Expr> roots) {
  NodeSet result;
  std::vector<Expr> left(roots.begin(), roots.end());
  while (!left.empty()) {
    const Expr node = left.back();
    left.pop_back();
    if (!is_float(node.dtype()) || !result.insert(node.get()).second) continue;
    const std::string_view op = node.op().name;
    if (op == "minimum" || op == "maximum") continue;  // One of two infinities stays behind.
    if (&node.op() == &switch_op) {
      const Expr condition = rewriting::rewrite(node.inputs().first(1)).front();
      if (graphs::is_constant(condition, 1)) left.push_back(node.inputs()[1]);
      if (graphs::is_constant(condition, 0)) left.push_back(node.inputs()[2]);
      continue;
    }
    for (std::size_t k = 0; k < node.inputs().size(); ++k) {
      if (node.op().reads(k)) left.push_back(node.inputs()[k]);
    }
  }
  return result;
}

/// Throws ValueError where an update divides by a number of elements that is 0, as the mean over a
/// minibatch without rows does: it would make NaN of the variable. Sizes are known.
void require_elements(const Program& program, std::span<const Expr> roots) {
  const std::span<const Expr> updates = roots.subspan(program.output_count);
  const std::vector<Expr> order = topological(updates);
  const auto divides_by_none = [](const Expr& node) {
    const bool is_empty = node.type().is_static() && element_count(node.type().shape()) == 0;
    return node.op().name == "div" && !is_empty && is_count_of_none(node.inputs()[1]);
  };
  if (std::ranges::none_of(order, divides_by_none)) return;
  const NodeSet passed_on = surely_passed_on(updates);
  for (const Expr& node : order) {
    if (!divides_by_none(node) || !passed_on.contains(node.get())) continue;
    // The part of something that is no part at all, or what came empty.
    std::string because;
    for (const Expr& part : order) {
      if (!part.type().is_static() || element_count(part.type().shape()) > 0) continue;
      const Expr whole = part.inputs().empty() ? part : part.inputs()[0];
      const bool sliced = part.op().name == "narrow" && whole.type().is_static() &&
                          element_count(whole.type().shape()) > 0;
      if (!sliced && !graphs::is_leaf(part)) continue;
      because = sliced
                    ? text("the slice of ", describe(whole), " ", text(whole.type()), " at ",
                           part->where.text(), " has no elements: it begins at the end or beyond")
                    : text(describe(part), " is ", text(part.type()));
      break;
    }
    if (because.empty()) continue;
    refuse<ValueError>(
        program.name,
        text("an update divides by the number of elements of nothing, as a mean does, "
             "which\n  would make it NaN\n  ",
             because, "\n  Make as many steps as there are whole minibatches."),
        node->where);
  }
}

/// Throws TypeError where an update has not its variable's shape, as far as that is known yet.
void require_shapes(const Program& program, const Goals& goals) {
  for (std::size_t k = program.output_count; k < goals.size(); ++k) {
    const Expr& value = goals[k].value;
    const Shared& target = program.targets[k - program.output_count];
    const auto agree = [](Dim a, Dim b) { return a == b || !a.known() || !b.known(); };
    if (std::ranges::equal(value.dims(), target.dims(), agree)) continue;
    refuse(program.name,
           text("the update of ", describe(target), " ", target.type(), " has type ", value.type()),
           value->where);
  }
}

}  // namespace

std::unique_ptr<planning::Plan> make_plan(const Program& program, const PlanSizes& sizes,
                                          CompileLog* log) {
  // All sizes are known now: the graph is typed again with them, which checks them too.
  NodeMap<Expr> done;
  std::vector<Expr> inputs_now;
  for (std::size_t k = 0; k < program.inputs.size(); ++k) {
    const Expr& input = program.inputs[k];
    inputs_now.push_back(
        variable(input.attrs().label, Type{input.dtype(), to_dims(sizes.inputs[k])}, input->where));
    done[input.get()] = inputs_now.back();
  }
  for (std::size_t k = 0; k < program.free_rows.size(); ++k) {
    const Expr& variable = program.free_rows[k];
    done[variable.get()] = graphs::with_rows(variable, sizes.rows[k]);
  }
  for (std::size_t k = 0; k < program.sizes.size(); ++k) {
    const Expr& size = program.sizes[k];
    done[size.get()] = constant(Tensor(sizes.scalars[k]), size->where);
  }
  for (const Expr& position : program.positions) {
    inputs_now.push_back(variable(describe(position), Type{DType::int64, {}}, position->where));
    done[position.get()] = inputs_now.back();
  }
  std::vector<Expr> now = rebuild(program.roots, done);
  require_elements(program, now);
  Goals goals = goals_of(now);
  for (std::size_t k = 0; k < program.targets.size(); ++k)
    goals[program.output_count + k].target = program.targets[k].attrs().state.get();
  require_shapes(program, goals);
  run_passes(passes_with_sizes(), goals, log, program.name);
  require_shapes(program, goals);
  for (std::size_t k = 0; k < program.targets.size(); ++k) {
    const Expr& target = program.targets[k];
    const auto resized = done.find(target.get());
    planning::PlanResult& goal = goals[program.output_count + k];
    goal.resizes = resized != done.end() && resized->second.dims() != goal.value.dims();
  }
  return std::make_unique<planning::Plan>(inputs_now, goals);
}

}  // namespace cinch::compiling
