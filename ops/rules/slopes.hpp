// Functions that the derivatives of others are made of, in forms that keep their digits where the
// obvious ones cancel: sigmoid's slope y (1 - y) is 0 from x = 37 on. Elementwise; their own
// derivatives are made of them, too, so that all orders keep their digits.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/op.hpp"

namespace cinch::rules {

extern const Op sech_op, sigmoid_slope_op, one_minus_square_op, normal_cdf_op, exp_of_product_op;

/// 1 / cosh(x), without overflow on the way. Its square is tanh's slope.
Expr sech(const Arg& x);
/// sigmoid(x) sigmoid(-x), sigmoid's slope and the density of the logistic distribution.
Expr sigmoid_slope(const Arg& x);
/// 1 - x^2, exact near -1 and 1.
Expr one_minus_square(const Arg& x);
/// P(X <= x) for a standard normal X, to the last digits where it is tiny: erfc(-x / sqrt(2)) / 2
/// loses them by rounding its argument.
Expr normal_cdf(const Arg& x);
/// exp(x y), to the last digits where |x y| is large: densities such as exp(-x^2 / 2).
Expr exp_of_product(const Arg& x, const Arg& y);

}  // namespace cinch::rules
