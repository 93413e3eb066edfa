#include "cinch/ops/trigonometry.hpp"

#include "cinch/core/rewrite/rewrite.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/records/elementwise.hpp"
#include "cinch/ops/rules/even.hpp"
#include "cinch/ops/rules/root.hpp"
#include "cinch/ops/rules/slopes.hpp"

namespace cinch {

constinit const Op tan_op = records::elementwise<formula::Tan>({
    .name = "tan",
    .grad = [](Args, const Expr& y, const Expr& gy) -> Grads { return {gy * (1 + square(y))}; },
    .probe = {-1, 1},
});
constinit const Op arcsin_op = records::elementwise<formula::Arcsin>({
    .name = "arcsin",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {gy / sqrt(rules::one_minus_square(x[0]))};
    },
    .probe = {-0.8, 0.8},
});
constinit const Op arccos_op = records::elementwise<formula::Arccos>({
    .name = "arccos",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {-gy / sqrt(rules::one_minus_square(x[0]))};
    },
    .probe = {-0.8, 0.8},
});
constinit const Op arctan_op = records::elementwise<formula::Arctan>({
    .name = "arctan",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads { return {gy / (1 + square(x[0]))}; },
});
constinit const Op arctan2_op = records::elementwise<formula::Arctan2>({
    .name = "arctan2",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      const Expr r = hypot(x[0], x[1]);
      return {gy * (x[1] / r / r), -gy * (x[0] / r / r)};
    },
    .probe = {0.5, 2},
});
constinit const Op hypot_op = records::elementwise<formula::Hypot>({
    .name = "hypot",
    .commutative = true,
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      const Expr none = equal(y, 0), length = switch_(none, 1, y);
      // The squares are used where y is 0 only, so that none is too large or too small.
      const Expr s = square(switch_(none, x[0], 1)) + square(switch_(none, x[1], 0));
      const auto along = [&](const Expr& side) {
        return gy * switch_(none, rules::flat(s, 1), side / length);
      };
      return {along(x[0]), along(x[1])};
    },
    .smoothed = rules::functions_of_squares,
    .probe = {0.5, 2},
});
constinit const Op sinh_op = records::elementwise<formula::Sinh>({
    .name = "sinh",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads { return {gy * cosh(x[0])}; },
});
constinit const Op cosh_op = records::elementwise<formula::Cosh>({
    .name = "cosh",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads { return {gy * sinh(x[0])}; },
});
constinit const Op arcsinh_op = records::elementwise<formula::Arcsinh>({
    .name = "arcsinh",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads { return {gy / hypot(1, x[0])}; },
});
constinit const Op arccosh_op = records::elementwise<formula::Arccosh>({
    .name = "arccosh",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {gy / (sqrt(x[0] - 1) * sqrt(x[0] + 1))};
    },
    .probe = {1.3, 3},
});
namespace {

/// Where tanh is 1 but for rounding, arctanh would be infinite.
Rules arctanh_rules() {
  static const Expr x = rewriting::wildcard("x");
  static const Rule rules[] = {{"arctanh tanh", arctanh(tanh(x)), x}};
  return rules;
}

}  // namespace

constinit const Op arctanh_op = records::elementwise<formula::Arctanh>({
    .name = "arctanh",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {gy / rules::one_minus_square(x[0])};
    },
    .rules = arctanh_rules,
    .probe = {-0.8, 0.8},
});

namespace {
Expr unary(const Op& op, const Arg& x) { return apply(op, {x}, {}, x.where()); }
Expr binary(const Op& op, const Arg& a, const Arg& b) { return apply(op, {a, b}, {}, a.where()); }
}  // namespace

Expr tan(const Arg& x) { return unary(tan_op, x); }
Expr arcsin(const Arg& x) { return unary(arcsin_op, x); }
Expr arccos(const Arg& x) { return unary(arccos_op, x); }
Expr arctan(const Arg& x) { return unary(arctan_op, x); }
Expr arctan2(const Arg& y, const Arg& x) { return binary(arctan2_op, y, x); }
Expr hypot(const Arg& x, const Arg& y) { return binary(hypot_op, x, y); }
Expr sinh(const Arg& x) { return unary(sinh_op, x); }
Expr cosh(const Arg& x) { return unary(cosh_op, x); }
Expr arcsinh(const Arg& x) { return unary(arcsinh_op, x); }
Expr arccosh(const Arg& x) { return unary(arccosh_op, x); }
Expr arctanh(const Arg& x) { return unary(arctanh_op, x); }

}  // namespace cinch
