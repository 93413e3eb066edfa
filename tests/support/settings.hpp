// What a run of the tests is asked for from outside.
#pragma once

#include <cstdint>

namespace cinch::testing {

/// The number in an environment variable, as CINCH_RANDOM_PROGRAMS; `otherwise` where it is not
/// set.
std::int64_t number_from(const char* variable, std::int64_t otherwise);

}  // namespace cinch::testing
