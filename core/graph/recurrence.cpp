#include "cinch/core/graph/recurrence.hpp"

#include <algorithm>

#include "cinch/core/graph.hpp"
#include "cinch/core/graph/derivation.hpp"
#include "cinch/core/graph/engine_ops.hpp"

namespace cinch::graphs {

Type row_type(const Type& rows) { return {rows.dtype, {rows.dims.begin() + 1, rows.dims.end()}}; }

Type Recurrence::variable_type(std::size_t k, const Expr& operand) const {
  if (k < sequences) return row_type(operand.type());
  return {operand.dtype(), operand.dims()};
}

bool Recurrence::has_steps_of(const Recurrence& other) const {
  return std::ranges::equal(variables, other.variables) &&
         std::ranges::equal(updates, other.updates) && sequences == other.sequences &&
         backward == other.backward && until == other.until && checkpoint == other.checkpoint;
}

std::vector<bool> Recurrence::states_behind_result() const {
  std::vector<bool> result(states, false);
  std::vector<Expr> roots;
  const auto need = [&](std::size_t k) {
    if (result[k]) return;
    result[k] = true;
    roots.push_back(updates[k]);
  };
  if (until >= 0) need(static_cast<std::size_t>(until));
  if (last >= 0) {
    need(static_cast<std::size_t>(last));
  } else {
    roots.push_back(value);
  }
  for (std::size_t count = 0; count < roots.size();) {
    count = roots.size();
    NodeSet used;
    for (const Expr& node : topological(roots)) used.insert(node.get());
    for (std::size_t k = 0; k < states; ++k) {
      if (used.contains(state(k).get())) need(k);
    }
  }
  return result;
}

bool is_number(const Expr& e) {
  return e.rank() == 0 && e.dtype() == DType::int64 && constant_value(e);
}

Recurrence Recurrence::fitted(Args operands) const {
  Substitutions fresh;
  for (std::size_t k = 0; k < variables.size(); ++k) {
    const Expr& old = variables[k];
    const Type type = variable_type(k, operands[k]);
    if (k >= others_begin() && is_number(operands[k])) {
      fresh.emplace_back(old, operands[k]);
    } else if (old.dtype() != type.dtype || old.dims() != type.dims) {
      fresh.emplace_back(old, variable(old.attrs().label, type, old->where));
    }
  }
  if (fresh.empty()) return *this;
  std::vector<Expr> roots = updates;
  roots.push_back(value);
  roots = replaced(roots, fresh);
  Recurrence result = *this;
  result.value = roots.back();
  roots.pop_back();
  result.updates = std::move(roots);
  for (const auto& [old, now] : fresh) {
    if (is_variable(now)) std::ranges::replace(result.variables, old, now);
  }
  return result;
}

bool says_size(const Expr& node, std::size_t k) {
  if (node.op().is_size(k)) return true;
  const Expr& operand = node.inputs()[k];
  if (operand.rank() != 0 || operand.dtype() != DType::int64 || node.attrs().formula.empty())
    return false;
  // Variables stand for the operands in their order, formulas follow.
  const std::vector<Expr>& formula = node.attrs().formula;
  if (&node.op() != &scan_op && &node.op() != &fixed_point_op) return false;
  const Expr& v = formula[k];
  const std::vector<Expr> roots(formula.begin() + static_cast<std::ptrdiff_t>(node.inputs().size()),
                                formula.end());
  std::vector<Expr> sizes;
  for (const Expr& inner : topological(roots)) {
    for (std::size_t i = 0; i < inner.inputs().size(); ++i) {
      if (says_size(inner, i)) sizes.push_back(inner.inputs()[i]);
    }
  }
  const std::vector<Expr> nodes = topological(sizes);
  return std::ranges::find(nodes, v) != nodes.end();
}

}  // namespace cinch::graphs
