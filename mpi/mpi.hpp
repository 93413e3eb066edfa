// Training on several processes, of one machine or of many, by MPI.
#pragma once

#include <memory>

#include "cinch/core/visibility.hpp"
#include "cinch/train/distribution.hpp"

namespace CINCH_PUBLIC cinch {

/// How mpi() goes about it.
struct MpiOptions {
  /// Seconds after which a rank that does not answer is given up, and all end: more than any step,
  /// validation or checkpoint takes. Positive.
  double limit = 120;
};

/// The processes that `mpirun -np 4 program` has started, for train({... .distribute = mpi()}). One
/// that was started without mpirun is one rank. Sets MPI up with the first call, if the program has
/// not done so, and then ends it when the program ends. Where threads() is what the machine has,
/// ranks of one machine share its processors. Throws Error where MPI cannot be set up, and where
/// several processes were started by another MPI than the one that this program is linked with,
/// ValueError for a limit that is not positive.
std::shared_ptr<Distribution> mpi(const MpiOptions& options = {});

}  // namespace cinch
