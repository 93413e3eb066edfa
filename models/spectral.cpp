#include "cinch/models/spectral.hpp"

#include "cinch/core/refusal.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/norm.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

/// x by its length; 0 where W is 0.
Expr direction(const Expr& x) {
  const Expr length = norm(x, 2, 0);
  return x / switch_(length > 0, length, 1);
}

}  // namespace

SpectralNorm spectral_norm(const Arg& W, RandomState& random) {
  const Attribution as(W.where());
  if (W->rank() != 2) refuse("spectral_norm", "weights must be (n, m)", W);
  const std::int64_t m = W->dims()[1].known()
                             ? W->dims()[1].size()
                             : static_cast<std::int64_t>(evaluate(size(W, 1)).item());
  const Tensor start = evaluate(direction(constant(random.normal(0, 1, {m}))));
  const Shared v(start.cast(W->dtype()), "spectral.v", W.where());
  const Expr held = stop_gradient(W);
  const Expr u = direction(dot(held, v)), next = direction(dot(transpose(held), u));
  return {sum(u * dot(W, next)), {{v, next}}};
}

SpectralNorm lipschitz_bound(const Network& network, RandomState& random, Source where) {
  const Attribution as(where);
  if (network.layers.empty()) refuse("lipschitz_bound", "the network has no layer", where);
  SpectralNorm result;
  for (const Layer& layer : network.layers) {
    const SpectralNorm one = spectral_norm(Arg(layer.W, where), random);
    result.norm = result.norm.has_value() ? result.norm * one.norm : one.norm;
    result.updates.insert(result.updates.end(), one.updates.begin(), one.updates.end());
  }
  return result;
}

}  // namespace cinch
