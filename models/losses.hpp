// Reconstruction losses, one number for each example. More losses, of single elements:
// ops/loss.hpp, with the rule for operands of different shapes, which holds here too: one may be
// repeated to the other, and (batch, 1) with (batch) is a TypeError.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"
#include "cinch/models/layer.hpp"

namespace CINCH_PUBLIC cinch {

/// What a reconstruction z of x costs: (batch, ...), (batch, ...) -> (batch). A function or a
/// lambda.
using Loss = ExprFunction<const Arg&, const Arg&>;

/// -sum_i x_i log z_i + (1 - x_i) log(1 - z_i): (batch, ...), (batch, ...) -> (batch), for x in
/// [0, 1] and z in (0, 1). Where z is a sigmoid the rewritten form is exact at any logit.
Expr cross_entropy(const Arg& x, const Arg& z);

/// sum_i (x_i - z_i)^2: (batch, ...), (batch, ...) -> (batch).
Expr squared_error(const Arg& x, const Arg& z);

/// sum_i |x_i - z_i|: (batch, ...), (batch, ...) -> (batch).
Expr absolute_error(const Arg& x, const Arg& z);

/// The sum of each example's elements: (batch, ...) -> (batch). Throws TypeError for less than two
/// axes.
Expr example_sum(const Arg& x);

/// Throws TypeError where `loss` is cross_entropy and `output` gives numbers outside (0, 1), as
/// linear, tanh, relu and softplus do.
void require_fit(const Loss& loss, const Activation& output, Source where);

}  // namespace cinch
