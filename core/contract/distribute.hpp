// Sums of products with a difference in them, as differences of sums.
#pragma once

#include <span>
#include <vector>

#include "cinch/core/expr.hpp"

namespace cinch::contraction {

/// `roots`, whose sizes are all known, with sum(p (u - v)) as sum(p u) - sum(p v) where u and v are
/// both much smaller than their difference: between all pairs of two sets of points, say, whose
/// squared distances become one matrix product. The difference itself is then never formed. As
/// always with this identity, distances that are small against the coordinates lose digits.
std::vector<Expr> with_distributed_sums(std::span<const Expr> roots);

}  // namespace cinch::contraction
