#include "ops/logsumexp.hpp"

#include <cmath>
#include <limits>

#include "ops/activation.hpp"
#include "ops/arithmetic.hpp"
#include "ops/expansion.hpp"
#include "ops/reduction.hpp"
#include "ops/shape.hpp"

namespace cinch {

using namespace reduction;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

Tensor logsumexp_reference(Values in, const Attrs& attrs) {
  return dispatch_float(in[0]->dtype(), [&]<class T> {
    const auto low = -std::numeric_limits<T>::infinity();
    const Tensor most = fold_reference<T>(*in[0], attrs, low,
                                          [](T a, T b) { return std::isnan(a) || a > b ? a : b; });
    Tensor result(in[0]->dtype(), most.shape());
    const auto to = destinations(in[0]->shape(), attrs.ints);
    const auto x = in[0]->data<T>(), m = most.data<T>();
    const auto y = result.data<T>();
    for (std::size_t i = 0; i < to.size(); ++i)
      y[to[i]] += std::isinf(m[to[i]]) ? std::exp(x[i]) : std::exp(x[i] - m[to[i]]);
    for (std::size_t k = 0; k < y.size(); ++k)
      y[k] = std::log(y[k]) + (std::isinf(m[k]) ? T(0) : m[k]);
    return result;
  });
}

/// By the largest element, which is taken out of the sum; nothing is where it is infinite.
Expr expand_logsumexp(const Expr& y) {
  const Expr& x = y.inputs()[0];
  const auto& axes = y.attrs().ints;
  for (const std::int64_t axis : axes) {
    if (x.dims()[static_cast<std::size_t>(axis)] == Dim(0)) return final_log(sum(exp(x), axes));
  }
  const Expr most = max(x, axes);
  const Expr shift = switch_(abs(most) < inf, most, 0);
  return final_log(sum(exp(x - kept(shift, axes, x.rank())), axes)) + shift;
}

}  // namespace

constinit const Op logsumexp_op{
    .name = "logsumexp",
    .type = reduce_type,
    .reference = logsumexp_reference,
    .operands = Operands::real,
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      const auto& axes = y.attrs().ints;
      const Expr total = kept(switch_(equal(y, -inf), 0, y), axes, x[0].rank());
      return {kept(gy, axes, x[0].rank()) * exp(x[0] - total)};
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

Expr log_within(const Expr& p, int depth) {
  if (&p.op() == &sum_op && &p.inputs()[0].op() == &exp_op)
    return apply(logsumexp_op, {p.inputs()[0].inputs()[0]}, p.attrs());
  const bool moved = &p.op() == &dimshuffle_op, divided = &p.op() == &div_op;
  if (depth == 0 || (!moved && !divided)) return {};
  const Expr inner = log_within(p.inputs()[0], depth - 1);
  if (!inner.has_value()) return {};
  return moved ? dimshuffle(inner, p.attrs().ints) : inner - log(p.inputs()[1]);
}

}  // namespace

Expr log_of_sum_of_exponentials(const Expr& p) { return log_within(p, 3); }

}  // namespace cinch
