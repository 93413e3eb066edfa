#include "cinch/ops/reduce.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <xtensor/xmath.hpp>

#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/run/loop.hpp"
#include "cinch/core/run/row_folds.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/kernels/kernels.hpp"
#include "cinch/ops/records/reduction.hpp"
#include "cinch/ops/reference/xtensor_view.hpp"
#include "cinch/ops/rules/placed.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

std::vector<std::int64_t> Axes::of(std::string_view function, const Arg& x) const {
  std::vector<std::int64_t> result;
  if (!axes_) {
    for (std::int64_t axis = 0; axis < x->rank(); ++axis) result.push_back(axis);
    return result;
  }
  for (const std::int64_t axis : *axes_) result.push_back(axis_of(function, x, axis));
  std::ranges::sort(result);
  const auto twice = std::ranges::adjacent_find(result);
  if (twice != result.end()) refuse(function, text("axis ", *twice, " is named twice"), x);
  return result;
}

using namespace reduction;

namespace {

Type nonempty_type(Args x, const Attrs& attrs, const char* none) {
  if (nothing_along(x[0], OverAxes::of(attrs))) throw TypeError(none);
  return reduce_type(x, attrs);
}

Type max_type(Args x, const Attrs& attrs) {
  return nonempty_type(x, attrs, "the largest of no elements");
}
Type min_type(Args x, const Attrs& attrs) {
  return nonempty_type(x, attrs, "the smallest of no elements");
}

std::vector<std::size_t> to_axes(const Attrs& attrs) {
  const auto& axes = OverAxes::of(attrs);
  return {axes.begin(), axes.end()};
}

/// xtensor reduces neither empty arrays nor over no axes.
Tensor sum_reference(Values in, const Attrs& attrs) {
  const auto& axes = OverAxes::of(attrs);
  if (axes.empty()) return *in[0];
  if (in[0]->size() == 0) return Tensor(in[0]->dtype(), reduced_shape(in[0]->shape(), axes));
  return dispatch(in[0]->dtype(), [&]<class T> {
    // In more digits than the result has, of which long sums would lose some.
    using Total = std::conditional_t<std::is_same_v<T, float>, double,
                                     std::conditional_t<std::is_same_v<T, double>, long double, T>>;
    const xt::xarray<Total> total = xt::sum<Total>(references::view<T>(*in[0]), to_axes(attrs));
    return references::to_tensor<T>(xt::xarray<T>(xt::cast<T>(total)));
  });
}

/// Greater or less than every number, as far as T can say.
template <class T>
T beyond(bool above) {
  using Limits = std::numeric_limits<T>;
  if constexpr (Limits::has_infinity) return above ? Limits::infinity() : -Limits::infinity();
  return above ? Limits::max() : Limits::lowest();
}

template <class T>
bool is_nan_value(T x) {
  return x != x;
}

/// One by one: xtensor's amax and amin do not say what they do about NaN.
template <bool Largest>
Tensor extreme_reference(Values in, const Attrs& attrs) {
  return dispatch(in[0]->dtype(), [&]<class T> {
    return fold_reference<T>(*in[0], attrs, beyond<T>(!Largest), [](T a, T b) {
      if (is_nan_value(a) || is_nan_value(b)) return is_nan_value(a) ? a : b;
      return Largest ? std::max(a, b) : std::min(a, b);
    });
  });
}

/// Where the operand is the extreme element; equal ones share.
Grads extreme_grad(Args x, const Expr& y, const Expr& gy) {
  const auto& axes = OverAxes::of(y.attrs());
  const Expr chosen = cast(equal(x[0], kept(y, axes, x[0].rank())), x[0].dtype());
  const Expr share = kept(gy, axes, x[0].rank()) / sum(chosen, axes, /*keepdims=*/true);
  // As a choice, of the whole shape, so that what is not chosen may be infinite and its slope NaN.
  return {chosen * broadcast_like(share, x[0])};
}

constexpr Accumulator sum_accumulator{
    .start = [](DType dtype, void* out,
                std::size_t n) { start_with(dtype, out, n, []<class T> { return T(0); }); },
    .fold = [](DType d, void* out, const void* in,
               std::size_t n) { simd::kernels().sum.fold[static_cast<int>(d)](out, in, n); },
    .zip = [](DType d, void* out, const void* in,
              std::size_t n) { simd::kernels().sum.zip[static_cast<int>(d)](out, in, n); },
};

template <bool Largest>
constexpr Accumulator extreme_accumulator{
    .start =
        [](DType dtype, void* out, std::size_t n) {
          start_with(dtype, out, n, []<class T> { return beyond<T>(!Largest); });
        },
    .fold =
        [](DType d, void* out, const void* in, std::size_t n) {
          const simd::FoldKernels& k = Largest ? simd::kernels().max : simd::kernels().min;
          k.fold[static_cast<int>(d)](out, in, n);
        },
    .zip =
        [](DType d, void* out, const void* in, std::size_t n) {
          const simd::FoldKernels& k = Largest ? simd::kernels().max : simd::kernels().min;
          k.zip[static_cast<int>(d)](out, in, n);
        },
};

}  // namespace

namespace {

/// The kernels of an accumulator; null where it is another one's.
const simd::FoldKernels* kernels_of(const Accumulator* accumulator) {
  const simd::KernelTable& all = simd::kernels();
  return accumulator == &sum_accumulator              ? &all.sum
         : accumulator == &extreme_accumulator<true>  ? &all.max
         : accumulator == &extreme_accumulator<false> ? &all.min
                                                      : nullptr;
}

}  // namespace

constinit const running::RowFolds running::row_folds{
    .rows = [](const Accumulator* accumulator, bool wide, DType dtype) -> RowFolds::Fold {
      const simd::FoldKernels* const own = kernels_of(accumulator);
      if (wide) return simd::kernels().wide_sum.rows;
      return own ? own->rows[static_cast<std::size_t>(dtype)] : nullptr;
    },
    .columns = [](const Accumulator* accumulator, bool wide, DType dtype) -> RowFolds::Fold {
      const simd::FoldKernels* const own = kernels_of(accumulator);
      if (wide) return simd::kernels().wide_sum.columns;
      return own ? own->columns[static_cast<std::size_t>(dtype)] : nullptr;
    },
};

constinit const running::WideSum running::wide_sum{
    .narrow_one = &sum_accumulator,
    .fold = [](void* out, const void* in,
               std::size_t n) { simd::kernels().wide_sum.fold(out, in, n); },
    .zip = [](void* out, const void* in,
              std::size_t n) { simd::kernels().wide_sum.zip(out, in, n); },
    .narrow =
        [](void* out, const void* in, std::size_t n) {
          const auto from = static_cast<std::size_t>(DType::float64),
                     to = static_cast<std::size_t>(DType::float32);
          simd::kernels().cast[from][to](out, &in, 0, n);
        },
};

constinit const Op sum_op{
    .name = "sum",
    .type = reduce_type,
    .reference = sum_reference,
    .operands = Operands::numeric,
    .algebra = Algebra::sum,
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      return {broadcast_like(kept(gy, OverAxes::of(y.attrs()), x[0].rank()), x[0])};
    },
    .batch = batch_reduce,
    .follow = follow_reduce,
    .simplify =
        [](const Expr& y) {
          const Expr simpler = simplify_reduce(y);
          return simpler.has_value() ? simpler : rules::of_parts(y);
        },
    .runs = Reduction{&sum_accumulator},
    .examples = [] { return reduce_examples(sum, true); },
};

constinit const Op max_op{
    .name = "max",
    .type = max_type,
    .reference = extreme_reference<true>,
    .operands = Operands::numeric,
    .grad = extreme_grad,
    .batch = batch_reduce,
    .follow = follow_reduce,
    .simplify = simplify_reduce,
    .runs = Reduction{&extreme_accumulator<true>},
    .examples = [] { return reduce_examples(max, false); },
};

constinit const Op min_op{
    .name = "min",
    .type = min_type,
    .reference = extreme_reference<false>,
    .operands = Operands::numeric,
    .grad = extreme_grad,
    .batch = batch_reduce,
    .follow = follow_reduce,
    .simplify = simplify_reduce,
    .runs = Reduction{&extreme_accumulator<false>},
    .examples = [] { return reduce_examples(min, false); },
};

namespace {

Type argmax_type(Args x, const Attrs& attrs) {
  Type result = max_type(x, attrs);
  result.dtype = DType::int64;
  return result;
}
Type argmin_type(Args x, const Attrs& attrs) {
  Type result = min_type(x, attrs);
  result.dtype = DType::int64;
  return result;
}

/// Whether `a`, which comes later, takes the place of `b`: NaN is as extreme as can be.
template <bool Largest, class T>
bool overtakes(T a, T b) {
  return (Largest ? a > b : a < b) || (is_nan_value(a) && !is_nan_value(b));
}

/// Element by element: xtensor's argmax is wrong for vectors under C++20.
template <bool Largest>
Tensor arg_reference(Values in, const Attrs& attrs) {
  const Shape& shape = in[0]->shape();
  const auto axis = static_cast<std::size_t>(AlongAxis::of(attrs).axis);
  Tensor result(DType::int64, reduced_shape(shape, OverAxes::of(attrs)));
  const std::vector<std::size_t> to = destinations(shape, OverAxes::of(attrs));
  std::int64_t inner = 1;
  for (std::size_t k = axis + 1; k < shape.size(); ++k) inner *= shape[k];
  const std::int64_t n = shape[axis];
  return dispatch(in[0]->dtype(), [&]<class T> {
    const std::span<const T> x = std::as_const(*in[0]).template data<T>();
    std::vector<std::size_t> leader(static_cast<std::size_t>(result.size()), x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      std::size_t& best = leader[to[i]];
      if (best == x.size() || overtakes<Largest>(x[i], x[best])) best = i;
    }
    for (std::size_t k = 0; k < leader.size(); ++k)
      result.data<std::int64_t>()[k] = static_cast<std::int64_t>(leader[k]) / inner % n;
    return result;
  });
}

template <bool Largest>
void arg_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs) {
  const auto axis = static_cast<std::size_t>(AlongAxis::of(attrs).axis);
  const std::int64_t n = in[0].shape[axis];
  std::int64_t inner = 1;
  for (std::size_t k = axis + 1; k < in[0].shape.size(); ++k) inner *= in[0].shape[k];
  dispatch(in[0].dtype, [&]<class T> {
    const T* x = in[0].as<T>();
    auto* y = out.as<std::int64_t>();
    for (std::int64_t i = 0; i < out.size(); ++i) {
      const T* first = x + i / inner * inner * n + i % inner;
      std::int64_t best = 0;
      for (std::int64_t k = 1; k < n; ++k)
        best = overtakes<Largest>(first[k * inner], first[best * inner]) ? k : best;
      y[i] = best;
    }
  });
}

template <Expr (*F)(const Arg&, std::int64_t)>
std::vector<Example> arg_examples() {
  return {{{Type{DType::float64, {3, 4}}}, [](Args x) { return F(x[0], 1); }},
          {{Type{DType::float32, {3, 4}}}, [](Args x) { return F(x[0], 0); }},
          {{Type{DType::int64, {2, 3, 4}}}, [](Args x) { return F(x[0], 1); }, {3}},
          {{Type{DType::float64, {0, 4}}}, [](Args x) { return F(x[0], 1); }}};
}

}  // namespace

constinit const Op argmax_op{
    .name = "argmax",
    .type = argmax_type,
    .reference = arg_reference<true>,
    .batch = batch_reduce,
    .follow = follow_reduce,
    .runs = Kernel{.run = arg_kernel<true>},
    .examples = arg_examples<argmax>,
};

constinit const Op argmin_op{
    .name = "argmin",
    .type = argmin_type,
    .reference = arg_reference<false>,
    .batch = batch_reduce,
    .follow = follow_reduce,
    .runs = Kernel{.run = arg_kernel<false>},
    .examples = arg_examples<argmin>,
};

Expr sum_axes(const Expr& x, const std::vector<std::int64_t>& axes) {
  return apply(sum_op, {x}, OverAxes{axes}.attrs());
}

Expr sum(const Arg& x, const Axes& axes, bool keepdims) {
  return reduce(sum_op, x, axes, keepdims);
}
Expr max(const Arg& x, const Axes& axes, bool keepdims) {
  return reduce(max_op, x, axes, keepdims);
}

Expr min(const Arg& x, const Axes& axes, bool keepdims) {
  return reduce(min_op, x, axes, keepdims);
}

Expr mean(const Arg& x, const Axes& axes, bool keepdims) {
  const Attribution as(x.where());
  std::vector<Expr> counts;
  for (const std::int64_t axis : axes.of("mean", x)) counts.push_back(size(x, axis));
  const Expr total = sum(x, axes, keepdims);
  return total / product(counts);
}

Expr argmax(const Arg& x, std::int64_t axis) {
  const Attribution as(x.where());
  return apply(argmax_op, {x}, AlongAxis{axis_of("argmax", x, axis)}.attrs(), x.where());
}

Expr argmin(const Arg& x, std::int64_t axis) {
  const Attribution as(x.where());
  return apply(argmin_op, {x}, AlongAxis{axis_of("argmin", x, axis)}.attrs(), x.where());
}

Expr all(const Arg& x, const Axes& axes, bool keepdims) {
  const Attribution as(x.where());
  return equal(sum(logical_not(cast(x, DType::bool_)), axes, keepdims), 0);
}

Expr any(const Arg& x, const Axes& axes, bool keepdims) {
  const Attribution as(x.where());
  return sum(cast(x, DType::bool_), axes, keepdims) > 0;
}

}  // namespace cinch
