#include "cinch/core/run/team.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

#include "cinch/core/error.hpp"
#include "cinch/core/run/cost.hpp"
#include "cinch/core/threads.hpp"

namespace cinch::running {

namespace {

constexpr int most_threads = 256;
constexpr double part_nanoseconds = 10 * cost::handing_over;
constexpr std::int64_t most_parts = 32;
// How long a thread without work looks for some before it sleeps. Kernels of one step follow each
// other within this time; waking a sleeping thread takes 25 us.
constexpr std::chrono::microseconds patience{60};

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// True while `done()` does not hold and patience lasts.
template <class F>
bool spin_until(F&& done) {
  for (int k = 0; k < 64; ++k) {
    if (done()) return true;
    pause();
  }
  const auto end = std::chrono::steady_clock::now() + patience;
  do {
    for (int k = 0; k < 8; ++k) {
      if (done()) return true;
      pause();
    }
    std::this_thread::yield();  // Another process may have work.
  } while (std::chrono::steady_clock::now() < end);
  return done();
}

int processors() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    return std::clamp(CPU_COUNT(&set), 1, most_threads);
#endif
  return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, most_threads);
}

int threads_wanted() {
  const char* text = std::getenv("CINCH_THREADS");
  if (!text || !*text) return processors();
  int n = -1;
  const char* end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, n);
  if (error != std::errc() || stop != end || n < 0 || n > most_threads) {
    throw ValueError(cinch::text("CINCH_THREADS=", text,
                                 " must be a number from 0 (one thread for ", "each processor) to ",
                                 most_threads));
  }
  return n == 0 ? processors() : n;
}

thread_local bool inside_part = false;

/// Work is claimed, never assigned: each thread takes the parts of its own share, then those that
/// others have not begun. So nobody waits for a thread that is asleep or that another process has
/// displaced, unless it is in the middle of a part. Which thread computes a part leaves no trace.
class Team {
 public:
  explicit Team(int size) : size_(size) {}

  int size() const { return size_.load(std::memory_order_relaxed); }

  void resize(int n) {
    const std::scoped_lock lock(busy_);
    dismiss();
    size_ = n;
  }

  /// From now on every caller does its work itself. Threads that serve another go on.
  void work_alone() { size_ = 1; }

  void share(std::int64_t parts, void (*work)(void*, std::int64_t), void* context) {
    std::unique_lock lock(busy_, std::defer_lock);
    if (parts < 2 || inside_part || size() < 2 || !lock.try_lock()) {
      for (std::int64_t part = 0; part < parts; ++part) work(context, part);
      return;
    }
    if (workers_.empty()) engage();
    if (workers_.empty()) {
      for (std::int64_t part = 0; part < parts; ++part) work(context, part);
      return;
    }
    const std::uint32_t job = job_.load(std::memory_order_relaxed) + 1;
    const auto members = static_cast<std::int64_t>(workers_.size()) + 1;
    // Late threads may still look at the job before; nothing can be claimed while this one is
    // written.
    for (std::int64_t m = 0; m < members; ++m) shares_[at(m)].next.store(tag(job, no_part));
    std::atomic_thread_fence(std::memory_order_seq_cst);
    work_.store(work, std::memory_order_relaxed);
    context_.store(context, std::memory_order_relaxed);
    error_ = nullptr;
    left_.store(parts, std::memory_order_relaxed);
    for (std::int64_t m = 0; m < members; ++m) {
      shares_[at(m)].end.store(static_cast<std::uint32_t>(parts * (m + 1) / members),
                               std::memory_order_relaxed);
      shares_[at(m)].next.store(tag(job, static_cast<std::uint32_t>(parts * m / members)),
                                std::memory_order_release);
    }
    job_.store(job);
    if (sleepers_.load() > 0) job_.notify_all();
    take_part(job, 0);
    while (!spin_until([&] { return left_.load(std::memory_order_acquire) == 0; }))
      std::this_thread::yield();
    if (error_) std::rethrow_exception(error_);
  }

 private:
  static constexpr std::uint32_t no_part = ~std::uint32_t{0};
  static std::uint64_t tag(std::uint32_t job, std::uint32_t part) {
    return std::uint64_t{job} << 32 | part;
  }
  static std::size_t at(std::int64_t member) { return static_cast<std::size_t>(member); }

  /// The parts that one thread begins with.
  struct alignas(64) Share {
    std::atomic<std::uint64_t> next = 0;  // With the job's number, so that no claim is too late.
    std::atomic<std::uint32_t> end = 0;
  };

  void take_part(std::uint32_t job, std::size_t member) {
    const std::size_t members = workers_count_.load(std::memory_order_relaxed) + 1;
    for (std::size_t k = 0; k < members; ++k) {
      Share& share = shares_[(member + k) % members];
      while (true) {
        std::uint64_t next = share.next.load(std::memory_order_acquire);
        const std::uint32_t end = share.end.load(std::memory_order_relaxed);
        const auto work = work_.load(std::memory_order_relaxed);
        void* context = context_.load(std::memory_order_relaxed);
        const auto part = static_cast<std::uint32_t>(next);
        if (next >> 32 != job || part >= end) break;
        std::atomic_thread_fence(std::memory_order_seq_cst);
        if (!share.next.compare_exchange_strong(next, next + 1)) continue;
        inside_part = true;
        try {
          work(context, part);
        } catch (...) {
          const std::scoped_lock lock(error_mutex_);
          if (!error_) error_ = std::current_exception();
        }
        inside_part = false;
        left_.fetch_sub(1, std::memory_order_acq_rel);
      }
    }
  }

  void serve(std::size_t member) {
    std::uint32_t seen = 0;
    while (true) {
      const auto news = [&] { return job_.load(std::memory_order_acquire) != seen; };
      if (!spin_until(news)) {
        sleepers_.fetch_add(1);
        while (!news()) job_.wait(seen);
        sleepers_.fetch_sub(1);
      }
      seen = job_.load(std::memory_order_acquire);
      if (leaving_.load(std::memory_order_acquire)) return;
      take_part(seen, member);
    }
  }

  void engage() {
    leaving_ = false;
    job_ = 0;
    const auto count = static_cast<std::size_t>(size() - 1);
    shares_ = std::vector<Share>(count + 1);
    workers_count_ = count;
    workers_.reserve(count);
    try {
      for (std::size_t k = 0; k < count; ++k) workers_.emplace_back([this, k] { serve(k + 1); });
    } catch (const std::system_error&) {
      // There are no more threads to be had. Nobody asks again, as that takes longer than most
      // kernels.
      size_ = static_cast<int>(workers_.size()) + 1;
      workers_count_ = workers_.size();
    }
  }

  void dismiss() {
    if (workers_.empty()) return;
    leaving_ = true;
    job_.fetch_add(1);
    job_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
    workers_count_ = 0;
  }

  std::atomic<int> size_;
  std::mutex busy_;  // Held by the caller that the team works for.
  std::vector<std::thread> workers_;
  std::atomic<std::size_t> workers_count_ = 0;
  std::vector<Share> shares_;
  alignas(64) std::atomic<std::uint32_t> job_ = 0;
  std::atomic<int> sleepers_ = 0;
  std::atomic<bool> leaving_ = false;
  std::atomic<void (*)(void*, std::int64_t)> work_ = nullptr;
  std::atomic<void*> context_ = nullptr;
  alignas(64) std::atomic<std::int64_t> left_ = 0;
  std::mutex error_mutex_;
  std::exception_ptr error_;
};

std::atomic<Team*> the_team = nullptr;

std::atomic<int> calls_inside = 0;  // Of UntilExit.
std::atomic<bool> exiting = false;
thread_local bool exits = false;

/// In a child of fork(), which has none of the threads. What they and other callers were in the
/// middle of is left as it was.
void found_anew() {
  if (const Team* parents = the_team.load()) the_team = new Team(parents->size());
  inside_part = false;
  calls_inside = 0;
}

void stop_calls() {
  exits = true;
  exiting = true;
  if (Team* team = the_team.load()) team->work_alone();
  while (calls_inside.load() != 0) std::this_thread::yield();
}

void watch_process() {
  static const bool once = [] {
    std::atexit(stop_calls);
#if defined(__unix__) || defined(__APPLE__)
    pthread_atfork(nullptr, nullptr, found_anew);
#endif
    return true;
  }();
  (void)once;
}

/// The team is made at the first use and never destroyed: its threads end with the process, so that
/// whatever computes while the program ends, static objects or detached threads, finds it whole.
Team& team() {
  if (Team* team = the_team.load(std::memory_order_acquire)) return *team;
  static const bool once = [] {
    the_team = new Team(threads_wanted());
    watch_process();
    return true;
  }();
  (void)once;
  return *the_team;
}

}  // namespace

UntilExit::UntilExit() {
  watch_process();
  calls_inside.fetch_add(1);
  if (!exiting.load() || exits) return;
  calls_inside.fetch_sub(1);
  while (true) std::this_thread::sleep_for(std::chrono::hours(1));
}
UntilExit::~UntilExit() { calls_inside.fetch_sub(1); }

void share_work(std::int64_t parts, void (*work)(void*, std::int64_t), void* context) {
  team().share(parts, work, context);
}

Span part_of(std::int64_t n, std::int64_t unit, std::int64_t parts, std::int64_t part) {
  const std::int64_t units = (n + unit - 1) / unit;
  return {std::min(n, units * part / parts * unit), std::min(n, units * (part + 1) / parts * unit)};
}

std::int64_t parts_for(double nanoseconds, std::int64_t units) {
  const double parts = std::clamp(nanoseconds / part_nanoseconds, 1.0,
                                  static_cast<double>(std::max<std::int64_t>(units, 1)));
  const double most = std::min(parts, static_cast<double>(most_parts));
  return static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(most)));
}

namespace {
/// The memories of this thread.
thread_local constinit ThreadMemory* memories = nullptr;
}  // namespace

/// Frees the memories of a thread that ends.
struct Sweeper {
  bool armed = false;

  static void release(ThreadMemory& memory) {
    ::operator delete[](memory.data_, std::align_val_t{64});
    memory.data_ = nullptr;
    memory.size_ = 0;
  }
  ~Sweeper() {
    for (; memories; memories = memories->next_) release(*memories);
  }
};

std::byte* ThreadMemory::grow(std::size_t bytes) {
  if (!listed_) {
    // Once only: afterwards the thread may be ending, and the sweeper gone.
    thread_local Sweeper sweeper;
    sweeper.armed = listed_ = true;
    next_ = memories;
    memories = this;
  }
  Sweeper::release(*this);
  data_ = static_cast<std::byte*>(::operator new[](bytes, std::align_val_t{64}));
  size_ = bytes;
  return data_;
}

std::byte* thread_scratch(std::size_t bytes) {
  thread_local constinit ThreadMemory memory;
  return memory.get(std::max<std::size_t>(bytes, 1));
}

}  // namespace cinch::running

namespace cinch {

void set_threads(int n) {
  if (n < 0 || n > running::most_threads) {
    throw ValueError(text("set_threads: ", n, " is not a number from 0 (one thread for each ",
                          "processor) to ", running::most_threads));
  }
  running::team().resize(n == 0 ? running::processors() : n);
}

int threads() { return running::team().size(); }

}  // namespace cinch
