// What a decoder does to lengths, angles and volumes of its codes, as penalties. z is computed from
// the code h, of any depth: z = model.decode(h), (batch, n) and (batch, m). J is dz/dh of each
// example and G = J'J its metric: |J v|^2 = v'G v is the squared length that a step v of the code
// makes among the data. One number for each example, (batch), unless something else is said.
//
//     const Expr code = mixed_codes(m.encode(x), 0.2, random);
//     cost = rec + lambda * scaled_isometry_error(m.decode(code), code);
#pragma once

#include <cstdint>

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"
#include "cinch/ops/random.hpp"

namespace CINCH_PUBLIC cinch {

/// G = J'J: (batch, m, m).
Expr metric(const Arg& z, const Expr& h);

/// Codes between and a little beyond those of a batch: a h_i + (1 - a) h_j for a random order j of
/// the examples and a uniform in [-eta, 1 + eta), one for each example: (batch, m) -> (batch, m).
/// Penalties on a decoder are taken there, so that they hold between examples as well. Throws
/// ValueError unless eta >= 0.
Expr mixed_codes(const Arg& h, double eta, RandomStreams& random);

/// m mean tr(G^2) / (mean tr G)^2, one number, 1 at least: 1 where the decoder multiplies all
/// lengths by one factor, the same for all codes and directions. Lee, Yoon, Son, Park, "Regularized
/// Autoencoders for Isometric Representation Learning", ICLR 2022, there without the m.
Expr scaled_isometry_error(const Arg& z, const Expr& h);
/// The same from a normal probe v for each example, |Jv|^2 for tr G and |J'Jv|^2 for tr G^2,
/// without J: for many latents.
Expr scaled_isometry_estimate(const Arg& z, const Expr& h, RandomStreams& random);

/// ||m G / tr G - I||^2_F, 0 where the decoder keeps angles; lengths may be multiplied by another
/// factor at each code. NaN where J is 0.
Expr conformal_error(const Arg& z, const Expr& h);

/// log det(G) / 2, the logarithm of how many times larger a volume of codes becomes, by a Cholesky
/// factor. ValueError at run time where a G is not positive definite, as where units are dead.
Expr log_volume(const Arg& z, const Expr& h);
/// The variance over the batch of log det G, one number: 0 where the decoder spreads codes evenly.
/// Nazari, Damrich, Hamprecht, "Geometric Autoencoders: What You See is What You Decode", ICML
/// 2023. Errors as log_volume().
Expr volume_variance(const Arg& z, const Expr& h);

/// The squared norm of the second fundamental form, sum over normal directions of tr(G^-1 S G^-1 S)
/// for S = d^2 z / dh^2 along them: how much the decoded surface bends, whatever the coordinates on
/// it; 0 where it is flat. Lee and Park, "On Explicit Curvature Regularization in Deep Generative
/// Models", 2023, whose extrinsic curvature is that of the tangent space as it turns, twice this.
/// Exact, with m^2 numbers for each of z: for few latents. Errors as log_volume().
Expr curvature(const Arg& z, const Expr& h);

/// The same from two normal probes for each example, whose images have unit covariance in the
/// tangent space: |S(v, w)|^2, without second derivatives but along them. For a decoder of many
/// outputs, or of many latents. Errors as log_volume().
Expr curvature_estimate(const Arg& z, const Expr& h, RandomStreams& random);

/// -log p(h) + log det(G) / 2 for p = N(0, I), in nats: minus the log density of z on the decoded
/// surface, to be added to a reconstruction error. Caterini, Loaiza-Ganem, Pleiss, Cunningham,
/// "Rectangular Flows for Manifold Learning", NeurIPS 2021; exact. Errors as log_volume().
Expr rectangular_flow_cost(const Arg& z, const Expr& h);

/// A number whose gradient is that of -log |det dh/dx|, where z reconstructs x from h: -v' (dh/dx)
/// SG(dz/dh v) for a random v of length sqrt(m). Any networks may stand for the two directions of a
/// flow; its value means nothing. Draxler, Sorrenson, Zimmermann, Rousselot, Koethe, "Free-form
/// Flows: Make Any Architecture a Normalizing Flow", AISTATS 2024.
Expr free_form_volume(const Arg& z, const Expr& h, const Expr& x, RandomStreams& random);
/// |h|^2 / 2 + free_form_volume() + beta |x - z|^2, the paper's cost of data x.
Expr free_form_cost(const Arg& z, const Expr& h, const Expr& x, const Arg& beta,
                    RandomStreams& random);

}  // namespace cinch
