// Medians, quantiles, weighted means and covariances.
#pragma once

#include "cinch/core/visibility.hpp"
#include "cinch/ops/reduce.hpp"

namespace CINCH_PUBLIC cinch {

/// The middle element in order of size, the mean of the two middle ones of an even number; NaN if
/// there is one; an error where there is none. Integers give float64. The gradient goes to the
/// elements that are taken.
Expr median(const Arg& x, const Axes& axes = {}, bool keepdims = false);
/// What stands at position q (n - 1) of the n elements in order, by linear interpolation between
/// two of them, as NumPy's: q = 0 is the minimum, 1 the maximum. `q` in [0, 1] is a number, a
/// scalar or (k), which gives k quantiles along a new first axis. NaN if an element is; an error
/// where there is none, or where q is outside.
Expr quantile(const Arg& x, const Arg& q, const Axes& axes = {}, bool keepdims = false);
/// Largest minus smallest element.
Expr ptp(const Arg& x, const Axes& axes = {}, bool keepdims = false);

/// sum w x / sum w along `axis`, which goes, for weights of x's shape or (n) along the axis.
Expr average(const Arg& x, const Arg& weights, std::int64_t axis);
/// NumPy's cov: x (variables, observations) gives (variables, variables), the mean products of
/// deviations, divided by observations - ddof.
Expr cov(const Arg& x, std::int64_t ddof = 1);
/// The same of variables divided by their standard deviations; NaN for one that does not vary.
Expr corrcoef(const Arg& x);

}  // namespace cinch
