#include "ops/activation.hpp"

#include <limits>
#include <xtensor/xmath.hpp>

#include "core/rewrite.hpp"
#include "ops/arithmetic.hpp"
#include "ops/elementwise.hpp"
#include "ops/expansion.hpp"
#include "ops/logsumexp.hpp"
#include "ops/reduce.hpp"
#include "ops/shape.hpp"
#include "ops/special.hpp"
#include "ops/xtensor_view.hpp"

namespace cinch {

namespace {

Rules exp_rules() {
  static const Expr x = wildcard("x");
  static const Rule rules[] = {
      {"exp(-softplus)", exp(-softplus(x)), sigmoid(-x)},
  };
  return rules;
}

Rules log_rules() {
  static const Expr x = wildcard("x"), y = wildcard("y");
  static const Rule rules[] = {
      {"log exp", log(exp(x)), x},
      {"log sigmoid", log(sigmoid(x)), -softplus(-x)},
      {"log (1 - sigmoid)", log(1 - sigmoid(x)), -softplus(x)},
      {"log (1 + exp)", log(1 + exp(x)), softplus(x)},
      {"log (exp + exp)", log(exp(x) + exp(y)), logaddexp(x, y)},
      {"log (-expm1)", log(-expm1(x)), log1mexp(x)},
      {"log (1 - x)", log(1 - x), log1p(-x)},
      {"log (1 + x)", log(1 + x), log1p(x)},
  };
  return rules;
}

/// Of what has axes, which equations over wildcards cannot carry over.
Expr simplify_log(const Expr& e) {
  const Expr& p = e.inputs()[0];
  if (is_final(e)) return {};
  if (&p.op() == &softmax_op) return apply(log_softmax_op, {p.inputs()[0]}, p.attrs());
  return log_of_sum_of_exponentials(p);
}

Rules log1p_rules() {
  static const Expr x = wildcard("x");
  static const Rule rules[] = {
      {"log1p exp", log1p(exp(x)), softplus(x)},
      {"log1p (-exp)", log1p(-exp(x)), log1mexp(x)},
      {"log1p (-sigmoid)", log1p(-sigmoid(x)), -softplus(x)},
  };
  return rules;
}

}  // namespace

constinit const Op exp_op = elementwise<formula::Exp>({
    .name = "exp",
    .grad = [](Args, const Expr& y, const Expr& gy) -> Grads { return {gy * y}; },
    .rules = exp_rules,
});
constinit const Op expm1_op = elementwise<formula::Expm1>({
    .name = "expm1",
    .grad = [](Args, const Expr& y, const Expr& gy) -> Grads { return {gy * (y + 1)}; },
});
constinit const Op log_op = elementwise<formula::Log>({
    .name = "log",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads { return {gy / x[0]}; },
    .rules = log_rules,
    .simplify = simplify_log,
    .probe = {0.2, 3},
});
constinit const Op log1p_op = elementwise<formula::Log1p>({
    .name = "log1p",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads { return {gy / (1 + x[0])}; },
    .rules = log1p_rules,
    .probe = {-0.7, 3},
});
constinit const Op sin_op = elementwise<formula::Sin>({
    .name = "sin",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads { return {gy * cos(x[0])}; },
});
constinit const Op cos_op = elementwise<formula::Cos>({
    .name = "cos",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads { return {-gy * sin(x[0])}; },
});
constinit const Op sigmoid_op = elementwise<formula::Sigmoid>({
    .name = "sigmoid",
    .grad = [](Args, const Expr& y, const Expr& gy) -> Grads { return {gy * y * (1 - y)}; },
    .probe = {-6, 6},
});
constinit const Op tanh_op = elementwise<formula::Tanh>({
    .name = "tanh",
    .grad = [](Args, const Expr& y, const Expr& gy) -> Grads { return {gy * (1 - square(y))}; },
});
constinit const Op softplus_op = elementwise<formula::Softplus>({
    .name = "softplus",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads { return {gy * sigmoid(x[0])}; },
    .probe = {-6, 6},
});
constinit const Op relu_op = elementwise<formula::Relu>({
    .name = "relu",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads { return {switch_(x[0] > 0, gy, 0)}; },
});

namespace {

Type same_type(Args x, const Attrs&) { return {x[0].dtype(), x[0].dims()}; }

/// A reduction of `x` along `axis`, the axis kept as size 1.
template <class T, class X>
xt::xarray<T> kept(const X& reduced, const Tensor& x, std::size_t axis) {
  xt::xarray<T> result = reduced;
  std::vector<std::size_t> shape(x.shape().begin(), x.shape().end());
  shape[axis] = 1;
  result.reshape(shape);
  return result;
}

/// x minus its maximum along the axis.
template <class T>
xt::xarray<T> shifted(const Tensor& x, std::size_t axis) {
  const xt::xarray<T> v = view<T>(x);
  const xt::xarray<T> largest = xt::amax<T>(v, std::vector{axis});
  return v - kept<T>(largest, x, axis);
}

template <class T>
xt::xarray<T> total(const xt::xarray<T>& e, const Tensor& x, std::size_t axis) {
  return kept<T>(xt::sum<T>(e, std::vector{axis}), x, axis);
}

Tensor softmax_reference(Values in, const Attrs& attrs) {
  if (in[0]->size() == 0) return *in[0];
  return dispatch_float(in[0]->dtype(), [&]<class T> {
    const auto axis = static_cast<std::size_t>(attrs.ints[0]);
    const xt::xarray<T> e = xt::exp(shifted<T>(*in[0], axis));
    return to_tensor<T>(e / total<T>(e, *in[0], axis));
  });
}

Tensor log_softmax_reference(Values in, const Attrs& attrs) {
  if (in[0]->size() == 0) return *in[0];
  return dispatch_float(in[0]->dtype(), [&]<class T> {
    const auto axis = static_cast<std::size_t>(attrs.ints[0]);
    const xt::xarray<T> s = shifted<T>(*in[0], axis), e = xt::exp(s);
    return to_tensor<T>(s - xt::log(total<T>(e, *in[0], axis)));
  });
}

Expr batch_along_axis(Args x, const std::vector<bool>&, const Expr& y) {
  return apply(y.op(), {x[0]}, {.ints = {y.attrs().ints[0] + 1}}, y->where);
}

/// Whether there is nothing along the op's axis, not even a largest element to subtract.
bool empty_axis(const Expr& y) {
  return y.dims()[static_cast<std::size_t>(y.attrs().ints[0])] == Dim(0);
}

std::int64_t follow_along_axis(Args, std::span<const std::int64_t> axes, const Expr& y) {
  return axes[0] == y.attrs().ints[0] ? -1 : axes[0];
}

std::vector<Example> axis_examples(Expr (*f)(const Arg&, std::int64_t)) {
  const Type matrix{DType::float64, {3, 4}};
  return {{{matrix}, [f](Args x) { return f(x[0], -1); }},
          {{matrix}, [f](Args x) { return f(x[0], 0); }},
          {{Type{DType::float64, {2, 3, 2}}}, [f](Args x) { return f(x[0], 1); }},
          {{Type{DType::float64, {4, 1}}}, [f](Args x) { return f(x[0], 1); }},
          {{Type{DType::float64, {0, 3}}}, [f](Args x) { return f(x[0], 1); }},
          {{Type{DType::float64, {0, 3}}}, [f](Args x) { return f(x[0], 0); }}};
}

}  // namespace

constinit const Op softmax_op{
    .name = "softmax",
    .type = same_type,
    .reference = softmax_reference,
    .operands = Operands::real,
    .grad = [](Args, const Expr& y, const Expr& gy) -> Grads {
      return {y * (gy - sum(gy * y, y.attrs().ints[0], /*keepdims=*/true))};
    },
    .batch = batch_along_axis,
    .follow = follow_along_axis,
    .expand =
        [](const Expr& y) {
          if (empty_axis(y)) return y.inputs()[0];
          const Expr e =
              exp(y.inputs()[0] - max(y.inputs()[0], y.attrs().ints[0], /*keepdims=*/true));
          return final_div(e, sum(e, y.attrs().ints[0], /*keepdims=*/true));
        },
    .examples = [] { return axis_examples(softmax); },
};

constinit const Op log_softmax_op{
    .name = "log_softmax",
    .type = same_type,
    .reference = log_softmax_reference,
    .operands = Operands::real,
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      const std::int64_t axis = y.attrs().ints[0];
      return {gy - softmax(x[0], axis) * sum(gy, axis, /*keepdims=*/true)};
    },
    .batch = batch_along_axis,
    .follow = follow_along_axis,
    .expand =
        [](const Expr& y) {
          if (empty_axis(y)) return y.inputs()[0];
          const Expr s = y.inputs()[0] - max(y.inputs()[0], y.attrs().ints[0], /*keepdims=*/true);
          return s - final_log(sum(exp(s), y.attrs().ints[0], /*keepdims=*/true));
        },
    .examples = [] { return axis_examples(log_softmax); },
};

namespace {
Expr unary(const Op& op, const Arg& x) { return apply(op, {x}, {}, x.where()); }

Expr along(const Op& op, const Arg& x, std::int64_t axis) {
  const Attribution as(x.where(), /*force=*/false, op.name.data());
  return apply(op, {x}, {.ints = {axis_of(op.name, x, axis)}}, x.where());
}
}  // namespace

Expr exp(const Arg& x) { return unary(exp_op, x); }
Expr expm1(const Arg& x) { return unary(expm1_op, x); }
Expr log(const Arg& x) { return unary(log_op, x); }
Expr log1p(const Arg& x) { return unary(log1p_op, x); }
Expr sin(const Arg& x) { return unary(sin_op, x); }
Expr cos(const Arg& x) { return unary(cos_op, x); }
Expr sigmoid(const Arg& x) { return unary(sigmoid_op, x); }
Expr tanh(const Arg& x) { return unary(tanh_op, x); }
Expr softplus(const Arg& x) { return unary(softplus_op, x); }
Expr relu(const Arg& x) { return unary(relu_op, x); }
Expr softmax(const Arg& x, std::int64_t axis) { return along(softmax_op, x, axis); }
Expr softmax(const Arg& x) { return softmax(x, -1); }
Expr log_softmax(const Arg& x, std::int64_t axis) { return along(log_softmax_op, x, axis); }
Expr log_softmax(const Arg& x) { return log_softmax(x, -1); }

}  // namespace cinch
