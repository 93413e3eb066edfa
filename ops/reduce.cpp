#include "ops/reduce.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <xtensor/xmath.hpp>

#include "core/engine_ops.hpp"
#include "ops/activation.hpp"
#include "ops/arithmetic.hpp"
#include "ops/kernels.hpp"
#include "ops/shape.hpp"
#include "ops/xtensor_view.hpp"

namespace cinch {

std::vector<std::int64_t> Axes::of_rank(std::int64_t rank) const {
  std::vector<std::int64_t> result;
  if (!axes_) {
    for (std::int64_t axis = 0; axis < rank; ++axis) result.push_back(axis);
    return result;
  }
  for (const std::int64_t axis : *axes_) result.push_back(normalize_axis(axis, rank));
  std::ranges::sort(result);
  const auto twice = std::ranges::adjacent_find(result);
  if (twice != result.end()) throw TypeError(text("axis ", *twice, " is named twice"));
  return result;
}

namespace {

bool reduced(const Expr& y, std::int64_t axis) {
  return std::ranges::find(y.attrs().ints, axis) != y.attrs().ints.end();
}

Type reduce_type(Args x, const Attrs& attrs) {
  Type result{x[0].dtype(), {}};
  for (std::int64_t axis = 0; axis < x[0].rank(); ++axis) {
    if (std::ranges::find(attrs.ints, axis) == attrs.ints.end()) {
      result.dims.push_back(x[0].dims()[static_cast<std::size_t>(axis)]);
    }
  }
  return result;
}

Type max_type(Args x, const Attrs& attrs) {
  for (const std::int64_t axis : attrs.ints) {
    if (x[0].dims()[static_cast<std::size_t>(axis)] == Dim(0))
      throw TypeError("the largest of no elements");
  }
  return reduce_type(x, attrs);
}

std::vector<std::size_t> to_axes(const Attrs& attrs) {
  return {attrs.ints.begin(), attrs.ints.end()};
}

/// xtensor reduces neither empty arrays nor over no axes.
bool trivial(const Tensor& x, const Attrs& attrs) { return x.size() == 0 || attrs.ints.empty(); }

Tensor trivial_result(const Tensor& x, const Attrs& attrs) {
  if (attrs.ints.empty()) return x;
  Shape kept;
  for (std::int64_t axis = 0; axis < x.rank(); ++axis) {
    if (std::ranges::find(attrs.ints, axis) == attrs.ints.end())
      kept.push_back(x.shape()[static_cast<std::size_t>(axis)]);
  }
  return Tensor(x.dtype(), kept);
}

Tensor sum_reference(Values in, const Attrs& attrs) {
  if (trivial(*in[0], attrs)) return trivial_result(*in[0], attrs);
  return dispatch(in[0]->dtype(), [&]<class T> {
    return to_tensor<T>(xt::xarray<T>(xt::sum<T>(view<T>(*in[0]), to_axes(attrs))));
  });
}

/// xtensor's amax does not say what it does about NaN: it is looked for separately.
Tensor max_reference(Values in, const Attrs& attrs) {
  if (trivial(*in[0], attrs)) return trivial_result(*in[0], attrs);
  return dispatch(in[0]->dtype(), [&]<class T> {
    const auto x = view<T>(*in[0]);
    xt::xarray<T> result = xt::amax<T>(x, to_axes(attrs));
    if constexpr (std::is_floating_point_v<T>) {
      const auto add = [](T a, T b) {
        return std::isnan(a) || std::isnan(b) ? std::numeric_limits<T>::quiet_NaN()
                                              : T(0) * (b - b);
      };
      const xt::xarray<T> nan = xt::reduce(add, x, to_axes(attrs));
      result = xt::where(xt::isnan(nan), nan, result);
    }
    return to_tensor<T>(result);
  });
}

Expr batch_reduce(Args x, const std::vector<bool>&, const Expr& y) {
  std::vector<std::int64_t> axes = y.attrs().ints;
  for (std::int64_t& axis : axes) ++axis;
  return apply(y.op(), {x[0]}, {.ints = std::move(axes)}, y->where);
}

std::int64_t follow_reduce(Args, std::span<const std::int64_t> axes, const Expr& y) {
  if (reduced(y, axes[0])) return -1;
  std::int64_t result = axes[0];
  for (const std::int64_t axis : y.attrs().ints) result -= axis < axes[0];
  return result;
}

/// `y` with the reduced axes back as size 1.
Expr kept(const Expr& y, std::span<const std::int64_t> axes, std::int64_t rank) {
  std::vector<std::int64_t> pattern;
  std::int64_t next = 0;
  for (std::int64_t axis = 0; axis < rank; ++axis) {
    pattern.push_back(std::ranges::find(axes, axis) != axes.end() ? -1 : next++);
  }
  return dimshuffle(y, pattern);
}

/// Over axes of size 1 there is nothing to combine.
Expr simplify_reduce(const Expr& y) {
  const Expr& x = y.inputs()[0];
  std::vector<std::int64_t> rest;
  for (const std::int64_t axis : y.attrs().ints) {
    if (!(x.dims()[static_cast<std::size_t>(axis)] == Dim(1))) rest.push_back(axis);
  }
  if (rest.size() == y.attrs().ints.size()) return y.attrs().ints.empty() ? x : Expr();
  const Expr partial = rest.empty() ? x : apply(y.op(), {x}, {.ints = rest});
  std::vector<std::int64_t> pattern;
  std::int64_t next = 0;
  for (std::int64_t axis = 0; axis < x.rank(); ++axis) {
    if (std::ranges::find(rest, axis) != rest.end()) continue;
    if (!reduced(y, axis)) pattern.push_back(next);
    ++next;
  }
  return dimshuffle(partial, pattern);
}

template <class F>
void start_with(DType dtype, void* out, std::size_t n, F&& neutral) {
  dispatch(dtype, [&]<class T> {
    std::fill_n(static_cast<T*>(out), n, neutral.template operator()<T>());
  });
}

constexpr Accumulator sum_accumulator{
    .start = [](DType dtype, void* out,
                std::size_t n) { start_with(dtype, out, n, []<class T> { return T(0); }); },
    .fold = [](DType d, void* out, const void* in,
               std::size_t n) { kernels().sum.fold[static_cast<int>(d)](out, in, n); },
    .zip = [](DType d, void* out, const void* in,
              std::size_t n) { kernels().sum.zip[static_cast<int>(d)](out, in, n); },
};

constexpr Accumulator max_accumulator{
    .start =
        [](DType dtype, void* out, std::size_t n) {
          start_with(dtype, out, n, []<class T> {
            return std::numeric_limits<T>::has_infinity ? T(-std::numeric_limits<T>::infinity())
                                                        : std::numeric_limits<T>::lowest();
          });
        },
    .fold = [](DType d, void* out, const void* in,
               std::size_t n) { kernels().max.fold[static_cast<int>(d)](out, in, n); },
    .zip = [](DType d, void* out, const void* in,
              std::size_t n) { kernels().max.zip[static_cast<int>(d)](out, in, n); },
};

std::vector<Example> reduce_examples(Expr (*f)(const Arg&, const Axes&, bool), bool empty) {
  const Type cube{DType::float64, {2, 3, 4}};
  std::vector<Example> result;
  for (const Axes& axes : {Axes(), Axes(0), Axes(1), Axes(-1), Axes{0, 2}, Axes{0, 1}}) {
    result.push_back({{cube}, [=](Args x) { return f(x[0], axes, false); }});
    result.push_back({{cube}, [=](Args x) { return f(x[0], axes, true); }});
  }
  result.push_back({{Type{DType::float64, {3, 1}}}, [=](Args x) { return f(x[0], 1, false); }});
  result.push_back(
      {{Type{DType::float64, {1, 1}}}, [=](Args x) { return f(x[0], Axes(), false); }});
  result.push_back({{Type{DType::float64, {700, 3}}}, [=](Args x) { return f(x[0], 0, false); }});
  result.push_back({{Type{DType::float64, {3, 700}}}, [=](Args x) { return f(x[0], 1, false); }});
  result.push_back({{Type{DType::float64, {0, 3}}}, [=](Args x) { return f(x[0], 1, false); }});
  if (empty)
    result.push_back({{Type{DType::float64, {0, 3}}}, [=](Args x) { return f(x[0], 0, false); }});
  return result;
}

}  // namespace

constinit const Op sum_op{
    .name = "sum",
    .type = reduce_type,
    .reference = sum_reference,
    .operands = Operands::numeric,
    .algebra = Algebra::sum,
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      return {broadcast_like(kept(gy, y.attrs().ints, x[0].rank()), x[0])};
    },
    .batch = batch_reduce,
    .follow = follow_reduce,
    .simplify = simplify_reduce,
    .accumulator = &sum_accumulator,
    .examples = [] { return reduce_examples(sum, true); },
};

constinit const Op max_op{
    .name = "max",
    .type = max_type,
    .reference = max_reference,
    .operands = Operands::numeric,
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      const auto& axes = y.attrs().ints;
      const Expr largest = cast(equal(x[0], kept(y, axes, x[0].rank())), x[0].dtype());
      return {largest / sum(largest, axes, /*keepdims=*/true) * kept(gy, axes, x[0].rank())};
    },
    .batch = batch_reduce,
    .follow = follow_reduce,
    .simplify = simplify_reduce,
    .accumulator = &max_accumulator,
    .examples = [] { return reduce_examples(max, false); },
};

namespace {

Type argmax_type(Args x, const Attrs& attrs) {
  Type result = max_type(x, attrs);
  result.dtype = DType::int64;
  return result;
}

/// Element by element: xtensor's argmax is wrong for vectors under C++20.
Tensor argmax_reference(Values in, const Attrs& attrs) {
  const auto axis = static_cast<std::size_t>(attrs.ints[0]);
  Tensor result = trivial_result(Tensor(DType::int64, in[0]->shape()), attrs);
  return dispatch(in[0]->dtype(), [&]<class T> {
    const auto x = view<T>(*in[0]);
    auto best = view<std::int64_t>(result);
    std::vector<std::size_t> index(in[0]->shape().size(), 0);
    for (std::int64_t left = in[0]->size(); left > 0; --left) {
      std::vector<std::size_t> kept = index, leader = index;
      kept.erase(kept.begin() + attrs.ints[0]);
      std::int64_t& at = best.element(kept.begin(), kept.end());
      leader[axis] = static_cast<std::size_t>(at);
      if (x.element(index.begin(), index.end()) > x.element(leader.begin(), leader.end())) {
        at = static_cast<std::int64_t>(index[axis]);
      }
      for (std::size_t k = index.size(); k-- > 0;) {
        if (++index[k] < static_cast<std::size_t>(in[0]->shape()[k])) break;
        index[k] = 0;
      }
    }
    return result;
  });
}

void argmax_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs) {
  const auto axis = static_cast<std::size_t>(attrs.ints[0]);
  const std::int64_t n = in[0].shape[axis];
  std::int64_t inner = 1;
  for (std::size_t k = axis + 1; k < in[0].shape.size(); ++k) inner *= in[0].shape[k];
  dispatch(in[0].dtype, [&]<class T> {
    const T* x = in[0].as<T>();
    auto* y = out.as<std::int64_t>();
    for (std::int64_t i = 0; i < out.size(); ++i) {
      const T* first = x + i / inner * inner * n + i % inner;
      std::int64_t best = 0;
      for (std::int64_t k = 1; k < n; ++k) best = first[k * inner] > first[best * inner] ? k : best;
      y[i] = best;
    }
  });
}

}  // namespace

constinit const Op argmax_op{
    .name = "argmax",
    .type = argmax_type,
    .reference = argmax_reference,
    .batch = batch_reduce,
    .follow = follow_reduce,
    .kernel = argmax_kernel,
    .examples = []() -> std::vector<Example> {
      return {{{Type{DType::float64, {3, 4}}}, [](Args x) { return argmax(x[0], 1); }},
              {{Type{DType::float32, {3, 4}}}, [](Args x) { return argmax(x[0], 0); }},
              {{Type{DType::int64, {2, 3, 4}}}, [](Args x) { return argmax(x[0], 1); }, {3}},
              {{Type{DType::float64, {0, 4}}}, [](Args x) { return argmax(x[0], 1); }}};
    },
};

namespace {

Expr reduce(const Op& op, const Arg& x, const Axes& axes, bool keepdims) {
  const Attribution as(x.where());
  std::vector<std::int64_t> chosen;
  try {
    chosen = axes.of_rank(x->rank());
  } catch (const TypeError& error) {
    throw TypeError(text(op.name, ": ", error.what(), "\n  ", text(x->type()), "  ", describe(x),
                         "\n  written at ", x.where().text()));
  }
  const Expr y = apply(op, {x}, {.ints = chosen}, x.where());
  return keepdims ? kept(y, chosen, x->rank()) : y;
}

}  // namespace

Expr sum_axes(const Expr& x, const std::vector<std::int64_t>& axes) {
  return apply(sum_op, {x}, {.ints = axes});
}

Expr sum(const Arg& x, const Axes& axes, bool keepdims) {
  return reduce(sum_op, x, axes, keepdims);
}
Expr max(const Arg& x, const Axes& axes, bool keepdims) {
  return reduce(max_op, x, axes, keepdims);
}

Expr min(const Arg& x, const Axes& axes, bool keepdims) {
  const Attribution as(x.where());
  return -max(-x, axes, keepdims);
}

Expr mean(const Arg& x, const Axes& axes, bool keepdims) {
  const Attribution as(x.where());
  const Expr total = sum(x, axes, keepdims);
  std::vector<Expr> counts;
  for (const std::int64_t axis : axes.of_rank(x->rank())) counts.push_back(size(x, axis));
  return total / product(counts);
}

Expr var(const Arg& x, const Axes& axes, bool keepdims) {
  const Attribution as(x.where());
  return mean(square(x - mean(x, axes, true)), axes, keepdims);
}

Expr argmax(const Arg& x, std::int64_t axis) {
  const Attribution as(x.where());
  return apply(argmax_op, {x}, {.ints = {axis_of("argmax", x, axis)}}, x.where());
}

Expr all(const Arg& x, const Axes& axes, bool keepdims) {
  const Attribution as(x.where());
  return equal(sum(logical_not(x), axes, keepdims), 0);
}

Expr any(const Arg& x, const Axes& axes, bool keepdims) {
  const Attribution as(x.where());
  return sum(cast(x, DType::bool_), axes, keepdims) > 0;
}

}  // namespace cinch
