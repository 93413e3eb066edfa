#include "cinch/exchange/graph/lowered.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "cinch/core/compile/inspect.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/graph/shared_state.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/exchange/graph/merge.hpp"
#include "cinch/exchange/graph/names.hpp"
#include "cinch/exchange/graph/sized.hpp"

namespace cinch::exchange {

namespace {

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

/// What each of the unknown sizes is taken for: a class of its own or one that it shares, 0, 1, ...
/// in order of appearance, or a number, -1 - k for the k-th of those that there are.
using Way = std::vector<int>;

/// All ways, those with most classes first. Numbers are for axes behind the first, where examples
/// are, and for vectors. Where there are too many ways, that each is its own: the user has to say
/// more.
std::vector<Way> ways_for(const Symbols& symbols, std::span<const Expr> inputs,
                          std::size_t numbers) {
  const std::size_t count = symbols.all.size();
  Way own(count);
  std::iota(own.begin(), own.end(), 0);
  const auto classes_of = [](const Way& way) {
    return way.empty() ? 0 : std::max(*std::ranges::max_element(way), -1) + 1;
  };
  constexpr std::size_t most = 4096;
  std::vector<Way> result{{}};
  for (std::size_t k = 0; k < count; ++k) {
    const UnknownSize& size = symbols.all[k];
    const bool examples = size.axis == 0 && inputs[size.input].rank() > 1;
    const int least = examples ? 0 : -static_cast<int>(numbers);
    std::vector<Way> longer;
    for (const Way& shorter : result) {
      for (int c = classes_of(shorter); c >= least; --c) {
        longer.push_back(shorter);
        longer.back().push_back(c);
      }
    }
    if (longer.size() > most) return {own};
    result = std::move(longer);
  }
  std::ranges::stable_sort(
      result, [&](const Way& a, const Way& b) { return classes_of(a) > classes_of(b); });
  return result;
}

/// The symbols with one for each class.
Symbols joined(const Symbols& symbols, const Way& way) {
  Symbols result;
  for (std::size_t k = 0; k < way.size(); ++k) {
    if (way[k] == static_cast<int>(result.all.size())) result.all.push_back(symbols.all[k]);
  }
  for (const auto& [dim, k] : symbols.of_dim) {
    if (way[static_cast<std::size_t>(k)] >= 0)
      result.of_dim[dim] = way[static_cast<std::size_t>(k)];
  }
  return result;
}

/// The sizes with numbers where `way` has some.
std::vector<Shape> numbered(std::vector<Shape> sizes, std::span<const Expr> inputs,
                            const Symbols& symbols, const Way& way, const Shape& numbers) {
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    for (std::size_t axis = 0; axis < sizes[k].size(); ++axis) {
      if (sizes[k][axis] >= 0) continue;
      const int symbol = symbols.of_dim.at(inputs[k].dims()[axis].symbol());
      const int taken = way[static_cast<std::size_t>(symbol)];
      if (taken < 0) sizes[k][axis] = numbers[static_cast<std::size_t>(-1 - taken)];
    }
  }
  return sizes;
}

/// Sizes above 1 of variables that have some.
Shape known_sizes(std::span<const Expr> nodes) {
  Shape result;
  constexpr std::size_t most = 16;
  for (const Expr& node : nodes) {
    if (!graphs::is_leaf(node)) continue;
    for (const Dim dim : node.dims()) {
      if (dim.known() && dim.size() > 1 && result.size() < most &&
          std::ranges::find(result, dim.size()) == result.end())
        result.push_back(dim.size());
    }
  }
  return result;
}

/// Sizes that are not known are taken for different ones as far as the formula lets them be; where
/// it does not, for others or for sizes of variables.
Compiled compiled_for(const char* function, const compiling::Program& program,
                      std::span<const Expr> roots, const std::vector<Shape>& given,
                      const Lowering& options) {
  const Symbols separate = symbols_of(function, program.inputs, given, options.unknown_sizes);
  const std::vector<Expr> nodes = topological(roots);
  // Primes, other than all sizes that there are.
  std::vector<std::int64_t> used, first, second;
  for (const Expr& node : nodes) {
    for (const Dim dim : node.dims()) used.push_back(dim.known() ? dim.size() : 0);
  }
  for (const Shape& shape : given) used.insert(used.end(), shape.begin(), shape.end());
  std::int64_t next = std::max<std::int64_t>(options.batch, 11);
  const auto prime = [&] {
    while (!is_prime(next) || std::ranges::find(used, next) != used.end()) ++next;
    return next++;
  };
  for (std::size_t k = 0; k < separate.all.size(); ++k) {
    first.push_back(prime());
    second.push_back(prime());
  }
  Symbols symbols;
  std::vector<Shape> wanted;
  const auto compile = [&](const std::vector<std::int64_t>& primes) {
    const std::span<const std::int64_t> unknown(primes.data(), symbols.all.size());
    return sized(function, program, symbols, unknown, roots,
                 shapes_of(wanted, symbols, program.inputs, unknown));
  };
  Compiled result;
  const Shape numbers = known_sizes(nodes);
  const std::vector<Way> ways = ways_for(separate, program.inputs, numbers.size());
  for (std::size_t k = 0; k < ways.size(); ++k) {
    symbols = joined(separate, ways[k]);
    wanted = numbered(given, program.inputs, separate, ways[k], numbers);
    try {
      result.graph = compile(first);
      break;
    } catch (const TypeError& e) {
      if (k + 1 < ways.size()) continue;
      if (separate.all.empty()) throw;
      throw TypeError(text(e.what(), "\n  Sizes that are not known were tried as ", first[0],
                           " and other numbers: .sizes says which they are"));
    }
  }
  result.unknown = symbols.all;
  if (symbols.all.empty()) return result;
  first.resize(symbols.all.size());
  second.resize(symbols.all.size());
  result.sizes = merged_sizes(function, result.graph, compile(second), first, second);
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

namespace {

/// The function for the numbers of rows that variables have now: files keep them.
Function compiled_now(const FunctionSpec& spec) {
  const Function f = function(spec);
  Substitutions now;
  for (const Expr& variable : Inspect::program(f).free_rows) {
    const std::int64_t rows = variable.attrs().state->value.shape()[0];
    now.emplace_back(variable, graphs::with_rows(variable, rows));
  }
  return now.empty() ? f : function(compiling::replaced(spec, now));
}

}  // namespace

Lowered lowered(const char* function, const FunctionSpec& spec, const Lowering& options) {
  FunctionSpec fast = spec;
  fast.mode = Mode::fast;
  fast.watch = {};
  const Function f = compiled_now(fast);
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
  Sized& graph = compiled.graph;
  result.sizes = std::move(compiled.sizes);

  Names names;
  result.name = names.fresh(program.name, "function");
  names.take(result.name + "_MEMORY");  // A macro of C files.
  for (std::size_t k = 0; k < graph.inputs.size(); ++k)
    result.inputs.push_back(
        {names.fresh(program.inputs[k].attrs().label, text("input_", k)), graph.inputs[k]});
  std::ranges::sort(graph.draws, {},
                    [](const Draw& draw) { return draw.drawn.inputs()[0].attrs().state->number; });
  for (Draw& draw : graph.draws) {
    draw.name = names.fresh(draw.name, "draw");
    result.draws.push_back(draw);
  }
  for (std::size_t k = 0; k < targets.size(); ++k)
    result.parameters.push_back(
        {names.fresh(targets[k].label(), text("parameter_", k)), targets[k]});
  for (std::size_t k = 0; k < program.output_count; ++k) {
    const std::string label = options.outputs.empty() ? std::string() : options.outputs[k];
    result.outputs.push_back({names.fresh(label, text("output_", k)), graph.roots[k]});
  }
  for (std::size_t k = 0; k < targets.size(); ++k)
    result.updates.push_back({names.fresh(result.parameters[k].name + "_next", ""),
                              graph.roots[program.output_count + k]});
  for (const Expr& node : graph.order) {
    if (!is_shared(node) || std::ranges::find(targets, node) != targets.end()) continue;
    result.constants.push_back(
        {names.fresh(node.attrs().label, text("constant_", result.constants.size())), node});
  }
  for (UnknownSize& unknown : compiled.unknown) unknown.name = names.fresh(unknown.name, "size");
  result.unknown = std::move(compiled.unknown);
  result.order = std::move(graph.order);
  return result;
}

void require_counterparts(const char* function, const std::vector<Expr>& order, const char* format,
                          bool (*known)(const Expr&)) {
  for (const Expr& node : order) {
    if (graphs::is_leaf(node)) continue;
    require_counterparts(function, topological(node.attrs().formula), format, known);
    if (known(node)) continue;
    refuse(function,
           text("the op ", node.op().name, " has no counterpart in ", format, ": ", describe(node)),
           node->where);
  }
}

}  // namespace cinch::exchange
