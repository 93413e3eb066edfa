#include "core/derivative_of.hpp"

#include "core/graph.hpp"
#include "core/op.hpp"

namespace cinch {

Expr as_derivative(const Expr& value, const Expr& by) { return apply(derivative_op, {value, by}); }

GradOptions options_for(const Expr& y, const Expr& x, const GradOptions& given) {
  NodeSet depends{x.get()};  // But through derivatives by x.
  NodeSet derived;           // From such derivatives, by what has a gradient.
  for (const Expr& node : topological(std::span(&y, 1), depends)) {
    if (node == x) continue;
    if (&node.op() == &derivative_op && node.inputs()[1] == x) {
      derived.insert(node.get());
      continue;
    }
    const bool flows = node.op().grad && is_float(node.dtype());
    for (std::size_t i = 0; i < node.inputs().size(); ++i) {
      if (node.op().shape_only >> i & 1u) continue;
      if (depends.contains(node.inputs()[i].get())) depends.insert(node.get());
      if (flows && derived.contains(node.inputs()[i].get())) derived.insert(node.get());
    }
  }
  GradOptions result = given;
  if (derived.contains(y.get()) && !depends.contains(y.get()))
    result.disconnected = Disconnected::zero;
  return result;
}

}  // namespace cinch
