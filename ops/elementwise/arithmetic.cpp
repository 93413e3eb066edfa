#include "cinch/ops/arithmetic.hpp"

#include <xtensor/xmath.hpp>

#include "cinch/core/derive/derivative_of.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/rewrite/rewrite.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/records/elementwise.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/reference/xtensor_view.hpp"
#include "cinch/ops/rules/even.hpp"
#include "cinch/ops/rules/parts.hpp"
#include "cinch/ops/rules/placed.hpp"
#include "cinch/ops/rules/positive.hpp"
#include "cinch/ops/rules/powers.hpp"
#include "cinch/ops/rules/root.hpp"
#include "cinch/ops/rules/shares.hpp"
#include "cinch/ops/rules/signs.hpp"
#include "cinch/ops/rules/slopes.hpp"
#include "cinch/ops/rules/vanishing.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/special.hpp"
#include "cinch/ops/trigonometry.hpp"
#include "cinch/ops/widened.hpp"

namespace cinch {

namespace {

Rules add_rules() {
  static const Expr x = rewriting::wildcard("x"), y = rewriting::wildcard("y");
  static const Rule rules[] = {
      {"x + 0", x + 0, x},
      {"x + -y", x + -y, x - y},
      {"1 + erf", 1 + erf(x), erfc(-x)},
      {"1 + tanh", 1 + tanh(x), 2 * sigmoid(2 * x)},
      {"1/2 + tanh / 2", 0.5 + 0.5 * tanh(x), sigmoid(2 * x)},
      {"1/2 + half tanh", 0.5 + tanh(x) / 2, sigmoid(2 * x)},
      // As cross-entropies are often written. Apart, both have a kink at 0, and no curvature there.
      {"max + softplus-", maximum(x, 0) + softplus(-abs(x)), softplus(x)},
      {"relu + softplus-", relu(x) + softplus(-abs(x)), softplus(x)},
      {"max - y + softplus-", (maximum(x, 0) - y) + softplus(-abs(x)), softplus(x) - y},
      {"relu - y + softplus-", (relu(x) - y) + softplus(-abs(x)), softplus(x) - y},
      // What has a kink in both and none together.
      {"relu + relu-", relu(x) + relu(-x), abs(x)},
      {"relu^2 + relu-^2", square(relu(x)) + square(relu(-x)), square(x)},
      {"-1 + sigmoid", -1 + sigmoid(x), -sigmoid(-x)},
      {"-1 + tanh", -1 + tanh(x), -2 * sigmoid(-2 * x)},
  };
  return rules;
}

Rules sub_rules() {
  static const Expr x = rewriting::wildcard("x"), y = rewriting::wildcard("y");
  static const Rule rules[] = {
      {"x - 0", x - 0, x},
      {"0 - x", 0 - x, -x},
      {"x - -y", x - -y, x + y},
      {"1 - (1 - x)", 1 - (1 - x), x},
      {"exp - 1", exp(x) - 1, expm1(x)},
      {"1 - exp", 1 - exp(x), -expm1(x)},
      {"1 - erf", 1 - erf(x), erfc(x)},
      {"1 - erfc", 1 - erfc(x), erf(x)},
      {"1 - normal_cdf", 1 - rules::normal_cdf(x), rules::normal_cdf(-x)},
      {"1 - erfc / 2", 1 - 0.5 * erfc(x), 0.5 * erfc(-x)},
      {"1 - sigmoid", 1 - sigmoid(x), sigmoid(-x)},
      {"sigmoid - sigmoid^2", sigmoid(x) - square(sigmoid(x)), rules::sigmoid_slope(x)},
      {"sigmoid - sigmoid-", sigmoid(x) - sigmoid(-x), tanh(0.5 * x)},
      {"sigmoid- - sigmoid", sigmoid(-x) - sigmoid(x), -tanh(0.5 * x)},
      {"2 sigmoid - 1", 2 * sigmoid(x) - 1, tanh(0.5 * x)},
      {"1 - 2 sigmoid", 1 - 2 * sigmoid(x), -tanh(0.5 * x)},
      {"1 - tanh", 1 - tanh(x), 2 * sigmoid(-2 * x)},
      {"1/2 - tanh / 2", 0.5 - 0.5 * tanh(x), sigmoid(-2 * x)},
      {"1/2 - half tanh", 0.5 - tanh(x) / 2, sigmoid(-2 * x)},
      {"1 - tanh^2", 1 - square(tanh(x)), square(rules::sech(x))},
      {"sigmoid - 1", sigmoid(x) - 1, -sigmoid(-x)},
      {"tanh - 1", tanh(x) - 1, -2 * sigmoid(-2 * x)},
      {"erf - 1", erf(x) - 1, -erfc(x)},
      {"softplus - x", softplus(x) - x, softplus(-x)},
      {"x - softplus", x - softplus(x), -softplus(-x)},
      {"relu - relu-", relu(x) - relu(-x), x},
  };
  return rules;
}

Rules mul_rules() {
  static const Expr x = rewriting::wildcard("x"), y = rewriting::wildcard("y");
  static const Rule rules[] = {
      {"sign x", sign(x) * x, abs(x)},
      {"sign |x|", sign(x) * abs(x), x},
      {"x * 1", x * 1, x},
      {"x * -1", x * -1, -x},
      {"2 (x / 2)", 2 * (0.5 * x), x},
      {"2 half x", 2 * (x / 2), x},
      {"half 2 x", 0.5 * (2 * x), x},
      {"x * x", x * x, square(x)},
      {"sigmoid sigmoid-", sigmoid(x) * sigmoid(-x), rules::sigmoid_slope(x)},
      {"-x * -y", -x * -y, x * y},
      {"x log x", x * log(x), xlogy(x, x)},
      {"x log (x / y)", x * log(x / y),
       xlogy(x, x / switch_(logical_and(equal(x, 0), equal(y, 0)), 1, y))},
      {"x (log x - log y)", x * (log(x) - log(y)), xlogy(x, x) - xlogy(x, y)},
      {"(1 - x) log (1 - x)", (1 - x) * log1p(-x), xlog1py(1 - x, -x)},
      {"(1 - x) (log (1 - x) - log (1 - y))", (1 - x) * (log1p(-x) - log1p(-y)),
       xlog1py(1 - x, -x) - xlog1py(1 - x, -y)},
  };
  return rules;
}

Rules div_rules() {
  static const Expr x = rewriting::wildcard("x");
  static const Rule rules[] = {
      {"x / 1", x / 1, x},
      {"2 x / 2", (2 * x) / 2, x},
      {"1 / (1 + exp(-x))", 1 / (1 + exp(-x)), sigmoid(x)},
      {"1 / (1 + exp(x))", 1 / (1 + exp(x)), sigmoid(-x)},
      {"exp / (1 + exp)", exp(x) / (1 + exp(x)), sigmoid(x)},
      {"(exp - exp-) / (exp + exp-)", (exp(x) - exp(-x)) / (exp(x) + exp(-x)), tanh(x)},
  };
  return rules;
}

Rules maximum_rules() {
  static const Expr x = rewriting::wildcard("x");
  static const Rule rules[] = {{"max of x and -x", maximum(x, -x), abs(x)}};
  return rules;
}

Rules minimum_rules() {
  static const Expr x = rewriting::wildcard("x");
  static const Rule rules[] = {{"min of x and -x", minimum(x, -x), -abs(x)}};
  return rules;
}

/// What has no kink after all.
Rules abs_rules() {
  static const Expr x = rewriting::wildcard("x");
  static const Rule rules[] = {
      {"abs square", abs(square(x)), square(x)},
      {"abs abs", abs(abs(x)), abs(x)},
  };
  return rules;
}

Rules neg_rules() {
  static const Expr x = rewriting::wildcard("x"), y = rewriting::wildcard("y");
  static const Rule rules[] = {
      {"-(-x)", -(-x), x},
      {"-(x - y)", -(x - y), y - x},
  };
  return rules;
}

Rules pow_rules() {
  static const Expr x = rewriting::wildcard("x");
  static const Rule rules[] = {
      {"x ^ 1", pow(x, 1), x},
      {"x ^ 2", pow(x, 2), square(x)},
      {"x ^ 0.5", pow(x, 0.5), sqrt(x)},
      {"x ^ -1", pow(x, -1), 1 / x},
  };
  return rules;
}

Rules square_rules() {
  static const Expr x = rewriting::wildcard("x");
  static const Rule rules[] = {
      {"(-x)^2", square(-x), square(x)},
      {"|x|^2", square(abs(x)), square(x)},
  };
  return rules;
}

Rules sqrt_rules() {
  static const Expr x = rewriting::wildcard("x");
  static const Rule rules[] = {
      {"sqrt(x^2)", sqrt(square(x)), abs(x)},
  };
  return rules;
}

/// The first of these that finds something.
template <auto... simplifications>
Expr first_of(const Expr& e) {
  Expr result;
  (void)((result = simplifications(e), result.has_value()) || ...);
  return result;
}

/// The power of a root, where it is a whole one of what is under it.
Expr simplify_square(const Expr& e) {
  const Expr whole = rules::power_of_root(e.inputs()[0], 2);
  return whole.has_value() ? whole : rules::of_parts(e);
}
Expr simplify_pow(const Expr& e) {
  const Tensor* p = constant_value(e.inputs()[1]);
  const bool number = p && p->size() == 1 && p->rank() == 0;
  const Expr whole = number ? rules::power_of_root(e.inputs()[0], p->item()) : Expr();
  return whole.has_value() ? whole : rules::balanced(e);
}

/// x where it is the other operand's type and no other sign than `fits` says.
Expr one_side(const Expr& e, bool (*fits)(const Expr&), bool (*other)(const Expr&)) {
  for (const std::size_t k : {0u, 1u}) {
    const Expr &x = e.inputs()[k], &bound = e.inputs()[1 - k];
    const bool same = x.dtype() == e.dtype() && x.dims() == e.dims() && !x.type().weak;
    if (same && constant_value(bound) && other(bound) && fits(x)) return x;
  }
  return {};
}

Expr simplify_maximum(const Expr& e) {
  return one_side(e, rules::never_negative, rules::never_positive);
}
Expr simplify_minimum(const Expr& e) {
  return one_side(e, rules::never_positive, rules::never_negative);
}
Expr simplify_abs(const Expr& e) {
  return rules::never_negative(e.inputs()[0]) ? Expr(e.inputs()[0]) : rules::of_parts(e);
}

Expr simplify_sqrt(const Expr& e) {
  const Expr root = rules::root_of_product(e.inputs()[0]);
  return root.has_value() ? root : rules::balanced(e);
}

/// The exponent of the derivative of x^p, constant where p is.
Expr one_less(const Expr& x, const Expr& p) {
  // Exponent 0 stays: its power is a constant even at base 0, where the power of -1 is infinite.
  if (const Tensor* value = constant_value(p)) {
    Tensor less = *value;
    dispatch_float(less.dtype(), [&]<class T> {
      for (T& e : less.data<T>()) e = e == 0 ? T(0) : e - 1;
    });
    return constant(std::move(less), p->where);
  }
  return switch_(logical_and(equal(p, 0), equal(x, 0)), 1, p) - 1;
}

/// The part of `gy` that goes to the operand for which `wins` holds; half of it where both are
/// equal.
Expr shared_where(const Expr& wins, const Args& x, const Expr& gy) {
  return switch_(wins, gy, switch_(equal(x[0], x[1]), 0.5 * gy, 0));
}

}  // namespace

constinit const Op add_op = records::elementwise<formula::Add>({
    .name = "add",
    .commutative = true,
    .linear = LinearForm::sum,
    .grad = [](Args, const Expr&, const Expr& gy) -> Grads {
      return {gy, gy};
    },
    .rules = add_rules,
    .simplify = first_of<rules::with_joined_parts, rules::with_parts_apart>,
});
constinit const Op sub_op = records::elementwise<formula::Sub>({
    .name = "sub",
    .linear = LinearForm::difference,
    .grad = [](Args, const Expr&, const Expr& gy) -> Grads {
      return {gy, -gy};
    },
    .rules = sub_rules,
    .simplify = rules::with_parts_apart,
});
constinit const Op mul_op = records::elementwise<formula::Mul>({
    .name = "mul",
    .commutative = true,
    .algebra = Algebra::product,
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {gy * x[1], gy * x[0]};
    },
    .rules = mul_rules,
    .simplify = first_of<rules::balanced, rules::of_parts, rules::with_vanishing_logs>,
});
constinit const Op div_op = records::elementwise<formula::Div>({
    .name = "div",
    .algebra = Algebra::quotient,
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      return {gy / x[1], -gy * y / x[1]};
    },
    .smoothed = rules::shares_of_sums,
    .rules = div_rules,
    .simplify = first_of<rules::balanced, rules::of_parts>,
    .probe = {0.5, 2},
});
constinit const Op floor_div_op = records::elementwise<formula::FloorDiv>({.name = "floor_div"});
constinit const Op mod_op = records::elementwise<formula::Mod>({
    .name = "mod",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {gy, -gy * floor_div(x[0], x[1])};
    },
    .probe = {1.1, 1.9},
});
constinit const Op pow_op = records::elementwise<formula::Pow>({
    .name = "pow",
    .algebra = Algebra::power,
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      const Expr by_base = x[1] * pow(x[0], one_less(x[0], x[1]));
      // 0^p is 0 for every p > 0, and jumps at p = 0: the log's -inf is right there, and its NaN
      // for a negative base, whose powers between the whole ones do not exist.
      const Expr flat = logical_and(equal(x[0], 0), x[1] > 0);
      return {gy * by_base, gy * y * log(switch_(flat, 1, x[0]))};
    },
    .rules = pow_rules,
    .simplify = simplify_pow,
    .expand = rules::as_products,
    .probe = {0.3, 2},
});
constinit const Op maximum_op = records::elementwise<formula::Maximum>({
    .name = "maximum",
    .commutative = true,
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {shared_where(x[0] > x[1], x, gy), shared_where(x[1] > x[0], x, gy)};
    },
    .rules = maximum_rules,
    .simplify = simplify_maximum,
});
constinit const Op minimum_op = records::elementwise<formula::Minimum>({
    .name = "minimum",
    .commutative = true,
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {shared_where(x[0] < x[1], x, gy), shared_where(x[1] < x[0], x, gy)};
    },
    .rules = minimum_rules,
    .simplify = simplify_minimum,
});
constinit const Op neg_op = records::elementwise<formula::Neg>({
    .name = "neg",
    .algebra = Algebra::negative,
    .grad = [](Args, const Expr&, const Expr& gy) -> Grads { return {-gy}; },
    .rules = neg_rules,
    .simplify = rules::of_parts,
});
constinit const Op abs_op = records::elementwise<formula::Abs>({
    .name = "abs",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads { return {gy * sign(x[0])}; },
    .smoothed = rules::functions_of_squares,
    .rules = abs_rules,
    .simplify = simplify_abs,
});
constinit const Op sign_op = records::elementwise<formula::Sign>({.name = "sign"});
constinit const Op square_op = records::elementwise<formula::Square>({
    .name = "square",
    .algebra = Algebra::square,
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads { return {2 * gy * x[0]}; },
    .rules = square_rules,
    .simplify = simplify_square,
});
constinit const Op sqrt_op = records::elementwise<formula::Sqrt>({
    .name = "sqrt",
    .grad = [](Args, const Expr& y, const Expr& gy) -> Grads { return {0.5 * gy / y}; },
    .smoothed = rules::functions_of_squares,
    .rules = sqrt_rules,
    .simplify = simplify_sqrt,
    .probe = {0.3, 3},
});
constinit const Op floor_op = records::elementwise<formula::Floor>({.name = "floor"});
constinit const Op ceil_op = records::elementwise<formula::Ceil>({.name = "ceil"});
constinit const Op round_op = records::elementwise<formula::Round>({.name = "round"});
constinit const Op trunc_op = records::elementwise<formula::Trunc>({.name = "trunc"});
constinit const Op equal_op =
    records::elementwise<formula::Equal>({.name = "equal", .commutative = true});
constinit const Op not_equal_op =
    records::elementwise<formula::NotEqual>({.name = "not_equal", .commutative = true});
constinit const Op less_op = records::elementwise<formula::Less>({.name = "less"});
constinit const Op less_equal_op = records::elementwise<formula::LessEqual>({.name = "less_equal"});
constinit const Op and_op =
    records::elementwise<formula::And>({.name = "logical_and", .commutative = true});
constinit const Op or_op =
    records::elementwise<formula::Or>({.name = "logical_or", .commutative = true});
constinit const Op not_op = records::elementwise<formula::Not>({.name = "logical_not"});
constinit const Op is_nan_op = records::elementwise<formula::IsNan>({.name = "is_nan"});
constinit const Op stop_gradient_op = records::elementwise<formula::Identity>({
    .name = "stop_gradient",
    .expand = [](const Expr& e) { return e.inputs()[0]; },
});

constinit const Op deriving::derivative_op{
    .name = "derivative",
    .type =
        [](Args x, const Attrs&) {
          return Type{x[0].dtype(), x[0].dims()};
        },
    .reference = [](Values in, const Attrs&) { return *in[0]; },
    .shape_only = 2,
    .grad = [](Args, const Expr&, const Expr& gy) -> Grads {
      return {gy, Expr()};
    },
    .batch = [](Args x, const std::vector<bool>&, const Expr&) { return Expr(x[0]); },
    .follow = [](Args, std::span<const std::int64_t> axes, const Expr&) { return axes[0]; },
    .simplify = [](const Expr& y) { return Expr(y.inputs()[0]); },
    .runs = View{.show =
                     [](const Strided& in, const Expr&, Strided& out) {
                       out = in;
                       return true;
                     }},
    .examples = []() -> std::vector<Example> {
      const Type matrix{DType::float64, {3, 4}};
      return {{{matrix, matrix}, [](Args x) { return as_derivative(square(x[0]), x[1]); }},
              {{Type{DType::float64, {0, 3}}},
               [](Args x) { return as_derivative(square(x[0]), x[0]); }}};
    },
};

namespace {

Tensor switch_reference(Values in, const Attrs&) {
  return dispatch(in[1]->dtype(), [&]<class T> {
    const auto f = [](bool c, T a, T b) { return formula::Choose::f(c, a, b); };
    return references::to_tensor<T>(xt::make_lambda_xfunction(f, references::view<bool>(*in[0]),
                                                              references::view<T>(*in[1]),
                                                              references::view<T>(*in[2])));
  });
}

Tensor cast_reference(Values in, const Attrs& attrs) {
  return dispatch(in[0]->dtype(), [&]<class From> {
    return dispatch(attrs.dtype, [&]<class To> {
      const auto f = [](From a) { return formula::Cast::f<To>(a); };
      return references::to_tensor<To>(
          xt::make_lambda_xfunction(f, references::view<From>(*in[0])));
    });
  });
}

}  // namespace

constinit const Op switch_op{
    .name = "switch",
    .type = records::broadcast_type,
    .reference = switch_reference,
    .operands = Operands::choice,
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {Expr(), switch_(x[0], gy, 0), switch_(x[0], 0, gy)};
    },
    .smoothed = rules::removable_choices,
    .simplify = rules::of_parts,
    .runs = Elementwise{[](DType in, DType) {
      return simd::kernels().choose[static_cast<std::size_t>(in)];
    }},
    .arity = 3,
};

constinit const Op cast_op{
    .name = "cast",
    .type =
        [](Args x, const Attrs& attrs) {
          return Type{attrs.dtype, x[0].dims()};
        },
    .reference = cast_reference,
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {is_float(x[0].dtype()) ? cast(gy, x[0].dtype()) : Expr()};
    },
    .simplify =
        [](const Expr& e) {
          const Expr& x = e.inputs()[0];
          return x.dtype() == e.dtype() && !x.type().weak ? x : Expr();
        },
    .runs = Elementwise{[](DType in, DType out) {
      return simd::kernels().cast[static_cast<std::size_t>(in)][static_cast<std::size_t>(out)];
    }},
    .arity = 1,
};

namespace {
Expr binary(const Op& op, const Arg& a, const Arg& b) { return apply(op, {a, b}, {}, a.where()); }
Expr unary(const Op& op, const Arg& x) { return apply(op, {x}, {}, x.where()); }
}  // namespace

Expr operator+(const Arg& a, const Arg& b) { return binary(add_op, a, b); }
Expr operator-(const Arg& a, const Arg& b) { return binary(sub_op, a, b); }
Expr operator*(const Arg& a, const Arg& b) { return binary(mul_op, a, b); }
Expr operator/(const Arg& a, const Arg& b) { return binary(div_op, a, b); }
Expr operator-(const Arg& a) { return unary(neg_op, a); }
Expr floor_div(const Arg& a, const Arg& b) { return binary(floor_div_op, a, b); }
Expr mod(const Arg& a, const Arg& b) { return binary(mod_op, a, b); }
Expr pow(const Arg& a, const Arg& b) { return binary(pow_op, a, b); }
Expr maximum(const Arg& a, const Arg& b) { return binary(maximum_op, a, b); }
Expr minimum(const Arg& a, const Arg& b) { return binary(minimum_op, a, b); }
Expr clip(const Arg& x, const Arg& low, const Arg& high) {
  const Attribution as(x.where());
  return minimum(maximum(x, low), high);
}
Expr abs(const Arg& x) { return unary(abs_op, x); }
Expr sign(const Arg& x) { return unary(sign_op, x); }
Expr square(const Arg& x) { return unary(square_op, x); }
Expr sqrt(const Arg& x) { return unary(sqrt_op, x); }
Expr floor(const Arg& x) { return unary(floor_op, x); }
Expr ceil(const Arg& x) { return unary(ceil_op, x); }
Expr round(const Arg& x) { return unary(round_op, x); }
Expr trunc(const Arg& x) { return unary(trunc_op, x); }
Expr reciprocal(const Arg& x) {
  const Attribution as(x.where());
  return 1 / x;
}
Expr rsqrt(const Arg& x) {
  const Attribution as(x.where());
  return 1 / sqrt(x);
}
Expr equal(const Arg& a, const Arg& b) { return binary(equal_op, a, b); }
Expr not_equal(const Arg& a, const Arg& b) { return binary(not_equal_op, a, b); }
Expr operator<(const Arg& a, const Arg& b) { return binary(less_op, a, b); }
Expr operator<=(const Arg& a, const Arg& b) { return binary(less_equal_op, a, b); }
Expr operator>(const Arg& a, const Arg& b) { return apply(less_op, {b, a}, {}, a.where()); }
Expr operator>=(const Arg& a, const Arg& b) { return apply(less_equal_op, {b, a}, {}, a.where()); }
Expr logical_and(const Arg& a, const Arg& b) { return binary(and_op, a, b); }
Expr logical_or(const Arg& a, const Arg& b) { return binary(or_op, a, b); }
Expr logical_not(const Arg& a) { return unary(not_op, a); }
Expr logical_xor(const Arg& a, const Arg& b) {
  const Attribution as(a.where());
  return not_equal(cast(a, DType::bool_), cast(b, DType::bool_));
}
Expr is_nan(const Arg& x) { return unary(is_nan_op, x); }
Expr switch_(const Arg& condition, const Arg& a, const Arg& b) {
  return apply(switch_op, {condition, a, b}, {}, condition.where());
}
Expr stop_gradient(const Arg& x) { return unary(stop_gradient_op, x); }

Expr cast(const Arg& x, DType dtype) {
  const Attribution as(x.where());
  if (const Tensor* value = constant_value(x); value && x->type().weak)
    return constant(value->cast(dtype), x.where());
  if (x->dtype() == dtype && !x->type().weak) return x;
  if (is_storage(dtype))
    refuse("cast",
           text(dtype, " is for storage alone: cast() the tensor, as in Shared(t.cast(DType::",
                dtype, ")), and compute with widened()"),
           x);
  if (is_storage(x->dtype())) return widened(x, 1, dtype);
  return apply(cast_op, {x}, {.dtype = dtype}, x.where());
}

}  // namespace cinch
