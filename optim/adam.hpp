// Adam: steps scaled by running moments of the gradient.
#pragma once

#include <vector>

#include "core/function.hpp"
#include "core/shared.hpp"

namespace cinch {

/// Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015. For each parameter p
/// with gradient g, at step t = 1, 2, ...
///
///     m <- beta1 m + (1 - beta1) g
///     v <- beta2 v + (1 - beta2) g^2
///     p <- p - rate sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + epsilon)
///
/// which is the order of computation of the paper's section 2 and of Keras and TensorFlow: epsilon
/// meets the moment that is not corrected for its start at zero. The paper's Algorithm 1, and
/// PyTorch, add it to the corrected one: the same but for epsilon sqrt(1 - beta2^t) in its place.
///
/// The updates hold the step counter (int64, one for all parameters) and both moments of each
/// parameter besides the parameters themselves; all three are shared variables that start at zero,
/// so training goes on where it stopped when they are saved and set. `rate` is a number or a scalar
/// expression. Throws as grad() does, and ValueError unless 0 <= beta < 1 and epsilon > 0.
Updates adam(const Arg& cost, const std::vector<Shared>& params, const Arg& rate = 0.001,
             double beta1 = 0.9, double beta2 = 0.999, double epsilon = 1e-8);

}  // namespace cinch
