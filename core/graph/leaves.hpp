// The ops without inputs, and what to ask of them.
#pragma once

#include "cinch/core/op.hpp"

namespace cinch::graphs {

extern const Op variable_op, constant_op, shared_op;

/// Its operand, while a derivative is taken: rules neither match through it nor remove it.
extern const Op held_op;

/// Variable, constant or shared variable.
inline bool is_leaf(const Expr& expr) { return expr.inputs().empty(); }

/// A variable or shared variable: rewriting takes no other node for it.
inline bool stays_itself(const Expr& expr) {
  return &expr.op() == &variable_op || &expr.op() == &shared_op;
}

/// True where `expr` is a constant whose elements all equal `value`.
bool is_constant(const Expr& expr, double value);

/// Whether a scalar is kept by `converted`, itself in another dtype: as the same number to its last
/// digit, or where both are floats as the nearest one.
bool is_kept(const Tensor& scalar, const Tensor& converted);

/// Whether `value` has this dtype and rank, and these sizes as far as they are known.
bool fits(const Tensor& value, const Type& type);

/// The same shared variable where it is known to have so many rows.
Expr with_rows(const Expr& variable, std::int64_t rows);

}  // namespace cinch::graphs
