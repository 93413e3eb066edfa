// Sums over the differences of all pairs of two sets of points.
#pragma once

#include <span>
#include <vector>

#include "cinch/core/expr.hpp"

namespace cinch::contraction {

/// `roots`, whose sizes are all known, with sum_k (a[i, k] - b[j, k])^2 and sum_j g[i, j] (a[i, k]
/// - b[j, k]), further factors and batches of sets allowed, each as one op that needs no memory for
/// the differences and takes the time of a matrix product. They are not multiplied out as they
/// stand: distances that are small against the coordinates would lose their digits, and those of
/// points from themselves their sign.
std::vector<Expr> with_pairs_of_points(std::span<const Expr> roots);

}  // namespace cinch::contraction
