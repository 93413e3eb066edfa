#include "cinch/ops/logsumexp.hpp"

#include <cmath>
#include <limits>

#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/finite.hpp"
#include "cinch/ops/records/reduction.hpp"
#include "cinch/ops/rules/expansion.hpp"
#include "cinch/ops/rules/positive.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

using namespace reduction;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

/// From sums relative to the largest elements, kept in float64 as sums of float32 are everywhere.
template <class T>
void finish_reference(const std::vector<double>& sums, std::span<const T> most, std::span<T> to) {
  for (std::size_t k = 0; k < to.size(); ++k)
    to[k] = static_cast<T>(std::log(sums[k])) + (std::isinf(most[k]) ? T(0) : most[k]);
}

Tensor logsumexp_reference(Values in, const Attrs& attrs) {
  return dispatch_float(in[0]->dtype(), [&]<class T> {
    const auto low = -std::numeric_limits<T>::infinity();
    const Tensor most = fold_reference<T>(*in[0], attrs, low,
                                          [](T a, T b) { return std::isnan(a) || a > b ? a : b; });
    Tensor result(in[0]->dtype(), most.shape());
    const auto to = destinations(in[0]->shape(), OverAxes::of(attrs));
    const auto x = in[0]->data<T>(), m = most.data<T>();
    std::vector<double> sums(static_cast<std::size_t>(result.size()));
    for (std::size_t i = 0; i < to.size(); ++i)
      sums[to[i]] += std::isinf(m[to[i]]) ? std::exp(x[i]) : std::exp(x[i] - m[to[i]]);
    finish_reference<T>(sums, m, result.data<T>());
    return result;
  });
}

/// By the largest element, which is taken out of the sum; nothing is where it is infinite.
Expr expand_logsumexp(const Expr& y) {
  const Expr& x = y.inputs()[0];
  const auto& axes = OverAxes::of(y.attrs());
  if (nothing_along(x, axes)) return rules::final_log(sum(exp(x), axes));
  const Expr most = max(x, axes);
  const Expr shift = switch_(abs(most) < inf, most, 0);
  return rules::final_log(sum(exp(x - kept(shift, axes, x.rank())), axes)) + shift;
}

}  // namespace

constinit const Op logsumexp_op{
    .name = "logsumexp",
    .type = reduce_type,
    .reference = logsumexp_reference,
    .operands = Operands::real,
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      const auto& axes = OverAxes::of(y.attrs());
      if (axes.empty()) return {gy};
      const auto spread = [&](const Expr& e) { return kept(e, axes, x[0].rank()); };
      const Expr none = spread(equal(y, -inf));
      const Expr share = apply(softmax_op, {switch_(none, 0, x[0])}, y.attrs());
      return {spread(gy) * switch_(none, 0, share)};
    },
    .batch = batch_reduce,
    .follow = follow_reduce,
    .simplify = simplify_reduce,
    .expand = expand_logsumexp,
    .examples = [] { return reduce_examples(logsumexp, false); },
};

Expr logsumexp(const Arg& x, const Axes& axes, bool keepdims) {
  return reduce(logsumexp_op, x, axes, keepdims);
}

namespace {

Tensor weighted_reference(Values in, const Attrs& attrs) {
  return dispatch_float(in[0]->dtype(), [&]<class T> {
    constexpr T low = -std::numeric_limits<T>::infinity();
    Tensor counting = *in[0];
    const auto x = counting.data<T>();
    const auto w = in[1]->data<T>();
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = w[i] == 0 ? low : x[i];
    const Tensor most = fold_reference<T>(counting, attrs, low,
                                          [](T a, T b) { return std::isnan(a) || a > b ? a : b; });
    Tensor result(in[0]->dtype(), most.shape());
    const auto to = destinations(in[0]->shape(), OverAxes::of(attrs));
    const auto m = most.data<T>();
    std::vector<double> sums(static_cast<std::size_t>(result.size()));
    for (std::size_t i = 0; i < to.size(); ++i)
      sums[to[i]] += w[i] * (std::isinf(m[to[i]]) ? std::exp(x[i]) : std::exp(x[i] - m[to[i]]));
    finish_reference<T>(sums, m, result.data<T>());
    return result;
  });
}

}  // namespace

/// log of the sum of w exp(x), from x and w of one shape; NaN where the sum is negative. What has
/// weight 0 counts for nothing, however large.
constinit const Op rules::weighted_logsumexp_op{
    .name = "weighted_logsumexp",
    .type = reduce_type,
    .reference = weighted_reference,
    .operands = Operands::real,
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      const auto spread = [&](const Expr& e) {
        return kept(e, OverAxes::of(y.attrs()), x[0].rank());
      };
      // Bounded, so that weight 0 times it is 0: a masked x may be as large as it likes.
      const Expr share =
          minimum(exp(x[0] - spread(switch_(equal(y, -inf), 0, y))), largest_number(x[0].dtype()));
      return {spread(gy) * (x[1] * share), spread(gy) * share};
    },
    .batch = [](Args x, const std::vector<bool>& batched, const Expr& y) -> Expr {
      const Expr& like = batched[0] ? x[0] : x[1];
      const auto all = [&](std::size_t k) {
        return batched[k] ? x[k] : broadcast_like(x[k], like);
      };
      return apply(y.op(), {all(0), all(1)}, one_axis_further(y), y->where);
    },
    .follow = [](Args x, std::span<const std::int64_t> axes, const Expr& y) -> std::int64_t {
      const std::int64_t own = axes[0] >= 0 ? axes[0] : axes[1];
      if (axes[0] >= 0 && axes[1] >= 0 && axes[0] != axes[1]) return -1;
      const std::int64_t one[] = {own};
      return follow_reduce(x.first(1), one, y);
    },
    .expand = [](const Expr& y) -> Expr {
      const Expr &x = y.inputs()[0], &w = y.inputs()[1];
      const auto& axes = OverAxes::of(y.attrs());
      if (nothing_along(x, axes)) return final_log(sum(w * exp(x), axes));
      const Expr counting = switch_(equal(w, 0), -inf, x);
      const Expr most = max(counting, axes);
      const Expr shift = switch_(abs(most) < inf, most, 0);
      return final_log(sum(w * exp(counting - kept(shift, axes, x.rank())), axes)) + shift;
    },
    .probe = {0.2, 2},
    .examples = []() -> std::vector<Example> {
      const auto make = [](const Dims& dims, const std::vector<std::int64_t>& axes) {
        const Type type{DType::float64, dims};
        return Example{{type, type}, [axes](Args x) {
                         return apply(weighted_logsumexp_op, {x[0], x[1]}, OverAxes{axes}.attrs());
                       }};
      };
      return {make({4}, {0}), make({3, 4}, {1}), make({3, 4}, {0}), make({2, 3, 4}, {0, 2}),
              make({0, 3}, {1})};
    },
};

}  // namespace cinch
