#include "cinch/models/geometry.hpp"

#include <cmath>
#include <numbers>

#include "cinch/core/derivatives.hpp"
#include "cinch/core/grad.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/models/losses.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/determinant.hpp"
#include "cinch/ops/diagonal.hpp"
#include "cinch/ops/factor.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/norm.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/solve.hpp"
#include "cinch/ops/statistics.hpp"

namespace cinch {

namespace {

void require_codes(const char* function, const Arg& z, const Expr& h) {
  if (z->rank() == 2 && h.rank() == 2) return;
  refuse(function, "both must be (batch, n)", z, {h});
}

Expr turned(const Expr& J) { return dimshuffle(J, {0, 2, 1}); }

Expr metric_of(const Expr& J) { return batched_dot(turned(J), J); }

/// The number of latents, as a number of the code's dtype.
Expr latents(const Expr& h) { return cast(size(h, 1), h.dtype()); }

/// Trace of each G.
Expr traces(const Expr& J) { return sum(square(J), {1, 2}); }

}  // namespace

Expr metric(const Arg& z, const Expr& h) {
  const Attribution as(z.where());
  require_codes("metric", z, h);
  return metric_of(jacobian(z, h));
}

Expr mixed_codes(const Arg& h, double eta, RandomStreams& random) {
  const Attribution as(h.where());
  if (h->rank() != 2) refuse("mixed_codes", "codes must be (batch, m)", h);
  if (!(eta >= 0) || std::isinf(eta))
    refuse<ValueError>("mixed_codes", text("eta must not be negative, got ", eta), h);
  const Expr a =
      random.uniform({size(h, 0), constant(Tensor(std::int64_t{1}))}, -eta, 1 + eta, h->dtype());
  return a * h + (1 - a) * take(h, random.permutation({size(h, 0)}));
}

Expr scaled_isometry_error(const Arg& z, const Expr& h) {
  const Attribution as(z.where());
  require_codes("scaled_isometry_error", z, h);
  const Expr J = jacobian(z, h);
  return latents(h) * mean(sum(square(metric_of(J)), {1, 2})) / square(mean(traces(J)));
}

Expr scaled_isometry_estimate(const Arg& z, const Expr& h, RandomStreams& random) {
  const Attribution as(z.where());
  require_codes("scaled_isometry_estimate", z, h);
  const Expr v = random.normal(sizes(h), 0.0, 1.0, h.dtype());
  const Expr pushed = Rop(z, h, v), pulled = Lop(z, h, pushed);
  return latents(h) * mean(sum(square(pulled), 1)) / square(mean(sum(square(pushed), 1)));
}

Expr conformal_error(const Arg& z, const Expr& h) {
  const Attribution as(z.where());
  require_codes("conformal_error", z, h);
  const Expr J = jacobian(z, h);
  const Expr scale = latents(h) / dimshuffle(traces(J), {0, -1, -1});
  return sum(square(scale * metric_of(J) - eye(size(h, 1), h.dtype())), {1, 2});
}

Expr log_volume(const Arg& z, const Expr& h) {
  const Attribution as(z.where());
  require_codes("log_volume", z, h);
  return logdet(metric_of(jacobian(z, h))) / 2;
}

Expr volume_variance(const Arg& z, const Expr& h) {
  const Attribution as(z.where());
  require_codes("volume_variance", z, h);
  const Expr volumes = logdet(metric_of(jacobian(z, h)));
  return mean(square(volumes - mean(volumes)));
}

Expr curvature(const Arg& z, const Expr& h) {
  const Attribution as(z.where());
  require_codes("curvature", z, h);
  const Expr J = jacobian(z, h), G = metric_of(J);
  const Expr second = reshape(jacobian(J, h), {size(z, 0), size(z, 1), size(h, 1) * size(h, 1)});
  // Of second derivatives what does not lie in the tangent space.
  const Expr normal = second - batched_dot(J, solve(G, batched_dot(turned(J), second)));
  const Expr S = reshape(normal, {size(z, 0), size(z, 1), size(h, 1), size(h, 1)});
  // G^-1 S for each direction: (n, batch, m, m).
  const Expr raised = solve(G, dimshuffle(S, {1, 0, 2, 3}));
  return sum(raised * dimshuffle(raised, {0, 1, 3, 2}), {0, 2, 3});
}

Expr curvature_estimate(const Arg& z, const Expr& h, RandomStreams& random) {
  const Attribution as(z.where());
  require_codes("curvature_estimate", z, h);
  const Expr J = jacobian(z, h), G = metric_of(J), root = turned(cholesky(G));
  // Directions of covariance G^-1.
  const auto probe = [&] { return solve(root, random.normal(sizes(h), 0.0, 1.0, h.dtype())); };
  const Expr v = variable("v", h.type()), w = variable("w", h.type());
  const Expr along = Rop(Rop(z, h, v), h, w);  // Of directions that are constant.
  const Expr second = substitute(std::span(&along, 1), {{v, probe()}, {w, probe()}}).front();
  const Expr column = expand_dims(second, 2);
  const Expr tangent = batched_dot(J, solve(G, batched_dot(turned(J), column)));
  return sum(square(column - tangent), {1, 2});
}

Expr rectangular_flow_cost(const Arg& z, const Expr& h) {
  const Attribution as(z.where());
  require_codes("rectangular_flow_cost", z, h);
  return (sum(square(h), 1) + latents(h) * std::log(2 * std::numbers::pi)) / 2 +
         logdet(metric_of(jacobian(z, h))) / 2;
}

Expr free_form_volume(const Arg& z, const Expr& h, const Expr& x, RandomStreams& random) {
  const Attribution as(z.where());
  require_codes("free_form_volume", z, h);
  require_codes("free_form_volume", Arg(x, z.where()), h);
  const Expr drawn = random.normal(sizes(h), 0.0, 1.0, h.dtype());
  const Expr v = drawn * sqrt(latents(h)) / norm(drawn, 2, 1, /*keepdims=*/true);
  return -sum(v * Rop(h, x, stop_gradient(Rop(z, h, v))), 1);
}

Expr free_form_cost(const Arg& z, const Expr& h, const Expr& x, const Arg& beta,
                    RandomStreams& random) {
  const Attribution as(z.where());
  return sum(square(h), 1) / 2 + free_form_volume(z, h, x, random) + beta * squared_error(x, z);
}

}  // namespace cinch
