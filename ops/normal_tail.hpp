// Logarithms of what a normal distribution leaves beyond a point, which vanishes as exp(-x^2) does.
#pragma once

#include "core/expr.hpp"

namespace cinch::exponentials {

/// log(P(X <= x)) for a standard normal X, also where the probability vanishes.
Expr log_normal_cdf(const Expr& x);

/// log(erfc(x)), also where erfc vanishes.
Expr log_erfc(const Expr& x);

}  // namespace cinch::exponentials
