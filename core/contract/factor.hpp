// Sums and differences of products with common factors, as one product.
#pragma once

#include <span>
#include <vector>

#include "cinch/core/expr.hpp"

namespace cinch::contraction {

/// `roots`, whose sizes are all known, with sum(p u) + sum(p v) as sum(p (u + v)), where that costs
/// less or u + v is much smaller than the result: the difference of two Jacobians of one network
/// becomes one product of its weights with what differs, and sums of squares of it need none.
std::vector<Expr> with_common_factors(std::span<const Expr> roots);

}  // namespace cinch::contraction
