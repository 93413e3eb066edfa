#include "cinch/ops/hutchinson.hpp"

#include "cinch/core/derivatives.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/reduce.hpp"

namespace cinch {

namespace {

/// `value`, an expression in `seed`, for all probes of seed's shape; then over the probes.
Estimate over_probes(const Expr& value, const Expr& seed, const Expr& like, RandomStreams& random,
                     const HutchinsonOptions& options, const char* name) {
  if (options.probes < 2) {
    refuse<ValueError>(name,
                       text(options.probes, " probes have no standard error: take at least 2"),
                       Arg(value, attributed({})));
  }
  std::vector<Expr> shape{constant(Tensor(options.probes))};
  for (const Expr& size : sizes(like)) shape.push_back(size);
  const Expr probes = options.probe == Probe::normal
                          ? random.normal(shape, 0.0, 1.0, like.dtype())
                          : 2 * random.binomial(shape, 1, 0.5, like.dtype()) - 1;
  const Expr values = vectorize(value, seed, probes);
  const Expr mean_value = mean(values, 0);
  const auto count = static_cast<double>(options.probes);
  const Expr variance = sum(square(values - mean(values, 0, /*keepdims=*/true)), 0) / (count - 1);
  return {mean_value, sqrt(variance / count)};
}

Axes all_but_first(const Expr& x) {
  std::vector<std::int64_t> axes;
  for (std::int64_t axis = 1; axis < x.rank(); ++axis) axes.push_back(axis);
  return Axes(axes);
}

}  // namespace

Estimate divergence_estimate(const Arg& y, const Expr& x, RandomStreams& random,
                             const HutchinsonOptions& options) {
  const Attribution as(y.where());
  if (y->rank() != 2 || x.rank() != 2) {
    refuse("divergence_estimate", "both must be (batch, n)", y, {x});
  }
  const Expr seed = variable("seed", x.type());
  const Expr value = sum(Lop(y, x, seed) * seed, 1);
  return over_probes(value, seed, x, random, options, "divergence_estimate");
}

Estimate jacobian_norm2_estimate(const Arg& y, const Expr& x, RandomStreams& random,
                                 const HutchinsonOptions& options) {
  const Attribution as(y.where());
  const Expr seed = variable("seed", y->type());
  const Expr pulled = Lop(y, x, seed);
  const Expr value = x.rank() > 1 ? sum(square(pulled), all_but_first(x)) : square(pulled);
  return over_probes(value, seed, y, random, options, "jacobian_norm2_estimate");
}

Estimate hessian_trace_estimate(const Arg& cost, const Expr& x, RandomStreams& random,
                                const HutchinsonOptions& options) {
  const Attribution as(cost.where());
  const Expr seed = variable("seed", x.type());
  const Expr value = sum(hessian_vector(cost, x, seed) * seed);
  return over_probes(value, seed, x, random, options, "hessian_trace_estimate");
}

}  // namespace cinch
