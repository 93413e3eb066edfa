#include "cinch/ops/activation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <xtensor/xmath.hpp>

#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/rewrite/rewrite.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/determinant.hpp"
#include "cinch/ops/prod.hpp"
#include "cinch/ops/records/elementwise.hpp"
#include "cinch/ops/records/reduction.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/reference/xtensor_view.hpp"
#include "cinch/ops/rules/expansion.hpp"
#include "cinch/ops/rules/positive.hpp"
#include "cinch/ops/rules/signs.hpp"
#include "cinch/ops/rules/slopes.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/special.hpp"
#include "cinch/ops/trigonometry.hpp"

namespace cinch {

namespace {

constexpr double ln2 = 0.69314718055994530942;

Rules exp_rules() {
  static const Expr x = rewriting::wildcard("x");
  static const Rule rules[] = {
      {"exp(-softplus)", exp(-softplus(x)), sigmoid(-x)},
      {"exp(-log_cosh)", exp(-log_cosh(x)), rules::sech(x)},
  };
  return rules;
}

Rules log_rules() {
  static const Expr x = rewriting::wildcard("x"), y = rewriting::wildcard("y");
  static const Rule rules[] = {
      {"log exp", log(exp(x)), x},
      {"log (1 - sigmoid)", log(sigmoid(-x)), -softplus(x)},
      {"log sigmoid", log(sigmoid(x)), -softplus(-x)},
      {"log (1 + exp)", log(1 + exp(x)), softplus(x)},
      {"log (exp + exp)", log(exp(x) + exp(y)), logaddexp(x, y)},
      {"log (exp + exp-)", log(exp(x) + exp(-x)), log_cosh(x) + ln2},
      {"log cosh", log(cosh(x)), log_cosh(x)},
      {"log sqrt", log(sqrt(x)), 0.5 * log(x)},
      {"log x^2", log(square(x)), 2 * log(abs(x))},
      {"log (1 / x)", log(1 / x), -log(x)},
      {"log (-expm1)", log(-expm1(x)), log1mexp(x)},
      {"log (1 - x)", log(1 - x), log1p(-x)},
      {"log (1 + x)", log(1 + x), log1p(x)},
  };
  return rules;
}

/// log |x| + ... where the sign of the whole is `sign`: NaN where it is negative.
Expr with_sign(const Expr& log_size, const Expr& sign) {
  return log_size + switch_(sign < 0, std::numeric_limits<double>::quiet_NaN(), 0);
}

/// log of what is a product, or a matrix's determinant: its size is a number where the product's is
/// 0 or infinite.
Expr log_of_product(const Expr& p) {
  if (&p.op() == &det_op) {
    const SignAndLog d = slogdet(p.inputs()[0]);
    return with_sign(d.log_abs, d.sign);
  }
  if (&p.op() == &prod_op && is_float(p.dtype())) {
    const Expr& x = p.inputs()[0];
    return with_sign(sum_axes(log(abs(x)), OverAxes::of(p.attrs())),
                     apply(prod_op, {sign(x)}, p.attrs()));
  }
  if (&p.op() == &pow_op) {
    const Expr &x = p.inputs()[0], &k = p.inputs()[1];
    if (!constant_value(k) || k.rank() != 0) return {};
    const double by = constant_value(k)->at(0);
    if (by == 0 || std::isnan(by)) return {};
    return k * log(std::fmod(by, 2) == 0 ? abs(x) : x);
  }
  return {};
}

/// log(softplus(x)), also where softplus vanishes and its slope with it: x + log(log1p(u) / u) for
/// u = exp(x), as a series where u is small.
Expr log_softplus(const Expr& x) {
  constexpr double small = -8;  // The series' next term is below 1e-17 there.
  const Expr below = x < small, u = exp(switch_(below, x, small));
  const Expr series = u * (-0.5 + u * (5.0 / 24 + u * (-0.125 + u * (251.0 / 2880))));
  return switch_(below, x + series, rules::final_log(softplus(switch_(below, small, x))));
}

/// Of what equations over wildcards cannot carry over.
Expr simplify_log(const Expr& e) {
  const Expr& p = e.inputs()[0];
  if (!rules::is_final(e) && &p.op() == &softplus_op) return log_softplus(p.inputs()[0]);
  // One function: the rules say it.
  if (rules::is_final(e) || &p.op() == &exp_op || &p.op() == &sigmoid_op) return {};
  const Expr better = rules::log_of_positive(p);
  return better.has_value() ? better : log_of_product(p);
}

Expr simplify_log1p(const Expr& e) {
  const Expr& p = e.inputs()[0];
  if (rules::is_final(e) || &p.op() == &exp_op) return {};
  const Expr sum = rules::log_of_positive(1 + p);
  return sum.has_value() && &sum.op() != &log_op ? sum : Expr();
}

Rules log1p_rules() {
  static const Expr x = rewriting::wildcard("x");
  static const Rule rules[] = {
      {"log1p exp", log1p(exp(x)), softplus(x)},
      {"log1p (-exp)", log1p(-exp(x)), log1mexp(x)},
      {"log1p (-sigmoid)", log1p(-sigmoid(x)), -softplus(x)},
      {"log1p (-tanh^2)", log1p(-square(tanh(x))), -2 * log_cosh(x)},
  };
  return rules;
}

}  // namespace

constinit const Op exp_op = records::elementwise<formula::Exp>({
    .name = "exp",
    .grad = [](Args, const Expr& y, const Expr& gy) -> Grads { return {gy * y}; },
    .rules = exp_rules,
    .simplify =
        [](const Expr& e) {
          return rules::is_final(e) ? Expr() : rules::softmax_by_logarithm(e.inputs()[0]);
        },
});
constinit const Op expm1_op = records::elementwise<formula::Expm1>({
    .name = "expm1",
    // Not y + 1, whose digits are gone where y is -1.
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads { return {gy * exp(x[0])}; },
});
constinit const Op log_op = records::elementwise<formula::Log>({
    .name = "log",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads { return {gy / x[0]}; },
    .rules = log_rules,
    .simplify = simplify_log,
    .probe = {0.2, 3},
});
constinit const Op log1p_op = records::elementwise<formula::Log1p>({
    .name = "log1p",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads { return {gy / (1 + x[0])}; },
    .rules = log1p_rules,
    .simplify = simplify_log1p,
    .probe = {-0.7, 3},
});
constinit const Op sin_op = records::elementwise<formula::Sin>({
    .name = "sin",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads { return {gy * cos(x[0])}; },
});
constinit const Op cos_op = records::elementwise<formula::Cos>({
    .name = "cos",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads { return {-gy * sin(x[0])}; },
});
constinit const Op sigmoid_op = records::elementwise<formula::Sigmoid>({
    .name = "sigmoid",
    // y (1 - y) without the difference, which is 0 from x = 37 on.
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {gy * rules::sigmoid_slope(x[0])};
    },
    .probe = {-6, 6},
});
constinit const Op tanh_op = records::elementwise<formula::Tanh>({
    .name = "tanh",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {gy * square(rules::sech(x[0]))};
    },
});
constinit const Op softplus_op = records::elementwise<formula::Softplus>({
    .name = "softplus",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads { return {gy * sigmoid(x[0])}; },
    .probe = {-6, 6},
});
constinit const Op relu_op = records::elementwise<formula::Relu>({
    .name = "relu",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads { return {switch_(x[0] > 0, gy, 0)}; },
    .simplify =
        [](const Expr& e) {
          return rules::never_negative(e.inputs()[0]) ? Expr(e.inputs()[0]) : Expr();
        },
});

namespace {

Type same_type(Args x, const Attrs&) { return {x[0].dtype(), x[0].dims()}; }

using AxisList = std::vector<std::size_t>;

AxisList axis_list(const Attrs& attrs) {
  const auto& axes = OverAxes::of(attrs);
  return {axes.begin(), axes.end()};
}

/// A reduction of `x` over `axes`, which are kept as size 1.
template <class T, class X>
xt::xarray<T> kept(const X& reduced, const Tensor& x, const AxisList& axes) {
  xt::xarray<T> result = reduced;
  std::vector<std::size_t> shape(x.shape().begin(), x.shape().end());
  for (const std::size_t axis : axes) shape[axis] = 1;
  result.reshape(shape);
  return result;
}

/// x minus its maximum over the axes: 0 where x is infinite, as the limit of what grows is.
template <class T>
xt::xarray<T> shifted(const Tensor& x, const AxisList& axes) {
  const xt::xarray<T> v = references::view<T>(x);
  const xt::xarray<T> largest = kept<T>(xt::amax<T>(v, axes), x, axes);
  const auto f = [](T a, T most) {
    return a == std::numeric_limits<T>::infinity() ? T(0) : a - most;
  };
  return xt::make_lambda_xfunction(f, v, largest);
}

template <class T>
xt::xarray<T> total(const xt::xarray<T>& e, const Tensor& x, const AxisList& axes) {
  const xt::xarray<double> wide = xt::sum<double>(e, axes);
  return kept<T>(xt::cast<T>(wide), x, axes);
}

Tensor softmax_reference(Values in, const Attrs& attrs) {
  if (in[0]->size() == 0) return *in[0];
  return dispatch_float(in[0]->dtype(), [&]<class T> {
    const AxisList axes = axis_list(attrs);
    const xt::xarray<T> e = xt::exp(shifted<T>(*in[0], axes));
    return references::to_tensor<T>(e / total<T>(e, *in[0], axes));
  });
}

Tensor log_softmax_reference(Values in, const Attrs& attrs) {
  if (in[0]->size() == 0) return *in[0];
  return dispatch_float(in[0]->dtype(), [&]<class T> {
    const AxisList axes = axis_list(attrs);
    const xt::xarray<T> s = shifted<T>(*in[0], axes), e = xt::exp(s);
    return references::to_tensor<T>(s - xt::log(total<T>(e, *in[0], axes)));
  });
}

/// x minus its maximum, as in the reference.
Expr shifted(const Expr& y) {
  const Expr& x = y.inputs()[0];
  const Expr most = max(x, Axes(OverAxes::of(y.attrs())), /*keepdims=*/true);
  return switch_(equal(x, std::numeric_limits<double>::infinity()), 0, x - most);
}

Expr sum_kept(const Expr& x, const Expr& y) {
  return sum(x, Axes(OverAxes::of(y.attrs())), /*keepdims=*/true);
}

/// Whether there is nothing along the op's axes, not even a largest element to subtract.
bool empty_axis(const Expr& y) { return reduction::nothing_along(y, OverAxes::of(y.attrs())); }

std::int64_t follow_along_axis(Args, std::span<const std::int64_t> axes, const Expr& y) {
  const auto& own = OverAxes::of(y.attrs());
  return std::ranges::find(own, axes[0]) != own.end() ? -1 : axes[0];
}

std::vector<Example> axis_examples(Expr (*f)(const Arg&, std::int64_t)) {
  const Type matrix{DType::float64, {3, 4}};
  return {{{matrix}, [f](Args x) { return f(x[0], -1); }},
          {{matrix}, [f](Args x) { return f(x[0], 0); }},
          {{Type{DType::float64, {2, 3, 2}}}, [f](Args x) { return f(x[0], 1); }},
          {{Type{DType::float64, {2, 3, 2}}},
           [f](Args x) {
             return apply(f(x[0], 1).op(), {x[0]}, OverAxes{{0, 2}}.attrs());
           }},
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
      return {y * (gy - sum_kept(gy * y, y))};
    },
    .batch = reduction::batch_reduce,
    .follow = follow_along_axis,
    .expand =
        [](const Expr& y) {
          if (empty_axis(y)) return y.inputs()[0];
          const Expr e = exp(shifted(y));
          return rules::final_div(e, sum_kept(e, y));
        },
    .examples = [] { return axis_examples(softmax); },
};

constinit const Op log_softmax_op{
    .name = "log_softmax",
    .type = same_type,
    .reference = log_softmax_reference,
    .operands = Operands::real,
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      return {gy - apply(softmax_op, {x[0]}, y.attrs()) * sum_kept(gy, y)};
    },
    .batch = reduction::batch_reduce,
    .follow = follow_along_axis,
    .expand =
        [](const Expr& y) {
          if (empty_axis(y)) return y.inputs()[0];
          const Expr s = shifted(y);
          return s - rules::final_log(sum_kept(exp(s), y));
        },
    .examples = [] { return axis_examples(log_softmax); },
};

namespace {
Expr unary(const Op& op, const Arg& x) { return apply(op, {x}, {}, x.where()); }

Expr along(const Op& op, const Arg& x, std::int64_t axis) {
  const Attribution as(x.where(), /*force=*/false, op.name.data());
  return apply(op, {x}, OverAxes{{axis_of(op.name, x, axis)}}.attrs(), x.where());
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
