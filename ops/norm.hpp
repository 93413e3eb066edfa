// Spread and length: what is computed from squares, or other powers, of many elements.
#pragma once

#include "cinch/core/visibility.hpp"
#include "cinch/ops/reduce.hpp"

namespace CINCH_PUBLIC cinch {

/// Mean squared deviation from the mean, in two passes, so that a large mean costs no digits.
/// `ddof` is taken from the number of elements that the sum is divided by (1: the unbiased
/// estimate); where none are left the result is infinite or NaN, as NumPy's.
Expr var(const Arg& x, const Axes& axes = {}, bool keepdims = false, std::int64_t ddof = 0);
/// The square root of var(). (`std` alone would clash with the namespace.) Gradient 0 where all
/// elements are equal; see norm() for what is computed from it.
Expr std_(const Arg& x, const Axes& axes = {}, bool keepdims = false, std::int64_t ddof = 0);

/// (sum |x|^p)^(1/p) for a number p: 2 the length, 1 the sum of magnitudes, infinity the largest
/// magnitude, -infinity the smallest, 0 how many elements are not 0. Squares are added as they are:
/// elements beyond 1e154 (1e19 in float32) make the length infinite, as in NumPy and PyTorch, and
/// its slope 0; divide such x by a constant first, of which the length is a multiple. Gradient 0
/// where all elements are 0, for p = 2 and all p >= 1, though there is none, and the derivative of
/// that 0 is NaN: so is that of sum(square(grad(norm(x), x))), which is 1 everywhere but 0 there by
/// this convention. Derivatives of smooth functions of the length (p = 2), such as square(), cosh()
/// or cos() of it, times and under whatever else is computed element by element, are right there
/// and close to it, of any order up to five, and up to eleven where the function's series is known
/// in numbers (even.hpp). For even p those of the norm's power p are right. Of functions that are
/// not smooth there derivatives are NaN from the second on. For p < 1 other than 0 the gradient is
/// infinite or NaN where an element is 0. Throws TypeError for p = NaN. As in NumPy and PyTorch the
/// second argument is p, not an axis: norm(x, 1) is the sum of all magnitudes. norm(x, {.axes = 1})
/// says which is meant.
Expr norm(const Arg& x, double p = 2, const Axes& axes = {}, bool keepdims = false);

struct NormOptions {
  double p = 2;
  Axes axes = {};
  bool keepdims = false;
};
Expr norm(const Arg& x, const NormOptions& options);

}  // namespace cinch
