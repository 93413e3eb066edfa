// Derivatives of what is built on a length, where the length is 0.
//
// y = sqrt(s) has no derivative at s = 0, but a smooth even function f of it, such as y^2, cosh(y)
// or (1 + y) exp(-y), has: f'(y) / (2 y), whose limit is f''(0) / 2. Reverse differentiation meets
// the two factors apart, as 0 times infinity. So the gradient of a root looks at what comes back to
// it, a sum of terms c(y) g with c a function of y alone, and divides c by y as a power series
// where y is 0. The quotient there is a polynomial of s, so that its own derivatives are right as
// well.
#pragma once

#include "core/expr.hpp"
#include "core/op.hpp"

namespace cinch {

extern const Op length_op, flat_op;

/// sqrt(s) for a sum of squares s, or of what else is not negative and has slope 0 where it is 0.
/// Its slope at s = 0 is 0 by convention; the derivative of that slope is NaN there.
Expr length_of(const Expr& s);

/// s^p for a sum of powers s; where s is 0 that is 0 with slope 0, by convention, and a second
/// derivative that is NaN.
Expr root_of_powers(const Expr& s, double p);
/// The power q of a root of s, or of what is a multiple of one, as a power of s, where that is a
/// whole one; else an empty expression. Also of |x|, whose even powers are x's.
Expr power_of_root(const Expr& root, double q);

/// 0 in the shape of s. Its derivatives by s are 0 up to `order` - 1, and from then on NaN where s
/// is 0: for values at 0 that are a convention, whose change means nothing.
Expr flat(const Expr& s, std::int64_t order);

/// gy, the gradient that comes back to y = sqrt(s), divided by 2 y.
struct HalvedByRoot {
  Expr smooth;  ///< What has a limit where y is 0, already divided; empty if there is no such part.
  Expr rest;    ///< The part that is not divided yet; empty if there is none.
};
HalvedByRoot halved_by_root(const Expr& gy, const Expr& s, const Expr& y);

/// a + b, of which either may be empty, not both.
Expr sum_of_parts(const Expr& a, const Expr& b);

}  // namespace cinch
