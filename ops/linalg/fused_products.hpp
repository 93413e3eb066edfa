// Products of matrices that do something else in the same pass: what the compiler makes of others.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/op.hpp"

namespace cinch {

extern const Op add_dot_op, scaled_add_dot_op, dot_squares_op, chosen_dot_op;

/// c + dot(a, b) for float matrices, in one pass over c.
Expr add_dot(const Arg& c, const Arg& a, const Arg& b);
/// c * scale + dot(a, b) for float matrices; `scale` is (1, columns of c).
Expr scaled_add_dot(const Arg& c, const Arg& scale, const Arg& a, const Arg& b);
/// dot(a, b) for float matrices, and below it one more row: the sums of the squares of b's columns.
Expr dot_squares(const Arg& a, const Arg& b);
/// dot(a, b) for float matrices where the bool matrix `chosen` holds, 0 elsewhere.
Expr chosen_dot(const Arg& chosen, const Arg& a, const Arg& b);

}  // namespace cinch
