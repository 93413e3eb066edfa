// Minimisations by several processes.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cinch/core/visibility.hpp"
#include "cinch/io/shards.hpp"
#include "cinch/optim/minimise.hpp"
#include "cinch/train/distribution.hpp"

namespace CINCH_PUBLIC cinch {

/// How in_parts() goes about it.
struct PartsOptions {
  /// Into how many parts the rows are cut, each of 8 or more: at least as many as there are ranks.
  /// Results depend on it, by rounding. 0: as train() cuts so large a minibatch, but 64 at most.
  std::int64_t parts = 0;
  /// Instead of arguments, rows in files, a tensor each: a rank reads its own alone.
  std::vector<const Shards*> shards = {};
};

/// For lbfgs(f, params, {x}, {.distribute = in_parts(mpi())}) and conjugate_gradient(): the
/// function is cut as train() cuts a step, all rows of its arguments being one minibatch. Each
/// process computes parts of the rows, sums are added along one tree, and all go on from the same
/// bits, which are those of any number of processes.
///
/// A minimisation then throws TypeError, with the user's line, where rows mix in another way than
/// by sums and means over them, and where arguments are not tensors of as many rows each;
/// ValueError where there are more ranks than parts; Error where processes differ in program, data
/// or variables, and where one has failed.
Evaluator in_parts(std::shared_ptr<Distribution> ranks, const PartsOptions& options = {});

}  // namespace cinch
