// A step over a minibatch, cut into functions of a part of its rows and one of their sums.
#pragma once

#include <vector>

#include "cinch/core/function.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/train/parallel/slices.hpp"
#include "cinch/train/parallel/stage.hpp"

namespace cinch::parallel {

/// A step whose results are, to rounding, those of the function it is made of.
struct StagedStep {
  std::vector<Stage> stages;  ///< Later ones need the sums of earlier ones, as batch norms do.
  /// From the number of the minibatch, where the step holds its data itself, its number of rows and
  /// the sums of all stages to the outputs and updates.
  SlicedUpdate update;
  /// Where the step holds its data itself: how many rows each slice has, by the minibatch's number.
  Function rows;
  std::vector<Shared> draws;  ///< The states of random draws, each an int64 vector of 3.
};

/// `step` takes minibatches of these tensors' rows; without any it holds its data itself, and its
/// input is the minibatch's number, by which it slices rows of shared variables. `rank` makes its
/// rows of the update. Throws TypeError,
/// in the name of `what`, with the user's line, where a row's results depend on other rows in
/// another way than by sums over all.
StagedStep staged(const char* what, const Function& step, const std::vector<const Tensor*>& data,
                  Rank rank = {});

}  // namespace cinch::parallel
