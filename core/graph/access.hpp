// Who may use a value at a time: many that read it, or one that writes.
#pragma once

#include <atomic>
#include <cstdint>

namespace cinch::graphs {

/// A lock for readers and writers, as std::shared_mutex, whose writers do not wait for readers that
/// come after them: a value that is read without a pause can be set. Taking it costs some 10 ns and
/// no memory. A thread that holds it must not take it again.
class Access {
 public:
  Access() = default;
  Access(const Access&) = delete;
  Access& operator=(const Access&) = delete;

  void lock_shared() {
    std::uint32_t state = state_.load(std::memory_order_relaxed);
    while (true) {
      if (state & (writing | wanted)) {
        state_.wait(state, std::memory_order_relaxed);
        state = state_.load(std::memory_order_relaxed);
      } else if (state_.compare_exchange_weak(state, state + 1, std::memory_order_acquire,
                                              std::memory_order_relaxed)) {
        return;
      }
    }
  }
  void unlock_shared() {
    if (state_.fetch_sub(1, std::memory_order_release) == (wanted | 1)) state_.notify_all();
  }
  void lock() {
    std::uint32_t state = state_.load(std::memory_order_relaxed);
    while (true) {
      if ((state & ~wanted) == 0) {
        // Other writers that wait will say so again.
        if (state_.compare_exchange_weak(state, writing, std::memory_order_acquire,
                                         std::memory_order_relaxed))
          return;
      } else if (!(state & wanted)) {
        if (state_.compare_exchange_weak(state, state | wanted, std::memory_order_relaxed))
          state |= wanted;
      } else {
        state_.wait(state, std::memory_order_relaxed);
        state = state_.load(std::memory_order_relaxed);
      }
    }
  }
  void unlock() {
    state_.fetch_and(~writing, std::memory_order_release);
    state_.notify_all();
  }

 private:
  static constexpr std::uint32_t writing = 1u << 31, wanted = 1u << 30;  // Below: how many read.
  std::atomic<std::uint32_t> state_ = 0;
};

}  // namespace cinch::graphs
