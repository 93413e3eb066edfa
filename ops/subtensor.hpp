// Parts of tensors chosen by index tensors, and parts replaced or added to.
#pragma once

#include <optional>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op checked_index_op, last_writer_op;

/// x[i, j, ...] over the first axes, as NumPy's indexing with several index tensors (int64;
/// negative ones count from the end): these broadcast together, and their shape replaces the axes:
/// gather(x, {arange(n), labels}) is one element of each row. ValueError at run time outside.
Expr gather(const Arg& x, const std::vector<Expr>& indices);

/// The rows of `table` (words, n) that `indices` name, for layers that learn them: take(), where
/// row `padding`, if there is one, has no gradient.
Expr embedding(const Arg& table, const Arg& indices, std::optional<std::int64_t> padding = {});

/// `x` with `value`, which broadcasts, in place of `part`. `part` is an expression that says which
/// elements: any chain of slice, at, take, take_along_axis, gather, diagonal, reshape and
/// transpositions of x: set_subtensor(x, at(x, 3), 0) is NumPy's x[3] = 0. Of several values for
/// one element the last one stays, and has the gradient. Where a condition says which elements, use
/// switch_(condition, value, x). Theano's set_subtensor(part, value). Throws TypeError for a part
/// that is not made of x like that.
Expr set_subtensor(const Arg& x, const Expr& part, const Arg& value);
/// `x` with `value` added to `part`; all values for one element are.
Expr inc_subtensor(const Arg& x, const Expr& part, const Arg& value);
/// NumPy's put: `x` with the elements whose row-major positions are `positions` replaced.
Expr put(const Arg& x, const Arg& positions, const Arg& value);

/// NumPy's put_along_axis and PyTorch's scatter: `x` with `value`, which broadcasts, in place of
/// the elements that take_along_axis(x, indices, axis) chooses.
Expr put_along_axis(const Arg& x, const Arg& indices, const Arg& value, std::int64_t axis);

/// How often, or with what sum of `weights` of the same shape, each of 0, 1, ..., n - 1 stands in
/// `x` (int64, any shape): (n), int64 or the weights' dtype. ValueError at run time for an element
/// outside.
Expr bincount(const Arg& x, const Arg& n);
Expr bincount(const Arg& x, const Arg& n, const Expr& weights);

/// `x` (int64), where negative ones stand for x + n unless `negatives` is false. ValueError at run
/// time for one outside. `n` is an int64 scalar made of sizes.
Expr checked_index(const Arg& x, const Arg& n, bool negatives = true);
/// Where along `axis` of `x` (int64) the last k stands, for each k < n, which replaces the axis; -1
/// where there is none. ValueError at run time for an element outside [0, n).
Expr last_writer(const Arg& x, const Arg& n, std::int64_t axis = 0);

}  // namespace cinch
