// The step of a loop, compiled: for all rows, or for parts of them that need nothing of each other.
#pragma once

#include <atomic>
#include <cstdint>

#include "cinch/core/plan/loop_program.hpp"

namespace cinch::compiling {

/// Compiles the step of a loop of so many steps: makes `program.cut` and `program.parts` of what
/// else it says. Rows are divided into parts where they need nothing of each other and that pays,
/// which depends on sizes alone, so that results do not depend on the number of threads; not where
/// a step may refuse values or shows them, or where the loop ends early.
void compile_step(planning::LoopProgram& program, std::int64_t steps);

/// Where it is not 0, loops whose rows can be divided are, into so many parts; for tests.
extern std::atomic<std::int64_t> forced_parts;

}  // namespace cinch::compiling
