// Gradients kept within bounds before a step is made of them: gradients in, gradients out.
#pragma once

#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

// For the optimizers that take gradients: adam(params, clip_by_global_norm(grad(cost, params), 1)).
// Norms are float64 scalars, computed in float64, so that squares of float32 gradients do not
// overflow. A bound is a number or a scalar expression; a constant one is positive, or ValueError
// is thrown. An empty list is a ValueError, what is no float a TypeError.
//
// NaN and infinity are never hidden: clip_by_value() keeps a NaN where it is, and makes an infinity
// the bound; a gradient, or a list of them, whose norm is not finite becomes NaN as a whole, since
// its direction is unknown. (Dividing by an infinite norm would make zeros of what is finite.)
// zero_unless_finite() is how to ask for something else.

/// Each element limited to [low, high], or to [-bound, bound].
std::vector<Expr> clip_by_value(const std::vector<Expr>& gradients, const Arg& low,
                                const Arg& high);
std::vector<Expr> clip_by_value(const std::vector<Expr>& gradients, const Arg& bound);

/// Each gradient, where its own 2-norm is larger than `bound`, scaled down to it; unchanged, to the
/// last bit, where it is not.
std::vector<Expr> clip_by_norm(const std::vector<Expr>& gradients, const Arg& bound);

/// The same with the norm of all gradients together, so that the direction stays: Pascanu, Mikolov,
/// Bengio, "On the difficulty of training recurrent neural networks", ICML 2013.
std::vector<Expr> clip_by_global_norm(const std::vector<Expr>& gradients, const Arg& bound);

/// 2-norm of all elements of all gradients.
Expr global_norm(const std::vector<Expr>& gradients, Source where = Source::here());

/// The gradients, or zeros in place of all of them at a step where any element of any of them is
/// NaN or infinite. That step is then skipped by plain descent; where there are moments or
/// velocities they decay as if the gradient had been zero.
std::vector<Expr> zero_unless_finite(const std::vector<Expr>& gradients,
                                     Source where = Source::here());

}  // namespace cinch
