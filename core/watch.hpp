// What a function looks out for in its results.
#pragma once

#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// What a function watches for.
enum class Watch {
  nothing,     ///< Values come back whatever they are.
  nan,         ///< A NaN in an output, or in the new value of a variable that was finite.
  not_finite,  ///< The same, and infinities, but for those that were written as numbers.
  everywhere,  ///< Any NaN or infinity of the formula as written, also one that no result shows.
};

}  // namespace cinch
