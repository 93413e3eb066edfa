#include "cinch/core/derive/derivative_of.hpp"

#include "cinch/core/graph.hpp"
#include "cinch/core/graph/derivation.hpp"
#include "cinch/core/op.hpp"

namespace cinch::deriving {

namespace {

/// Of a derivative_op: whether it marks what is meant for each example by itself.
struct DerivativeMark {
  bool each_example;

  static DerivativeMark of(const Attrs& a) { return {!a.ints.empty()}; }
  Attrs attrs() const {
    if (each_example) return {.ints = {1}};
    return {};
  }
};

}  // namespace

Expr as_derivative(const Expr& value, const Expr& by) { return apply(derivative_op, {value, by}); }

Expr of_each_example(const Expr& value, const Expr& y) {
  return apply(derivative_op, {value, y}, DerivativeMark{.each_example = true}.attrs());
}

Expr each_example_of(const Expr& value) {
  const bool marked =
      &value.op() == &derivative_op && DerivativeMark::of(value.attrs()).each_example;
  return marked ? Expr(value.inputs()[1]) : Expr();
}

bool is_flat_derivative(const Expr& formula, const Expr& x) {
  const Expr y = graphs::showing(formula, x);
  NodeSet depends{x.get()};  // But through derivatives by x.
  NodeSet derived;           // From such derivatives, by what has a gradient.
  for (const Expr& node : topological(std::span(&y, 1), depends)) {
    if (node == x) continue;
    const bool derives =
        &node.op() == &derivative_op && !DerivativeMark::of(node.attrs()).each_example;
    if (derives && node.inputs()[1] == x) {
      derived.insert(node.get());
      continue;
    }
    const bool flows = node.op().grad && is_float(node.dtype());
    for (std::size_t i = 0; i < node.inputs().size(); ++i) {
      if (!node.op().reads(i)) continue;
      if (depends.contains(node.inputs()[i].get())) depends.insert(node.get());
      if (flows && node.op().passes(node, i) && derived.contains(node.inputs()[i].get()))
        derived.insert(node.get());
    }
  }
  return derived.contains(y.get()) && !depends.contains(y.get());
}

}  // namespace cinch::deriving
