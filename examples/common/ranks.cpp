// Programs on several processes: who they are, and who of them prints and writes.
#include <cstdio>

#include "common/common.hpp"
#include "common/options.hpp"
#ifdef CINCH_EXAMPLES_WITH_MPI
#include <cinch/mpi/mpi.hpp>
#endif

namespace cinch::examples {

namespace {

/// Throws where a launcher has started several processes, each of which would do the same.
void require_alone(bool can_share) {
  const Launch together = launch();
  if (together.processes == 1) return;
  throw ValueError(
      text("this is one of ", together.processes, " processes that were started together (",
           together.said, "), and each would do all by itself\n  ",
           can_share ? "--distribute mpi lets them train together"
                     : "This program does nothing that processes can share: start it without "
                       "mpirun",
           "."));
}

}  // namespace

std::shared_ptr<Distribution> ranks_of(const CLI::App& app, const Options& options) {
  if (options.distribute.empty()) {
    require_alone(app.get_option_no_throw("--distribute") != nullptr);
    return nullptr;
  }
  if (options.distribute == "one") {
    require_alone(true);
    return one_process();
  }
#ifdef CINCH_EXAMPLES_WITH_MPI
  return mpi();
#else
  throw ValueError(
      "--distribute mpi: this program was built where no MPI was found\n  Build Cinch again with "
      "one (on Debian: apt-get install libopenmpi-dev openmpi-bin), or --distribute one computes "
      "the same bits by one process.");
#endif
}

void leave_to_others(Options& options) {
  options.quiet = true;
  options.report = options.tensorboard = false;
  options.record->leave_to_others();
  // What programs print without asking --quiet as well.
  if (!std::freopen("/dev/null", "w", stdout)) throw FileError("/dev/null: cannot be written to");
}

}  // namespace cinch::examples
