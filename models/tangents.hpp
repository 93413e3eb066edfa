// The manifold that a code knows: its tangents at each example, and how it contracts around them.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"
#include "cinch/ops/random.hpp"

namespace CINCH_PUBLIC cinch {

/// The directions at each example in which its code changes most: the `count` leading right
/// singular vectors of dh/dx, (batch, n, count), each of length 1. Constants to grad(). h is
/// (batch, units), x (batch, n). Throws TypeError unless 1 <= count <= min(units, n), where these
/// are known.
Expr tangents(const Arg& h, const Expr& x, std::int64_t count);

/// sum_u ||do/dx u||^2 of each example over the columns u of `directions`, (batch, n, count): how
/// much an output o (batch, m) changes along them. With the tangents of a contractive autoencoder
/// it makes the manifold tangent classifier: Rifai, Dauphin, Vincent, Bengio, Muller, "The Manifold
/// Tangent Classifier", NIPS 2011.
Expr tangent_penalty(const Arg& o, const Expr& x, const Expr& directions);

/// ||h(x + r) - h(x)|| / ||r|| of each example, for a random direction r of length `radius`: below
/// 1 where the code contracts. h is (batch, units), x (batch, n). Figure 1 of Rifai et al., ICML
/// 2011.
Expr contraction_ratio(const Arg& h, const Expr& x, const Arg& radius, RandomStreams& random);

}  // namespace cinch
