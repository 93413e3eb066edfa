// Loops written out, one step after the other.
#pragma once

#include <vector>

#include "cinch/core/expr.hpp"

namespace cinch::exchange {

/// `roots` with the steps of each loop in its place, where the number of steps is known and small
/// enough; other loops stay. Equal nodes of several results are joined by whoever simplifies.
std::vector<Expr> unrolled(std::vector<Expr> roots);

}  // namespace cinch::exchange
