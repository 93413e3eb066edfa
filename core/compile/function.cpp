#include "cinch/core/function.hpp"

#include <algorithm>

#include "cinch/core/compile/compiled.hpp"
#include "cinch/core/compile/inspect.hpp"
#include "cinch/core/compile/pipeline.hpp"
#include "cinch/core/graph/derivation.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/shared_state.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/threads.hpp"

namespace cinch {

namespace {

void require_fitting(const std::string& name, const std::string& what, const Expr& target,
                     const Expr& value) {
  bool fits = target.dtype() == value.dtype() && target.rank() == value.rank();
  for (std::size_t axis = 0; fits && axis < target.dims().size(); ++axis) {
    const Dim a = target.dims()[axis], b = value.dims()[axis];
    fits = a == b || !a.known() || !b.known();
  }
  if (fits) return;
  std::string remedy;
  if (target.dtype() != value.dtype())
    remedy = text("\n  Convert it with cast(value, DType::", cinch::name(target.dtype()), ").");
  refuse(name,
         text(what, " ", describe(target), " is ", target.type(), ", its new value is ",
              value.type(), "  ", describe(value), remedy),
         value->where);
}

/// Givens that name other givens' variables, with those replaced too, unless they go round in a
/// circle: then, and where one names itself, the old variables are meant.
Substitutions chained(const Substitutions& givens) {
  const std::size_t count = givens.size();
  std::vector<std::vector<std::size_t>> names(count);
  std::vector<Expr> replaced;
  for (const auto& given : givens) replaced.push_back(given.first);
  for (std::size_t k = 0; k < count; ++k) {
    const auto nodes = topological(graphs::showing(std::span(&givens[k].second, 1), replaced));
    for (std::size_t l = 0; l < count; ++l) {
      if (l != k && std::ranges::find(nodes, givens[l].first) != nodes.end()) names[k].push_back(l);
    }
  }
  // Those that name no others first.
  Substitutions result = givens;
  std::vector<bool> ready(count, false);
  for (std::size_t left = count; left > 0; --left) {
    std::size_t next = count;
    for (std::size_t k = 0; k < count && next == count; ++k) {
      if (!ready[k] && std::ranges::all_of(names[k], [&](std::size_t l) { return ready[l]; }))
        next = k;
    }
    if (next == count) return givens;
    Substitutions named;
    for (const std::size_t l : names[next]) named.push_back(result[l]);
    result[next].second = substitute(std::span(&result[next].second, 1), named).front();
    ready[next] = true;
  }
  return result;
}

}  // namespace

Function function(FunctionSpec spec) {
  const FunctionSpec as_given = spec;
  threads();  // A CINCH_THREADS that is no number is no fault of a formula.
  if (spec.mode == Mode::fast && spec.watch == Watch::everywhere)
    throw ValueError(spec.name +
                     ": Watch::everywhere looks at each op of the formula, set Mode::checked too");
  std::vector<Expr> roots = spec.outputs;
  std::vector<Shared> targets;
  for (const Expr& output : spec.outputs) {
    if (!output.has_value()) throw TypeError(spec.name + ": an output is an empty expression");
  }
  for (const auto& [target, value] : spec.updates) {
    if (!target.has_value() || !value.has_value())
      throw TypeError(spec.name + ": an update has an empty variable or value");
    Expr fits = value.type().weak ? cast(value, target.dtype()) : value;
    require_fitting(spec.name, "updated variable", target, fits);
    if (std::ranges::find(targets, target) != targets.end()) {
      throw TypeError(spec.name + ": two updates of " + describe(target));
    }
    targets.push_back(target);
    roots.push_back(fits);
  }
  for (auto& [from, to] : spec.givens) {
    if (!from.has_value() || !to.has_value())
      throw TypeError(spec.name + ": a given is an empty expression");
    if (to.type().weak) to = cast(to, from.dtype());
    require_fitting(spec.name, "given", from, to);
    const auto same = [&from = from](const auto& given) { return given.first == from; };
    if (std::ranges::count_if(spec.givens, same) > 1)
      throw TypeError(spec.name + ": two givens for " + describe(from) + ": only one can hold");
  }
  if (!spec.givens.empty()) roots = substitute(roots, chained(spec.givens));
  for (const Shared& state : shared_variables(roots)) {
    const auto& advance = state.attrs().state->advance;
    if (!advance || std::ranges::find(targets, state) != targets.end()) continue;
    targets.push_back(state);
    roots.push_back(advance(state));
  }

  NodeSet variables;
  for (const Expr& node : topological(roots)) {
    if (!is_variable(node)) continue;
    variables.insert(node.get());
    if (std::ranges::find(spec.inputs, node) == spec.inputs.end()) {
      throw TypeError(spec.name + ": variable " + describe(node) +
                      " is needed but is neither an input nor given\n  " + text(node.type()) +
                      ", declared at " + node->where.text());
    }
  }
  for (std::size_t k = 0; k < spec.inputs.size(); ++k) {
    const Expr& input = spec.inputs[k];
    if (!input.has_value() || !is_variable(input))
      throw TypeError(text(spec.name, ": input ", k, " is not a variable"));
    if (std::find(spec.inputs.begin(), spec.inputs.begin() + static_cast<std::ptrdiff_t>(k),
                  input) != spec.inputs.begin() + static_cast<std::ptrdiff_t>(k)) {
      throw TypeError(spec.name + ": input " + describe(input) + " is listed twice");
    }
    if (!variables.contains(input.get()) && !spec.allow_unused_inputs) {
      throw TypeError(spec.name + ": input " + describe(input) + " (declared at " +
                      input->where.text() +
                      ") is not used: leave it out, or set allow_unused_inputs");
    }
  }

  auto compiled = std::make_shared<Function::Compiled>();
  compiled->spec = as_given;
  compiled->mode = spec.mode;
  compiled->watch =
      spec.watch.value_or(spec.mode == Mode::checked ? Watch::not_finite : Watch::nothing);
  compiled->profiling = spec.profile;
  compiling::Program& program = compiled->program;
  program.written = roots;
  if (spec.mode == Mode::fast) {
    compiling::Goals goals = compiling::goals_of(roots);
    run_passes(compiling::passes_without_sizes(), goals, nullptr, spec.name);
    roots = compiling::values_of(goals);
    compiled->host = planning::HostProgram(roots, spec.inputs);
    program.sizes = compiled->host.sizes();
    program.positions = compiled->host.positions();
  } else {
    // As written, a step of a minibatch would widen the whole data set.
    roots = widening::parts_first(roots);
  }
  for (const Expr& input : spec.inputs) compiled->converted.emplace_back(input.dtype(), Shape{});
  compiled->given.resize(spec.inputs.size());
  program.name = std::move(spec.name);
  program.inputs = std::move(spec.inputs);
  program.output_count = spec.outputs.size();
  program.targets = std::move(targets);
  program.roots = std::move(roots);
  compiled->note_variables();
  compiled->note_defaults();
  Function result;
  result.compiled_ = std::move(compiled);
  return result;
}

FunctionSpec compiling::replaced(FunctionSpec spec, const Substitutions& by) {
  if (by.empty()) return spec;
  std::vector<Expr> formulas = spec.outputs;
  for (const auto& [target, value] : spec.updates) formulas.insert(formulas.end(), {target, value});
  for (const auto& [from, to] : spec.givens) formulas.insert(formulas.end(), {from, to});
  formulas = substitute(formulas, by);
  auto next = formulas.begin();
  for (Expr& output : spec.outputs) output = *next++;
  for (auto& [target, value] : spec.updates) {
    target = as_shared(*next++);
    value = *next++;
  }
  for (auto& [from, to] : spec.givens) {
    from = *next++;
    to = *next++;
  }
  return spec;
}

Function Function::copy(const CopySpec& copy, Source where) const {
  const Compiled& mine = compiled(where);
  const std::string& name = mine.program.name;
  const auto refuse_swap = [&](const std::string& what) {
    throw TypeError(text(name, ": copy: ", what, "\n  called at ", where.text()));
  };
  std::vector<Expr> used = mine.program.written;
  used.insert(used.end(), mine.program.targets.begin(), mine.program.targets.end());
  const std::vector<Shared> variables = shared_variables(used);
  Substitutions swap;
  for (const auto& [from, to] : copy.swap) {
    if (!from.has_value() || !to.has_value()) refuse_swap("a variable to be swapped is empty");
    if (std::ranges::find(variables, from) == variables.end())
      refuse_swap(text("the function does not use ", describe(from), " (", from.type(), ")"));
    if (std::ranges::find(swap, from, &Substitutions::value_type::first) != swap.end())
      refuse_swap(text(describe(from), " is to be swapped twice"));
    // A size that was known may stand in the formulas as a number.
    const auto keeps = [](Dim old, Dim now) { return !old.known() || old == now; };
    if (from.dtype() != to.dtype() || !std::ranges::equal(from.dims(), to.dims(), keeps))
      refuse_swap(text(describe(from), " is ", from.type(), ", ", describe(to), " is ", to.type(),
                       ": both must have one dtype and shape"));
    swap.emplace_back(from, to);
  }
  FunctionSpec spec = compiling::replaced(mine.spec, swap);
  if (copy.delete_updates) spec.updates.clear();
  if (!copy.name.empty()) spec.name = copy.name;
  // What only an update needed is no longer used.
  spec.allow_unused_inputs = spec.allow_unused_inputs || copy.delete_updates;
  return function(std::move(spec));
}

Function function(std::vector<Expr> inputs, std::vector<Expr> outputs, Updates updates,
                  Substitutions givens, Mode mode) {
  return function(FunctionSpec{.inputs = std::move(inputs),
                               .outputs = std::move(outputs),
                               .updates = std::move(updates),
                               .givens = std::move(givens),
                               .mode = mode});
}

namespace {

Tensor evaluate_at(const Arg& expr, std::vector<Expr> variables,
                   std::span<const Tensor* const> values) {
  return std::move(function({.inputs = std::move(variables),
                             .outputs = {expr},
                             .allow_unused_inputs = true,
                             .name = "evaluate"})
                       .call(values)
                       .front());
}

}  // namespace

Tensor evaluate(const Arg& expr, const std::vector<Binding>& bindings) {
  std::vector<Expr> variables;
  std::vector<const Tensor*> values;
  for (const auto& [variable, value] : bindings) {
    variables.push_back(variable);
    values.push_back(&value);
  }
  return evaluate_at(expr, std::move(variables), values);
}

Tensor evaluate(const Arg& expr, std::initializer_list<BoundNow> bindings) {
  std::vector<Expr> variables;
  std::vector<const Tensor*> values;
  for (const BoundNow& bound : bindings) {
    variables.push_back(bound.variable);
    values.push_back(&bound.value);
  }
  return evaluate_at(expr, std::move(variables), values);
}

}  // namespace cinch
