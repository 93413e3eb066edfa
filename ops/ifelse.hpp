// A choice of what is computed.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op ifelse_op;

/// `a` where the bool scalar `condition` holds, else `b`, of which only the chosen one is computed,
/// with what is needed for it alone; the same holds for gradients. (where() computes both and
/// chooses element by element.) Both are brought to one dtype and must have the same shape. Throws
/// TypeError for a condition that is no bool scalar.
Expr ifelse(const Arg& condition, const Arg& a, const Arg& b);

}  // namespace cinch
