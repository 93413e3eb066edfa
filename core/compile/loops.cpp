#include "cinch/core/compile/loops.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "cinch/core/compile/loop_rows.hpp"
#include "cinch/core/compile/pipeline.hpp"
#include "cinch/core/derive/rows.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/graph/derivation.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/graph/recurrence.hpp"
#include "cinch/core/plan/guards.hpp"
#include "cinch/core/plan/loop_program.hpp"
#include "cinch/core/plan/plan.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/rewrite/rewrite.hpp"

namespace cinch::compiling {

namespace {

using graphs::Recurrence;

Type loop_type(Args, const Attrs& attrs) { return {attrs.loop->dtype, {Dim(attrs.loop->size)}}; }

Tensor loop_reference(Values in, const Attrs& attrs) {
  Tensor result(attrs.loop->dtype, {attrs.loop->size});
  std::vector<Operand> operands;
  for (const Tensor* value : in)
    operands.push_back({const_cast<void*>(value->raw()), value->dtype(), value->shape(), {}});
  attrs.loop->run(operands, {result.raw(), result.dtype(), result.shape(), {}});
  return result;
}

double loop_flops(const Expr& y) {
  return y.attrs().loop->flops_of_a_step() * static_cast<double>(y.inputs()[0].dims()[0].size());
}

constinit const Op loop_op{
    .name = "steps",
    .type = loop_type,
    .reference = loop_reference,
    .runs = Kernel{.run = [](std::span<const Operand> in, const Operand& out,
                             const Attrs& attrs) { attrs.loop->run(in, out); },
                   .flops = loop_flops},
};

/// What is asked of one recurrence by all scans that share it.
struct Asked {
  Expr value;         ///< At each step;
  std::int64_t last;  ///< or a state's last value, where this is not -1.
};

/// Whether an op does enough to be better done for all steps at once than in each of them: what is
/// computed element by element costs less in the step that uses it than kept in memory.
bool is_work(const Expr& node) {
  return !graphs::is_leaf(node) && !node.op().elementwise() && !node.op().view();
}

/// From how many steps on a copy of a matrix in the order in which products read it pays: they take
/// half the time with it.
constexpr std::int64_t steps_to_transpose = 8;

/// Whether it is a matrix, or several, the other way round, and of a size to be copied.
bool is_transposed(const Expr& node) {
  constexpr std::int64_t most_elements = 1 << 20;
  if (node.op().algebra != Algebra::permute || node.rank() < 2) return false;
  const std::vector<std::int64_t>& axes = AxisPattern::of(node.attrs());
  return axes.back() >= 0 && axes.back() != node.inputs()[0].rank() - 1 &&
         element_count(node.type().shape()) <= most_elements;
}

/// Whether users are shown a value: at each step, so it is computed there.
bool is_shown(const Expr& node) { return node.attrs().observer != nullptr; }

/// Whether values may be refused, as indices beyond the end are, or matrices without an inverse:
/// such is not computed of rows that the loop does not come to.
bool may_refuse(const Expr& node) {
  const Op& op = node.op();
  if (op.view()) return op.view()->starts_at >= 0 && !graphs::is_number(node.inputs()[1]);
  return !graphs::is_leaf(node) && !op.elementwise() && !op.reduction() &&
         op.algebra == Algebra::none;
}

/// One recurrence and what is left of it.
class Lowering {
 public:
  /// `r` has rewritten formulas and static types, `operands` are what its variables stand for.
  Lowering(Recurrence r, std::vector<Expr> operands, std::vector<Asked> asked)
      : r_(std::move(r)), operands_(std::move(operands)), asked_(std::move(asked)) {
    results_.resize(asked_.size());
  }

  std::vector<Expr> operator()() {
    steps_ = operands_[0].dims()[0].size();
    if (steps_ == 0) return of_no_step();
    take_out_values();
    take_out_rows();
    run_the_rest();
    return results_;
  }

 private:
  std::vector<Expr> of_no_step();
  void take_out_values();
  void take_out_rows();
  void run_the_rest();
  void run_results(DType dtype);

  std::size_t count() const { return r_.variables.size(); }
  bool is_state(std::size_t k) const { return k >= r_.sequences && k < r_.others_begin(); }
  /// Nodes under `roots` that depend on variables for which `of` holds.
  template <class F>
  NodeSet depending(std::span<const Expr> roots, F of) const;
  /// Variables that stand for the same at each step, as what they stand for.
  std::vector<Expr> outside(std::span<const Expr> formulas) const;
  /// What is the same at each step, as rows.
  Expr at_each_step(const Expr& e) const { return deriving::repeated(e, constant(Tensor(steps_))); }
  /// For all steps together; empty where an op does not allow it.
  Expr of_all_steps(const Expr& formula, const Substitutions& rows) const;

  Recurrence r_;
  std::vector<Expr> operands_;
  std::vector<Asked> asked_;
  std::int64_t steps_ = 0;
  std::vector<Expr> results_;

  /// What is asked of a state: its value after each step, before each step, at the end.
  enum View : std::size_t { after, before, at_end, views };
  struct OfState {
    std::array<std::vector<std::size_t>, views> results;
    std::array<Expr, views> stands_for;  ///< Variables, where other results are made of them.

    bool is_asked(View view) const {
      return !results[view].empty() || stands_for[view].has_value();
    }
    bool has_course() const { return is_asked(after) || is_asked(before); }
  };
  /// A formula that stays in the step.
  struct InStep {
    Expr value;
    std::vector<std::size_t> results;
    Expr stands_for;  ///< A variable for its rows, where other results are made of them.
  };
  std::vector<OfState> of_state_;
  std::vector<InStep> in_step_;

  Expr rows_of_state(std::size_t k, View view);
  InStep& kept_in_step(const Expr& value);
};

std::vector<Expr> Lowering::of_no_step() {
  for (std::size_t k = 0; k < asked_.size(); ++k) {
    results_[k] = asked_[k].last >= 0
                      ? operands_[r_.sequences + static_cast<std::size_t>(asked_[k].last)]
                      : at_each_step(constant(
                            Tensor(asked_[k].value.dtype(), asked_[k].value.type().shape())));
  }
  return results_;
}

bool has_input_among(const NodeSet& nodes, const Expr& node) {
  return std::ranges::any_of(node.inputs(),
                             [&](const Expr& input) { return nodes.contains(input.get()); });
}

template <class F>
NodeSet Lowering::depending(std::span<const Expr> roots, F of) const {
  NodeSet result;
  for (std::size_t k = 0; k < count(); ++k) {
    if (of(k)) result.insert(r_.variables[k].get());
  }
  for (const Expr& node : topological(roots)) {
    if (has_input_among(result, node)) result.insert(node.get());
  }
  return result;
}

std::vector<Expr> Lowering::outside(std::span<const Expr> formulas) const {
  Substitutions values;
  for (std::size_t k = r_.others_begin(); k < count(); ++k)
    values.emplace_back(r_.variables[k], operands_[k]);
  return graphs::replaced(formulas, values);
}

Expr Lowering::of_all_steps(const Expr& formula, const Substitutions& rows) const {
  try {
    Expr result = deriving::over_many(std::span(&formula, 1), rows).front();
    if (!result.has_value()) result = at_each_step(formula);
    return outside(std::span(&result, 1)).front();
  } catch (const GradError&) {
    return {};
  }
}

/// A variable for a state's rows.
Expr Lowering::rows_of_state(std::size_t k, View view) {
  Expr& result = of_state_[k].stands_for[view];
  if (!result.has_value()) {
    Type type{r_.state(k).dtype(), r_.state(k).dims()};
    type.dims.insert(type.dims.begin(), Dim(steps_));
    result = variable("course", type);
  }
  return result;
}

Lowering::InStep& Lowering::kept_in_step(const Expr& value) {
  const auto found = std::ranges::find(in_step_, value, &InStep::value);
  if (found != in_step_.end()) return *found;
  in_step_.push_back({value, {}, {}});
  return in_step_.back();
}

/// What is made of states and that a step has in memory anyway, for a kernel that reads it.
NodeSet stored_in_step(std::span<const Expr> updates, const NodeSet& of_states) {
  NodeSet result;
  for (const Expr& node : topological(updates)) {
    if (!node.op().kernel()) continue;
    for (const Expr& input : node.inputs()) {
      const bool is_stored = !graphs::is_leaf(input) && !input.op().view();
      if (is_stored && of_states.contains(input.get())) result.insert(input.get());
    }
  }
  return result;
}

/// What no step carries on is computed from the rows and states of all steps.
void Lowering::take_out_values() {
  of_state_.resize(r_.states);
  Substitutions made;  // What the loop makes of states is not computed again.
  std::vector<Expr> now(r_.states);
  for (std::size_t k = 0; k < r_.states; ++k) {
    const Expr& update = r_.updates[k];
    if (graphs::is_leaf(update)) continue;
    now[k] = variable("after", Type{update.dtype(), update.dims()});
    made.emplace_back(update, now[k]);
  }
  const NodeSet of_states = depending(r_.updates, [&](std::size_t k) { return is_state(k); });
  NodeSet in_step;  // What depends on a state and takes work.
  for (const Expr& node : topological(r_.updates)) {
    if (of_states.contains(node.get()) && (has_input_among(in_step, node) || is_work(node)))
      in_step.insert(node.get());
  }
  const NodeSet stored = stored_in_step(r_.updates, of_states);
  struct Stored {
    Expr node, row, rows;  // Variables for it at one step, and at all.
    bool is_used;
  };
  std::vector<Stored> kept;
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    const auto& [asked, last] = asked_[i];
    if (last >= 0) {
      of_state_[static_cast<std::size_t>(last)].results[at_end].push_back(i);
      continue;
    }
    bool is_state_itself = false;
    for (std::size_t k = 0; k < r_.states && !is_state_itself; ++k) {
      const bool stays = r_.updates[k] == r_.state(k);
      is_state_itself =
          !stays && (asked == r_.state(k) || (asked == r_.updates[k] && now[k].has_value()));
      if (is_state_itself) of_state_[k].results[asked == r_.state(k) ? before : after].push_back(i);
    }
    if (is_state_itself) continue;
    // The step makes it anyway, or shows it, or there is no room for what all steps make.
    const std::vector<Expr> nodes = topological(std::span(&asked, 1));
    const bool pinned = std::ranges::any_of(nodes, [&](const Expr& node) {
      return is_shown(node) || &node.op() == &ifelse_op || (r_.until >= 0 && may_refuse(node));
    });
    if (in_step.contains(asked.get()) || stored.contains(asked.get()) || pinned || r_.checkpoint) {
      kept_in_step(asked).results.push_back(i);
      continue;
    }
    Substitutions in_memory = made;
    for (const Expr& node : nodes) {
      if (r_.until >= 0 || !stored.contains(node.get())) continue;
      if (std::ranges::find(made, node, &std::pair<Expr, Expr>::first) != made.end()) continue;
      auto found = std::ranges::find(kept, node, &Stored::node);
      if (found == kept.end()) {
        Type type{node.dtype(), node.dims()};
        const Expr row = variable("stored", type);
        type.dims.insert(type.dims.begin(), Dim(steps_));
        found = kept.insert(found, {node, row, variable("stored", std::move(type)), false});
      }
      in_memory.emplace_back(node, found->row);
    }
    const Expr value = graphs::replaced(std::span(&asked, 1), in_memory).front();
    NodeSet used;
    for (const Expr& node : topological(std::span(&value, 1))) used.insert(node.get());
    Substitutions rows;
    for (std::size_t k = 0; k < r_.sequences; ++k) {
      if (used.contains(r_.variables[k].get())) rows.emplace_back(r_.variables[k], operands_[k]);
    }
    const std::vector<OfState> without = of_state_;
    for (std::size_t k = 0; k < r_.states; ++k) {
      if (now[k].has_value() && used.contains(now[k].get()))
        rows.emplace_back(now[k], rows_of_state(k, after));
      if (!used.contains(r_.state(k).get())) continue;
      if (r_.updates[k] == r_.state(k)) {  // It stays what it was.
        rows.emplace_back(r_.state(k), at_each_step(operands_[r_.sequences + k]));
      } else {
        rows.emplace_back(r_.state(k), rows_of_state(k, before));
      }
    }
    for (const Stored& one : kept) {
      if (used.contains(one.row.get())) rows.emplace_back(one.row, one.rows);
    }
    results_[i] = of_all_steps(value, rows);
    if (results_[i].has_value()) {
      for (Stored& one : kept) one.is_used = one.is_used || used.contains(one.row.get());
      continue;
    }
    of_state_ = without;
    kept_in_step(asked).results.push_back(i);
  }
  for (const Stored& one : kept) {
    if (one.is_used) kept_in_step(one.node).stands_for = one.rows;
  }
}

/// What steps make of rows alone, or of nothing that changes, becomes a row or one value.
void Lowering::take_out_rows() {
  std::vector<Expr> roots = r_.updates;
  for (const InStep& formula : in_step_) roots.push_back(formula.value);
  NodeSet of_states = depending(roots, [&](std::size_t k) { return is_state(k); });
  // What is shown, or not always needed, or may be refused at steps that are not made, stays.
  const std::vector<Expr> nodes = topological(roots);
  const NodeMap<planning::Guards> sometimes = planning::guards_of(nodes, roots);
  for (const Expr& node : nodes) {
    const bool stays = is_shown(node) || &node.op() == &ifelse_op ||
                       sometimes.contains(node.get()) || (r_.until >= 0 && may_refuse(node));
    if (stays || has_input_among(of_states, node)) of_states.insert(node.get());
  }
  const NodeSet of_rows = depending(roots, [&](std::size_t k) { return k < r_.sequences; });
  NodeSet work;  // Has some under it that no state is in.
  std::vector<Expr> ends;
  NodeSet known;
  const auto ends_here = [&](const Expr& e) {
    if (work.contains(e.get()) && known.insert(e.get()).second) ends.push_back(e);
  };
  for (const Expr& node : nodes) {
    if (of_states.contains(node.get())) {
      for (const Expr& input : node.inputs()) ends_here(input);
      continue;
    }
    const bool fixed = !of_rows.contains(node.get());
    const bool pays =
        node.op().elementwise() || (steps_ >= steps_to_transpose && is_transposed(node));
    if (has_input_among(work, node) || is_work(node) || (fixed && pays)) work.insert(node.get());
  }
  for (const Expr& root : roots) ends_here(root);
  Substitutions rows, taken;
  for (std::size_t k = 0; k < r_.sequences; ++k) rows.emplace_back(r_.variables[k], operands_[k]);
  std::vector<std::pair<Expr, Expr>> as_rows, as_others;
  for (const Expr& node : ends) {
    const Expr v = variable("taken out", Type{node.dtype(), node.dims()});
    if (!of_rows.contains(node.get())) {
      as_others.emplace_back(v, outside(std::span(&node, 1)).front());
    } else {
      const Expr all = r_.checkpoint ? Expr() : of_all_steps(node, rows);
      if (!all.has_value()) continue;
      as_rows.emplace_back(v, all);
    }
    taken.emplace_back(node, v);
  }
  if (taken.empty()) return;
  roots = graphs::replaced(roots, taken);
  for (std::size_t k = 0; k < r_.states; ++k) r_.updates[k] = roots[k];
  for (std::size_t k = 0; k < in_step_.size(); ++k) in_step_[k].value = roots[r_.states + k];
  std::size_t at = r_.sequences;
  for (const auto& [v, operand] : as_rows) {
    r_.variables.insert(r_.variables.begin() + static_cast<std::ptrdiff_t>(at), v);
    operands_.insert(operands_.begin() + static_cast<std::ptrdiff_t>(at), operand);
    ++at;
  }
  r_.sequences = at;
  for (const auto& [v, operand] : as_others) {
    r_.variables.push_back(v);
    operands_.push_back(operand);
  }
}

/// One loop for the results of this type, with the states that they need.
void Lowering::run_results(DType dtype) {
  std::vector<bool> needed(r_.states, false), asked(r_.states, false);
  std::vector<Expr> roots;
  for (std::size_t k = 0; k < r_.states; ++k) {
    const bool any = of_state_[k].has_course() || of_state_[k].is_asked(at_end);
    asked[k] = needed[k] = any && r_.state(k).dtype() == dtype;
  }
  for (const InStep& formula : in_step_) {
    if (formula.value.dtype() == dtype) roots.push_back(formula.value);
  }
  if (roots.empty() && std::ranges::find(asked, true) == asked.end()) return;
  if (r_.ends_early()) needed[static_cast<std::size_t>(r_.until)] = true;
  NodeSet used;
  for (bool grows = true; grows;) {
    grows = false;
    std::vector<Expr> all = roots;
    for (std::size_t k = 0; k < r_.states; ++k) {
      if (needed[k]) all.push_back(r_.updates[k]);
    }
    used.clear();
    for (const Expr& node : topological(all)) used.insert(node.get());
    for (std::size_t k = 0; k < r_.states; ++k) {
      if (!used.contains(r_.state(k).get()) || needed[k]) continue;
      needed[k] = grows = true;
    }
  }

  auto program = std::make_shared<planning::LoopProgram>();
  program->dtype = dtype;
  Recurrence& r = program->r;
  r.backward = r_.backward;
  std::vector<Expr> operands;
  const auto elements = [](const Expr& e) { return element_count(e.type().shape()); };
  const auto take = [&](std::int64_t count) {
    const std::int64_t offset = program->size;
    program->size += count;
    return offset;
  };
  for (std::size_t k = 0; k < count(); ++k) {
    const bool state = is_state(k);
    const std::size_t s = k - r_.sequences;  // Of a state.
    if (state ? !needed[s] : k > 0 && !used.contains(r_.variables[k].get())) continue;
    if (state) {
      if (r_.ends_early() && r_.until == static_cast<std::int64_t>(s))
        r.until = static_cast<std::int64_t>(r.states);
      ++r.states;
      r.updates.push_back(r_.updates[s]);
      planning::LoopProgram::State place;
      if (asked[s] && of_state_[s].has_course())
        place.course = take((steps_ + 1) * elements(r_.state(s)));
      if (asked[s] && of_state_[s].is_asked(at_end)) place.last = take(elements(r_.state(s)));
      program->states.push_back(place);
    } else if (k < r_.sequences) {
      ++r.sequences;
    }
    r.variables.push_back(r_.variables[k]);
    operands.push_back(operands_[k]);
  }
  program->roots = r.updates;
  for (const InStep& formula : in_step_) {
    if (formula.value.dtype() != dtype) continue;
    const bool is_zero_after =
        r_.ends_early() && &formula.value.op() == &switch_op &&
        formula.value.inputs()[0] == r_.state(static_cast<std::size_t>(r_.until)) &&
        graphs::is_constant(formula.value.inputs()[1], 0);
    program->rows.push_back(
        {program->roots.size(), take(steps_ * elements(formula.value)), is_zero_after});
    program->roots.push_back(formula.value);
  }
  compile_step(*program, steps_);

  const Expr all = apply(loop_op, operands, {.loop = program});
  const auto part = [&](std::int64_t offset, const Expr& row, std::int64_t rows) {
    std::vector<Expr> shape = sizes(row);
    const std::int64_t length = elements(row) * (rows < 0 ? 1 : rows);
    if (rows >= 0) shape.insert(shape.begin(), constant(Tensor(rows)));
    return reshape(narrow(all, 0, constant(Tensor(offset)), constant(Tensor(length)), /*step=*/1),
                   shape);
  };
  Substitutions known;
  std::size_t at = 0;
  for (std::size_t k = 0; k < r_.states; ++k) {
    if (!needed[k]) continue;
    const planning::LoopProgram::State& place = program->states[at++];
    if (!asked[k]) continue;
    const Expr& row = r_.state(k);
    for (const View view : {after, before, at_end}) {
      if (!of_state_[k].is_asked(view)) continue;
      const bool second = (view == after) != r_.backward;  // Rows begin with the second value.
      const Expr value = view == at_end
                             ? part(place.last, row, -1)
                             : part(place.course + (second ? elements(row) : 0), row, steps_);
      for (const std::size_t i : of_state_[k].results[view]) results_[i] = value;
      if (of_state_[k].stands_for[view].has_value())
        known.emplace_back(of_state_[k].stands_for[view], value);
    }
  }
  at = 0;
  for (const InStep& formula : in_step_) {
    if (formula.value.dtype() != dtype) continue;
    const Expr value = part(program->rows[at++].offset, formula.value, steps_);
    for (const std::size_t i : formula.results) results_[i] = value;
    if (formula.stands_for.has_value()) known.emplace_back(formula.stands_for, value);
  }
  if (!known.empty()) results_ = graphs::replaced(results_, known);
}

void Lowering::run_the_rest() {
  for (const DType dtype : {DType::bool_, DType::int64, DType::float32, DType::float64})
    run_results(dtype);
}

/// Throws TypeError where a size inside a loop is not known before it runs.
void require_sizes(const Expr& scan, std::span<const Expr> formulas) {
  for (const Expr& node : topological(formulas)) {
    if (node.type().is_static()) continue;
    refuse("scan",
           text("the size of what a step makes must not depend on values of that step: ",
                describe(node), " is ", node.type(), written_at(node->where)),
           scan->where);
  }
}

bool is_ones(const Expr& e) {
  if (e.op().algebra == Algebra::repeat) return is_ones(e.inputs()[0]);
  const Tensor* value = constant_value(e);
  for (std::int64_t i = 0; value && i < value->size(); ++i) {
    if (value->at(i) != 1) return false;
  }
  return value != nullptr;
}

/// Gradients begin with ones, which are multiplied by.
std::vector<Expr> without_ones(std::span<const Expr> formulas) {
  NodeMap<Expr> done;
  return rebuild(
      formulas,
      [](const Expr& e) {
        if (e.op().algebra != Algebra::product) return e;
        for (const std::size_t k : {0, 1}) {
          const Expr& other = e.inputs()[1 - k];
          const bool is_all =
              other.dtype() == e.dtype() && std::ranges::equal(other.dims(), e.dims());
          if (is_all && is_ones(e.inputs()[k])) return other;
        }
        return e;
      },
      done);
}

std::vector<Expr> lowered(const std::vector<Expr>& roots, const std::vector<Expr>& nodes) {
  // Formulas in the same variables, and rewritten together: equal ones are the same then.
  std::map<std::vector<std::int64_t>, Expr> variables;
  const auto variable_for = [&](std::size_t k, const Type& type) {
    std::vector<std::int64_t> key{static_cast<std::int64_t>(k),
                                  static_cast<std::int64_t>(type.dtype)};
    for (const Dim dim : type.dims) key.push_back(dim.known() ? dim.size() : dim.symbol());
    const auto [found, fresh] = variables.try_emplace(std::move(key));
    if (fresh) found->second = variable(text("v", k), type);
    return found->second;
  };
  std::vector<Expr> scans, formulas;
  std::vector<Recurrence> recurrences;
  for (const Expr& node : nodes) {
    if (&node.op() != &scan_op) continue;
    Recurrence r = Recurrence::of(node.attrs());
    Substitutions now;
    for (std::size_t k = 0; k < r.variables.size(); ++k) {
      const Expr& operand = node.inputs()[k];
      const bool number = k >= r.others_begin() && graphs::is_number(operand);
      const Expr v = variable_for(k, r.variable_type(k, operand));
      now.emplace_back(r.variables[k], number ? operand : v);
      r.variables[k] = v;
    }
    std::vector<Expr> own = r.updates;
    own.push_back(r.value);
    own = graphs::replaced(own, now);
    formulas.insert(formulas.end(), own.begin(), own.end());
    scans.push_back(node);
    recurrences.push_back(std::move(r));
  }
  formulas = without_ones(rewriting::rewrite(formulas));
  auto formula = formulas.begin();
  for (std::size_t i = 0; i < scans.size(); ++i) {
    const auto end = formula + static_cast<std::ptrdiff_t>(recurrences[i].states);
    recurrences[i].updates.assign(formula, end);
    recurrences[i].value = *end;
    require_sizes(scans[i], std::span(formula, end + 1));
    formula = end + 1;
  }

  const auto same = [&](std::size_t a, std::size_t b) {
    return std::ranges::equal(scans[a].inputs(), scans[b].inputs()) &&
           recurrences[a].has_steps_of(recurrences[b]);
  };
  NodeMap<std::size_t> number;
  for (std::size_t i = 0; i < scans.size(); ++i) number[scans[i].get()] = i;
  NodeMap<Expr> done;
  for (const Expr& node : nodes) {
    if (done.contains(node.get())) continue;
    std::vector<Expr> inputs;
    for (const Expr& input : node.inputs()) inputs.push_back(done.at(input.get()));
    const auto scan = number.find(node.get());
    if (scan == number.end()) {
      done[node.get()] = with_inputs(node, std::move(inputs));
      continue;
    }
    std::vector<std::size_t> group;
    std::vector<Asked> asked;
    for (std::size_t i = scan->second; i < scans.size(); ++i) {
      if (!same(scan->second, i)) continue;
      group.push_back(i);
      asked.push_back({recurrences[i].value, recurrences[i].last});
    }
    const Attribution as(node->where, /*force=*/true);
    const std::vector<Expr> results =
        Lowering(recurrences[scan->second], std::move(inputs), std::move(asked))();
    for (std::size_t k = 0; k < group.size(); ++k) done[scans[group[k]].get()] = results[k];
  }
  std::vector<Expr> result;
  for (const Expr& root : roots) result.push_back(done.at(root.get()));
  return result;
}

}  // namespace

std::vector<Expr> without_scans(std::vector<Expr> roots) {
  while (true) {
    const std::vector<Expr> nodes = topological(roots);
    const auto has = [&](const Op& op) {
      return std::ranges::any_of(nodes, [&](const Expr& node) { return &node.op() == &op; });
    };
    if (has(fixed_point_op)) {
      NodeMap<Expr> done;
      roots = rebuild(
          roots,
          [](const Expr& e) {
            if (&e.op() != &fixed_point_op) return e;
            const Attribution as(e->where, /*force=*/true);
            return e.op().expand(e);
          },
          done);
    } else if (has(scan_op)) {
      roots = lowered(roots, nodes);
    } else {
      return roots;
    }
    roots = rewriting::rewrite(roots);  // Sizes that are expressions yet become numbers.
  }
}

}  // namespace cinch::compiling
