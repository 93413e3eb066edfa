#include "cinch/models/boltzmann.hpp"

#include <cmath>

#include "cinch/core/grad.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/models/losses.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/nonlinearity.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/scan.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

Rbm rbm(std::int64_t visible, std::int64_t hidden, RandomState& random, DType dtype,
        const std::string& label, Source where) {
  if (visible < 1 || hidden < 1) {
    refuse("rbm", text("a machine needs visible and hidden units, got ", visible, " and ", hidden),
           where);
  }
  const double bound = 4 * std::sqrt(6.0 / static_cast<double>(visible + hidden));
  const auto named = [&](const char* parameter) {
    return label.empty() ? parameter : label + "." + parameter;
  };
  return {Shared(random.uniform(-bound, bound, {visible, hidden}).cast(dtype), named("W"), where),
          Shared(Tensor(dtype, {hidden}), named("b"), where),
          Shared(Tensor(dtype, {visible}), named("c"), where)};
}

Expr Rbm::hidden_mean(const Arg& v) const {
  const Attribution as(v.where());
  return sigmoid(dot(v, W) + b);
}

Expr Rbm::visible_mean(const Arg& h) const {
  const Attribution as(h.where());
  return sigmoid(dot(h, transpose(W)) + c);
}

Expr free_energy(const Rbm& machine, const Arg& v) {
  const Attribution as(v.where());
  return -dot(v, machine.c) - sum(softplus(dot(v, machine.W) + machine.b), 1);
}

Expr bernoulli(const Arg& p, RandomStreams& random) {
  const Attribution as(p.where());
  return cast(random.uniform(sizes(p), 0.0, 1.0, p->dtype()) < p, p->dtype());
}

GibbsChain gibbs_chain(const Rbm& machine, const Arg& hidden, const Arg& steps,
                       RandomStreams& random) {
  const Attribution as(hidden.where());
  if (const Tensor* count = constant_value(steps); count && count->rank() == 0 && count->item() < 1)
    refuse<ValueError>("gibbs_chain", text("a chain has at least one step, got ", count->item()),
                       steps);
  // All but the last one, of which more is wanted than where it ends.
  const auto step = [&](const Expr& h) {
    const Expr mean = machine.visible_mean(h), v = bernoulli(mean, random);
    return GibbsChain{bernoulli(machine.hidden_mean(v), random), v, mean};
  };
  const Scan before = scan([&](Expr h) { return step(h).hidden; },
                           {.initial = {hidden.expr()}, .steps = steps - std::int64_t{1}});
  return step(before.last());
}

Expr contrastive_divergence(const Rbm& machine, const Arg& data, const Arg& samples) {
  const Attribution as(data.where());
  return mean(free_energy(machine, data)) - mean(free_energy(machine, stop_gradient(samples)));
}

Expr pseudo_log_likelihood(const Rbm& machine, const Arg& v, const Arg& unit) {
  const Attribution as(v.where());
  const Expr column = narrow(v, 1, unit, std::int64_t{1});
  const Expr flipped = v + embed(1 - 2 * column, v, 1, unit);
  const Expr count = cast(size(v, 1), v->dtype());
  return count * mean(log_sigmoid(free_energy(machine, flipped) - free_energy(machine, v)));
}

Expr reconstruction_cross_entropy(const Arg& v, const Arg& mean_of_v) {
  const Attribution as(v.where());
  return mean(cross_entropy(v, mean_of_v));
}

}  // namespace cinch
