// Ops that move or repeat elements, and symbolic sizes. (dimshuffle, reshape, broadcast_to and
// friends: core/expr.hpp)
#pragma once

#include <optional>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op size_op, dimshuffle_op, reshape_op, broadcast_to_op, sum_like_op, concatenate_op;

/// Axes in reverse order, or in the order of `axes`.
Expr transpose(const Arg& x);
Expr transpose(const Arg& x, const std::vector<std::int64_t>& axes);
/// A new axis of size 1 before `axis` (or at the end for -1).
Expr expand_dims(const Arg& x, std::int64_t axis);
/// Without `axis`, which must have size 1.
Expr squeeze(const Arg& x, std::int64_t axis);

/// reshape() with numbers: -1, once, stands for what is left.
Expr reshape(const Arg& x, const Shape& sizes);
/// reshape() with numbers and symbolic sizes mixed: reshape(h, {batch, 1, 500}).
Expr reshape(const Arg& x, std::initializer_list<Arg> sizes);
/// All elements in one axis; or the axes from `from` on in one axis.
Expr flatten(const Arg& x, std::int64_t from = 0);

/// The operands one after the other along `axis`. Other sizes must agree.
Expr concatenate(const std::vector<Expr>& parts, std::int64_t axis, Source where = Source::here());
/// The operands, all of one shape, along a new axis.
Expr stack(const std::vector<Expr>& parts, std::int64_t axis = 0, Source where = Source::here());

/// Tensors of these sizes, numbers or int64 scalars, with one value everywhere: zeros({n, 3}).
Expr zeros(const Sizes& sizes, DType dtype = DType::float32, Source where = Source::here());
Expr ones(const Sizes& sizes, DType dtype = DType::float32, Source where = Source::here());
/// `value` is a scalar, of whose dtype the tensor is; literals give float64 and int64.
Expr full(const Sizes& sizes, const Arg& value);
/// Constant tensors of a symbolic shape.
Expr zeros_like(const Arg& x);
Expr ones_like(const Arg& x);

}  // namespace cinch
