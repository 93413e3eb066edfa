// Penalties on codes, their derivatives, and weights, to be added to a cost. Derivatives are of any
// code h by what it is computed from, x, of any depth: h = model.encode(x). One number for each
// example, (batch), unless something else is said.
#pragma once

#include <span>

#include "cinch/core/expr.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/core/visibility.hpp"
#include "cinch/models/layer.hpp"
#include "cinch/ops/random.hpp"

namespace CINCH_PUBLIC cinch {

/// ||dh/dx||^2_F, exact: the contractive penalty, where h is a code; that of the whole
/// reconstruction where it is reconstruct(x) (Alain and Bengio, "What Regularized Auto-Encoders
/// Learn from the Data Generating Distribution", JMLR 2014). Rifai, Vincent, Muller, Glorot,
/// Bengio, "Contractive Auto-Encoders", ICML 2011. From random probes: jacobian_norm2_estimate() in
/// ops/hutchinson.hpp.
Expr jacobian_norm2(const Arg& h, const Expr& x);
/// The same for h = layer(x), in closed form: sum_j f'(a_j)^2 sum_i W_ij^2. Throws TypeError where
/// the activation is not elementwise.
Expr jacobian_norm2(const Layer& layer, const Arg& x);

/// ||d^2 h / dx^2||^2_F, exact. Costs a third-order tensor for each example.
Expr hessian_norm2(const Arg& h, const Expr& x);
/// The same for h = layer(x), in closed form: sum_j f''(a_j)^2 (sum_i W_ij^2)^2.
Expr hessian_norm2(const Layer& layer, const Arg& x);

/// E ||J(x) - J(x + e)||^2_F for J = dh/dx and normal e of standard deviation sd, as the mean of
/// `samples` draws: sd^2 hessian_norm2(h, x) for a small sd. The CAE+H of Rifai, Mesnil, Vincent,
/// Muller, Bengio, Dauphin, Glorot, "Higher Order Contractive Auto-Encoder", ECML 2011. Throws
/// ValueError unless sd > 0 and samples >= 1.
Expr jacobian_change(const Arg& h, const Expr& x, double sd, RandomStreams& random,
                     std::int64_t samples = 1);
/// The same for h = layer(x), in closed form: E sum_j (f'(a_j) - f'(a_j + (W'e)_j))^2 sum_i W_ij^2.
Expr jacobian_change(const Layer& layer, const Arg& x, double sd, RandomStreams& random,
                     std::int64_t samples = 1);

/// (||dz/dh||^2_F + ||dh/dx||^2_F) / 2 for z computed from h computed from x: at least the sum of
/// the singular values of dz/dx, and equal to it at the best of the h through which z can be
/// written. Scarvelis and Solomon, "Nuclear Norm Regularization for Deep Learning", 2024.
Expr nuclear_norm_bound(const Arg& z, const Expr& h, const Expr& x);

/// ||J'J - I||^2_F for J = dz/dh: 0 where a decoder keeps lengths and angles. z is (batch, n), h
/// (batch, m). For the encoder of such a pair, whose rows are to be orthonormal,
/// orthonormality_error. Gropp, Atzmon, Lipman, "Isometric Autoencoders", 2020.
Expr isometry_error(const Arg& z, const Expr& h);
/// ||JJ' - I||^2_F for J = dh/dx.
Expr orthonormality_error(const Arg& h, const Expr& x);
/// (||J u|| - 1)^2 for J = dz/dh and a random direction u of length 1: what the paper trains with
/// in place of isometry_error.
Expr stretch_error(const Arg& z, const Expr& h, RandomStreams& random);

/// sum_j KL(rho || the mean over examples of h_j), one number: (batch, units) -> (). Units must be
/// in (0, 1), as sigmoids are. Ng, "Sparse Autoencoder", 2011. Throws ValueError unless 0 < rho
/// < 1.
Expr sparse_kl(const Arg& h, double rho);
/// sum_j |h_j|
Expr l1(const Arg& h);

/// The sum of the squares of all weights, one number; biases, which have a single axis, are left
/// out. Throws TypeError where that leaves nothing.
Expr weight_decay(std::span<const Shared> params, Source where = Source::here());

}  // namespace cinch
