// Products of elements, along one axis or over several.
#pragma once

#include "cinch/core/visibility.hpp"
#include "cinch/ops/reduce.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op prod_op, recurrence_op;

/// Product; bools count as integers. The reduced axes go, or stay as size 1 with `keepdims`. Empty
/// products are 1. The gradient is exact with zeros among the elements, to any order: it multiplies
/// the other elements instead of dividing by this one.
Expr prod(const Arg& x, const Axes& axes = {}, bool keepdims = false);

/// Where a recurrence starts.
enum class Direction : std::uint8_t { forward, backward };

/// y with y[0] = start, y[k + 1] = a[k] y[k] + b[k] along `axis`, or from the last element to the
/// first: y[n - 1] = start, y[k - 1] = a[k] y[k] + b[k]. `a` and `b` are floats of one shape, which
/// y has too; `start` is 0 or 1. The last coefficients on the way are not used.
Expr recurrence(const Arg& a, const Arg& b, std::int64_t axis = 0,
                Direction direction = Direction::forward, int start = 0);

}  // namespace cinch
