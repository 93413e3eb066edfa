// Logarithms times what vanishes before they are infinite.
#pragma once

#include "cinch/core/expr.hpp"

namespace cinch::rules {

/// A product with log(q) in it, maybe in a sum, and with a factor x of q, as xlogy(x, q), which is
/// 0 where x is 0: x log(c x^2) goes to 0 there, and 0 times -inf is NaN. The gradient of x^2 log
/// x^2, and of the entropy of what squares are a share of, is such a product. An empty expression
/// where there is none.
Expr with_vanishing_logs(const Expr& product);

}  // namespace cinch::rules
