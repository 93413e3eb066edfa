#include "cinch/models/vicreg.hpp"

#include "cinch/core/refusal.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/diagonal.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

Vicreg vicreg(const Arg& a, const Arg& b, const VicregOptions& options) {
  const Attribution as(a.where());
  if (a->rank() != 2 || b->rank() != 2) refuse("vicreg", "codes must be (batch, units)", a, {b});
  if (!(options.gamma > 0) || !(options.epsilon > 0)) {
    refuse<ValueError>(
        "vicreg",
        text("gamma and epsilon must be positive, got ", options.gamma, " and ", options.epsilon),
        a);
  }
  Expr variance, covariance;
  for (const Expr& code : {a.expr(), b.expr()}) {
    const Expr centred = code - mean(code, 0, /*keepdims=*/true);
    const Expr others = cast(size(code, 0) - 1, code.dtype());
    const Expr sd = sqrt(sum(square(centred), 0) / others + options.epsilon);
    const Expr hinge = mean(relu(options.gamma - sd)) / 2;
    const Expr C = dot(transpose(centred), centred) / others;
    const Expr off = C * (1 - eye(size(code, 1), code.dtype()));
    const Expr joint = sum(square(off)) / cast(size(code, 1), code.dtype());
    variance = variance.has_value() ? variance + hinge : hinge;
    covariance = covariance.has_value() ? covariance + joint : joint;
  }
  const Expr invariance = mean(square(a - b));
  return {invariance, variance, covariance,
          options.invariance * invariance + options.variance * variance +
              options.covariance * covariance};
}

}  // namespace cinch
