#include "cinch/exchange/graph/sized.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "cinch/core/compile/pipeline.hpp"
#include "cinch/core/function.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/graph/derivation.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/graph/recurrence.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/rewrite/rewrite.hpp"
#include "cinch/exchange/graph/loop.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/linalg/fused_products.hpp"
#include "cinch/ops/random.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch::exchange {

namespace {

/// A size, or a position, before it was clipped to what there is; empty where it was not.
Expr before_clipping(Expr e) {
  const auto other_than_number = [](const Expr& x) {
    return constant_value(x.inputs()[0]) ? x.inputs()[1] : x.inputs()[0];
  };
  // maximum(minimum(switch(p < 0, p + n, p), n), 0)
  if (&e.op() != &maximum_op) return {};
  e = other_than_number(e);
  if (&e.op() != &minimum_op) return {};
  for (const Expr& side : e.inputs()) {
    if (&side.op() == &switch_op) return side.inputs()[2];
  }
  return {};
}

/// The length of a slice from one position to another, as from k n to (k + 1) n, whose distance is
/// the same wherever they are.
std::optional<std::int64_t> length_of_slice(const Expr& node) {
  if (&node.op() != &maximum_op || node.rank() != 0 || node.dtype() != DType::int64)
    return std::nullopt;
  for (const Expr& side : node.inputs()) {
    if (&side.op() != &sub_op) continue;
    const Expr to = before_clipping(side.inputs()[0]), from = before_clipping(side.inputs()[1]);
    if (!from.get() || !to.get()) return std::nullopt;
    const Expr distance = to - from;
    std::vector<Expr> places;
    for (const Expr& leaf : topological(std::span(&distance, 1))) {
      if (!graphs::is_leaf(leaf) || constant_value(leaf)) continue;
      if (!is_variable(leaf) || leaf.rank() != 0 || leaf.dtype() != DType::int64)
        return std::nullopt;
      places.push_back(leaf);
    }
    // Polynomials that agree at numbers like these are the same.
    std::optional<std::int64_t> result;
    for (const std::int64_t scale : {0, 1, 7919, 104729}) {
      std::vector<Binding> bindings;
      std::int64_t next = scale;
      for (const Expr& place : places)
        bindings.emplace_back(place, Tensor(next = next * 3 + scale));
      const std::int64_t found = evaluate(distance, bindings).data<std::int64_t>()[0];
      if (result && *result != found) return std::nullopt;
      result = found;
    }
    if (*result > 0) return result;
  }
  return std::nullopt;
}

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
    result_.roots = passed(result_.roots);
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
      } else if (pass.name != "column norms" && pass.name != "chosen products") {
        result.push_back(pass.name == "loops" ? compiling::Pass{"loops", loops} : pass);
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
          if (&e.op() == &chosen_dot_op) return switch_(x[0], dot(x[1], x[2]), 0);
          if (&e.op() == &squared_differences_op)
            return sum(square(expand_dims(x[0], 2) - expand_dims(x[1], 1)), 3);
          if (&e.op() == &weighted_differences_op)
            return sum(expand_dims(x[0], 3) * (expand_dims(x[1], 2) - expand_dims(x[2], 1)), 2);
          if (&e.op() == &ifelse_op) return switch_(x[0], x[1], x[2]);
          return e;
        },
        done);
    for (std::size_t k = 0; k < goals.size(); ++k) goals[k].value = values[k];
  }
  /// What a step of a loop computes goes through all passes by itself.
  static void loops(compiling::Goals& goals, compiling::Notes&) {
    const std::vector<Expr> values = with_loops(compiling::values_of(goals), passed);
    for (std::size_t k = 0; k < goals.size(); ++k) goals[k].value = values[k];
  }
  static std::vector<Expr> passed(const std::vector<Expr>& roots) {
    compiling::Goals goals = compiling::goals_of(roots);
    compiling::run_passes(passes(), goals, nullptr, "loop");
    return compiling::values_of(goals);
  }

  void visit(const Expr& node) {
    if (value_.contains(node.get())) return;
    const Attribution as(node->where, /*force=*/true);
    std::vector<Expr> inputs, numbers;
    // A minibatch beyond the examples there are would be shorter; here it is out of range.
    if (const std::optional<std::int64_t> length = length_of_slice(node)) {
      value_[node.get()] = number_[node.get()] = constant(Tensor(*length));
      return;
    }
    for (std::size_t k = 0; k < node.inputs().size(); ++k) {
      const Expr& input = node.inputs()[k];
      const bool is_size = graphs::says_size(node, k);
      if (is_size && !constant_value(number_.at(input.get()))) {
        refuse(function_,
               text("the size ", describe(input), " depends on a value that is not known yet\n  ",
                    "Let it depend on the sizes of inputs, or make it a number, as the last in "
                    "rows(x, k * 20, 20)."),
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
    value = &node.op() == &scan_op ? loop(node, std::move(inputs))
                                   : drawn(with_inputs(node, std::move(inputs)));
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

  /// A scan whose steps use sizes as numbers as the graph around it does: what stands for one that
  /// is not known is one operand more.
  Expr loop(const Expr& node, std::vector<Expr> inputs) {
    graphs::Recurrence r = graphs::Recurrence::of(node.attrs()).fitted(inputs);
    kept_.push_back(r);
    for (const Expr& v : r.variables) value_[v.get()] = number_[v.get()] = v;
    std::vector<Expr> roots = r.updates;
    roots.push_back(r.value);
    for (const Expr& inner : topological(roots)) visit(inner);
    for (Expr& root : roots) root = value_.at(root.get());
    Substitutions within;
    for (const Expr& inner : topological(roots)) {
      const auto is_size = [&](const UnknownSize& size) { return size.value == inner; };
      if (std::ranges::none_of(symbols_.all, is_size)) continue;
      r.variables.push_back(variable(inner.attrs().label, inner.type()));
      inputs.push_back(inner);
      within.emplace_back(inner, r.variables.back());
    }
    roots = graphs::replaced(roots, within);
    r.value = roots.back();
    roots.pop_back();
    r.updates = std::move(roots);
    return apply(scan_op, inputs, r.attrs());
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
  NodeMap<Expr> value_;                   // Of each node, where unknown sizes are variables.
  NodeMap<Expr> number_;                  // The same where they are numbers.
  std::vector<graphs::Recurrence> kept_;  // Nodes that have values.
};

}  // namespace

Sized sized(const char* function, const compiling::Program& program, const Symbols& symbols,
            std::span<const std::int64_t> unknown, std::span<const Expr> roots,
            std::span<const Shape> shapes) {
  return Compiler(function, program, symbols, unknown, roots).compile(shapes);
}

}  // namespace cinch::exchange
