// Products of matrices that do something else in the same pass, and sums over pairs of points: what
// the compiler makes of others.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/op.hpp"

namespace cinch {

extern const Op add_dot_op, scaled_add_dot_op, dot_squares_op, chosen_dot_op,
    squared_differences_op, weighted_differences_op;

/// c + dot(a, b) for float matrices, in one pass over c.
Expr add_dot(const Arg& c, const Arg& a, const Arg& b);
/// c * scale + dot(a, b) for float matrices; `scale` is (1, columns of c).
Expr scaled_add_dot(const Arg& c, const Arg& scale, const Arg& a, const Arg& b);
/// dot(a, b) for float matrices, and below it one more row: the sums of the squares of b's columns.
Expr dot_squares(const Arg& a, const Arg& b);
/// dot(a, b) for float matrices where the bool matrix `chosen` holds, 0 elsewhere.
Expr chosen_dot(const Arg& chosen, const Arg& a, const Arg& b);
/// sum over k of (a[s, i, k] - b[s, j, k])^2, (sets, n, m), of points (sets, n, k) and (sets, m,
/// k). As exact as the differences are, at the speed of a product of matrices where points are no
/// closer to each other than a quarter of their distance from the mean of all.
Expr squared_differences(const Arg& a, const Arg& b);
/// sum over j of weights[s, i, j] (a[s, i, k] - b[s, j, k]), (sets, n, k), in the same way.
Expr weighted_differences(const Arg& weights, const Arg& a, const Arg& b);

}  // namespace cinch
