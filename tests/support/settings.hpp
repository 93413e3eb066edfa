// What a run of the tests is asked for from outside.
#pragma once

#include <cstdint>

#include "cinch/core/threads.hpp"

namespace cinch::testing {

/// The number in an environment variable, as CINCH_RANDOM_PROGRAMS; `otherwise` where it is not
/// set.
std::int64_t number_from(const char* variable, std::int64_t otherwise);

/// Sets a number of threads for a while.
struct Threads {
  explicit Threads(int n) { set_threads(n); }
  ~Threads() { set_threads(before); }
  int before = threads();
};

}  // namespace cinch::testing
