#include "cinch/exchange/graph/lowered.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <utility>

#include "cinch/core/compile/inspect.hpp"
#include "cinch/core/compile/pipeline.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/graph/recurrence.hpp"
#include "cinch/core/graph/shared_state.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/exchange/graph/names.hpp"
#include "cinch/exchange/graph/unroll.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/linalg/fused_products.hpp"
#include "cinch/ops/random.hpp"

namespace cinch::exchange {

namespace {

/// What is compiled for one set of sizes.
struct Sized {
  std::vector<Expr> inputs;
  std::vector<Draw> draws;
  std::vector<Expr> roots;
  std::vector<Expr> order;
};

/// Which axes of the inputs have no size yet, each symbol once.
struct Symbols {
  std::vector<UnknownSize> all;
  std::map<std::int64_t, int> of_dim;  // By the symbol of the type.
};

class Compiler {
 public:
  Compiler(const char* function, const compiling::Program& program, const Symbols& symbols,
           std::span<const std::int64_t> unknown, std::span<const Expr> roots)
      : function_(function),
        program_(program),
        symbols_(symbols),
        unknown_(unknown),
        roots_(roots) {}

  Sized compile(std::span<const Shape> shapes) {
    for (std::size_t k = 0; k < program_.inputs.size(); ++k) {
      const Expr& input = program_.inputs[k];
      result_.inputs.push_back(
          variable(input.attrs().label, Type{input.dtype(), to_dims(shapes[k])}, input->where));
      value_[input.get()] = number_[input.get()] = result_.inputs.back();
    }
    for (const Expr& node : topological(roots_)) visit(node);
    for (const Expr& root : roots_) result_.roots.push_back(value_.at(root.get()));
    compiling::Goals goals = compiling::goals_of(result_.roots);
    compiling::run_passes(passes(), goals, nullptr, program_.name);
    result_.roots = compiling::values_of(goals);
    result_.order = topological(result_.roots);
    return std::move(result_);
  }

 private:
  /// All that are done when a plan is made, but for those whose results only plans can run.
  static std::vector<compiling::Pass> passes() {
    std::vector<compiling::Pass> result;
    for (const compiling::Pass& pass : compiling::passes_with_sizes()) {
      if (pass.name == "add in place") {
        result.push_back({"plain", plain});
      } else if (pass.name != "column norms") {
        result.push_back(pass.name == "loops" ? compiling::Pass{"unroll", unroll} : pass);
      }
    }
    return result;
  }
  /// What computes several things at once as these things, a choice of what is computed as one of
  /// values.
  static void plain(compiling::Goals& goals, compiling::Notes&) {
    NodeMap<Expr> done;
    const std::vector<Expr> values = rebuild(
        compiling::values_of(goals),
        [](const Expr& e) -> Expr {
          const Attribution as(e->where, /*force=*/true);
          const std::span<const Expr> x = e.inputs();
          if (&e.op() == &add_dot_op) return x[0] + dot(x[1], x[2]);
          if (&e.op() == &scaled_add_dot_op) return x[0] * x[1] + dot(x[2], x[3]);
          if (&e.op() == &ifelse_op) return switch_(x[0], x[1], x[2]);
          return e;
        },
        done);
    for (std::size_t k = 0; k < goals.size(); ++k) goals[k].value = values[k];
  }
  static void unroll(compiling::Goals& goals, compiling::Notes&) {
    const std::vector<Expr> values = unrolled(compiling::values_of(goals));
    for (std::size_t k = 0; k < goals.size(); ++k) goals[k].value = values[k];
  }

  void visit(const Expr& node) {
    if (value_.contains(node.get())) return;
    const Attribution as(node->where, /*force=*/true);
    std::vector<Expr> inputs, numbers;
    for (std::size_t k = 0; k < node.inputs().size(); ++k) {
      const Expr& input = node.inputs()[k];
      const bool is_size = graphs::says_size(node, k);
      if (is_size && !constant_value(number_.at(input.get()))) {
        refuse(function_,
               text("the size ", describe(input), " depends on a value that is not known yet\n  ",
                    "Let it depend on the sizes of inputs, or make it a number."),
               node->where);
      }
      inputs.push_back(is_size ? number_.at(input.get()) : value_.at(input.get()));
    }
    Expr value;
    if (&node.op() == &size_op) {
      const std::int64_t axis = AlongAxis::of(node.attrs()).axis;
      number_[node.get()] = size(inputs[0], axis);
      value = size_value(inputs[0].dims()[axis]);
      value_[node.get()] = value;
      return;
    }
    value = drawn(with_inputs(node, std::move(inputs)));
    value_[node.get()] = value;
    number_[node.get()] = value;
    if (node.rank() != 0 || is_float(node.dtype()) || graphs::is_leaf(node)) return;
    // The same with numbers for sizes.
    for (const Expr& input : node.inputs()) numbers.push_back(number_.at(input.get()));
    const Expr number = with_inputs(node, std::move(numbers));
    number_[node.get()] = rewriting::rewrite(std::span(&number, 1)).front();
  }

  /// A size as a number, times variables for what is not known: it divides by its prime.
  Expr size_value(Dim dim) const {
    std::int64_t n = dim.size();
    std::vector<Expr> factors;
    for (std::size_t k = 0; k < unknown_.size(); ++k) {
      for (; n > 0 && n % unknown_[k] == 0; n /= unknown_[k])
        factors.push_back(symbols_.all[k].value);
    }
    Expr result = n == 1 && !factors.empty() ? factors.back() : constant(Tensor(n));
    if (n == 1 && !factors.empty()) factors.pop_back();
    for (const Expr& factor : factors) result = result * factor;
    return result;
  }

  /// A variable in place of a draw.
  Expr drawn(const Expr& node) {
    if (&node.op() != &random_uniform_op && &node.op() != &random_normal_op) return node;
    if (!is_shared(node.inputs()[0])) return node;  // No stream, and no counterpart.
    for (const Draw& known : result_.draws) {
      if (known.drawn.inputs()[0] == node.inputs()[0] && known.drawn.dims() == node.dims())
        return known.variable;
    }
    const std::string& label = node.inputs()[0].attrs().label;
    result_.draws.push_back({label, variable(label, node.type(), node->where), node});
    return result_.draws.back().variable;
  }

  const char* function_;
  const compiling::Program& program_;
  const Symbols& symbols_;
  std::span<const std::int64_t> unknown_;  // Primes in place of sizes that are not known.
  std::span<const Expr> roots_;
  Sized result_;
  NodeMap<Expr> value_;   // Of each node, where unknown sizes are variables.
  NodeMap<Expr> number_;  // The same where they are numbers.
};

/// The shapes of the inputs, with `unknown[k]` for the symbol k.
std::vector<Shape> shapes_of(const std::vector<Shape>& wanted, const Symbols& symbols,
                             std::span<const Expr> inputs, std::span<const std::int64_t> unknown) {
  std::vector<Shape> result = wanted;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    for (std::size_t axis = 0; axis < result[k].size(); ++axis) {
      if (result[k][axis] >= 0) continue;
      const Dim dim = inputs[k].dims()[axis];
      result[k][axis] = unknown[static_cast<std::size_t>(symbols.of_dim.at(dim.symbol()))];
    }
  }
  return result;
}

bool is_prime(std::int64_t n) {
  for (std::int64_t d = 2; d * d <= n; ++d) {
    if (n % d == 0) return false;
  }
  return n > 1;
}

/// The same elements, but for axes of other sizes, along which both repeat theirs.
bool same_values(const Tensor& a, const Tensor& b) {
  std::vector<bool> differ;
  for (std::size_t axis = 0; axis < a.shape().size(); ++axis)
    differ.push_back(a.shape()[axis] != b.shape()[axis]);
  const std::optional<Tensor> x = unrepeated(a, differ), y = unrepeated(b, differ);
  if (!x || !y) return false;
  const auto bytes = static_cast<std::size_t>(x->size()) * cinch::size_of(x->dtype());
  return x->size() == y->size() && std::memcmp(x->raw(), y->raw(), bytes) == 0;
}

/// What turns two compilations, for two sets of unknown sizes, into one graph. Operands of sums and
/// products may come in either order; which is which is told by what they are made of.
class Merge {
 public:
  Merge(const char* function, const Sized& a, const Sized& b, std::vector<std::int64_t> in_a,
        std::vector<std::int64_t> in_b)
      : function_(function), a_(a), b_(b), in_a_(std::move(in_a)), in_b_(std::move(in_b)) {}

  NodeMap<std::vector<Size>> sizes() {
    mark(a_);
    mark(b_);
    NodeMap<Expr> other;
    for (std::size_t k = 0; k < a_.roots.size(); ++k) other[a_.roots[k].get()] = b_.roots[k];
    for (auto node = a_.order.rbegin(); node != a_.order.rend(); ++node)
      compare(*node, other.at(node->get()), other);
    return std::move(result_);
  }

 private:
  /// Numbers that tell what nodes compute, whatever the sizes.
  void mark(const Sized& sized) {
    const auto add = [](std::size_t& all, std::size_t one) {
      all ^= one + 0x9e3779b97f4a7c15 + (all << 6) + (all >> 2);
    };
    for (std::size_t k = 0; k < sized.inputs.size(); ++k) mark_[sized.inputs[k].get()] = k + 1;
    for (const Draw& draw : sized.draws)
      mark_[draw.variable.get()] = std::hash<const void*>()(draw.drawn.inputs()[0].get());
    for (const Expr& node : sized.order) {
      if (mark_.contains(node.get())) continue;
      std::size_t all = std::hash<const void*>()(&node.op());
      add(all, static_cast<std::size_t>(node.rank()) * 8 + static_cast<std::size_t>(node.dtype()));
      for (const std::int64_t k : node.attrs().ints) add(all, static_cast<std::size_t>(k));
      if (const Tensor* value = constant_value(node)) {
        if (node.dtype() != DType::int64 && value->size() > 0)
          add(all, std::hash<double>()(value->at(0)));
      } else if (graphs::is_leaf(node)) {
        add(all, std::hash<const void*>()(node.get()));
      }
      std::size_t inputs = 0;
      for (const Expr& input : node.inputs()) {
        const std::size_t one = mark_.at(input.get());
        node.op().commutative ? void(inputs += one * one + one) : add(inputs, one);
      }
      add(all, inputs);
      mark_[node.get()] = all;
    }
  }

  void compare(const Expr& one, const Expr& other, NodeMap<Expr>& pairs) {
    const std::size_t count = one.inputs().size();
    if (&one.op() != &other.op() || one.rank() != other.rank() || one.dtype() != other.dtype() ||
        count != other.inputs().size() || one.attrs().ints != other.attrs().ints)
      refuse_graph(one);
    const auto fit = [&](std::size_t k, std::size_t j) {
      return mark_.at(one.inputs()[k].get()) == mark_.at(other.inputs()[j].get());
    };
    const bool turned = count == 2 && one.op().commutative && !fit(0, 0);
    for (std::size_t k = 0; k < count; ++k) {
      const std::size_t j = turned ? 1 - k : k;
      const Expr &mine = one.inputs()[k], &its = other.inputs()[j];
      if (!fit(k, j)) refuse_graph(one);
      pairs.try_emplace(mine.get(), its);
      const Tensor* value = constant_value(mine);
      if (value && one.op().reads(k) && !graphs::says_size(one, k) &&
          !same_values(*value, *constant_value(its)))
        refuse_graph(one);
    }
    std::vector<Size> sizes;
    bool any = false;
    for (std::size_t axis = 0; axis < one.dims().size(); ++axis) {
      sizes.push_back(size_of(one, one.dims()[axis].size(), other.dims()[axis].size()));
      any = any || !sizes.back().is_number();
    }
    if (any) result_[one.get()] = std::move(sizes);
  }

  Size size_of(const Expr& node, std::int64_t one, std::int64_t other) const {
    if (one == other) return {one, {}};
    Size result{one, {}};
    for (std::size_t k = 0; k < in_a_.size(); ++k) {
      while (one % in_a_[k] == 0 && other % in_b_[k] == 0 && one > 0) {
        one /= in_a_[k];
        other /= in_b_[k];
        result.unknown.push_back(static_cast<int>(k));
      }
    }
    if (one != other) refuse_graph(node);
    result.factor = one;
    return result;
  }

  [[noreturn]] void refuse_graph(const Expr& node) const {
    refuse(function_,
           text("how ", describe(node), " is computed depends on sizes that are not known",
                "\n  Give the sizes of the inputs as numbers."),
           node->where);
  }

  const char* function_;
  const Sized &a_, &b_;
  std::vector<std::int64_t> in_a_, in_b_;
  NodeMap<std::vector<Size>> result_;
  NodeMap<std::size_t> mark_;
};

/// Which sizes are taken to be the same.
enum class Same { none, first, all };

Symbols symbols_of(const char* function, const std::vector<Expr>& inputs,
                   const std::vector<Shape>& sizes, bool may_be_unknown, Same same) {
  Symbols result;
  Names names;
  int first = -1;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    for (std::size_t axis = 0; axis < sizes[k].size(); ++axis) {
      if (sizes[k][axis] >= 0) continue;
      if (!may_be_unknown) {
        refuse(function,
               text("the size of axis ", axis, " of input ", describe(inputs[k]), " ",
                    text(inputs[k].type()), " must be known: give the sizes of all inputs"),
               inputs[k]->where);
      }
      const std::int64_t symbol = inputs[k].dims()[axis].symbol();
      if (result.of_dim.contains(symbol)) continue;
      const bool shares = same == Same::all || (same == Same::first && axis == 0);
      if (shares && first >= 0) {
        result.of_dim[symbol] = first;
        continue;
      }
      result.of_dim[symbol] = static_cast<int>(result.all.size());
      if (shares) first = result.of_dim[symbol];
      const std::string name = names.fresh(
          axis == 0 ? std::string("batch") : text(inputs[k].attrs().label, " axis ", axis), "");
      result.all.push_back({name, k, static_cast<std::int64_t>(axis),
                            variable(name, DType::int64, {}, inputs[k]->where)});
    }
  }
  return result;
}

/// The sizes asked for, with what the inputs' types say; -1 where neither does.
std::vector<Shape> wanted_sizes(const char* function, const std::vector<Expr>& inputs,
                                const std::vector<Shape>& given) {
  if (!given.empty() && given.size() != inputs.size()) {
    throw TypeError(text(function, ": there are sizes for ", given.size(), " inputs, and ",
                         inputs.size(), " inputs"));
  }
  std::vector<Shape> result;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    const Dims& dims = inputs[k].dims();
    Shape& shape = result.emplace_back();
    for (const Dim dim : dims) shape.push_back(dim.known() ? dim.size() : -1);
    if (given.empty()) continue;
    bool fits = given[k].size() == shape.size();
    for (std::size_t axis = 0; fits && axis < shape.size(); ++axis) {
      fits = given[k][axis] == -1 || shape[axis] == -1 || given[k][axis] == shape[axis];
      fits = fits && given[k][axis] >= -1;
      if (given[k][axis] != -1) shape[axis] = given[k][axis];
    }
    if (!fits) {
      refuse(function,
             text("the sizes ", text(given[k]), " do not fit the input ", describe(inputs[k]), " ",
                  text(inputs[k].type())),
             inputs[k]->where);
    }
  }
  return result;
}

struct Compiled {
  Sized graph;
  std::vector<UnknownSize> unknown;
  NodeMap<std::vector<Size>> sizes;
};

Compiled compiled_for(const char* function, const compiling::Program& program,
                      std::span<const Expr> roots, const std::vector<Shape>& wanted,
                      const Lowering& options, Same same) {
  Symbols symbols = symbols_of(function, program.inputs, wanted, options.unknown_sizes, same);
  // Primes, other than all sizes that there are.
  std::vector<std::int64_t> used, first, second;
  for (const Expr& node : topological(roots)) {
    for (const Dim dim : node.dims()) used.push_back(dim.known() ? dim.size() : 0);
  }
  for (const Shape& shape : wanted) used.insert(used.end(), shape.begin(), shape.end());
  std::int64_t next = std::max<std::int64_t>(options.batch, 11);
  const auto prime = [&] {
    while (!is_prime(next) || std::ranges::find(used, next) != used.end()) ++next;
    return next++;
  };
  for (std::size_t k = 0; k < symbols.all.size(); ++k) {
    first.push_back(prime());
    second.push_back(prime());
  }
  const auto compile = [&](std::span<const std::int64_t> unknown) {
    return Compiler(function, program, symbols, unknown, roots)
        .compile(shapes_of(wanted, symbols, program.inputs, unknown));
  };
  Compiled result{compile(first), symbols.all, {}};
  if (symbols.all.empty()) return result;
  result.sizes = Merge(function, result.graph, compile(second), first, second).sizes();
  // An input may have an unknown size that nothing depends on.
  for (std::size_t k = 0; k < wanted.size(); ++k) {
    std::vector<Size> sizes;
    for (std::size_t axis = 0; axis < wanted[k].size(); ++axis) {
      const std::int64_t n = wanted[k][axis];
      sizes.push_back(n >= 0
                          ? Size{n, {}}
                          : Size{1, {symbols.of_dim.at(program.inputs[k].dims()[axis].symbol())}});
    }
    result.sizes.insert_or_assign(result.graph.inputs[k].get(), sizes);
  }
  return result;
}

/// With sizes of their own for all axes that have none, or else, where these do not fit together,
/// with one for the first axes, where examples are, or for all.
Compiled compiled_for(const char* function, const compiling::Program& program,
                      std::span<const Expr> roots, const std::vector<Shape>& wanted,
                      const Lowering& options) {
  for (const Same same : {Same::none, Same::first}) {
    try {
      return compiled_for(function, program, roots, wanted, options, same);
    } catch (const TypeError&) {
      if (!options.unknown_sizes) throw;
    }
  }
  return compiled_for(function, program, roots, wanted, options, Same::all);
}

}  // namespace

std::optional<Tensor> unrepeated(const Tensor& x, const std::vector<bool>& axes) {
  Shape shape = x.shape();
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (axes[axis]) shape[axis] = std::min<std::int64_t>(shape[axis], 1);
  }
  Tensor result(x.dtype(), shape);
  const std::size_t width = cinch::size_of(x.dtype());
  const auto* from = static_cast<const std::byte*>(x.raw());
  auto* to = static_cast<std::byte*>(result.raw());
  for (const bool write : {true, false}) {
    std::vector<std::int64_t> at(shape.size(), 0);
    for (std::int64_t k = 0; k < x.size(); ++k) {
      std::int64_t place = 0;
      bool first = true;
      for (std::size_t axis = 0; axis < shape.size(); ++axis) {
        place = place * shape[axis] + (axes[axis] ? 0 : at[axis]);
        first = first && (!axes[axis] || at[axis] == 0);
      }
      std::byte* there = to + static_cast<std::size_t>(place) * width;
      const std::byte* here = from + static_cast<std::size_t>(k) * width;
      if (write && first) std::memcpy(there, here, width);
      if (!write && std::memcmp(there, here, width) != 0) return std::nullopt;
      for (std::size_t axis = at.size(); axis-- > 0;) {
        if (++at[axis] < x.shape()[axis]) break;
        at[axis] = 0;
      }
    }
  }
  return result;
}

std::vector<Size> Lowered::sizes_of(const Expr& node) const {
  if (const auto found = sizes.find(node.get()); found != sizes.end()) return found->second;
  std::vector<Size> result;
  for (const Dim dim : node.dims()) result.push_back({dim.size(), {}});
  return result;
}

std::vector<Expr> Lowered::roots() const {
  std::vector<Expr> result;
  for (const Named& output : outputs) result.push_back(output.value);
  for (const Named& update : updates) result.push_back(update.value);
  return result;
}

Lowered lowered(const char* function, const FunctionSpec& spec, const Lowering& options) {
  FunctionSpec fast = spec;
  fast.mode = Mode::fast;
  fast.watch = {};
  const Function f = cinch::function(std::move(fast));
  const compiling::Program& program = Inspect::program(f);
  if (!options.outputs.empty() && options.outputs.size() != program.output_count) {
    throw TypeError(text(function, ": there are ", options.outputs.size(), " names for ",
                         program.output_count, " outputs"));
  }

  // What advances random streams is for whoever draws.
  std::vector<Expr> roots(
      program.roots.begin(),
      program.roots.begin() + static_cast<std::ptrdiff_t>(program.output_count));
  std::vector<Shared> targets;
  for (std::size_t k = 0; k < program.targets.size(); ++k) {
    if (program.targets[k].attrs().state->advance) continue;
    targets.push_back(program.targets[k]);
    roots.push_back(program.roots[program.output_count + k]);
  }
  if (roots.empty()) throw TypeError(text(function, ": there is nothing to compute"));

  const std::vector<Shape> wanted = wanted_sizes(function, program.inputs, options.sizes);
  Lowered result;
  Compiled compiled = compiled_for(function, program, roots, wanted, options);
  Sized& sized = compiled.graph;
  result.sizes = std::move(compiled.sizes);

  Names names;
  result.name = names.fresh(program.name, "function");
  for (std::size_t k = 0; k < sized.inputs.size(); ++k)
    result.inputs.push_back(
        {names.fresh(program.inputs[k].attrs().label, text("input_", k)), sized.inputs[k]});
  std::ranges::sort(sized.draws, {},
                    [](const Draw& draw) { return draw.drawn.inputs()[0].attrs().state->number; });
  for (Draw& draw : sized.draws) {
    draw.name = names.fresh(draw.name, "draw");
    result.draws.push_back(draw);
  }
  for (std::size_t k = 0; k < targets.size(); ++k)
    result.parameters.push_back(
        {names.fresh(targets[k].label(), text("parameter_", k)), targets[k]});
  for (std::size_t k = 0; k < program.output_count; ++k) {
    const std::string label = options.outputs.empty() ? std::string() : options.outputs[k];
    result.outputs.push_back({names.fresh(label, text("output_", k)), sized.roots[k]});
  }
  for (std::size_t k = 0; k < targets.size(); ++k)
    result.updates.push_back({names.fresh(result.parameters[k].name + "_next", ""),
                              sized.roots[program.output_count + k]});
  for (const Expr& node : sized.order) {
    if (!is_shared(node) || std::ranges::find(targets, node) != targets.end()) continue;
    result.constants.push_back(
        {names.fresh(node.attrs().label, text("constant_", result.constants.size())), node});
  }
  for (UnknownSize& unknown : compiled.unknown) unknown.name = names.fresh(unknown.name, "size");
  result.unknown = std::move(compiled.unknown);
  result.order = std::move(sized.order);
  return result;
}

void require_counterparts(const char* function, const Lowered& graph, const char* format,
                          bool (*known)(const Expr&)) {
  for (const Expr& node : graph.order) {
    if (graphs::is_leaf(node) || known(node)) continue;
    refuse(function,
           text("the op ", node.op().name, " has no counterpart in ", format, ": ", describe(node)),
           node->where);
  }
}

}  // namespace cinch::exchange
