// Lengths and other roots, whose slope at 0 is a convention.
//
// y = sqrt(s) has no derivative at s = 0. Its slope there is 0, a value whose own derivative is
// NaN: a convention has none, and 0 would be one more in silence. Smooth functions of y have their
// derivatives all the same: even.hpp.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/op.hpp"

namespace cinch::rules {

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

}  // namespace cinch::rules
