#include "cinch/ops/scan.hpp"

#include <algorithm>
#include <optional>

#include "cinch/core/graph.hpp"
#include "cinch/core/graph/derivation.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/recurrence.hpp"
#include "cinch/core/graph/shared_state.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/loop/scan_op.hpp"
#include "cinch/ops/records/sizes.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/trigonometry.hpp"

namespace cinch {

using graphs::Recurrence;

namespace {

std::string named(const std::string& what, const Expr& value, std::size_t k) {
  return value.attrs().label.empty() ? text(what, " ", k) : value.attrs().label;
}

/// The rows of `sequence` that steps see with each of its taps, and how many steps there can be.
struct Taps {
  std::int64_t first = 0, last = 0;

  explicit Taps(const std::vector<std::int64_t>& taps) {
    for (const std::int64_t tap : taps) {
      first = std::min(first, tap);
      last = std::max(last, tap);
    }
  }
};

/// The random draws, among the nodes of a body, that were made since `before` variables were.
bool is_draw(const Expr& node, std::uint64_t before) {
  if (node.op().sizes_from != 1 || node.inputs().empty() || !is_shared(node.inputs()[0]))
    return false;
  const SharedState& state = *node.inputs()[0].attrs().state;
  return state.advance && state.number >= before;
}

/// A loop being put together from what a body says of one step.
class Loop {
 public:
  Loop(Expr steps, bool checkpoint, Source where)
      : steps_(std::move(steps)), checkpoint_(checkpoint), where_(where) {}

  Expr row(std::string label, const Expr& rows) {
    sequences_.emplace_back(variable(std::move(label), graphs::row_type(rows.type()), where_),
                            rows);
    return sequences_.back().first;
  }
  Expr state(std::string label, const Expr& initial) {
    states_.emplace_back(
        variable(std::move(label), Type{initial.dtype(), initial.dims(), initial.type().weak},
                 where_),
        initial);
    return states_.back().first;
  }
  std::size_t states() const { return states_.size(); }
  const Expr& variable_of(std::size_t state) const { return states_[state].first; }

  /// What a step makes of the states, in their order, and the other outputs, all of which are
  /// rewritten in the loop's own variables. Draws made since `before` become rows.
  void close(std::vector<Expr> updates, std::vector<Expr> values, std::uint64_t before);

  void set_until(std::size_t state) { until_ = static_cast<std::int64_t>(state); }
  Expr stack_of_state(std::size_t k) const { return result(updates_[k], -1); }
  Expr last_of_state(std::size_t k) const { return result({}, static_cast<std::int64_t>(k)); }
  Expr stack_of_value(std::size_t k) const { return result(values_[k], -1); }

 private:
  Expr result(const Expr& value, std::int64_t last) const;
  void strengthen(std::vector<Expr>& roots);
  Expr outside(const Expr& e) const;

  Expr steps_;
  bool checkpoint_;
  Source where_;
  std::vector<std::pair<Expr, Expr>> sequences_, states_, others_;  // Variables and operands.
  std::vector<Expr> updates_, values_;
  Recurrence r_;
  std::vector<Expr> operands_;
  std::int64_t until_ = -1;

  /// A loop over parts of some steps each, whose body is the loop over the steps of one.
  struct Parts {
    Recurrence each, outer,
        rest;  // Of one part; of them all; of the steps after the last whole one.
    std::vector<Expr> operands, rest_operands;
    Expr covered;  // How many steps are in whole parts.
  };
  std::optional<Parts> parts_;

  void divide();
};

/// `e` of the first rows and states, where its shape alone matters.
Expr Loop::outside(const Expr& e) const {
  Substitutions values;
  for (const auto& [v, rows] : sequences_) values.emplace_back(v, loops::like_a_row(rows));
  for (const auto& [v, initial] : states_) values.emplace_back(v, initial);
  return graphs::replaced(std::span(&e, 1), values).front();
}

/// States whose initial value is a literal take the dtype of what a step makes of them.
void Loop::strengthen(std::vector<Expr>& roots) {
  Substitutions strong;
  for (std::size_t k = 0; k < states_.size(); ++k) {
    auto& [v, initial] = states_[k];
    if (!v.type().weak) continue;
    const DType dtype = roots[k].dtype();
    const Expr now = variable(v.attrs().label, Type{dtype, v.dims()}, where_);
    strong.emplace_back(v, now);
    v = now;
    initial = cast(initial, dtype);
  }
  if (!strong.empty()) roots = substitute(roots, strong);
}

void Loop::close(std::vector<Expr> updates, std::vector<Expr> values, std::uint64_t before) {
  std::vector<Expr> roots = std::move(updates);
  roots.insert(roots.end(), values.begin(), values.end());
  strengthen(roots);
  for (std::size_t k = 0; k < states_.size(); ++k) {
    if (roots[k].type().weak) roots[k] = cast(roots[k], states_[k].first.dtype());
  }
  const std::vector<Expr> nodes = topological(roots);
  NodeSet inside;  // What depends on the step.
  for (const auto& all : {sequences_, states_}) {
    for (const auto& [v, operand] : all) inside.insert(v.get());
  }
  Substitutions closed;
  std::vector<Expr> captured;
  NodeSet known;
  const auto capture = [&](const Expr& node) {
    if (constant_value(node) || node.type().weak || !known.insert(node.get()).second) return;
    captured.push_back(node);
  };
  Substitutions outer_sizes;
  const auto with_outer_sizes = [&](const Expr& e) {
    return outer_sizes.empty() ? e : graphs::replaced(std::span(&e, 1), outer_sizes).front();
  };
  for (const Expr& node : nodes) {
    if (inside.contains(node.get())) continue;
    const bool within = std::ranges::any_of(
        node.inputs(), [&](const Expr& input) { return inside.contains(input.get()); });
    if (within && &node.op() == &size_op) {
      outer_sizes.emplace_back(node, outside(node));  // The same at each step.
    } else if (is_draw(node, before) && !inside.contains(node.get())) {
      inside.insert(node.get());
      std::vector<Expr> inputs{node.inputs()[0], steps_};
      for (const Expr& size : node.inputs().subspan(1))
        inputs.push_back(outside(with_outer_sizes(size)));
      const Expr rows = apply(node.op(), std::move(inputs), node.attrs(), node->where);
      sequences_.emplace_back(variable("draw", Type{node.dtype(), node.dims()}, node->where), rows);
      closed.emplace_back(node, sequences_.back().first);
    } else if (within) {
      inside.insert(node.get());
    }
  }
  for (const Expr& node : nodes) {
    if (!inside.contains(node.get()) || is_draw(node, before)) continue;
    for (const Expr& input : node.inputs()) {
      if (!inside.contains(input.get())) capture(input);
    }
  }
  for (const Expr& root : roots) {
    if (!inside.contains(root.get())) capture(root);
  }
  for (const Expr& node : captured) {
    others_.emplace_back(variable(describe(node), Type{node.dtype(), node.dims()}, node->where),
                         with_outer_sizes(node));
    closed.emplace_back(node, others_.back().first);
  }
  roots = graphs::replaced(roots, closed);
  const auto first_value = roots.begin() + static_cast<std::ptrdiff_t>(states_.size());
  updates_.assign(roots.begin(), first_value);
  values_.assign(first_value, roots.end());

  NodeSet used;
  for (const Expr& node : topological(roots)) used.insert(node.get());
  std::erase_if(sequences_, [&](const auto& s) { return !used.contains(s.first.get()); });
  if (sequences_.empty()) {
    const Expr clock = broadcast_to(Expr(constant(Tensor(false))), {steps_});
    sequences_.emplace_back(variable("step", Type{DType::bool_, {}}), clock);
  }
  for (const auto& all : {sequences_, states_, others_}) {
    for (const auto& [v, operand] : all) {
      r_.variables.push_back(v);
      operands_.push_back(operand);
    }
  }
  r_.sequences = sequences_.size();
  r_.states = states_.size();
  r_.updates = updates_;
  r_.until = until_;
  if (checkpoint_) divide();
}

Expr Loop::result(const Expr& value, std::int64_t last) const {
  const auto of = [&](Recurrence r, const std::vector<Expr>& operands, const Expr& each) {
    r.value = each;
    r.last = last;
    return apply(scan_op, operands, r.attrs(), where_);
  };
  if (!parts_) return of(r_, operands_, value);
  const std::vector<Expr>& rows = parts_->outer.variables;
  if (last >= 0) return of(parts_->rest, parts_->rest_operands, {});
  Recurrence each = parts_->each;
  each.value = value;
  const Expr part = apply(scan_op, rows, each.attrs(), where_);
  const Expr all = of(parts_->outer, parts_->operands, part);
  std::vector<Expr> shape = sizes(all);
  shape.erase(shape.begin());
  shape[0] = parts_->covered;
  return concatenate({reshape(all, shape), of(parts_->rest, parts_->rest_operands, value)}, 0,
                     where_);
}

void Loop::divide() {
  const auto whole = [](const Expr& e) { return records::computed(cast(e, DType::int64)); };
  const Expr length = whole(maximum(ceil(sqrt(cast(steps_, DType::float64))), 1.0));
  const Expr count = records::computed(floor_div(steps_, length));
  const Expr covered = records::computed(count * length);
  const Expr left = records::computed(steps_ - covered);
  Parts parts{r_, r_, r_, {}, {}, covered};
  parts.outer.checkpoint = true;
  const Expr zero = constant(Tensor(std::int64_t{0}));
  for (std::size_t k = 0; k < r_.variables.size(); ++k) {
    const Expr& operand = operands_[k];
    Expr of_parts = operand, of_rest = operand;
    if (k < r_.sequences) {
      std::vector<Expr> shape = sizes(operand);
      shape[0] = length;
      shape.insert(shape.begin(), count);
      of_parts = reshape(narrow(operand, 0, zero, covered, /*step=*/1), shape);
      of_rest = narrow(operand, 0, covered, left, /*step=*/1);
    }
    parts.operands.push_back(of_parts);
    parts.rest_operands.push_back(of_rest);
    parts.outer.variables[k] =
        variable(r_.variables[k].attrs().label, r_.variable_type(k, of_parts), where_);
  }
  for (std::size_t k = 0; k < r_.states; ++k) {
    Recurrence each = r_;
    each.last = static_cast<std::int64_t>(k);
    parts.outer.updates[k] = apply(scan_op, parts.outer.variables, each.attrs(), where_);
  }
  for (std::size_t k = 0; k < r_.states; ++k) {
    Recurrence outer = parts.outer;
    outer.last = static_cast<std::int64_t>(k);
    parts.rest_operands[r_.sequences + k] = apply(scan_op, parts.operands, outer.attrs(), where_);
  }
  if (r_.until >= 0) {
    // Where it is over before, the rest goes by a row that was made.
    const Expr& over = parts.rest_operands[r_.sequences + static_cast<std::size_t>(r_.until)];
    const Expr row = switch_(over, zero, covered + arange(left));
    for (std::size_t k = 0; k < r_.sequences; ++k)
      parts.rest_operands[k] = take(operands_[k], row, 0);
  }
  parts_ = std::move(parts);
}

/// Throws TypeError unless `value` may be the next value of `target`.
void require_fits(const Expr& target, const Expr& value) {
  if (target.dtype() == value.dtype() && target.rank() == value.rank()) return;
  refuse("scan",
         text("the update of ", describe(target), " ", target.type(), " has type ", value.type()),
         value, {target});
}

}  // namespace

const Expr& Scan::last(std::size_t k, Source where) const {
  if (finals.at(k).has_value()) return finals[k];
  refuse("last",
         text("output ", k,
              " has no initial value, which it would be after no step: take a row of it, as "
              "at(loop[k], loop.steps - 1)"),
         where);
}

Scan scan(const ScanBody& body, const ScanOptions& options, Source where) {
  const Attribution as(where);
  // How many steps.
  Expr steps = options.steps;
  if (steps.has_value()) {
    if (steps.rank() != 0 || steps.dtype() != DType::int64)
      refuse("scan", "the number of steps must be an int64 scalar", steps);
    const Tensor* number = constant_value(steps);
    if (number && number->item() < 0)
      refuse<ValueError>("scan", text("there are no ", number->item(), " steps"), where);
    if (number) steps = constant(*number);
  } else if (options.sequences.empty()) {
    refuse("scan", "without sequences the number of steps must be said: .steps = n", where);
  }
  std::vector<Expr> arguments;
  std::vector<std::string> names;  // Of the arguments, for messages.
  std::vector<std::pair<Expr, Taps>> sequences;
  for (const ScanSequence& sequence : options.sequences) {
    const Expr& rows = sequence.values;
    if (rows.rank() < 1) refuse("scan", "a sequence needs a first axis, its steps", rows);
    if (sequence.taps.empty()) refuse("scan", "a sequence without taps is not seen", rows);
    sequences.emplace_back(options.go_backwards ? reverse(rows) : rows, Taps(sequence.taps));
  }
  const auto steps_of = [](const Expr& rows, const Taps& taps) {
    const std::int64_t lost = taps.last - taps.first;
    return lost == 0 ? size(rows, 0) : records::computed(size(rows, 0) - lost);
  };
  const bool all_rows = !steps.has_value();
  if (all_rows) steps = steps_of(sequences[0].first, sequences[0].second);
  Loop loop(steps, options.checkpoint, where);
  for (std::size_t k = 0; k < sequences.size(); ++k) {
    const auto& [rows, taps] = sequences[k];
    const Expr count = all_rows ? steps_of(rows, taps) : steps;
    for (const std::int64_t tap : options.sequences[k].taps) {
      const bool whole = all_rows && taps.first == taps.last;
      const std::string label = named("row of sequence", options.sequences[k].values, k);
      arguments.push_back(
          loop.row(label, whole ? rows : narrow(rows, 0, tap - taps.first, count, /*step=*/1)));
      names.push_back(label);
    }
  }
  // States: an output at each of the steps before, as far back as it is seen.
  struct Output {
    std::size_t state = 0;
    std::int64_t lags = 0;
  };
  std::vector<Output> outputs;
  for (std::size_t k = 0; k < options.initial.size(); ++k) {
    const ScanInitial& initial = options.initial[k];
    outputs.push_back({loop.states(), 0});
    if (!initial.value.has_value()) continue;
    const Expr& value = initial.value;
    const Taps taps(initial.taps);
    if (initial.taps.empty() || taps.last > 0 || std::ranges::count(initial.taps, 0) > 0)
      refuse("scan", "outputs are seen at earlier steps only: taps must be below 0", value);
    outputs.back().lags = -taps.first;
    const bool single = taps.first == -1 && initial.taps.size() == 1;
    if (!single && value.rank() < 1)
      refuse("scan", "an output seen at several steps needs an axis of them in front", value);
    const std::string label = named("output", value, k);
    std::vector<Expr> seen;
    for (std::int64_t lag = 1; lag <= -taps.first; ++lag)
      seen.push_back(
          loop.state(label, single ? value : at(value, Arg(-taps.first - lag), /*axis=*/0)));
    for (const std::int64_t tap : initial.taps) {
      arguments.push_back(seen[static_cast<std::size_t>(-tap - 1)]);
      names.push_back(label);
    }
  }
  for (const Expr& other : options.non_sequences) {
    arguments.push_back(other);
    names.push_back(describe(other));
  }
  if (body.arity() && *body.arity() != arguments.size()) {
    std::string list;
    for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
    refuse("scan",
           text("the body takes ", *body.arity(), " arguments, there are ", arguments.size(),
                list.empty() ? "" : ": ", list),
           where);
  }

  const std::uint64_t before = graphs::shared_variables_made();
  ScanStep step = body(arguments);
  for (const Expr& e : step.outputs) e.type(where);
  if (step.outputs.size() < outputs.size()) {
    refuse("scan",
           text("there are initial values of ", outputs.size(), " outputs, the body returns ",
                step.outputs.size()),
           where);
  }
  outputs.resize(step.outputs.size());
  std::vector<Expr> updates(loop.states()), values;
  const std::size_t of_outputs = loop.states();
  Substitutions variables;
  for (const auto& [target, value] : step.updates) {
    value.type(where);
    require_fits(target, value);
    variables.emplace_back(target, loop.state(target.label(), target));
  }
  const auto replaced = [&](const Expr& e) {
    return variables.empty() ? e : substitute(std::span(&e, 1), variables).front();
  };
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    const Output& output = outputs[k];
    const Expr value = replaced(step.outputs[k]);
    if (output.lags == 0) values.push_back(value);
    for (std::int64_t lag = 0; lag < output.lags; ++lag) {
      const std::size_t at = output.state + static_cast<std::size_t>(lag);
      updates[at] = lag == 0 ? value : loop.variable_of(at - 1);
    }
  }
  for (const auto& [target, value] : step.updates) updates.push_back(replaced(value));
  Expr going;
  if (step.until.has_value()) {
    const Expr until = replaced(step.until);
    if (until.rank() != 0 || until.dtype() != DType::bool_)
      refuse("scan", "until must be a bool scalar", until);
    const Expr over = loop.state("over", constant(Tensor(false)));
    for (std::size_t k = 0; k < updates.size(); ++k)
      updates[k] = switch_(over, loop.variable_of(k), updates[k]);
    for (Expr& value : values) value = switch_(over, cast(Arg(0.0), value.dtype()), value);
    loop.set_until(updates.size());
    updates.push_back(logical_or(over, until));
    going = logical_not(over);
    values.push_back(cast(going, DType::int64));
  }
  loop.close(std::move(updates), std::move(values), before);

  Scan result;
  result.steps = steps;
  std::size_t value = 0;
  for (const Output& output : outputs) {
    const bool state = output.lags > 0;
    result.outputs.push_back(state ? loop.stack_of_state(output.state)
                                   : loop.stack_of_value(value++));
    result.finals.push_back(state ? loop.last_of_state(output.state) : Expr());
  }
  for (std::size_t k = 0; k < step.updates.size(); ++k)
    result.updates.push_back({step.updates[k].target, loop.last_of_state(of_outputs + k)});
  if (going.has_value()) result.steps = sum_axes(loop.stack_of_value(value), {0});
  return result;
}

std::vector<Example> loops::scan_examples() {
  const Type matrix{DType::float64, {4, 3}}, square{DType::float64, {3, 3}};
  const Type vector{DType::float64, {3}};
  return {
      {{matrix, vector, square},
       [](Args x) {
         return scan([&](Expr row, Expr h) { return tanh(row + dot(h, x[2])); },
                     {.sequences = {x[0]}, .initial = {x[1]}})[0];
       }},
      {{matrix, vector},
       [](Args x) {
         return scan([](Expr row, Expr h) { return 0.5 * h * row + sin(h); },
                     {.sequences = {x[0]}, .initial = {x[1]}})
             .last();
       }},
      {{vector},
       [](Args x) {
         return scan([](Expr h) { return h * h + 0.1; }, {.initial = {x[0]}, .steps = 3})[0];
       }},
  };
}

}  // namespace cinch
