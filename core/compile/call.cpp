#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <exception>
#include <functional>

#include "cinch/core/compile/compiled.hpp"
#include "cinch/core/compile/fault.hpp"
#include "cinch/core/compile/inspect.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/run/interpret.hpp"

namespace cinch {

namespace {

// Of the plans that are kept, the one used longest ago goes first. Sizes that come back after their
// plan was given up, as the lengths of sequences do, are worth keeping more plans for.
constexpr std::size_t fewest_plans = 16, most_plans = 256, most_plan_bytes = std::size_t{256} << 20;
constexpr std::size_t most_known_sizes = 4096;

/// Writes the scalar `from` into the scalar `to`, of another dtype.
void convert(const Tensor& from, Tensor& to) {
  dispatch(from.dtype(), [&]<class From> {
    dispatch(to.dtype(), [&]<class To> {
      *static_cast<To*>(to.raw()) = static_cast<To>(*static_cast<const From*>(from.raw()));
    });
  });
}

/// What set() does, for who holds the variable.
void put(const Shared& target, Tensor value) { target.attrs().state->value = std::move(value); }

/// `value` as input `x` wants it: itself, or converted in `converted`, a scalar of x's dtype.
const Tensor* fitted(const Expr& x, const Tensor& value, Tensor& converted,
                     const std::string& function) {
  const auto refuse = [&](const std::string& what) {
    value.raw();  // Throws, and says why, where its elements were moved away.
    throw TypeError(function + ": argument " + describe(x) + " must be " + text(x.type()) +
                    ", got " + text(type_of(value)) + what + "\n  declared at " + x->where.text());
  };
  const Tensor* result = &value;
  if (value.dtype() != x.dtype()) {
    if (is_storage(value.dtype()) && !is_storage(x.dtype()))
      refuse(text(": declare it as DType::", value.dtype(), " and compute with widened(",
                  describe(x), "), or convert it with cast()"));
    if (value.rank() != 0 || x.rank() != 0) refuse(": convert it with cast()");
    const double before = value.item();
    const bool to_integer = !is_float(x.dtype()) && !(std::abs(before) < 0x1p63);
    if (!to_integer) convert(value, converted);
    if (to_integer || !graphs::is_kept(value, converted))
      refuse(text(" with value ", before, ", which would change"));
    result = &converted;
  }
  if (!graphs::fits(*result, x.type())) refuse("");
  return result;
}

}  // namespace

std::unique_ptr<planning::Plan> Function::Compiled::plan_of(
    const std::vector<std::int64_t>& all_sizes, compiling::CompileLog* log) const {
  compiling::PlanSizes sizes;
  auto next = all_sizes.begin();
  for (const Expr& input : program.inputs) {
    sizes.inputs.emplace_back(next, next + input.rank());
    next += input.rank();
  }
  const auto after_rows = next + static_cast<std::ptrdiff_t>(program.free_rows.size());
  sizes.rows.assign(next, after_rows);
  sizes.scalars.assign(after_rows, all_sizes.end());
  return make_plan(program, sizes, log);
}

Function::Compiled::Entry& Function::Compiled::entry_for(std::span<const Tensor* const> arguments) {
  host.run(arguments);
  key.clear();
  for (const Tensor* argument : arguments)
    key.insert(key.end(), argument->shape().begin(), argument->shape().end());
  for (const Expr& variable : program.free_rows)
    key.push_back(variable.attrs().state->value.shape()[0]);
  for (std::size_t k = 0; k < host.sizes().size(); ++k) key.push_back(host.size(k));
  if (!plans.empty() && plans.front().key == key) return plans.front();
  const auto found = plan_at.find(key);
  if (found != plan_at.end()) {
    plans.splice(plans.begin(), plans, found->second);
    return plans.front();
  }
  plans.push_front({key, plan_of(key, nullptr), known.contains(key)});
  plan_at.emplace(key, plans.begin());
  if (known.size() >= most_known_sizes) known.clear();
  known.insert(key);
  plans.front().plan->set_profiling(profiling);
  plan_bytes += plans.front().plan->arena_bytes();
  ++plans_made;
  give_plans_up();
  return plans.front();
}

void Function::Compiled::give_plans_up() {
  const auto give_up = [&](std::list<Entry>::iterator entry) {
    plan_bytes -= entry->plan->arena_bytes();
    plan_at.erase(entry->key);
    plans.erase(entry);
  };
  const auto met_once = static_cast<std::size_t>(std::ranges::count(plans, false, &Entry::recurs));
  if (met_once > fewest_plans) {
    auto last = std::prev(plans.end());
    while (last->recurs) --last;
    give_up(last);
  }
  while (plans.size() > most_plans || (plans.size() > fewest_plans && plan_bytes > most_plan_bytes))
    give_up(std::prev(plans.end()));
}

void Function::Compiled::note_variables() {
  std::vector<Expr> all = program.written;
  all.insert(all.end(), program.roots.begin(), program.roots.end());
  all.insert(all.end(), program.targets.begin(), program.targets.end());
  for (const Shared& variable : shared_variables(all)) {
    const bool changes = std::ranges::find(program.targets, variable) != program.targets.end();
    SharedState* state = variable.attrs().state.get();
    uses.push_back({state, changes});
    if (state->free_rows) program.free_rows.push_back(variable);
  }
  std::ranges::sort(uses, std::less<>(), &Use::state);
}

void Function::Compiled::note_defaults() {
  const std::vector<Expr>& inputs = program.inputs;
  defaults.resize(inputs.size());
  for (const auto& [x, value] : spec.defaults) {
    if (!x.has_value()) throw TypeError(program.name + ": a default is for an empty expression");
    const auto input = std::ranges::find(inputs, x);
    if (input == inputs.end())
      throw TypeError(program.name + ": " + describe(x) + " has a default but is no input");
    const auto k = static_cast<std::size_t>(input - inputs.begin());
    if (defaults[k]) throw TypeError(program.name + ": two defaults for " + describe(x));
    defaults[k] = *fitted(x, value, converted[k], program.name + ": default");
  }
}

/// How many arguments a call must have: those after them have defaults.
std::size_t Function::Compiled::fewest_arguments() const {
  std::size_t result = defaults.size();
  while (result > 0 && defaults[result - 1]) --result;
  return result;
}

std::vector<Binding> Function::Compiled::bindings() const {
  std::vector<Binding> result;
  for (std::size_t k = 0; k < given.size(); ++k) result.emplace_back(program.inputs[k], *given[k]);
  return result;
}

/// Outputs, and updates of variables that are finite.
std::vector<bool> Function::Compiled::watched() const {
  std::vector<bool> result(program.output_count, true);
  for (const Shared& target : program.targets)
    result.push_back(!compiling::is_faulty(target.value(), Watch::not_finite));
  return result;
}

void Function::Compiled::run_checked(std::vector<Tensor>& outputs) {
  const std::size_t count = program.output_count;
  const std::vector<Binding> at = bindings();
  const std::vector<bool> counts = watched();
  std::vector<Tensor> values;
  std::exception_ptr refused;
  try {
    values = running::interpret(program.roots, at, watch == Watch::everywhere);
  } catch (const ValueError&) {
    if (watch == Watch::everywhere) throw;
    refused = std::current_exception();
  }
  const auto faulty = [&](std::size_t k) {
    return refused || (counts[k] && compiling::is_faulty(values[k], watch));
  };
  bool any = refused != nullptr;
  for (std::size_t k = 0; k < values.size(); ++k) any = any || faulty(k);
  if (any) {
    compiling::Inquiry found;
    try {
      found = compiling::inquire(program.roots, at, watch, counts);
    } catch (const ValueError&) {
      // An index out of range, say: what the formula as written says is easier to read.
      if (refused) std::rethrow_exception(refused);
      throw;
    }
    // What was not finite from the start is refused in the words of the op that does so.
    if (refused && found.refused && (!found.fault || graphs::is_leaf(found.fault->node)))
      std::rethrow_exception(refused);
    if (found.fault) throw ValueError("Mode::checked: " + found.fault->text);
    values.resize(found.values.size());
    for (std::size_t k = 0; k < values.size(); ++k) {
      if (faulty(k)) values[k] = std::move(found.values[k]);
    }
  }
  for (std::size_t k = 0; k < program.targets.size(); ++k) {
    const Tensor& value = values[count + k];
    const Shared& target = program.targets[k];
    if (!graphs::fits(value, target.type())) {
      refuse(program.name,
             text("the update of ", describe(target), " ", target.type(), " has type ",
                  type_of(value)),
             program.roots[count + k]->where);
    }
  }
  for (std::size_t k = 0; k < program.targets.size(); ++k)
    put(program.targets[k], std::move(values[count + k]));
  values.resize(count);
  outputs = std::move(values);
}

/// Writes the updates; puts the variables back and throws where one of the results is a fault.
void Function::Compiled::commit_watched(planning::Plan& plan, std::span<const Tensor> outputs) {
  const std::vector<bool> counts = watched();
  std::vector<Tensor> before;
  for (const Shared& target : program.targets) before.push_back(target.value());
  plan.commit();
  std::string what;
  const auto look = [&](std::size_t k, const Tensor& value, const std::string& name) {
    if (what.empty() && counts[k] && compiling::is_faulty(value, watch))
      what = text(program.name, ": ", name, " is not finite");
  };
  for (std::size_t k = 0; k < outputs.size(); ++k) look(k, outputs[k], text("output ", k));
  for (std::size_t k = 0; k < before.size(); ++k) {
    const Shared& target = program.targets[k];
    look(outputs.size() + k, target.value(), "the new value of " + describe(target));
  }
  if (what.empty()) return;
  std::vector<Tensor> after;
  for (std::size_t k = 0; k < before.size(); ++k) {
    after.push_back(program.targets[k].value());
    put(program.targets[k], std::move(before[k]));
  }
  const compiling::Inquiry found = compiling::inquire(program.written, bindings(), watch, counts);
  if (found.fault) throw ValueError(what + "\n" + found.fault->text);
  bool meant = false;
  for (std::size_t k = 0; k < found.values.size(); ++k)
    meant = meant || (counts[k] && compiling::is_faulty(found.values[k], watch));
  if (!meant) throw ValueError(what + "\n" + std::string(compiling::only_compiled));
  for (std::size_t k = 0; k < after.size(); ++k) put(program.targets[k], std::move(after[k]));
}

void Function::Compiled::run(std::span<const Tensor* const> arguments,
                             std::vector<Tensor>& outputs) {
  const std::vector<Expr>& inputs = program.inputs;
  const std::size_t fewest = fewest_arguments(), most = inputs.size();
  if (arguments.size() < fewest || arguments.size() > most) {
    throw TypeError(text(program.name, ": takes ", fewest < most ? text(fewest, " to ") : "", most,
                         most == 1 ? " argument" : " arguments", ", got ", arguments.size()));
  }
  const std::scoped_lock lock(mutex);
  const Holding holding(uses);
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    const Tensor& argument = k < arguments.size() ? *arguments[k] : *defaults[k];
    given[k] = fitted(inputs[k], argument, converted[k], program.name);
    // An argument that is the memory of a variable to be updated must not change on the way.
    const bool changes = std::ranges::any_of(program.targets, [&](const Shared& target) {
      return target.value().raw() == given[k]->raw();
    });
    if (changes) {
      converted[k] = *given[k];
      given[k] = &converted[k];
    }
  }
  if (mode == Mode::checked) return run_checked(outputs);
  const auto before =
      profiling ? std::chrono::steady_clock::now() : std::chrono::steady_clock::time_point();
  Entry& entry = entry_for(given);
  planning::Plan& plan = *entry.plan;
  addresses.clear();
  for (const Tensor* argument : given) addresses.push_back(argument->raw());
  for (std::size_t k = 0; k < host.positions().size(); ++k) addresses.push_back(&host.position(k));
  plan.run(addresses);
  outputs.resize(program.output_count);
  for (std::size_t k = 0; k < program.output_count; ++k) {
    Tensor& output = outputs[k];
    const DType dtype = program.roots[k].dtype();
    if (output.dtype() != dtype || output.shape() != plan.result_shape(k))
      output = Tensor(dtype, plan.result_shape(k));
    std::memcpy(output.raw(), plan.result(k), output.bytes());
  }
  if (watch == Watch::nothing) {
    plan.commit();
  } else {
    commit_watched(plan, outputs);
  }
  if (!profiling) return;
  ++entry.calls;
  const auto taken = std::chrono::steady_clock::now() - before;
  entry.nanoseconds += std::chrono::duration<double, std::nano>(taken).count();
}

std::vector<Tensor> Function::operator()(std::initializer_list<Argument> arguments,
                                         Source where) const {
  compiled(where);
  std::vector<const Tensor*> pointers;
  for (const Argument& argument : arguments) pointers.push_back(&argument.tensor());
  return call(pointers);
}

std::vector<Tensor> Function::operator()(const std::vector<Tensor>& arguments, Source where) const {
  compiled(where);
  std::vector<const Tensor*> pointers;
  for (const Tensor& argument : arguments) pointers.push_back(&argument);
  return call(pointers);
}

Function::Compiled& Function::compiled(Source where) const {
  if (!compiled_) {
    throw Error("an empty function was used: make it with function(...)" +
                (where.line ? "\n  called at " + where.text() : ""));
  }
  return *compiled_;
}

std::vector<Tensor> Function::call(std::span<const Tensor* const> arguments) const {
  std::vector<Tensor> outputs;
  compiled().run(arguments, outputs);
  return outputs;
}

void Function::call(std::span<const Tensor* const> arguments, std::vector<Tensor>& outputs) const {
  compiled().run(arguments, outputs);
}

std::vector<Tensor> Function::call(const std::map<std::string, Tensor>& arguments,
                                   Source where) const {
  const compiling::Program& program = compiled(where).program;
  std::vector<const Tensor*> pointers;
  for (std::size_t k = 0; k < program.inputs.size(); ++k) {
    const Expr& input = program.inputs[k];
    const auto same = [&](const Expr& other) { return describe(other) == describe(input); };
    if (std::ranges::count_if(program.inputs, same) > 1) {
      throw TypeError(program.name + ": two inputs are named " + describe(input) +
                      ": give them different names, or the arguments in order\n  called at " +
                      where.text());
    }
    const auto found = arguments.find(describe(input));
    const std::optional<Tensor>& otherwise = compiled().defaults[k];
    if (found == arguments.end() && !otherwise)
      throw TypeError(program.name + ": argument " + describe(input) + " is missing\n  called at " +
                      where.text());
    pointers.push_back(found == arguments.end() ? &*otherwise : &found->second);
  }
  for (const auto& argument : arguments) {
    const std::string& label = argument.first;
    const bool known =
        std::ranges::any_of(program.inputs, [&](const Expr& x) { return describe(x) == label; });
    if (!known)
      throw TypeError(program.name + ": there is no input named " + label + "\n  called at " +
                      where.text());
  }
  return call(pointers);
}

const std::vector<Expr>& Function::graph() const { return compiled().program.roots; }
std::size_t Function::plans_made() const {
  const std::scoped_lock lock(compiled().mutex);
  return compiled().plans_made;
}

std::string Function::plan_text() const {
  const std::scoped_lock lock(compiled().mutex);
  return compiled().plans.empty() ? "" : compiled().plans.front().plan->text();
}
std::size_t Function::arena_bytes() const {
  const std::scoped_lock lock(compiled().mutex);
  return compiled().plans.empty() ? 0 : compiled().plans.front().plan->arena_bytes();
}

void Function::set_profiling(bool on) const {
  const std::scoped_lock lock(compiled().mutex);
  compiled().profiling = on;
  for (auto& entry : compiled().plans) entry.plan->set_profiling(on);
}

const compiling::Program& Inspect::program(const Function& f) { return f.compiled().program; }
const FunctionSpec& Inspect::spec(const Function& f) { return f.compiled().spec; }

std::vector<compiling::PlanRecord> Inspect::plans(const Function& f) {
  const Function::Compiled& compiled = f.compiled();
  const std::scoped_lock lock(compiled.mutex);
  std::vector<compiling::PlanRecord> result;
  for (const auto& entry : compiled.plans)
    result.push_back({entry.plan->steps(), entry.plan->times(), entry.calls, entry.nanoseconds});
  return result;
}

std::unique_ptr<planning::Plan> Inspect::replan(const Function& f, compiling::CompileLog& log) {
  const Function::Compiled& compiled = f.compiled();
  const std::scoped_lock lock(compiled.mutex);
  return compiled.plans.empty() ? nullptr : compiled.plan_of(compiled.plans.front().key, &log);
}

}  // namespace cinch
