// The normal distribution function and inverses of distribution functions: elementwise, to a few
// units of the last digit wherever the result is not rounded away. (erf, erfc: ops/special.hpp)
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op erfinv_op, ndtri_op, logit_op;

/// P(X <= x) for a standard normal X, erfc(-x / sqrt(2)) / 2.
Expr ndtr(const Arg& x);
/// Its inverse, the quantile of a standard normal, exact in the lower tail; infinite at 0 and 1,
/// NaN beyond.
Expr ndtri(const Arg& p);
/// The x of erf(x) = y; infinite at -1 and 1, NaN beyond.
Expr erfinv(const Arg& y);
/// log(p / (1 - p)), the inverse of sigmoid; infinite at 0 and 1, NaN beyond.
Expr logit(const Arg& p);

}  // namespace cinch
