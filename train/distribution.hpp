// One training on several processes, which give the same bits for any number of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// The processes that train together, seen from one of them, and how they talk: what a means of
/// communication has to do for train({... .distribute = ...}). `mpi()`, of the component
/// cinch::mpi, is one; `one_process()` another.
class Distribution {
 public:
  /// Bytes for, or from, another rank.
  struct Outgoing {
    int rank;
    std::span<const std::byte> bytes;
  };
  struct Incoming {
    int rank;
    std::span<std::byte> bytes;
  };

  Distribution() = default;
  virtual ~Distribution() = default;
  Distribution(const Distribution&) = delete;
  Distribution& operator=(const Distribution&) = delete;

  virtual int rank() const = 0;   ///< Of this process, from 0.
  virtual int ranks() const = 0;  ///< How many there are; at least 1.

  /// Sends and receives all of these, and returns when that is done. Of what one rank sends to
  /// another the order is kept; sizes agree on both sides; no rank is this one. Throws Error with
  /// the rank that does not answer within the time limit, or that has failed, and why.
  virtual void exchange(std::span<const Outgoing> out, std::span<const Incoming> in) = 0;

  /// Begins an exchange that goes on while this process computes: what is sent must stay as it is,
  /// and what is received is there, when finish() has returned. Several may be begun, by all ranks
  /// in the same order; exchange() has to wait for finish(). Where nothing else is known, all is
  /// exchanged by finish().
  virtual void begin(std::span<const Outgoing> out, std::span<const Incoming> in);
  /// Lets what has been begun go on, and returns at once.
  virtual void advance() {}
  /// Returns when all that was begun is done. Throws as exchange() does.
  virtual void finish();

  /// Tells the other ranks, whose exchange() then throws, that this one goes no further, and why.
  virtual void fail(const std::string& why) noexcept = 0;

 private:
  std::vector<Outgoing> begun_out_;
  std::vector<Incoming> begun_in_;
};

/// The same training with nobody else: parts of each minibatch one after the other. Its results are
/// those of any number of processes.
std::shared_ptr<Distribution> one_process();

/// What the environment of a launcher, of Open MPI, MPICH or Slurm, says of this process: it is one
/// of `processes` that were started together, by the variable `said`, such as
/// "OMPI_COMM_WORLD_SIZE=4". One process where none says anything.
struct Launch {
  int processes = 1;
  std::string said;
};
/// How many processes were started together, as the launcher's environment says.
Launch launch();

/// What each rank has to say, by rank. Throws as exchange() does.
std::vector<std::string> all_gathered(Distribution& ranks, const std::string& mine);

}  // namespace cinch
