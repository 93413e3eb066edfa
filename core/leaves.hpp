// The ops without inputs, and what to ask of them.
#pragma once

#include "core/op.hpp"

namespace cinch {

extern const Op variable_op, constant_op, shared_op;

/// Variable, constant or shared variable.
inline bool is_leaf(const Expr& expr) { return expr.inputs().empty(); }

/// True where `expr` is a constant whose elements all equal `value`.
bool is_constant(const Expr& expr, double value);

}  // namespace cinch
