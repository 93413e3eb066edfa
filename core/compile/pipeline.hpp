// What a formula goes through between function() and its plan: the passes, by name, in order.
// docs/journey.md shows them at work.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cinch/core/compile/compile.hpp"
#include "cinch/core/plan/plan.hpp"
#include "cinch/core/rewrite/rewrite.hpp"

namespace cinch::compiling {

/// What passes work on: outputs, and new values of variables. A pass keeps their number, their
/// order and their types.
using Goals = std::vector<planning::PlanResult>;

/// Expressions as outputs, and back.
Goals goals_of(std::span<const Expr> values);
std::vector<Expr> values_of(const Goals& goals);

/// What passes tell each other and their caller.
struct Notes {
  CompileLog* log = nullptr;  ///< Null: nobody reads it.
  rewriting::Settled settled = {};
};

struct Pass {
  std::string_view name;
  void (*run)(Goals&, Notes&);
};

/// What function() does, once, when sizes may be unknown.
std::span<const Pass> passes_without_sizes();
/// What is done when all sizes are known, for each set of them.
std::span<const Pass> passes_with_sizes();

/// Runs them in order and notes each in `log`, where there is one. `whose` is the function's name,
/// for the trace.
void run_passes(std::span<const Pass> passes, Goals& goals, CompileLog* log,
                std::string_view whose);

}  // namespace cinch::compiling
