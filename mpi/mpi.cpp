#include "cinch/mpi/mpi.hpp"

// The C interface only: Open MPI's for C++ is deprecated, and MPICH's has warnings.
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "cinch/core/error.hpp"
#include "cinch/core/threads.hpp"

namespace cinch {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int data_tag = 1, failure_tag = 2;
/// MPI counts bytes by int.
constexpr std::size_t most_bytes = std::size_t{1} << 30;
constexpr std::size_t longest_reason = 2000;

/// Set where ranks cannot be relied upon any more: then the program ends without MPI_Finalize,
/// which would wait for them, and mpirun, who sees that, ends the others.
bool failed = false;

void finalize() {
  int done = 0;
  MPI_Finalized(&done);
  if (!done && !failed) MPI_Finalize();
}

void require(int code, const char* what) {
  if (code == MPI_SUCCESS) return;
  char said[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, said, &length);
  failed = true;
  throw Error(text("mpi: ", what, ": ", std::string(said, static_cast<std::size_t>(length))));
}

std::string library() {
  char said[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  MPI_Get_library_version(said, &length);
  std::string result(said, static_cast<std::size_t>(length));
  return result.substr(0, result.find_first_of("\n,"));
}

/// Throws where a launcher has started several processes that this library does not know of.
void require_one_vendor(int ranks) {
  if (ranks > 1) return;
  const Launch together = launch();
  if (together.processes == 1) return;
  throw Error(text("mpi: this is one of ", together.processes,
                   " processes that were started together (", together.said,
                   "), and the MPI that the program is linked with, ", library(),
                   ", knows of one: start it by that MPI's mpirun"));
}

/// Waits a little longer each time, so that ranks that share a processor let each other compute.
class Patience {
 public:
  void wait() {
    if (++rounds_ < 2000) {
      sched_yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }
  void renew() { rounds_ = 0; }

 private:
  int rounds_ = 0;
};

class Mpi : public Distribution {
 public:
  explicit Mpi(double limit) : limit_(limit) {
    // Other communication of the program's does not meet ours.
    require(MPI_Comm_dup(MPI_COMM_WORLD, &data_), "no communicator");
    require(MPI_Comm_dup(MPI_COMM_WORLD, &failures_), "no communicator");
    MPI_Comm_set_errhandler(data_, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(failures_, MPI_ERRORS_RETURN);
    MPI_Comm_rank(data_, &rank_);
    MPI_Comm_size(data_, &ranks_);
  }

  int rank() const override { return rank_; }
  int ranks() const override { return ranks_; }
  void exchange(std::span<const Outgoing> out, std::span<const Incoming> in) override {
    begin(out, in);
    finish();
  }
  void begin(std::span<const Outgoing> out, std::span<const Incoming> in) override;
  void advance() override { test(); }
  void finish() override;
  void fail(const std::string& why) noexcept override;

 private:
  bool test();
  void look_for_failures();
  [[noreturn]] void give_up();

  double limit_;
  MPI_Comm data_ = MPI_COMM_NULL, failures_ = MPI_COMM_NULL;
  int rank_ = 0, ranks_ = 1;
  std::vector<MPI_Request> requests_;
  struct Peer {
    int rank;
    bool sends;  ///< To this one.
  };
  std::vector<Peer> peers_;  // By request.
  std::vector<int> done_;
  std::size_t pending_ = 0;
};

void Mpi::begin(std::span<const Outgoing> out, std::span<const Incoming> in) {
  if (failed) throw Error("mpi: the ranks have been given up; start the program anew");
  const auto post = [&](int rank, bool sends, std::size_t bytes, auto start) {
    for (std::size_t at = 0; at < bytes; at += most_bytes) {
      requests_.push_back(MPI_REQUEST_NULL);
      peers_.push_back({rank, sends});
      require(start(at, static_cast<int>(std::min(most_bytes, bytes - at)), &requests_.back()),
              sends ? "receiving failed" : "sending failed");
      ++pending_;
    }
  };
  for (const Incoming& one : in) {
    post(one.rank, true, one.bytes.size(), [&](std::size_t at, int count, MPI_Request* request) {
      return MPI_Irecv(one.bytes.data() + at, count, MPI_BYTE, one.rank, data_tag, data_, request);
    });
  }
  for (const Outgoing& one : out) {
    post(one.rank, false, one.bytes.size(), [&](std::size_t at, int count, MPI_Request* request) {
      return MPI_Isend(one.bytes.data() + at, count, MPI_BYTE, one.rank, data_tag, data_, request);
    });
  }
}

/// Whether anything has been sent or received since.
bool Mpi::test() {
  if (pending_ == 0) return false;
  int count = 0;
  done_.resize(requests_.size());
  require(MPI_Testsome(static_cast<int>(requests_.size()), requests_.data(), &count, done_.data(),
                       MPI_STATUSES_IGNORE),
          "a rank cannot be reached");
  if (count > 0) pending_ -= static_cast<std::size_t>(count);
  return count > 0;
}

void Mpi::finish() {
  Clock::time_point moved = Clock::now(), looked = moved;
  Patience patience;
  while (pending_ > 0) {
    if (test()) {
      patience.renew();
      moved = Clock::now();
      continue;
    }
    const Clock::time_point now = Clock::now();
    if (now - looked > std::chrono::milliseconds(1)) {
      look_for_failures();
      looked = now;
    }
    if (std::chrono::duration<double>(now - moved).count() > limit_) give_up();
    patience.wait();
  }
  requests_.clear(), peers_.clear();
}

/// Throws where a rank has said that it goes no further.
void Mpi::look_for_failures() {
  int any = 0;
  MPI_Status status;
  require(MPI_Iprobe(MPI_ANY_SOURCE, failure_tag, failures_, &any, &status),
          "a rank cannot be reached");
  if (!any) return;
  int length = 0;
  MPI_Get_count(&status, MPI_BYTE, &length);
  std::string why(static_cast<std::size_t>(length), ' ');
  MPI_Recv(why.data(), length, MPI_BYTE, status.MPI_SOURCE, failure_tag, failures_,
           MPI_STATUS_IGNORE);
  failed = true;
  throw Error(text("mpi: rank ", status.MPI_SOURCE, " of ", ranks_, " has stopped: ", why));
}

/// Names the ranks that were waited for in vain.
void Mpi::give_up() {
  failed = true;
  std::vector<int> silent;
  for (std::size_t k = 0; k < requests_.size(); ++k) {
    if (requests_[k] != MPI_REQUEST_NULL && peers_[k].sends) silent.push_back(peers_[k].rank);
  }
  // Who waits to be sent something may wait for others: it is to blame if nobody else is.
  for (std::size_t k = 0; k < requests_.size() && silent.empty(); ++k) {
    if (requests_[k] != MPI_REQUEST_NULL) silent.push_back(peers_[k].rank);
  }
  std::sort(silent.begin(), silent.end());
  silent.erase(std::unique(silent.begin(), silent.end()), silent.end());
  std::string names;
  for (const int r : silent) names += text(names.empty() ? "" : ", ", r);
  throw Error(
      text("mpi: rank ", names, " of ", ranks_, silent.size() > 1 ? " have" : " has",
           " not answered rank ", rank_, " for ", limit_,
           " s: stopped, killed, cut off or slower than that\n  The last checkpoint goes on "
           "with any number of ranks; mpi({.limit = ...}) waits longer."));
}

void Mpi::fail(const std::string& why) noexcept {
  if (failed || ranks_ == 1) return;
  failed = true;
  const auto length = static_cast<int>(std::min(why.size(), longest_reason));
  std::vector<MPI_Request> sent(static_cast<std::size_t>(ranks_), MPI_REQUEST_NULL);
  for (int r = 0; r < ranks_; ++r) {
    if (r != rank_)
      MPI_Isend(why.data(), length, MPI_BYTE, r, failure_tag, failures_,
                &sent[static_cast<std::size_t>(r)]);
  }
  // So short a message is on its way at once; somebody who hears nothing is not waited for.
  const Clock::time_point until = Clock::now() + std::chrono::milliseconds(500);
  int done = 0;
  Patience patience;
  while (!done && Clock::now() < until) {
    MPI_Testall(ranks_, sent.data(), &done, MPI_STATUSES_IGNORE);
    patience.wait();
  }
}

/// Threads of ranks on one machine would get into each other's way.
void share_processors() {
  const char* chosen = std::getenv("CINCH_THREADS");
  if (chosen && std::strtol(chosen, nullptr, 10) > 0) return;
  MPI_Comm machine = MPI_COMM_NULL;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine);
  int ranks = 1;
  MPI_Comm_size(machine, &ranks);
  MPI_Comm_free(&machine);
  const auto processors = static_cast<int>(std::thread::hardware_concurrency());
  if (ranks > 1 && threads() == processors) set_threads(std::max(1, processors / ranks));
}

}  // namespace

std::shared_ptr<Distribution> mpi(const MpiOptions& options) {
  if (!(options.limit > 0))
    throw ValueError(text("mpi: the limit must be positive, got ", options.limit));
  int begun = 0, ended = 0;
  MPI_Initialized(&begun);
  MPI_Finalized(&ended);
  if (ended) throw Error("mpi: MPI has ended already, with MPI_Finalize");
  if (!begun) {
    int provided = 0;
    require(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided),
            "MPI cannot be set up");
    std::atexit(finalize);
  }
  int ranks = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  require_one_vendor(ranks);
  if (!begun) share_processors();
  return std::make_shared<Mpi>(options.limit);
}

}  // namespace cinch
