// Logarithms of sums of exponentials.
#pragma once

#include "cinch/core/visibility.hpp"
#include "cinch/ops/reduce.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op logsumexp_op;

/// log(sum exp(x)) over `axes`, the last one unless others are named, without overflow; they go, or
/// stay as size 1 with `keepdims`. Entries of -inf count for nothing; -inf where all are, and there
/// no gradient flows. The same written as log(sum(exp(x))) becomes this.
Expr logsumexp(const Arg& x, const Axes& axes = -1, bool keepdims = false);

}  // namespace cinch
