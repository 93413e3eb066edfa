// Sums of tensors that are 0 but for a part each.
#pragma once

#include "cinch/core/expr.hpp"

namespace cinch::rules {

/// A sum, written with two of its terms together where both are embed()s of neighbouring or of the
/// same positions, as the gradient by something that is cut into parts is; an empty expression
/// where there are none. So parts that make up the whole become one concatenation. Where positions
/// and the sizes along their axis are known.
Expr with_joined_parts(const Expr& sum);

}  // namespace cinch::rules
