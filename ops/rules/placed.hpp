// Tensors that are 0 but for a part, and tensors that are joined of parts: what is computed of them
// is computed of the parts.
#pragma once

#include "cinch/core/expr.hpp"

namespace cinch::rules {

/// `y`, whose operand is an embed() or a block of an identity beside zeros, with the zeros put
/// around last, or not at all where they are summed over: embed(x) * b is embed(x * part of b), and
/// dot(embed(x), b) a product with a part of b. So the derivative of a part is computed from a part
/// of the weights. An empty expression where there is nothing to do.
Expr with_zeros_outside(const Expr& y);

/// `y`, whose operand is a concatenation of rows of a Jacobian, as the concatenation of what it is
/// for each part, or their sum. Nothing else is taken apart: several small loops in place of one
/// gain only where an identity is in the way. An empty expression where there is nothing to do.
Expr with_parts_apart(const Expr& y);

/// Both, one after the other.
Expr of_parts(const Expr& y);

}  // namespace cinch::rules
