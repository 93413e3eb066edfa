// NaN and infinity: where they are, and sums and spreads of the other elements.
#pragma once

#include <optional>

#include "cinch/core/visibility.hpp"
#include "cinch/ops/reduce.hpp"

namespace CINCH_PUBLIC cinch {

/// Elementwise, bool. (is_nan: ops/arithmetic.hpp)
Expr is_inf(const Arg& x);
Expr is_finite(const Arg& x);

/// The largest number of a float dtype that is finite.
double largest_number(DType dtype);

/// What takes the place of NaN and the infinities; by default 0 and the largest number of the
/// dtype.
struct Replacements {
  double nan = 0;
  std::optional<double> infinity = {}, minus_infinity = {};
};
/// `x` with those in place of what is not finite, through which no gradient flows. Integers and
/// bools stay as they are.
Expr nan_to_num(const Arg& x, const Replacements& replacements = {});

/// Reductions over the elements that are not NaN, as NumPy's: the sum, and the product, of none is
/// 0, or 1; mean, maximum, minimum and variance of none are NaN. No gradient flows to a NaN.
Expr nansum(const Arg& x, const Axes& axes = {}, bool keepdims = false);
Expr nanprod(const Arg& x, const Axes& axes = {}, bool keepdims = false);
Expr nanmean(const Arg& x, const Axes& axes = {}, bool keepdims = false);
Expr nanmax(const Arg& x, const Axes& axes = {}, bool keepdims = false);
Expr nanmin(const Arg& x, const Axes& axes = {}, bool keepdims = false);
Expr nanvar(const Arg& x, const Axes& axes = {}, bool keepdims = false, std::int64_t ddof = 0);
Expr nanstd(const Arg& x, const Axes& axes = {}, bool keepdims = false, std::int64_t ddof = 0);

/// |a - b| <= atol + rtol |b|, elementwise, bool; the same infinities are close, and NaN to NaN
/// where `equal_nan`. Numbers and infinities never are.
struct Closeness {
  double rtol = 1e-5, atol = 1e-8;
  bool equal_nan = false;
};
Expr isclose(const Arg& a, const Arg& b, const Closeness& closeness = {});
/// Whether all elements are close: one bool.
Expr allclose(const Arg& a, const Arg& b, const Closeness& closeness = {});

}  // namespace cinch
