// Threads that share the work of one kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace cinch::running {

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

/// Held around calls of a library that gives up its memory when the program exits, as OpenBLAS
/// does: exit waits for the calls that other threads are in the middle of, and later ones of theirs
/// never return. The thread that exits may go on calling.
class UntilExit {
 public:
  UntilExit();
  ~UntilExit();
  UntilExit(const UntilExit&) = delete;
  UntilExit& operator=(const UntilExit&) = delete;
};

/// Memory of one thread, 64-byte aligned. Grows to the largest size asked for and stays until the
/// thread ends; what it held is lost when it grows. Nothing but a thread_local variable:
///
///     thread_local constinit ThreadMemory memory;
///     std::byte* bytes = memory.get(count);
class ThreadMemory {
 public:
  std::byte* get(std::size_t bytes) { return bytes <= size_ ? data_ : grow(bytes); }

 private:
  friend struct Sweeper;
  std::byte* grow(std::size_t bytes);

  // It has no destructor: what is computed while the thread ends may ask for it after all
  // destructors of its thread_local variables have run.
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  ThreadMemory* next_ = nullptr;
  bool listed_ = false;
};

/// A ThreadMemory for temporaries within one part.
std::byte* thread_scratch(std::size_t bytes);

}  // namespace cinch::running
