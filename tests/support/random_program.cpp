#include "support/random_program.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <sstream>

#include "cinch/cinch.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/run/interpret.hpp"
#include "cinch/ops/catalog.hpp"
#include "support/samples.hpp"

namespace cinch::testing {

namespace {

constexpr std::int64_t most_elements = 150;
constexpr double largest = 1e3;

/// Whether interpreting gives finite numbers of moderate size.
bool moderate(const Tensor& value) {
  for (std::int64_t k = 0; k < value.size(); ++k) {
    if (!(std::abs(value.at(k)) <= largest)) return false;
  }
  return true;
}

class Grower {
 public:
  Grower(std::mt19937& random, const ProgramOptions& options) : random_(random), options_(options) {
    std::ranges::copy_if(all_ops(), std::back_inserter(ops_), [&](const Op* op) {
      const bool composed =
          op->given || op == &scan_op || op == &ifelse_op || op == &fixed_point_op;
      return !op->observes && (options.composed || !composed);
    });
    const Shape shapes[] = {{3, 4}, {4}, {4, 3}, {}, {3, 1}, {2, 3, 4}, {1}, {5, 7}, {0, 3}, {12}};
    for (int k = 0; k < 4; ++k) input(options.real, shapes[below(std::size(shapes) - 2)]);
    input(options.real, shapes[below(std::size(shapes))]);
    input(DType::int64, shapes[below(5)]);
    input(DType::bool_, shapes[below(5)]);
    // Both float types may meet.
    if (below(4) == 0)
      input(options.real == DType::float64 ? DType::float32 : DType::float64, shapes[below(5)]);
  }

  RandomProgram grown() {
    for (int k = 0; k < options_.steps; ++k) {
      for (int attempt = 0; attempt < 20; ++attempt) {
        if (step()) break;
      }
    }
    RandomProgram result{{}, bindings_};
    // The newest values, and some that other things use too.
    const std::size_t count = std::min<std::size_t>(pool_.size(), 2 + below(2));
    for (std::size_t k = 0; k < count; ++k) result.roots.push_back(pool_[pool_.size() - 1 - k]);
    if (below(3) == 0) result.roots.push_back(pick());
    if (options_.symbolic) {
      Substitutions symbols;
      for (auto& [x, value] : result.bindings) {
        const Expr free =
            variable(x.attrs().label, x.dtype(), Shape(static_cast<std::size_t>(x.rank()), -1));
        symbols.emplace_back(x, free);
        x = free;
      }
      result.roots = substitute(result.roots, symbols);
    }
    return result;
  }

 private:
  std::size_t below(std::size_t n) { return random_() % std::max<std::size_t>(n, 1); }

  void input(DType dtype, const Shape& shape) {
    const Expr x = variable(text("x", bindings_.size()), dtype, shape);
    bindings_.emplace_back(x, random_tensor(dtype, shape, random_, -1.5, 1.5));
    pool_.push_back(x);
  }

  /// Mostly the newest ones, so that programs grow deep.
  const Expr& pick() {
    const std::size_t n = pool_.size();
    return below(3) ? pool_[n - 1 - below(std::min<std::size_t>(n, 4))] : pool_[below(n)];
  }

  bool step() {
    const Op& op = *ops_[below(ops_.size())];
    try {
      const Expr y = op.elementwise() && below(3) ? broadcast(op) : by_example(op);
      return y.has_value() && keep(y);
    } catch (const TypeError&) {
      return false;  // It does not take these dtypes or shapes.
    }
  }

  bool keep(const Expr& y) {
    if (!y.type().is_static() || element_count(y.type().shape()) > most_elements) return false;
    try {
      if (!moderate(running::interpret(std::span(&y, 1), bindings_, /*watch=*/false)[0]))
        return false;
    } catch (const ValueError&) {
      return false;  // An index out of range, a singular matrix.
    }
    pool_.push_back(y);
    return true;
  }

  /// An elementwise op on values as they are.
  Expr broadcast(const Op& op) {
    std::vector<Expr> args;
    for (int k = 0; k < op.arity; ++k) args.push_back(inside(pick(), op.probe));
    if (op.operands == Operands::choice) args[0] = as(args[0], DType::bool_);
    if (op.operands == Operands::boolean)
      for (Expr& a : args) a = as(a, DType::bool_);
    return apply(op, args);
  }

  Expr by_example(const Op& op) {
    const std::vector<Example> examples = examples_of(op);
    if (examples.empty()) return {};
    const Example& example = examples[below(examples.size())];
    std::vector<Expr> args;
    for (std::size_t k = 0; k < example.inputs.size(); ++k) {
      Type type = example.inputs[k];
      if (element_count(type.shape()) > most_elements) return {};
      if (type.dtype == DType::float64) type.dtype = options_.real;
      const double limit = k < example.limits.size() ? example.limits[k] : 5;
      const Expr fitted = fit(pick(), type, limit);
      if (!fitted.has_value()) return {};
      args.push_back(is_float(type.dtype) ? inside(fitted, op.probe) : fitted);
    }
    return example.build(args);
  }

  static Expr as(const Expr& x, DType dtype) {
    if (x.dtype() == dtype) return x;
    if (dtype == DType::bool_) return is_float(x.dtype()) ? x > 0.1 : not_equal(x, 0);
    return cast(is_float(x.dtype()) && !is_float(dtype) ? round(x) : x, dtype);
  }

  /// Floats squeezed into the interval where an op is defined.
  static Expr inside(const Expr& x, Interval interval) {
    const bool anywhere = interval.low <= -2 && interval.high >= 2;
    if (anywhere || !is_float(x.dtype())) return x;
    return interval.low + (interval.high - interval.low) * sigmoid(x);
  }

  /// The first elements of `x`, or all of them again and again, in another shape and dtype.
  Expr fit(const Expr& x, const Type& type, double limit) {
    const std::int64_t have = element_count(x.type().shape()), want = element_count(type.shape());
    Expr e = as(x, type.dtype);
    if (type.dtype == DType::int64) e = mod(e, static_cast<std::int64_t>(std::max(limit, 1.0)));
    if (e.type().shape() == type.shape()) return e;
    if (have == 0 && want > 0) return {};
    e = flatten(e);
    if (have > want) e = slice(e, 0, want);
    if (have < want) e = take(e, mod(arange(want), have));
    std::vector<Expr> sizes;
    for (const std::int64_t n : type.shape()) sizes.push_back(constant(Tensor(n)));
    return reshape(e, sizes);
  }

  std::mt19937& random_;
  ProgramOptions options_;
  std::vector<const Op*> ops_;
  std::vector<Expr> pool_;
  std::vector<Binding> bindings_;
};

std::vector<Expr> applications(const RandomProgram& program) {
  std::vector<Expr> result;
  for (const Expr& node : topological(program.roots)) {
    if (!graphs::is_leaf(node)) result.push_back(node);
  }
  return result;
}

RandomProgram with(const RandomProgram& program, const Expr& node, const Expr& other) {
  RandomProgram result = program;
  result.roots = substitute(program.roots, {{node, other}});
  return result;
}

/// Only the variables that are still needed.
void tidy(RandomProgram& program) {
  const auto nodes = topological(program.roots);
  std::erase_if(program.bindings,
                [&](const Binding& b) { return std::ranges::find(nodes, b.first) == nodes.end(); });
}

/// All programs one move smaller, the boldest moves first.
std::vector<std::function<RandomProgram()>> moves(const RandomProgram& program) {
  std::vector<std::function<RandomProgram()>> result;
  for (std::size_t k = 0; k < program.roots.size() && program.roots.size() > 1; ++k) {
    result.push_back([&program, k] {
      RandomProgram smaller = program;
      smaller.roots.erase(smaller.roots.begin() + static_cast<std::ptrdiff_t>(k));
      return smaller;
    });
  }
  for (std::size_t k = 0; k < program.roots.size(); ++k) {
    for (const Expr& input : program.roots[k].inputs()) {
      if (graphs::is_leaf(input)) continue;
      result.push_back([&program, k, input] {
        RandomProgram smaller = program;
        smaller.roots[k] = input;
        return smaller;
      });
    }
  }
  for (const Expr& node : applications(program)) {
    if (std::ranges::find(program.roots, node) != program.roots.end()) continue;
    result.push_back([&program, node] {  // Its value is given.
      RandomProgram smaller = program;
      const Tensor value =
          running::interpret(std::span(&node, 1), program.bindings, /*watch=*/false)[0];
      const Expr given = variable(text("c", program.bindings.size()), node.type());
      smaller.bindings.emplace_back(given, value);
      return with(smaller, node, given);
    });
    for (const Expr& input : node.inputs()) {
      if (input.type().dtype == node.dtype() && input.dims() == node.dims())
        result.push_back([&program, node, input] { return with(program, node, input); });
    }
  }
  for (std::size_t k = 0; k < program.bindings.size(); ++k) {
    const Tensor& value = program.bindings[k].second;
    const Tensor ones = Tensor::full(value.dtype(), value.shape(), 1);
    if (value == ones) continue;
    result.push_back([&program, k, ones] {
      RandomProgram simpler = program;
      simpler.bindings[k].second = ones;
      return simpler;
    });
  }
  return result;
}

std::string numbers(const Tensor& value) {
  std::ostringstream out;
  out.precision(17);
  dispatch(value.dtype(), [&]<class T> {
    const char* name = std::is_same_v<T, bool>           ? "bool"
                       : std::is_same_v<T, std::int64_t> ? "std::int64_t"
                       : std::is_same_v<T, float>        ? "float"
                                                         : "double";
    out << "Tensor::from<" << name << ">({";
    for (std::size_t k = 0; k < value.shape().size(); ++k)
      out << (k ? ", " : "") << value.shape()[k];
    out << "}, {";
    for (std::int64_t k = 0; k < value.size(); ++k) {
      out << (k ? ", " : "");
      if constexpr (std::is_same_v<T, float>) {
        out << "float(" << value.at(k) << ")";
      } else if constexpr (std::is_same_v<T, double>) {
        out << "double(" << value.at(k) << ")";
      } else {
        out << value.data<T>()[static_cast<std::size_t>(k)];
      }
    }
    out << "})";
  });
  return out.str();
}

}  // namespace

RandomProgram random_program(std::mt19937& random, const ProgramOptions& options) {
  return Grower(random, options).grown();
}

RandomProgram shrink(RandomProgram program,
                     const std::function<bool(const RandomProgram&)>& fails) {
  tidy(program);
  bool smaller = true;
  while (smaller) {
    smaller = false;
    for (const auto& move : moves(program)) {
      try {
        RandomProgram candidate = move();
        tidy(candidate);
        if (!fails(candidate)) continue;
        program = std::move(candidate);
        smaller = true;
        break;
      } catch (const Error&) {
        // The move does not fit, or what is left cannot run.
      }
    }
  }
  return program;
}

std::size_t op_count(const RandomProgram& program) { return applications(program).size(); }

std::string as_cpp(const RandomProgram& program) {
  std::ostringstream out;
  NodeMap<std::string> name;
  out << "using namespace cinch;\n";
  for (const auto& [x, value] : program.bindings) {
    name[x.get()] = x.attrs().label;
    out << "const Tensor " << x.attrs().label << "_value = " << numbers(value) << ";\n"
        << "const Expr " << x.attrs().label << " = variable(\"" << x.attrs().label
        << "\", DType::" << cinch::name(x.dtype()) << (x.dtype() == DType::bool_ ? "_" : "")
        << ", Shape{";
    for (std::size_t k = 0; k < x.dims().size(); ++k)
      out << (k ? ", " : "") << (x.dims()[k].known() ? x.dims()[k].size() : -1);
    out << "});\n";
  }
  int count = 0;
  for (const Expr& node : topological(program.roots)) {
    if (name.contains(node.get())) continue;
    const std::string own = text("v", count++);
    name[node.get()] = own;
    out << "const Expr " << own << " = ";
    if (const Tensor* value = constant_value(node)) {
      out << (node.type().weak ? "weak_constant(" : "constant(") << numbers(*value) << ");\n";
      continue;
    }
    out << "apply(find_op(\"" << node.op().name << "\"), {";
    for (std::size_t k = 0; k < node.inputs().size(); ++k)
      out << (k ? ", " : "") << name.at(node.inputs()[k].get());
    out << "}";
    if (node->attrs) {
      out << ", {.ints = {";
      for (std::size_t k = 0; k < node.attrs().ints.size(); ++k)
        out << (k ? ", " : "") << node.attrs().ints[k];
      out << "}, .dtype = DType::" << cinch::name(node.attrs().dtype)
          << (node.attrs().dtype == DType::bool_ ? "_" : "") << "}";
    }
    out << ");\n";
  }
  out << "const std::vector<Expr> roots{";
  for (std::size_t k = 0; k < program.roots.size(); ++k)
    out << (k ? ", " : "") << name.at(program.roots[k].get());
  out << "};\n";
  return out.str();
}

}  // namespace cinch::testing
