// What the records of reductions share. OverAxes says which axes are reduced over.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "cinch/core/dtype.hpp"
#include "cinch/core/op.hpp"
#include "cinch/ops/reduce.hpp"

namespace cinch::reduction {

/// The operand's type without the reduced axes.
Type reduce_type(Args x, const Attrs& attrs);
Expr batch_reduce(Args x, const std::vector<bool>&, const Expr& y);
/// y's attributes for operands with one more axis in front.
Attrs one_axis_further(const Expr& y);
std::int64_t follow_reduce(Args, std::span<const std::int64_t> axes, const Expr& y);
/// Over axes of size 1 there is nothing to combine.
Expr simplify_reduce(const Expr& y);

/// Whether there surely is no element along one of these axes of x, not even a largest one.
bool nothing_along(const Expr& x, std::span<const std::int64_t> axes);

/// `y` with the reduced axes back as size 1, for an operand of this rank.
Expr kept(const Expr& y, std::span<const std::int64_t> axes, std::int64_t rank);

/// `op` of `x` over `axes`. Throws TypeError, with the user's line, for axes that do not exist.
Expr reduce(const Op& op, const Arg& x, const Axes& axes, bool keepdims);

/// Of every kind of axes; `empty` says whether the op takes no elements at all.
std::vector<Example> reduce_examples(Expr (*f)(const Arg&, const Axes&, bool), bool empty);

/// For each element of a tensor of this shape, row-major, the element of the result that it goes
/// into.
std::vector<std::size_t> destinations(const Shape& shape, std::span<const std::int64_t> axes);
/// The shape without these axes.
Shape reduced_shape(const Shape& shape, std::span<const std::int64_t> axes);

/// Every element of the result is f(... f(start, x0), x1 ...), one after the other.
template <class T, class F>
Tensor fold_reference(const Tensor& x, const Attrs& attrs, T start, F&& f) {
  const std::vector<std::int64_t>& axes = OverAxes::of(attrs);
  Tensor result(dtype_of<T>(), reduced_shape(x.shape(), axes));
  const std::span<T> y = result.data<T>();
  std::ranges::fill(y, start);
  const std::vector<std::size_t> to = destinations(x.shape(), axes);
  const std::span<const T> elements = x.data<T>();
  for (std::size_t i = 0; i < to.size(); ++i) y[to[i]] = f(y[to[i]], elements[i]);
  return result;
}

/// out[i] = neutral<T>() for the accumulators' `start`.
template <class F>
void start_with(DType dtype, void* out, std::size_t n, F&& neutral) {
  dispatch(dtype, [&]<class T> {
    std::fill_n(static_cast<T*>(out), n, neutral.template operator()<T>());
  });
}

}  // namespace cinch::reduction
