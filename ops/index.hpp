// Parts of tensors, by numbers or by symbolic integers, and their transposes.
#pragma once

#include <optional>

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op narrow_op, embed_op, take_op, scatter_add_op, arange_op, eye_op;

/// x[start:stop:step] along `axis`, as in NumPy: negative positions count from the end, positions
/// outside are clipped, a stop that is not given means "to the end". Positions may be symbolic
/// int64 scalars: slice(X, i * B, (i + 1) * B). `step` is a number other than 0.
Expr slice(const Arg& x, const Arg& start, const Arg& stop, std::int64_t axis = 0,
           std::int64_t step = 1);
/// From `start` to the end.
Expr slice_from(const Arg& x, const Arg& start, std::int64_t axis = 0);
/// All elements along `axis`, last one first.
Expr reverse(const Arg& x, std::int64_t axis = 0);
/// `count` rows from `start` on; both may be symbolic. Throws ValueError at run time where they do
/// not exist.
Expr rows(const Arg& x, const Arg& start, const Arg& count);
/// x[index] along `axis`, which goes. Negative ones count from the end; ValueError at run time
/// outside.
Expr at(const Arg& x, const Arg& index, std::int64_t axis = 0);

/// `length` elements from `start` on, every `step`-th, along `axis`; int64 scalars, not clipped.
Expr narrow(const Arg& x, std::int64_t axis, const Arg& start, const Arg& length,
            std::int64_t step = 1);
/// The transpose of narrow: zeros of like's shape with `x` at those positions.
Expr embed(const Arg& x, const Arg& like, std::int64_t axis, const Arg& start,
           std::int64_t step = 1);

/// x[indices] along `axis`: the axis is replaced by those of `indices` (int64; negative ones count
/// from the end). ValueError at run time outside.
Expr take(const Arg& x, const Arg& indices, std::int64_t axis = 0);
/// The transpose of take along axis 0: zeros of like's shape, to whose rows indices[k] the rows
/// x[k] are added.
Expr scatter_add(const Arg& x, const Arg& indices, const Arg& like);

/// 0, 1, ..., n - 1 as int64.
Expr arange(const Arg& n);
/// start, start + step, ... as far as they are before `stop`, as NumPy's; scalars, of which the
/// dtype is that of start + step. A step of 0 gives none. Gradients flow to start and step.
Expr arange(const Arg& start, const Arg& stop, const Arg& step = std::int64_t{1});
/// 1 at labels[i] in row i, else 0: (n) -> (n, classes). Labels outside give a row of zeros.
Expr one_hot(const Arg& labels, const Arg& classes, DType dtype = DType::float32);

}  // namespace cinch
