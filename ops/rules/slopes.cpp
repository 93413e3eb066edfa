#include "cinch/ops/rules/slopes.hpp"

#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/records/elementwise.hpp"

namespace cinch::rules {

namespace {
constexpr double one_over_root_two_pi = 0.39894228040143267794;
}  // namespace

constinit const Op sech_op = records::elementwise<formula::Sech>({
    .name = "sech",
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads { return {-gy * y * tanh(x[0])}; },
});
constinit const Op sigmoid_slope_op = records::elementwise<formula::SigmoidSlope>({
    .name = "sigmoid_slope",
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      return {-gy * y * tanh(0.5 * x[0])};
    },
    .probe = {-6, 6},
});
constinit const Op one_minus_square_op = records::elementwise<formula::OneMinusSquare>({
    .name = "one_minus_square",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads { return {-2 * gy * x[0]}; },
});
constinit const Op normal_cdf_op = records::elementwise<formula::NormalCdf>({
    .name = "normal_cdf",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {one_over_root_two_pi * gy * exp_of_product(-0.5 * x[0], x[0])};
    },
});
constinit const Op exp_of_product_op = records::elementwise<formula::ExpOfProduct>({
    .name = "exp_of_product",
    .commutative = true,
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      return {gy * y * x[1], gy * y * x[0]};
    },
});

Expr sech(const Arg& x) { return apply(sech_op, {x}, {}, x.where()); }
Expr sigmoid_slope(const Arg& x) { return apply(sigmoid_slope_op, {x}, {}, x.where()); }
Expr one_minus_square(const Arg& x) { return apply(one_minus_square_op, {x}, {}, x.where()); }
Expr normal_cdf(const Arg& x) { return apply(normal_cdf_op, {x}, {}, x.where()); }
Expr exp_of_product(const Arg& x, const Arg& y) {
  return apply(exp_of_product_op, {x, y}, {}, x.where());
}

}  // namespace cinch::rules
