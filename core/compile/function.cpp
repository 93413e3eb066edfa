#include "cinch/core/function.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <exception>
#include <functional>
#include <list>
#include <mutex>
#include <set>

#include "cinch/core/compile/compile.hpp"
#include "cinch/core/compile/fault.hpp"
#include "cinch/core/compile/inspect.hpp"
#include "cinch/core/compile/pipeline.hpp"
#include "cinch/core/graph/derivation.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/graph/shared_state.hpp"
#include "cinch/core/plan/host.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/run/interpret.hpp"
#include "cinch/core/threads.hpp"

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
    if (value.rank() != 0 || x.rank() != 0) refuse(": convert it with cast()");
    const double before = value.item();
    const bool to_integer = !is_float(x.dtype()) && !(std::abs(before) < 0x1p63);
    if (!to_integer) convert(value, converted);
    if (to_integer || !graphs::is_kept(value, converted))
      refuse(text(" with value ", before, ", which would change"));
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
  compiling::Program program;
  Mode mode;
  Watch watch;
  planning::HostProgram host;
  struct Entry {
    std::vector<std::int64_t> key;  // Sizes of the arguments, one after the other, then the host's.
    std::unique_ptr<planning::Plan> plan;
    bool recurs = false;  // Its plan was given up before, and made again.
    std::int64_t calls = 0;
    double nanoseconds = 0;  // Of the calls that were measured.
  };
  std::list<Entry> plans;  // Most recently used first.
  std::map<std::vector<std::int64_t>, std::list<Entry>::iterator> plan_at;
  std::set<std::vector<std::int64_t>> known;  // Sizes that a plan was made for.
  std::size_t plans_made = 0, plan_bytes = 0;
  /// The variables that a call reads or changes, in the order of their addresses, so that calls
  /// that wait for each other do not do so in a circle.
  struct Use {
    SharedState* state;
    bool changes;
  };
  std::vector<Use> uses;
  bool profiling = false;
  mutable std::mutex mutex;
  // Reused at each call, so that it allocates nothing.
  std::vector<std::int64_t> key;
  std::vector<const void*> addresses;
  std::vector<const Tensor*> given;
  std::vector<Tensor> converted;

  /// Holds them for the time of a call.
  class Holding {
   public:
    explicit Holding(const std::vector<Use>& uses) : uses_(uses) {
      for (const Use& use : uses_)
        use.changes ? use.state->access.lock() : use.state->access.lock_shared();
    }
    ~Holding() {
      for (const Use& use : uses_)
        use.changes ? use.state->access.unlock() : use.state->access.unlock_shared();
    }
    Holding(const Holding&) = delete;
    Holding& operator=(const Holding&) = delete;

   private:
    const std::vector<Use>& uses_;
  };
  void note_uses();
  void give_plans_up();

  void run(std::span<const Tensor* const> arguments, std::vector<Tensor>& outputs);
  void run_checked(std::vector<Tensor>& outputs);
  std::vector<Binding> bindings() const;
  std::vector<bool> watched() const;
  void commit_watched(planning::Plan& plan, std::span<const Tensor> outputs);
  Entry& entry_for(std::span<const Tensor* const> arguments);
  std::unique_ptr<planning::Plan> plan_of(const std::vector<std::int64_t>& key,
                                          compiling::CompileLog* log) const;
};

std::unique_ptr<planning::Plan> Function::Compiled::plan_of(
    const std::vector<std::int64_t>& all_sizes, compiling::CompileLog* log) const {
  std::vector<Shape> shapes;
  auto next = all_sizes.begin();
  for (const Expr& input : program.inputs) {
    shapes.emplace_back(next, next + input.rank());
    next += input.rank();
  }
  return make_plan(program, shapes, std::vector(next, all_sizes.end()), log);
}

Function::Compiled::Entry& Function::Compiled::entry_for(std::span<const Tensor* const> arguments) {
  host.run(arguments);
  key.clear();
  for (const Tensor* argument : arguments)
    key.insert(key.end(), argument->shape().begin(), argument->shape().end());
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

void Function::Compiled::note_uses() {
  std::vector<Expr> all = program.written;
  all.insert(all.end(), program.roots.begin(), program.roots.end());
  for (const Shared& variable : shared_variables(all))
    uses.push_back({variable.attrs().state.get(), false});
  for (const Shared& target : program.targets) {
    SharedState* state = target.attrs().state.get();
    const auto found = std::ranges::find(uses, state, &Use::state);
    found == uses.end() ? uses.push_back({state, true}) : void(found->changes = true);
  }
  std::ranges::sort(uses, std::less<>(), &Use::state);
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
    if (value.shape() != target.value().shape()) {
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
  if (arguments.size() != inputs.size()) {
    throw TypeError(
        text(program.name, ": takes ", inputs.size(), " arguments, got ", arguments.size()));
  }
  const std::scoped_lock lock(mutex);
  const Holding holding(uses);
  for (std::size_t k = 0; k < arguments.size(); ++k) {
    given[k] = fitted(inputs[k], *arguments[k], converted[k], program.name);
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
  for (const Expr& input : program.inputs) {
    const auto same = [&](const Expr& other) { return describe(other) == describe(input); };
    if (std::ranges::count_if(program.inputs, same) > 1) {
      throw TypeError(program.name + ": two inputs are named " + describe(input) +
                      ": give them different names, or the arguments in order\n  called at " +
                      where.text());
    }
    const auto found = arguments.find(describe(input));
    if (found == arguments.end())
      throw TypeError(program.name + ": argument " + describe(input) + " is missing\n  called at " +
                      where.text());
    pointers.push_back(&found->second);
  }
  if (arguments.size() != pointers.size()) {
    for (const auto& argument : arguments) {
      const std::string& label = argument.first;
      const bool known =
          std::ranges::any_of(program.inputs, [&](const Expr& x) { return describe(x) == label; });
      if (!known)
        throw TypeError(program.name + ": there is no input named " + label + "\n  called at " +
                        where.text());
    }
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
      throw TypeError(spec.name + ": variable " + describe(node) + " (" + text(node.type()) +
                      ", declared at " + node->where.text() +
                      ") is needed but is neither an input nor given");
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
  }
  for (const Expr& input : spec.inputs) compiled->converted.emplace_back(input.dtype(), Shape{});
  compiled->given.resize(spec.inputs.size());
  program.name = std::move(spec.name);
  program.inputs = std::move(spec.inputs);
  program.output_count = spec.outputs.size();
  program.targets = std::move(targets);
  program.roots = std::move(roots);
  compiled->note_uses();
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
