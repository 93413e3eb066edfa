// Exponentials and logarithms in the forms that keep their digits, and the error function.
// Elementwise.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op exp2_op, log2_op, log10_op, log1mexp_op, logaddexp_op, xlogy_op, xlog1py_op,
    log_cosh_op, erf_op, erfc_op;

Expr exp2(const Arg& x);   ///< 2 to the power x.
Expr log2(const Arg& x);   ///< Exact for powers of 2.
Expr log10(const Arg& x);  ///< Exact for powers of 10 that are exact themselves.

/// log(1 - exp(x)) for x < 0: a probability's complement, in logarithms. NaN above 0.
Expr log1mexp(const Arg& x);
/// log(exp(a) + exp(b)) without overflow.
Expr logaddexp(const Arg& a, const Arg& b);
/// x log(y), and 0 where x is 0 and y >= 0: entropies and cross-entropies of what never happens. No
/// gradient flows to y where both are 0.
Expr xlogy(const Arg& x, const Arg& y);
/// x log(1 + y), and 0 where x is 0 and y >= -1.
Expr xlog1py(const Arg& x, const Arg& y);
/// x log_y, and 0 where x is 0 and log_y is -infinity: xlogy for what is known as a logarithm.
Expr times_log(const Arg& x, const Arg& log_y);
/// log(cosh(x)), exact near 0 and without overflow: as a loss, x^2 / 2 near 0 and |x| - log 2 far
/// away.
Expr log_cosh(const Arg& x);

/// The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.
Expr erf(const Arg& x);
/// 1 - erf(x), exact where that is tiny. The normal distribution function is erfc(-x / sqrt(2))
/// / 2.
Expr erfc(const Arg& x);

}  // namespace cinch
