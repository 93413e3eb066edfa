// Elements in order of size.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op argsort_op;

/// The elements along `axis` in ascending order, NaN last; with `descending` in the reverse one,
/// NaN first. The gradient goes to where each element came from.
Expr sort(const Arg& x, std::int64_t axis = -1, bool descending = false);
/// Where (int64) the elements along `axis` stand that sort() puts first, second, ...; of equal ones
/// the earlier one comes first. No gradient.
Expr argsort(const Arg& x, std::int64_t axis = -1, bool descending = false);

/// The `k` largest elements along `axis`, the largest first (or the smallest ones, the smallest
/// first), and their positions (int64), which have no gradient. NaN is larger than anything, and of
/// equal elements the earlier one comes first. Faster than sorting. An error where there are fewer
/// than k.
struct TopK {
  Expr values, indices;
};
TopK topk(const Arg& x, std::int64_t k, std::int64_t axis = -1, bool largest = true);

/// The parts of x along `axis` for which `mask`, a bool vector, holds: x[mask] of NumPy, but of a
/// size that does not depend on values. The first `count` of them, in their order; where there are
/// fewer, `fill` follows. The gradient goes to the parts that were chosen.
struct Compressed {
  Expr values;  ///< x's sizes, but `count` along the axis.
  Expr chosen;  ///< How many the mask holds for, an int64 scalar, which may be more than `count`.
};
Compressed compress(const Arg& x, const Arg& mask, std::int64_t count, std::int64_t axis = 0,
                    double fill = 0);

}  // namespace cinch
