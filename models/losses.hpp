// Reconstruction losses, one number for each example. More losses, of single elements:
// ops/loss.hpp.
#pragma once

#include "core/expr.hpp"

namespace cinch {

/// -sum_i x_i log z_i + (1 - x_i) log(1 - z_i): (batch, n), (batch, n) -> (batch), for x in [0, 1]
/// and z in (0, 1). Where z is a sigmoid the rewritten form is exact at any logit.
Expr cross_entropy(const Arg& x, const Arg& z);

/// sum_i (x_i - z_i)^2: (batch, n), (batch, n) -> (batch).
Expr squared_error(const Arg& x, const Arg& z);

/// sum_i |x_i - z_i|: (batch, n), (batch, n) -> (batch).
Expr absolute_error(const Arg& x, const Arg& z);

}  // namespace cinch
