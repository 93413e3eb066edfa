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

}  // namespace cinch
