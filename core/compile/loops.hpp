// Loops as steps of a plan: what need not be in one is taken out of it, the rest is compiled.
#pragma once

#include <vector>

#include "cinch/core/expr.hpp"

namespace cinch::compiling {

/// `roots` without scans. What depends on no step is computed once; what depends on rows alone, and
/// what a step makes of states that nobody carries on, for all steps together, where they can be
/// contracted and fused with what follows; a recurrence that is left is one loop for all that asks
/// for it. Sizes are known.
std::vector<Expr> without_scans(std::vector<Expr> roots);

}  // namespace cinch::compiling
