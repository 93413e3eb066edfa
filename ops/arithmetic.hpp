// Elementwise arithmetic, comparisons and choices. All broadcast as NumPy does; see core/expr.hpp
// for dtypes.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op add_op, sub_op, mul_op, div_op, floor_div_op, mod_op, pow_op, maximum_op,
    minimum_op, neg_op, abs_op, sign_op, square_op, sqrt_op, floor_op, ceil_op, round_op, trunc_op,
    equal_op, not_equal_op, less_op, less_equal_op, and_op, or_op, not_op, is_nan_op, switch_op,
    cast_op, copy_op, stop_gradient_op;

Expr operator-(const Arg& a, const Arg& b);
Expr operator*(const Arg& a, const Arg& b);
/// True division: integers give float64.
Expr operator/(const Arg& a, const Arg& b);
Expr operator-(const Arg& a);

// a = a + b and so on: the variable then holds another expression. A sum starts from `Expr total =
// 0.0`; an empty expression is a TypeError. Not for a Shared, whose value set() and updates change.
inline Expr& operator+=(Expr& a, const Arg& b) { return a = Arg(a, b.where()) + b; }
inline Expr& operator-=(Expr& a, const Arg& b) { return a = Arg(a, b.where()) - b; }
inline Expr& operator*=(Expr& a, const Arg& b) { return a = Arg(a, b.where()) * b; }
inline Expr& operator/=(Expr& a, const Arg& b) { return a = Arg(a, b.where()) / b; }

/// Quotient rounded down, the one that mod() leaves the remainder of: b * floor_div(a, b) + mod(a,
/// b) is a but for rounding, as in Python and NumPy, so that floor_div(1, 0.1) is 9: 0.1 is a
/// little more than a tenth. Has no gradient, and says so where one is asked for.
Expr floor_div(const Arg& a, const Arg& b);
/// a - b * floor(a / b): the remainder with the sign of b.
Expr mod(const Arg& a, const Arg& b);
/// a to the power b; integers give float64. Gradient in b where a > 0; where a = 0 it is 0 for b >
/// 0 and -inf otherwise, and NaN where a < 0.
Expr pow(const Arg& a, const Arg& b);
/// The larger; NaN if either is. Where both are equal each gets half of the gradient.
Expr maximum(const Arg& a, const Arg& b);
Expr minimum(const Arg& a, const Arg& b);
/// `x` limited to [low, high].
Expr clip(const Arg& x, const Arg& low, const Arg& high);

/// Gradient 0 at 0, and 0 for what comes after it; smooth functions of |x|, such as cosh(abs(x)),
/// have their own derivatives there.
Expr abs(const Arg& x);
Expr sign(const Arg& x);  ///< -1, 0 or 1; no gradient.
Expr square(const Arg& x);
/// Gradient infinite at 0; smooth even functions of it, such as cosh(sqrt(x)), have their own
/// derivatives there. See norm() for the square root of a sum of squares.
Expr sqrt(const Arg& x);
Expr reciprocal(const Arg& x);  ///< 1 / x; integers give float64.
Expr rsqrt(const Arg& x);       ///< 1 / sqrt(x)
Expr floor(const Arg& x);       ///< No gradient, like ceil, round and trunc.
Expr ceil(const Arg& x);
Expr trunc(const Arg& x);  ///< Towards zero.
Expr round(const Arg& x);  ///< Halves to the even neighbour.

Expr equal(const Arg& a,
           const Arg& b);  ///< Elementwise, bool; `==` between expressions asks "same node".
Expr not_equal(const Arg& a, const Arg& b);
Expr operator<(const Arg& a, const Arg& b);
Expr operator<=(const Arg& a, const Arg& b);
Expr operator>(const Arg& a, const Arg& b);
Expr operator>=(const Arg& a, const Arg& b);
Expr logical_and(const Arg& a, const Arg& b);
Expr logical_or(const Arg& a, const Arg& b);
Expr logical_not(const Arg& a);
Expr logical_xor(const Arg& a, const Arg& b);
/// The same as formulas: both operands are always computed.
inline Expr operator&&(const Arg& a, const Arg& b) { return logical_and(a, b); }
inline Expr operator||(const Arg& a, const Arg& b) { return logical_or(a, b); }
inline Expr operator!(const Arg& a) { return logical_not(a); }
Expr is_nan(const Arg& x);

/// Elementwise condition ? a : b; `condition` is bool.
Expr switch_(const Arg& condition, const Arg& a, const Arg& b);
inline Expr where(const Arg& condition, const Arg& a, const Arg& b) {
  return switch_(condition, a, b);
}

}  // namespace cinch
