#include "cinch/exchange/graph/lowered.hpp"

#include <algorithm>
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
           std::span<const Expr> roots)
      : function_(function), program_(program), symbols_(symbols), roots_(roots) {}

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
      const Dim dim = node.inputs()[0].dims()[axis];
      const auto symbol = dim.known() ? symbols_.of_dim.end() : symbols_.of_dim.find(dim.symbol());
      value = size(inputs[0], axis);
      number_[node.get()] = value;
      if (symbol != symbols_.of_dim.end())
        value = symbols_.all[static_cast<std::size_t>(symbol->second)].value;
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

/// What turns two compilations, for two sets of unknown sizes, into one graph.
class Merge {
 public:
  Merge(const char* function, const Sized& a, const Sized& b, std::vector<std::int64_t> in_a,
        std::vector<std::int64_t> in_b)
      : function_(function), a_(a), b_(b), in_a_(std::move(in_a)), in_b_(std::move(in_b)) {}

  NodeMap<std::vector<Size>> sizes() {
    if (a_.order.size() != b_.order.size()) refuse_graph(a_.roots.front());
    NodeMap<const Node*> same;
    for (std::size_t k = 0; k < a_.order.size(); ++k) {
      const Expr &one = a_.order[k], &other = b_.order[k];
      same[one.get()] = other.get();
      compare(one, other, same);
    }
    return std::move(result_);
  }

 private:
  void compare(const Expr& one, const Expr& other, const NodeMap<const Node*>& same) {
    if (&one.op() != &other.op() || one.rank() != other.rank() || one.dtype() != other.dtype() ||
        one.inputs().size() != other.inputs().size() || one.attrs().ints != other.attrs().ints)
      refuse_graph(one);
    for (std::size_t k = 0; k < one.inputs().size(); ++k) {
      if (same.at(one.inputs()[k].get()) != other.inputs()[k].get()) refuse_graph(one);
      const Tensor* value = constant_value(one.inputs()[k]);
      if (value && one.op().reads(k) && !graphs::says_size(one, k)) {
        const Tensor& second = *constant_value(other.inputs()[k]);
        if (!same_values(*value, second)) refuse_graph(one);
      }
    }
    std::vector<Size> sizes;
    bool any = false;
    for (std::size_t axis = 0; axis < one.dims().size(); ++axis) {
      sizes.push_back(size_of(one, one.dims()[axis].size(), other.dims()[axis].size()));
      any = any || !sizes.back().is_number();
    }
    if (any) result_[one.get()] = std::move(sizes);
  }

  /// The same elements, or the same one throughout where the shapes differ.
  static bool same_values(const Tensor& a, const Tensor& b) {
    if (a.size() == 0 || b.size() == 0) return a.shape() == b.shape();
    const bool shaped = a.shape() == b.shape();
    const std::int64_t count = std::max(a.size(), b.size());
    for (std::int64_t k = 0; k < count; ++k) {
      const double x = a.at(shaped ? k : std::min(k, a.size() - 1));
      const double y = b.at(shaped ? k : 0);
      if (x != y && (x == x || y == y)) return false;
    }
    return true;
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
};

Symbols symbols_of(const char* function, const std::vector<Expr>& inputs,
                   const std::vector<Shape>& sizes, bool may_be_unknown) {
  Symbols result;
  Names names;
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
      result.of_dim[symbol] = static_cast<int>(result.all.size());
      const std::string name =
          names.fresh(text(inputs[k].attrs().label, " axis ", axis), text("size ", axis));
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

}  // namespace

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
  Symbols symbols = symbols_of(function, program.inputs, wanted, options.unknown_sizes);
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
  const auto compiled = [&](std::span<const std::int64_t> unknown) {
    return Compiler(function, program, symbols, roots)
        .compile(shapes_of(wanted, symbols, program.inputs, unknown));
  };
  Sized sized = compiled(first);
  Lowered result;
  if (!symbols.all.empty()) {
    // Draws are paired by their order.
    result.sizes = Merge(function, sized, compiled(second), first, second).sizes();
    const auto note = [&](const Expr& x, const std::vector<Size>& sizes) {
      result.sizes.insert_or_assign(x.get(), sizes);
    };
    for (std::size_t k = 0; k < wanted.size(); ++k) {
      std::vector<Size> sizes;
      for (std::size_t axis = 0; axis < wanted[k].size(); ++axis) {
        const std::int64_t n = wanted[k][axis];
        sizes.push_back(
            n >= 0 ? Size{n, {}}
                   : Size{1, {symbols.of_dim.at(program.inputs[k].dims()[axis].symbol())}});
      }
      note(sized.inputs[k], sizes);
    }
  }

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
  for (UnknownSize& unknown : symbols.all) unknown.name = names.fresh(unknown.name, "size");
  result.unknown = std::move(symbols.all);
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
