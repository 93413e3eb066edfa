// What steps of loops compute, as formulas that are told of.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cinch/core/expr.hpp"

namespace cinch::testing {

/// Of one state, and what it is made of: (n, k) rows and states, (k, k) weights.
struct LoopBody {
  std::string text;
  std::function<Expr(Expr x, Expr h, Expr U)> step;
};
const std::vector<LoopBody>& loop_bodies();

}  // namespace cinch::testing
