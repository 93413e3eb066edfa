// Which loops of a plan go through the same rows, one after the other.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "cinch/core/run/loop.hpp"

namespace cinch::planning {

/// A step of a plan, as far as it matters here.
struct StepSketch {
  const running::LoopSpec* loop;  ///< Null: it is none.
  std::vector<int> reads, writes;
};

/// Numbers of steps, ascending, that may run as one where the first of them stands: what stands
/// between them needs none of them before, nor they anything of it. Each has two or more rows,
/// reads of what others write the same rows only, and there is enough of it not to stay near the
/// processor.
std::vector<std::vector<std::size_t>> row_chains(std::span<const StepSketch> steps);

}  // namespace cinch::planning
