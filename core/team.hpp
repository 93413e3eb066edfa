// Threads that share the work of one kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace cinch {

/// Sets how many threads kernels may use, the calling one included; 0 stands for one for each
/// processor this process may run on. Until it is called, the environment variable CINCH_THREADS
/// says how many, and without it 0. Results are the same bits for any number. Throws ValueError for
/// a negative number, or more than 256. May be called at any time; waits for kernels that run.
void set_threads(int n);
/// How many threads kernels may use.
int threads();

/// Calls work(context, part) for every part in [0, parts), on several threads at once, in no
/// particular order, and returns when all are done. The parts must be independent of each other,
/// and `parts` must not depend on threads(): then results do not either. Runs everything on the
/// calling thread where the team is busy with another caller, or `work` itself calls this.
/// Rethrows the first exception that a part throws, after all parts have ended.
void share_work(std::int64_t parts, void (*work)(void* context, std::int64_t part), void* context);

/// The same for a callable taking the part's number.
template <class F>
void share_work(std::int64_t parts, F&& work) {
  using Callable = std::remove_reference_t<F>;
  share_work(
      parts, [](void* context, std::int64_t part) { (*static_cast<Callable*>(context))(part); },
      const_cast<void*>(static_cast<const void*>(std::addressof(work))));
}

/// A part of `n` units dealt out to `parts` as evenly as whole multiples of `unit` allow.
struct Span {
  std::int64_t begin, end;
};
Span part_of(std::int64_t n, std::int64_t unit, std::int64_t parts, std::int64_t part);

/// How many parts work of about `nanoseconds` is worth dividing into: a power of two, at most
/// `units`, the same for any number of threads.
std::int64_t parts_for(double nanoseconds, std::int64_t units);

/// Memory of the calling thread for temporaries within one part, 64-byte aligned. Grows to the
/// largest size asked for and stays; what it held is lost when it grows.
std::byte* thread_scratch(std::size_t bytes);

}  // namespace cinch
