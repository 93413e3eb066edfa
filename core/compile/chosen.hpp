// Products of which only chosen elements are used.
#pragma once

#include <span>
#include <vector>

#include "cinch/core/expr.hpp"

namespace cinch::compiling {

/// `roots`, whose sizes are known, where a product of matrices that goes nowhere but through
/// arithmetic into choices by indices, as the gradient by a code of a few units, is computed where
/// it is chosen.
std::vector<Expr> with_chosen_products(std::span<const Expr> roots);

}  // namespace cinch::compiling
