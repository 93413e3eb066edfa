// Which shapes may meet in one function: checked in one place, in the name of the function that the
// user called, when the formula is written as far as sizes are known and else when it runs.
#pragma once

#include "cinch/core/op.hpp"

namespace cinch::records {

extern const Op checked_shape_op, checked_label_op;

/// `x` for use beside `other`. One of the two is repeated to the shape of the other as NumPy
/// repeats: a scalar, leading axes that are missing, sizes of 1. Never are both, as (n, 1) and (n)
/// would be. Throws TypeError, in the name of `function`, with both operands and the user's line.
Expr beside(const char* function, const Arg& x, const Arg& other);
/// The same for functions that sum along `axis`: both have it, counted from the end where one has
/// fewer axes, and there they have the same size.
Expr beside_along(const char* function, const Arg& x, const Arg& other, std::int64_t axis);
/// `x` (..., i, k) for a product with the matrices of `other` (..., k, j): the axes in front are
/// repeated as NumPy repeats.
Expr multiplied(const char* function, const Arg& x, const Arg& other);
/// `x` whose last `count` axes are summed over with the first ones of `other`.
Expr contracted(const char* function, const Arg& x, const Arg& other, std::int64_t count);
/// `x` of the same shape as `other`.
Expr alike(const char* function, const Arg& x, const Arg& other);
/// `x`, which has elements along its last axis.
Expr with_elements(const char* function, const Arg& x);
/// `labels` (int64) of the sizes that `like` has without `axis`, each of them a class, that is in
/// [0, size of like along axis). ValueError at run time for another label.
Expr class_labels(const char* function, const Arg& labels, const Arg& like, std::int64_t axis);

}  // namespace cinch::records
