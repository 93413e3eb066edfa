// The distribution functions of the gamma and the Poisson distribution, and their quantiles:
// elementwise, operands broadcast, names as in SciPy. float32 is computed in double precision,
// float64 in long double. (gammaln, digamma, polygamma: ops/gamma.hpp)
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op incomplete_gamma_op, gammaincinv_op, gamma_slope_op, poisson_quantile_op;

/// P(a, x), the integral of t^(a - 1) exp(-t) from 0 to x over Gamma(a): P(X <= x) for a gamma
/// variable X of shape a > 0 and scale 1. NaN for a <= 0 or x < 0. With derivatives by both, of
/// every order: those by a as integrals of their own (see gamma_slope).
Expr gammainc(const Arg& a, const Arg& x);
/// Q(a, x) = 1 - P(a, x), exact where that is small; P(N < a) for a whole number a and a Poisson
/// variable N of mean x.
Expr gammaincc(const Arg& a, const Arg& x);
/// The x of P(a, x) = p: 0 at 0, infinite at 1, NaN beyond and for a <= 0. Its derivative by a is
/// the implicit one, -dP/da / density (Figurnov et al., "Implicit reparameterization gradients",
/// 2018).
Expr gammaincinv(const Arg& a, const Arg& p);
/// The `order`-th derivative of P(a, x) by a over its first one by x, the density: 1 <= order <= 8.
/// -gamma_slope(1, a, x) is how a draw x of the gamma distribution moves with its shape.
Expr gamma_slope(std::int64_t order, const Arg& a, const Arg& x);
/// The smallest whole number k with P(N <= k) >= p for a Poisson variable N of mean >= 0: infinite
/// at p = 1, NaN beyond [0, 1] and for other means. No gradient.
Expr poisson_quantile(const Arg& mean, const Arg& p);

}  // namespace cinch
