// Bounds on how much layers and networks stretch, by power iterations that go on from step to step.
#pragma once

#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/function.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/core/visibility.hpp"
#include "cinch/models/layer.hpp"
#include "cinch/ops/random_state.hpp"

namespace CINCH_PUBLIC cinch {

/// A bound, a number, and what brings it nearer to the exact one with each call.
struct SpectralNorm {
  Expr norm;
  Updates updates;  ///< To be added to an optimizer's.
};

/// The largest singular value of W, (n, m), as u' W v: v, kept in a shared variable, is multiplied
/// by W'W and divided by its length once a call, and u is W v by its length. Both are constant to
/// the gradient, which is u v'. From below it comes to the exact one while W changes little between
/// calls. Miyato, Kataoka, Koyama, Yoshida, "Spectral Normalization for Generative Adversarial
/// Networks", ICLR 2018. Throws TypeError unless W has two axes.
SpectralNorm spectral_norm(const Arg& W, RandomState& random);
/// The product of the layers' spectral norms: no input of a network whose activations have slopes
/// of at most 1 changes its output by a larger factor. Throws TypeError where there is no layer.
SpectralNorm lipschitz_bound(const Network& network, RandomState& random,
                             Source where = Source::here());

}  // namespace cinch
