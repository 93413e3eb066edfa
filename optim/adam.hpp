// Adam and AdamW: steps scaled by running moments of the gradient.
#pragma once

#include <vector>

#include "cinch/core/function.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// Where Adam's epsilon is added.
enum class Epsilon {
  to_raw,  ///< To the second moment's root as it is: the paper's section 2, Keras, TensorFlow.
  to_corrected,  ///< To the corrected one's: the paper's Algorithm 1, PyTorch, optax.
};

struct AdamOptions {
  double beta1 = 0.9, beta2 = 0.999;  ///< In [0, 1).
  double epsilon = 1e-8;              ///< Positive.
  bool bias_correction = true;        ///< Without, c1 = c2 = 1 below, and steps are not counted.
  bool amsgrad = false;               ///< Scale by the largest second moment so far.
  Epsilon epsilon_added = Epsilon::to_raw;
};

/// Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015. For each parameter p
/// with gradient g, at step t = 1, 2, ..., with c1 = 1 - beta1^t and c2 = 1 - beta2^t
///
///     m <- beta1 m + (1 - beta1) g
///     v <- beta2 v + (1 - beta2) g^2
///     p <- p - rate sqrt(c2) / c1 * m / (sqrt(v) + epsilon)               Epsilon::to_raw
///     p <- p - rate / c1 * m / (sqrt(v) / sqrt(c2) + epsilon)             Epsilon::to_corrected
///
/// which are the same but for the size of epsilon. With amsgrad (Reddi, Kale, Kumar, "On the
/// Convergence of Adam and Beyond", ICLR 2018) p's step has w <- max(w, v) in place of v; the
/// paper's form is without bias correction, PyTorch's and Keras' with.
///
/// The state is among the updates' targets and starts at zero: "adam.step" (int64, one for all
/// parameters), and for each parameter "adam.m/p", "adam.v/p" and, with amsgrad, "adam.w/p". See
/// checkpoint.hpp. For a cost or for given gradients; rates and errors as in sgd.hpp.
Updates adam(const Arg& cost, const std::vector<Shared>& params, const Arg& rate = 0.001,
             const AdamOptions& options = {});
Updates adam(const std::vector<Shared>& params, const std::vector<Expr>& gradients,
             const Arg& rate = 0.001, const AdamOptions& options = {});

/// Adam with decay of the weights that does not pass through its moments: Loshchilov and Hutter,
/// "Decoupled Weight Decay Regularization", ICLR 2019. Adam's step, and of the same old p
///
///     p <- p - rate weight_decay p - ...
///
/// The rate multiplies the decay, as in PyTorch and optax; in the paper only its schedule does. Not
/// all parameters want decay: adamw(cost, {W}) and adam(cost, {b}) make one list of updates
/// together. State as adam(), in the name "adamw". `weight_decay` is a number that is not negative,
/// or an expression.
Updates adamw(const Arg& cost, const std::vector<Shared>& params, const Arg& rate = 0.001,
              const Arg& weight_decay = 0.01, const AdamOptions& options = {});
Updates adamw(const std::vector<Shared>& params, const std::vector<Expr>& gradients,
              const Arg& rate = 0.001, const Arg& weight_decay = 0.01,
              const AdamOptions& options = {});

}  // namespace cinch
