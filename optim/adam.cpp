#include "cinch/optim/adam.hpp"

#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/optim/optimizer/caller.hpp"

namespace cinch {

namespace {

using optimizer::Caller;
using optimizer::Slope;

/// `decay` may be missing.
Updates steps(const Caller& caller, const std::vector<Shared>& params,
              const std::vector<Expr>& grads, const Arg& rate, const AdamOptions& o,
              const Expr& decay) {
  caller.require_scalar(rate, "rate");
  caller.require(o.beta1 >= 0 && o.beta1 < 1, "beta1", o.beta1, "in [0, 1)");
  caller.require(o.beta2 >= 0 && o.beta2 < 1, "beta2", o.beta2, "in [0, 1)");
  caller.require(o.epsilon > 0, "epsilon", o.epsilon, "positive");

  Updates updates;
  // In float64 whatever the parameters are: 1 - beta2^t is a difference of close numbers at first.
  const Expr plain_pace = cast(rate, DType::float64);
  Expr pace = plain_pace, epsilon = literal(o.epsilon);
  if (o.bias_correction) {
    const Shared step = caller.counter("step");
    const Expr t = step + 1;
    updates.push_back({step, t});
    const Expr root = sqrt(1 - pow(o.beta2, t));
    pace = plain_pace * root / (1 - pow(o.beta1, t));
    // Both sides of the fraction times sqrt(c2): the division stays a scalar's.
    if (o.epsilon_added == Epsilon::to_corrected) epsilon = o.epsilon * root;
  }
  for (const Slope& slope : caller.slopes(params, grads)) {
    const auto& [p, g, name] = slope;
    const DType dtype = p.dtype();
    const Shared first = caller.state("m", slope), second = caller.state("v", slope);
    const Expr m = o.beta1 * first + (1 - o.beta1) * g;
    const Expr v = o.beta2 * second + (1 - o.beta2) * square(g);
    updates.push_back({first, m});
    updates.push_back({second, v});
    Expr scale = v;
    if (o.amsgrad) {
      const Shared largest = caller.state("w", slope);
      scale = maximum(largest, v);
      updates.push_back({largest, scale});
    }
    Expr kept = p;
    if (decay.has_value()) kept = p * cast(1 - plain_pace * cast(decay, DType::float64), dtype);
    updates.push_back({p, kept - cast(pace, dtype) * m / (sqrt(scale) + cast(epsilon, dtype))});
  }
  return updates;
}

}  // namespace

Updates adam(const Arg& cost, const std::vector<Shared>& params, const Arg& rate,
             const AdamOptions& options) {
  const Attribution as(cost.where());
  const Caller caller("adam", cost.where());
  return steps(caller, params, caller.gradients(cost, params), rate, options, {});
}

Updates adam(const std::vector<Shared>& params, const std::vector<Expr>& gradients, const Arg& rate,
             const AdamOptions& options) {
  const Attribution as(rate.where());
  return steps(Caller("adam", rate.where()), params, gradients, rate, options, {});
}

Updates adamw(const Arg& cost, const std::vector<Shared>& params, const Arg& rate,
              const Arg& weight_decay, const AdamOptions& options) {
  const Attribution as(cost.where());
  const Caller caller("adamw", cost.where());
  caller.require_scalar(weight_decay, "weight_decay");
  return steps(caller, params, caller.gradients(cost, params), rate, options, weight_decay);
}

Updates adamw(const std::vector<Shared>& params, const std::vector<Expr>& gradients,
              const Arg& rate, const Arg& weight_decay, const AdamOptions& options) {
  const Attribution as(rate.where());
  const Caller caller("adamw", rate.where());
  caller.require_scalar(weight_decay, "weight_decay");
  return steps(caller, params, gradients, rate, options, weight_decay);
}

}  // namespace cinch
