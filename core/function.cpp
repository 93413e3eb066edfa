#include "core/function.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <list>
#include <mutex>

#include "core/accumulate.hpp"
#include "core/contraction.hpp"
#include "core/host.hpp"
#include "core/leaves.hpp"
#include "core/plan.hpp"
#include "core/rewrite.hpp"

namespace cinch {

namespace {

constexpr std::size_t most_plans = 16;  // Kept; the one used longest ago goes first.

std::vector<Expr> expanded(std::span<const Expr> roots) {
  NodeMap<Expr> done;
  return rebuild(
      roots,
      [](const Expr& e) {
        if (!e.op().expand) return e;
        const Attribution as(e->where, /*force=*/true);
        return e.op().expand(e);
      },
      done);
}

/// `value` as input `x` wants it: itself, or a converted copy in `converted`.
const Tensor* fitted(const Expr& x, const Tensor& value, Tensor& converted,
                     const std::string& function) {
  const auto refuse = [&](const std::string& what) {
    throw TypeError(function + ": argument " + describe(x) + " must be " + text(x.type()) +
                    ", got " + text(type_of(value)) + what + "\n  declared at " + x->where.text());
  };
  const Tensor* result = &value;
  if (value.dtype() != x.dtype()) {
    if (value.rank() != 0 || x.rank() != 0) refuse(": convert it with cast()");
    converted = value.cast(x.dtype());
    const double before = value.item(), after = converted.item();
    const bool exact = before == after || (is_float(x.dtype()) && is_float(value.dtype()));
    if (!exact) refuse(text(" with value ", before, ", which would change"));
    result = &converted;
  }
  bool fits = value.rank() == x.rank();
  for (std::size_t axis = 0; fits && axis < x.dims().size(); ++axis) {
    fits = !x.dims()[axis].known() || x.dims()[axis].size() == value.shape()[axis];
  }
  if (!fits) refuse("");
  return result;
}

}  // namespace

struct Function::Compiled {
  std::string name;
  Mode mode;
  std::vector<Expr> inputs;
  std::vector<Expr> roots;  // Outputs, then the updates' values.
  std::size_t output_count;
  std::vector<Shared> targets;
  HostProgram host;
  struct Entry {
    std::vector<std::int64_t> key;
    std::unique_ptr<Plan> plan;
  };
  std::list<Entry> plans;  // Most recently used first.
  std::size_t plans_made = 0;
  std::mutex mutex;
  // Reused at each call.
  std::vector<std::int64_t> key;
  std::vector<const void*> addresses;

  std::vector<Tensor> run(std::span<const Tensor* const> arguments);
  std::vector<Tensor> run_checked(std::span<const Tensor* const> arguments);
  Plan& plan_for(std::span<const Tensor* const> arguments);
  std::unique_ptr<Plan> make_plan(std::span<const Tensor* const> arguments) const;
};

std::unique_ptr<Plan> Function::Compiled::make_plan(
    std::span<const Tensor* const> arguments) const {
  // All sizes are known now: the graph is typed again with them, which checks them too.
  NodeMap<Expr> done;
  std::vector<Expr> inputs_now;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    inputs_now.push_back(
        variable(inputs[k].attrs().label, type_of(*arguments[k]), inputs[k]->where));
    done[inputs[k].get()] = inputs_now.back();
  }
  for (std::size_t k = 0; k < host.sizes().size(); ++k) {
    done[host.sizes()[k].get()] = constant(Tensor(host.size(k)), host.sizes()[k]->where);
  }
  for (const Expr& position : host.positions()) {
    inputs_now.push_back(variable(describe(position), Type{DType::int64, {}}, position->where));
    done[position.get()] = inputs_now.back();
  }
  std::vector<Expr> now = rebuild(
      roots, [](const Expr& e) { return e; }, done);
  now = rewrite(now);
  now = rewrite(expanded(now));
  now = rewrite(contract(now));
  std::vector<PlanResult> results;
  for (std::size_t k = 0; k < now.size(); ++k) {
    SharedState* target =
        k < output_count ? nullptr : targets[k - output_count].attrs().state.get();
    if (target && now[k].type().shape() != target->value.shape()) {
      throw TypeError(name + ": the update of " + describe(targets[k - output_count]) + " " +
                      text(targets[k - output_count].type()) + " has type " + text(now[k].type()) +
                      "\n  written at " + now[k]->where.text());
    }
    results.push_back({now[k], target});
  }
  accumulate_products(results);
  for (std::size_t k = 0; k < now.size(); ++k) now[k] = results[k].value;
  now = rewrite(now);
  for (std::size_t k = 0; k < now.size(); ++k) results[k].value = now[k];
  return std::make_unique<Plan>(inputs_now, results);
}

Plan& Function::Compiled::plan_for(std::span<const Tensor* const> arguments) {
  host.run(arguments);
  key.clear();
  for (const Tensor* argument : arguments)
    key.insert(key.end(), argument->shape().begin(), argument->shape().end());
  for (std::size_t k = 0; k < host.sizes().size(); ++k) key.push_back(host.size(k));
  const auto found = std::ranges::find(plans, key, &Entry::key);
  if (found == plans.end()) {
    auto plan = make_plan(arguments);
    ++plans_made;
    plans.push_front({key, std::move(plan)});
    if (plans.size() > most_plans) plans.pop_back();
  } else if (found != plans.begin()) {
    plans.splice(plans.begin(), plans, found);
  }
  return *plans.front().plan;
}

std::vector<Tensor> Function::Compiled::run_checked(std::span<const Tensor* const> arguments) {
  std::vector<Binding> bindings;
  for (std::size_t k = 0; k < inputs.size(); ++k) bindings.emplace_back(inputs[k], *arguments[k]);
  std::vector<Tensor> values = interpret(roots, bindings, /*watch=*/true);
  for (std::size_t k = 0; k < targets.size(); ++k) {
    const Tensor& value = values[output_count + k];
    if (value.shape() != targets[k].value().shape()) {
      throw TypeError(name + ": the update of " + describe(targets[k]) + " " +
                      text(targets[k].type()) + " has type " + text(type_of(value)) +
                      "\n  written at " + roots[output_count + k]->where.text());
    }
  }
  for (std::size_t k = 0; k < targets.size(); ++k)
    targets[k].set(std::move(values[output_count + k]));
  values.resize(output_count);
  return values;
}

std::vector<Tensor> Function::Compiled::run(std::span<const Tensor* const> arguments) {
  if (arguments.size() != inputs.size()) {
    throw TypeError(text(name, ": takes ", inputs.size(), " arguments, got ", arguments.size()));
  }
  const std::scoped_lock lock(mutex);
  std::vector<const Tensor*> given(arguments.size());
  std::vector<Tensor> converted;
  converted.reserve(arguments.size());
  for (std::size_t k = 0; k < arguments.size(); ++k) {
    Tensor copy;
    given[k] = fitted(inputs[k], *arguments[k], copy, name);
    if (given[k] == &copy) given[k] = &converted.emplace_back(std::move(copy));
    // An argument that is the memory of a variable to be updated must not change on the way.
    const bool changes = std::ranges::any_of(
        targets, [&](const Shared& target) { return target.value().raw() == given[k]->raw(); });
    if (changes) given[k] = &converted.emplace_back(*given[k]);
  }
  if (mode == Mode::checked) return run_checked(given);
  Plan& plan = plan_for(given);
  addresses.clear();
  for (const Tensor* argument : given) addresses.push_back(argument->raw());
  for (std::size_t k = 0; k < host.positions().size(); ++k) addresses.push_back(&host.position(k));
  plan.run(addresses);
  std::vector<Tensor> outputs;
  outputs.reserve(output_count);
  for (std::size_t k = 0; k < output_count; ++k) {
    Tensor& output = outputs.emplace_back(roots[k].dtype(), plan.result_shape(k));
    std::memcpy(output.raw(), plan.result(k), output.bytes());
  }
  plan.commit();
  return outputs;
}

std::vector<Tensor> Function::operator()(const std::vector<Tensor>& arguments) const {
  std::vector<const Tensor*> pointers;
  for (const Tensor& argument : arguments) pointers.push_back(&argument);
  return call(pointers);
}

std::vector<Tensor> Function::call(std::span<const Tensor* const> arguments) const {
  if (!compiled_) throw Error("an empty function was called: make it with function(...)");
  return compiled_->run(arguments);
}

std::vector<Tensor> Function::call(const std::map<std::string, Tensor>& arguments) const {
  if (!compiled_) throw Error("an empty function was called: make it with function(...)");
  std::vector<const Tensor*> pointers;
  for (const Expr& input : compiled_->inputs) {
    const auto found = arguments.find(describe(input));
    if (found == arguments.end())
      throw TypeError(compiled_->name + ": argument " + describe(input) + " is missing");
    pointers.push_back(&found->second);
  }
  if (arguments.size() != pointers.size()) {
    for (const auto& argument : arguments) {
      const std::string& label = argument.first;
      const bool known = std::ranges::any_of(compiled_->inputs, [&](const Expr& x) { return describe(x) == label; });
      if (!known) throw TypeError(compiled_->name + ": there is no input named " + label);
    }
  }
  return call(pointers);
}

const std::vector<Expr>& Function::graph() const { return compiled_->roots; }
std::string Function::plan_text() const {
  return compiled_->plans.empty() ? "" : compiled_->plans.front().plan->text();
}
std::size_t Function::arena_bytes() const {
  return compiled_->plans.empty() ? 0 : compiled_->plans.front().plan->arena_bytes();
}
std::size_t Function::plans_made() const { return compiled_->plans_made; }

namespace {

void require_fitting(const std::string& name, const std::string& what, const Expr& target,
                     const Expr& value) {
  bool fits = target.dtype() == value.dtype() && target.rank() == value.rank();
  for (std::size_t axis = 0; fits && axis < target.dims().size(); ++axis) {
    const Dim a = target.dims()[axis], b = value.dims()[axis];
    fits = a == b || !a.known() || !b.known();
  }
  if (fits) return;
  throw TypeError(name + ": " + what + " " + describe(target) + " is " + text(target.type()) +
                  ", its new value is " + text(value.type()) + "  " + describe(value) +
                  "\n  written at " + value->where.text() +
                  (target.dtype() != value.dtype()
                       ? "\n  Convert it with cast(value, DType::" +
                             std::string(cinch::name(target.dtype())) + ")."
                       : ""));
}

}  // namespace

namespace {

/// Givens that name other givens' variables, with those replaced too, unless they go round in a circle: then, and where
/// one names itself, the old variables are meant.
Substitutions chained(const Substitutions& givens) {
  const std::size_t count = givens.size();
  std::vector<std::vector<std::size_t>> names(count);
  for (std::size_t k = 0; k < count; ++k) {
    const auto nodes = topological(std::span(&givens[k].second, 1));
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
      if (!ready[k] && std::ranges::all_of(names[k], [&](std::size_t l) { return ready[l]; })) next = k;
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
  std::vector<Expr> roots = spec.outputs;
  std::vector<Shared> targets;
  for (const Expr& output : spec.outputs) {
    if (!output) throw TypeError(spec.name + ": an output is an empty expression");
  }
  for (const auto& [target, value] : spec.updates) {
    if (!target || !value)
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
    if (!from || !to) throw TypeError(spec.name + ": a given is an empty expression");
    if (to.type().weak) to = cast(to, from.dtype());
    require_fitting(spec.name, "given", from, to);
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
      throw TypeError(spec.name + ": variable " + describe(node) + " (" + text(node.type()) +
                      ", declared at " + node->where.text() +
                      ") is needed but is neither an input nor given");
    }
  }
  for (std::size_t k = 0; k < spec.inputs.size(); ++k) {
    const Expr& input = spec.inputs[k];
    if (!input || !is_variable(input))
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
  compiled->name = spec.name;
  compiled->mode = spec.mode;
  compiled->inputs = spec.inputs;
  compiled->output_count = spec.outputs.size();
  compiled->targets = std::move(targets);
  compiled->roots = spec.mode == Mode::fast ? rewrite(roots) : roots;
  if (spec.mode == Mode::fast) compiled->host = HostProgram(compiled->roots, compiled->inputs);
  Function result;
  result.compiled_ = std::move(compiled);
  return result;
}

Function function(std::vector<Expr> inputs, std::vector<Expr> outputs, Updates updates,
                  Substitutions givens, Mode mode) {
  return function(FunctionSpec{.inputs = std::move(inputs),
                               .outputs = std::move(outputs),
                               .updates = std::move(updates),
                               .givens = std::move(givens),
                               .mode = mode});
}

Tensor evaluate(const Arg& expr, const std::vector<Binding>& bindings) {
  FunctionSpec spec{.outputs = {expr}, .allow_unused_inputs = true, .name = "evaluate"};
  std::vector<const Tensor*> values;
  for (const auto& [variable, value] : bindings) {
    spec.inputs.push_back(variable);
    values.push_back(&value);
  }
  return function(std::move(spec)).call(values).front();
}

}  // namespace cinch
