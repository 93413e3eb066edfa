// Which rows of a loop do not depend on each other, and the loop's step for some of them.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "cinch/core/graph/recurrence.hpp"
#include "cinch/core/plan/loop_program.hpp"

namespace cinch::compiling {

/// Of a loop whose rows are divided into parts that need nothing of each other.
struct RowParts {
  planning::LoopProgram::Cut cut;
  std::int64_t parts = 1;
};

/// The division that pays for a loop of so many steps: it depends on sizes alone, so that results
/// do not depend on the number of threads. `roots` are what a step computes of r's variables, the
/// updates first. One part where rows depend on each other, where a step may refuse values or shows
/// them, where it ends early, and where there is little to do.
RowParts row_parts(const graphs::Recurrence& r, std::span<const Expr> roots, std::int64_t steps);

/// The step for so many rows only: in variables of its own, in the order of r's.
struct StepOfRows {
  std::vector<Expr> variables, roots;
};
/// No roots where a formula does not say how it reads for fewer rows.
StepOfRows step_of_rows(const graphs::Recurrence& r, std::span<const Expr> roots,
                        const planning::LoopProgram::Cut& cut, std::int64_t rows);

/// Where it is not 0, loops whose rows can be divided are, into so many parts; for tests.
extern std::atomic<std::int64_t> forced_parts;

}  // namespace cinch::compiling
