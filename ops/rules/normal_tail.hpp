// Logarithms of what a normal distribution leaves beyond a point, which vanishes as exp(-x^2) does.
#pragma once

#include "cinch/core/expr.hpp"

namespace cinch::exponentials {

/// The logarithm of a value as log(value) = coefficient x^2 + rest where `far` holds, and
/// log(value) = rest elsewhere. The rest is small beside x^2 there.
struct Tail {
  Expr x, far;
  double coefficient;
  Expr rest;
};

/// Of P(X <= x) for a standard normal X.
Tail normal_cdf_tail(const Expr& x);
/// Of erfc(x).
Tail erfc_tail(const Expr& x);

/// log(value), also where the value vanishes.
Expr log_of_tail(const Tail& tail);

}  // namespace cinch::exponentials
