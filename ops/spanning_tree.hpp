// Minimum spanning trees, for one graph or for many: the last two axes are the graph.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op minimum_spanning_tree_op;

/// The n - 1 edges of least total length that join n points, of the lengths between each two of
/// them, of which those above the diagonal are read: (..., n, n) -> (..., n - 1, 2), int64. Each
/// edge is (i, j) with i < j, the shortest first; of equally long ones that of the smaller i comes
/// first, then that of the smaller j. NaN is longer than anything. No gradient: lengths of the
/// edges that are taken by these indices have one. In n^2 steps (Prim, 1957).
Expr minimum_spanning_tree(const Arg& lengths);

}  // namespace cinch
