// Smooth functions of a length, as functions of its square.
//
// y = sqrt(s) has no derivative at s = 0, but f(y) has where its power series has no odd terms, as
// those of y^2, cosh(y), y tanh(y): it is a smooth function of s, whose derivative is f'(y) / (2 y)
// and, at 0, f''(0) / 2. Reverse differentiation meets the factors of that apart, as 0 times
// infinity. So, before a derivative is taken, such functions are found in the graph and put behind
// an op whose derivative goes by s, past the root: the series where y is small, so that no digits
// cancel, and the formula elsewhere. Functions of |x| go by x.
//
// f may depend on other values as well, element by element: f(y, a) = (a y) tanh(y).
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/op.hpp"

namespace cinch::rules {

/// Its first operand, a function of a root, whose derivatives go by the second, past the root.
extern const Op even_op;

/// The same graphs, in which smooth functions of lengths are even_ops.
std::vector<Expr> functions_of_squares(std::span<const Expr> roots);

/// The same graphs, in which choices of a value at a point where the formula beside it has none,
/// where(x == 0, 1, sin(x) / x), are even_ops of x: the derivative there is that of the whole, and
/// not that of the value.
std::vector<Expr> removable_choices(std::span<const Expr> roots);

/// What an even_op of the root `v` computes, as a formula where v is not 0; empty for one of
/// another root.
Expr formula_of_even(const Expr& node, const Expr& v);

}  // namespace cinch::rules
