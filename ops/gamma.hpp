// The logarithm of the gamma function and its derivatives of every order, to a few units of the
// last digit; near the zeros of a derivative to 1e-17 of what it is the difference of.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op polygamma_op;

/// log |Gamma(x)|, for a count n log((n - 1)!). Infinite at 0, -1, -2, ... and at both infinities.
Expr gammaln(const Arg& x);
/// Its derivative, Gamma'(x) / Gamma(x): Theano's psi. -infinity at 0 and NaN at -1, -2, ... and
/// -infinity.
Expr digamma(const Arg& x);
/// The `n`-th derivative of digamma, 0 <= n <= 100. At 0, -1, -2, ... infinite for odd n, NaN for
/// even n > 0. Throws TypeError for another n.
Expr polygamma(std::int64_t n, const Arg& x);
/// log of the beta function, log |Gamma(a) Gamma(b) / Gamma(a + b)|, also where one of the two is
/// far larger than the other.
Expr betaln(const Arg& a, const Arg& b);

}  // namespace cinch
