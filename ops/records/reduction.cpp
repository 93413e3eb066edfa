#include "cinch/ops/records/reduction.hpp"

#include <algorithm>

#include "cinch/core/refusal.hpp"

namespace cinch::reduction {

namespace {

bool reduced(const Expr& y, std::int64_t axis) {
  const auto& axes = OverAxes::of(y.attrs());
  return std::ranges::find(axes, axis) != axes.end();
}

}  // namespace

Type reduce_type(Args x, const Attrs& attrs) {
  const auto& axes = OverAxes::of(attrs);
  Type result{x[0].dtype(), {}};
  for (std::int64_t axis = 0; axis < x[0].rank(); ++axis) {
    if (std::ranges::find(axes, axis) == axes.end()) result.dims.push_back(x[0].dims()[axis]);
  }
  return result;
}

Attrs one_axis_further(const Expr& y) {
  OverAxes over{OverAxes::of(y.attrs())};
  for (std::int64_t& axis : over.axes) ++axis;
  return std::move(over).attrs();
}

Expr batch_reduce(Args x, const std::vector<bool>&, const Expr& y) {
  return apply(y.op(), {x[0]}, one_axis_further(y), y->where);
}

bool nothing_along(const Expr& x, std::span<const std::int64_t> axes) {
  return std::ranges::any_of(axes, [&](std::int64_t axis) { return x.dims()[axis] == Dim(0); });
}

std::int64_t follow_reduce(Args, std::span<const std::int64_t> axes, const Expr& y) {
  if (reduced(y, axes[0])) return -1;
  std::int64_t result = axes[0];
  for (const std::int64_t axis : OverAxes::of(y.attrs())) result -= axis < axes[0];
  return result;
}

Expr kept(const Expr& y, std::span<const std::int64_t> axes, std::int64_t rank) {
  std::vector<std::int64_t> pattern;
  std::int64_t next = 0;
  for (std::int64_t axis = 0; axis < rank; ++axis) {
    pattern.push_back(std::ranges::find(axes, axis) != axes.end() ? -1 : next++);
  }
  return dimshuffle(y, pattern);
}

Expr simplify_reduce(const Expr& y) {
  const Expr& x = y.inputs()[0];
  std::vector<std::int64_t> rest;
  const auto& axes = OverAxes::of(y.attrs());
  for (const std::int64_t axis : axes) {
    if (!(x.dims()[axis] == Dim(1))) rest.push_back(axis);
  }
  if (rest.size() == axes.size()) return axes.empty() ? x : Expr();
  const Expr partial = rest.empty() ? x : apply(y.op(), {x}, OverAxes{rest}.attrs());
  std::vector<std::int64_t> pattern;
  std::int64_t next = 0;
  for (std::int64_t axis = 0; axis < x.rank(); ++axis) {
    if (std::ranges::find(rest, axis) != rest.end()) continue;
    if (!reduced(y, axis)) pattern.push_back(next);
    ++next;
  }
  return dimshuffle(partial, pattern);
}

std::vector<std::size_t> destinations(const Shape& shape, std::span<const std::int64_t> axes) {
  std::vector<std::size_t> result(static_cast<std::size_t>(element_count(shape)));
  std::vector<std::int64_t> index(shape.size(), 0);
  for (std::size_t& to : result) {
    for (std::size_t k = 0; k < shape.size(); ++k) {
      const bool goes = std::ranges::find(axes, static_cast<std::int64_t>(k)) != axes.end();
      if (!goes) to = to * static_cast<std::size_t>(shape[k]) + static_cast<std::size_t>(index[k]);
    }
    for (std::size_t k = shape.size(); k-- > 0;) {
      if (++index[k] < shape[k]) break;
      index[k] = 0;
    }
  }
  return result;
}

Shape reduced_shape(const Shape& shape, std::span<const std::int64_t> axes) {
  Shape result;
  for (std::size_t k = 0; k < shape.size(); ++k) {
    if (std::ranges::find(axes, static_cast<std::int64_t>(k)) == axes.end())
      result.push_back(shape[k]);
  }
  return result;
}

Expr reduce(const Op& op, const Arg& x, const Axes& axes, bool keepdims) {
  const Attribution as(x.where(), /*force=*/false, op.name.data());
  const std::vector<std::int64_t> chosen = axes.of(op.name, x);
  const Expr y = apply(op, {x}, OverAxes{chosen}.attrs(), x.where());
  return keepdims ? kept(y, chosen, x->rank()) : y;
}

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

}  // namespace cinch::reduction
