#include "cinch/ops/nonlinearity.hpp"

#include "cinch/core/refusal.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/arrange.hpp"
#include "cinch/ops/records/elementwise.hpp"
#include "cinch/ops/records/operands.hpp"
#include "cinch/ops/rules/slopes.hpp"
#include "cinch/ops/special.hpp"

namespace cinch {

constinit const Op softsign_op = records::elementwise<formula::Softsign>({
    .name = "softsign",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      // Not as the quotient's, whose two terms cancel for large x.
      return {gy / square(1 + abs(x[0]))};
    },
});

Expr softsign(const Arg& x) { return apply(softsign_op, {x}, {}, x.where()); }

Expr gelu(const Arg& x) {
  const Attribution as(x.where());
  return x * rules::normal_cdf(x);
}

Expr gelu_tanh(const Arg& x) {
  const Attribution as(x.where());
  // (1 + tanh(u)) / 2 = sigmoid(2 u), whose left side keeps its digits.
  constexpr double twice_root_two_over_pi = 1.5957691216057307118;
  return x * sigmoid(twice_root_two_over_pi * (x + 0.044715 * x * square(x)));
}

Expr elu(const Arg& x, const Arg& alpha) {
  const Attribution as(x.where());
  const Expr positive = x > 0;
  // exp never sees a large x: the gradient of the branch that is not taken would be 0 * inf.
  return switch_(positive, x, alpha * expm1(switch_(positive, 0, x)));
}
Expr elu(const Arg& x) { return elu(x, Arg(1.0, x.where())); }

Expr selu(const Arg& x) {
  const Attribution as(x.where());
  return 1.0507009873554804934 * elu(x, 1.6732632423543772848);
}

Expr leaky_relu(const Arg& x, const Arg& slope) {
  const Attribution as(x.where());
  return switch_(x > 0, x, slope * x);
}
Expr leaky_relu(const Arg& x) { return leaky_relu(x, Arg(0.01, x.where())); }

Expr relu6(const Arg& x) {
  const Attribution as(x.where());
  return minimum(relu(x), 6);
}

Expr silu(const Arg& x) {
  const Attribution as(x.where());
  return x * sigmoid(x);
}

Expr swish(const Arg& x, const Arg& beta) {
  const Attribution as(x.where());
  return x * sigmoid(beta * x);
}
Expr swish(const Arg& x) { return swish(x, Arg(1.0, x.where())); }

Expr mish(const Arg& x) {
  const Attribution as(x.where());
  return x * tanh(softplus(x));
}

Expr hard_sigmoid(const Arg& x) {
  const Attribution as(x.where());
  return clip(0.2 * x + 0.5, 0, 1);
}

Expr celu(const Arg& x, const Arg& alpha) {
  const Attribution as(x.where());
  const Expr positive = x > 0;
  return switch_(positive, x, alpha * expm1(switch_(positive, 0, x) / alpha));
}

Expr prelu(const Arg& x, const Arg& slope, std::int64_t axis) {
  const Attribution as(x.where());
  if (slope->rank() == 0) return leaky_relu(x, slope);
  axis = axis_of("prelu", x, axis);
  if (slope->rank() != 1) {
    refuse("prelu", "slopes must be one number or (channels)", x, {slope});
  }
  std::vector<std::int64_t> pattern(static_cast<std::size_t>(x->rank()), -1);
  pattern[static_cast<std::size_t>(axis)] = 0;
  return leaky_relu(x, records::beside_along("prelu", dimshuffle(slope, pattern), x, axis));
}

Expr softshrink(const Arg& x, const Arg& width) {
  const Attribution as(x.where());
  return x - clip(x, -width, width);
}

Expr hardshrink(const Arg& x, const Arg& width) {
  const Attribution as(x.where());
  return switch_(abs(x) <= width, 0, x);
}

Expr clip(const Arg& x, const Bounds& bounds) {
  const Attribution as(x.where());
  const Expr raised = bounds.low ? maximum(x, *bounds.low) : x.expr();
  return bounds.high ? minimum(raised, *bounds.high) : raised;
}

Expr hardtanh(const Arg& x, const Arg& low, const Arg& high) {
  const Attribution as(x.where());
  return clip(x, low, high);
}

Expr hard_swish(const Arg& x) {
  const Attribution as(x.where());
  return x * relu6(x + 3) / 6;
}

Expr log_sigmoid(const Arg& x) {
  const Attribution as(x.where());
  return -softplus(-x);
}

Expr glu(const Arg& x, std::int64_t axis) {
  const Attribution as(x.where());
  axis = axis_of("glu", x, axis);
  const Dim n = x->dims()[static_cast<std::size_t>(axis)];
  if (n.known() && n.size() % 2 != 0) {
    refuse("glu", text("axis ", axis, " of size ", n.size(), " has no two halves"), x);
  }
  const std::vector<Expr> halves = split(x, 2, axis);
  return halves[0] * sigmoid(halves[1]);
}

}  // namespace cinch
