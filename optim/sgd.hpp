// Stochastic gradient descent, plain and with momentum.
#pragma once

#include <vector>

#include "cinch/core/function.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

// Every optimizer comes twice: for a cost, whose gradients it takes, and for gradients g that are
// given, one a parameter, of its type: clipped ones, say. `rate`, and `mu` below, are numbers or
// scalar expressions: inputs of the function, or formulas of a step counter (see schedules.hpp).
// All throw as grad() does; ValueError for a number out of its range, an empty list of parameters,
// or one that comes twice; TypeError for gradients that do not fit, and for a rate that is no
// scalar.

/// p <- p - rate g for each parameter.
Updates sgd(const Arg& cost, const std::vector<Shared>& params, const Arg& rate);
Updates sgd(const std::vector<Shared>& params, const std::vector<Expr>& gradients, const Arg& rate);

/// Polyak's heavy ball, as in Sutskever, Martens, Dahl, Hinton, "On the importance of
/// initialization and momentum in deep learning", ICML 2013, and in Keras and Lasagne:
///
///     v <- mu v - rate g
///     p <- p + v
///
/// PyTorch keeps v / -rate instead, which differs when the rate changes: then a new rate applies to
/// past gradients too. State: "momentum.v/p". 0 <= mu < 1.
Updates momentum(const Arg& cost, const std::vector<Shared>& params, const Arg& rate,
                 const Arg& mu = 0.9);
Updates momentum(const std::vector<Shared>& params, const std::vector<Expr>& gradients,
                 const Arg& rate, const Arg& mu = 0.9);

/// Nesterov's accelerated gradient, same paper, with the point at which the gradient is taken as
/// the parameter (Bengio, Boulanger-Lewandowski, Pascanu, "Advances in optimizing recurrent
/// networks", ICASSP 2013), as Keras and Lasagne have it:
///
///     v <- mu v - rate g
///     p <- p + mu v - rate g
///
/// with the new v in the second line. State: "nesterov.v/p". 0 <= mu < 1.
Updates nesterov(const Arg& cost, const std::vector<Shared>& params, const Arg& rate,
                 const Arg& mu = 0.9);
Updates nesterov(const std::vector<Shared>& params, const std::vector<Expr>& gradients,
                 const Arg& rate, const Arg& mu = 0.9);

}  // namespace cinch
