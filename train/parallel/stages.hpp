// A step over a minibatch, cut into functions of a part of its rows and one of their sums.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "cinch/core/function.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/train/parallel/parts.hpp"

namespace cinch::parallel {

/// What each part computes of its rows: sums over them, which are added up over all parts.
class Stage {
 public:
  /// The function's outputs and then the new values of `slots` are the sums.
  Stage(Function part, std::vector<Shared> slots, std::size_t outputs, std::vector<Combine> how);

  /// The part's sums, of the same dtypes and sizes for every part; what `result` has of these is
  /// written over. The arguments are, in this order: the part's rows of each tensor of the data,
  /// or, where the step holds its data itself, the number of the minibatch; the minibatch's number
  /// of rows; the part's first row and its number of rows; the states of random draws; the sums of
  /// the stages before.
  void compute(std::span<const Tensor* const> arguments, std::vector<Tensor>& result);
  /// How each is put together with those of other parts.
  const std::vector<Combine>& how() const { return how_; }

 private:
  Function part_;
  // Large sums are variables' new values, which are computed where they shall lie.
  std::vector<Shared> slots_;
  std::vector<Tensor> outputs_;
  std::vector<Combine> how_;
};

/// A step whose results are, to rounding, those of the function it is made of.
struct StagedStep {
  std::vector<Stage> stages;  ///< Later ones need the sums of earlier ones, as batch norms do.
  /// From the number of the minibatch, where the step holds its data itself, its number of rows and
  /// the sums of all stages to the outputs and updates.
  Function update;
  /// Where the step holds its data itself: how many rows each slice has, by the minibatch's number.
  Function rows;
  std::vector<Shared> draws;  ///< The states of random draws, each an int64 vector of 3.
};

/// `step` takes minibatches of these tensors' rows; without any it holds its data itself, and its
/// input is the minibatch's number, by which it slices rows of shared variables. Throws TypeError,
/// in the name of `what`, with the user's line, where a row's results depend on other rows in
/// another way than by sums over all.
StagedStep staged(const char* what, const Function& step, const std::vector<const Tensor*>& data);

}  // namespace cinch::parallel
