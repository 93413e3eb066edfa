// What a formula takes for probabilities.
#pragma once

#include <vector>

#include "cinch/core/expr.hpp"

namespace cinch::rules {

/// The t of every binary cross-entropy in `root`, t log(z) + (1 - t) log(1 - z), written out or by
/// one of the functions of loss.hpp and models/losses.hpp, from z or from logits. Each once.
/// Outside [0, 1] such a loss falls without end.
std::vector<Expr> cross_entropy_targets(const Expr& root);

}  // namespace cinch::rules
