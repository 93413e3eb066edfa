// Moving averages of parameters, which are often better than the parameters that the last step
// left.
#pragma once

#include <vector>

#include "cinch/core/function.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// Parameters, their averages, and the updates that change both.
struct Averages {
  std::vector<Shared> params, values;  ///< One average for each parameter.
  Updates updates;

  /// Each parameter and its average: function({.givens = averages.givens(), ...}) computes with the
  /// averages in place of the parameters.
  Substitutions givens() const;
};

/// a <- decay a + (1 - decay) p for each parameter, with the p that `updates` make of it; a starts
/// as p is now, so that it needs no correction (Polyak and Juditsky, "Acceleration of stochastic
/// approximation by averaging", 1992, for decay near 1). State: "average/p". Throws ValueError
/// unless 0 <= decay < 1, and where a parameter is none of the updates' targets.
Averages moving_averages(const Updates& updates, const std::vector<Shared>& params,
                         double decay = 0.999, Source where = Source::here());

}  // namespace cinch
