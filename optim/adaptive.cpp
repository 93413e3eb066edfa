#include "cinch/optim/adaptive.hpp"

#include <cmath>

#include "cinch/ops/arithmetic.hpp"
#include "cinch/optim/optimizer/caller.hpp"

namespace cinch {

namespace {

using optimizer::Caller;
using optimizer::Slope;

Expr moving_average(double decay, const Shared& average, const Expr& x) {
  return decay * average + (1 - decay) * x;
}

Updates adagrad_steps(const Caller& caller, const std::vector<Shared>& params,
                      const std::vector<Expr>& grads, const Arg& rate, const AdagradOptions& o) {
  caller.require_scalar(rate, "rate");
  caller.require(o.start >= 0 && std::isfinite(o.start), "start", o.start,
                 "finite and not negative");
  caller.require(o.epsilon > 0, "epsilon", o.epsilon, "positive");
  Updates updates;
  for (const Slope& slope : caller.slopes(params, grads)) {
    const auto& [p, g, name] = slope;
    const Shared accumulator = caller.state("a", slope, o.start);
    const Expr a = accumulator + square(g);
    updates.push_back({accumulator, a});
    updates.push_back({p, p - cast(rate, p.dtype()) * g / (sqrt(a) + o.epsilon)});
  }
  return updates;
}

Updates rmsprop_steps(const Caller& caller, const std::vector<Shared>& params,
                      const std::vector<Expr>& grads, const Arg& rate, const RmspropOptions& o) {
  caller.require_scalar(rate, "rate");
  caller.require(o.decay >= 0 && o.decay < 1, "decay", o.decay, "in [0, 1)");
  caller.require(o.momentum >= 0 && o.momentum < 1, "momentum", o.momentum, "in [0, 1)");
  caller.require(o.epsilon > 0, "epsilon", o.epsilon, "positive");
  Updates updates;
  for (const Slope& slope : caller.slopes(params, grads)) {
    const auto& [p, g, name] = slope;
    const Shared mean_square = caller.state("a", slope);
    const Expr a = moving_average(o.decay, mean_square, square(g));
    updates.push_back({mean_square, a});
    Expr spread = a;
    if (o.centered) {
      const Shared mean = caller.state("m", slope);
      const Expr m = moving_average(o.decay, mean, g);
      updates.push_back({mean, m});
      spread = maximum(a - square(m), 0);
    }
    Expr v = cast(rate, p.dtype()) * g / (sqrt(spread) + o.epsilon);
    if (o.momentum > 0) {
      const Shared velocity = caller.state("v", slope);
      v = o.momentum * velocity + v;
      updates.push_back({velocity, v});
    }
    updates.push_back({p, p - v});
  }
  return updates;
}

Updates adadelta_steps(const Caller& caller, const std::vector<Shared>& params,
                       const std::vector<Expr>& grads, const Arg& rate, const AdadeltaOptions& o) {
  caller.require_scalar(rate, "rate");
  caller.require(o.decay >= 0 && o.decay < 1, "decay", o.decay, "in [0, 1)");
  caller.require(o.epsilon > 0, "epsilon", o.epsilon, "positive");
  Updates updates;
  for (const Slope& slope : caller.slopes(params, grads)) {
    const auto& [p, g, name] = slope;
    const Shared gradients2 = caller.state("a", slope), steps2 = caller.state("u", slope);
    const Expr a = moving_average(o.decay, gradients2, square(g));
    const Expr s = sqrt(steps2 + o.epsilon) / sqrt(a + o.epsilon) * g;
    updates.push_back({gradients2, a});
    updates.push_back({steps2, moving_average(o.decay, steps2, square(s))});
    updates.push_back({p, p - cast(rate, p.dtype()) * s});
  }
  return updates;
}

}  // namespace

Updates adagrad(const Arg& cost, const std::vector<Shared>& params, const Arg& rate,
                const AdagradOptions& options) {
  const Attribution as(cost.where());
  const Caller caller("adagrad", cost.where());
  return adagrad_steps(caller, params, caller.gradients(cost, params), rate, options);
}

Updates adagrad(const std::vector<Shared>& params, const std::vector<Expr>& gradients,
                const Arg& rate, const AdagradOptions& options) {
  const Attribution as(rate.where());
  return adagrad_steps(Caller("adagrad", rate.where()), params, gradients, rate, options);
}

Updates rmsprop(const Arg& cost, const std::vector<Shared>& params, const Arg& rate,
                const RmspropOptions& options) {
  const Attribution as(cost.where());
  const Caller caller("rmsprop", cost.where());
  return rmsprop_steps(caller, params, caller.gradients(cost, params), rate, options);
}

Updates rmsprop(const std::vector<Shared>& params, const std::vector<Expr>& gradients,
                const Arg& rate, const RmspropOptions& options) {
  const Attribution as(rate.where());
  return rmsprop_steps(Caller("rmsprop", rate.where()), params, gradients, rate, options);
}

Updates adadelta(const Arg& cost, const std::vector<Shared>& params, const Arg& rate,
                 const AdadeltaOptions& options) {
  const Attribution as(cost.where());
  const Caller caller("adadelta", cost.where());
  return adadelta_steps(caller, params, caller.gradients(cost, params), rate, options);
}

Updates adadelta(const std::vector<Shared>& params, const std::vector<Expr>& gradients,
                 const Arg& rate, const AdadeltaOptions& options) {
  const Attribution as(rate.where());
  return adadelta_steps(Caller("adadelta", rate.where()), params, gradients, rate, options);
}

}  // namespace cinch
