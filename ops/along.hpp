// Elements chosen along one axis, by other positions in each lane.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op take_along_op, add_along_op;

/// result[.., i, ..] = x[.., indices[.., i, ..], ..] along `axis`, as NumPy's take_along_axis:
/// `indices` (int64; negative ones count from the end) has as many axes as `x`, and the others
/// broadcast. ValueError at run time outside.
Expr take_along_axis(const Arg& x, const Arg& indices, std::int64_t axis);
/// The transpose of take_along_axis: zeros of like's shape, to which x[.., i, ..] is added at
/// position indices[.., i, ..].
Expr add_along_axis(const Arg& x, const Arg& indices, const Arg& like, std::int64_t axis);

}  // namespace cinch
