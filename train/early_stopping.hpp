// When to stop: as long as validation improves by enough, there is patience for more.
#pragma once

#include <cstdint>
#include <limits>

#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// As in the Theano tutorials: training goes on for `patience` steps at least; a validation loss
/// below improvement_threshold times the best so far, at step t, makes that patience_increase * t.
struct EarlyStopping {
  double patience = 5000;                ///< Steps; not negative.
  double patience_increase = 2;          ///< At least 1.
  double improvement_threshold = 0.995;  ///< In (0, 1].
};

/// What it depends on so far.
struct Patience {
  double steps = 0;  ///< Training goes on up to the step of this number.
  double best = std::numeric_limits<double>::infinity();  ///< Smallest validation loss.
  std::int64_t best_step = -1;                            ///< And the step after which it was seen.
};

/// Throws ValueError for a setting out of its range.
void require_valid(const EarlyStopping& settings);

/// Takes note of a validation loss after step `step`, counted from 0; returns whether it is the
/// best so far. A threshold of 0.995 asks for 0.5% of the best loss' size, also where losses are
/// negative. Without settings patience stays.
bool observe(Patience& patience, const EarlyStopping* settings, std::int64_t step, double loss);

}  // namespace cinch
