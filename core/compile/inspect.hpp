// What a compiled function is made of.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cinch/core/compile/compile.hpp"
#include "cinch/core/function.hpp"

namespace cinch::compiling {

struct PlanRecord {
  std::vector<StepInfo> steps;
  std::vector<StepTime> times;
  std::int64_t calls;  ///< That were measured.
  double nanoseconds;  ///< Of these calls, together.
};

/// The specification with these replaced in all its formulas, at once, so that what is one node in
/// two of them stays one. Variables that are updated are replaced by others.
FunctionSpec replaced(FunctionSpec spec, const Substitutions& by);

}  // namespace cinch::compiling

namespace cinch {

/// A look at what users do not see.
struct Inspect {
  static const compiling::Program& program(const Function& f);
  /// As it was given to function().
  static const FunctionSpec& spec(const Function& f);
  /// The plans that are kept, most recently used first.
  static std::vector<compiling::PlanRecord> plans(const Function& f);
  /// The plan used last, made again with a log of how; null before the first call.
  static std::unique_ptr<planning::Plan> replan(const Function& f, compiling::CompileLog& log);
};

}  // namespace cinch
