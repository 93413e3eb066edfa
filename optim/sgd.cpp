#include "cinch/optim/sgd.hpp"

#include "cinch/ops/arithmetic.hpp"
#include "cinch/optim/optimizer/caller.hpp"

namespace cinch {

namespace {

using optimizer::Caller;
using optimizer::Slope;

Updates plain(const Caller& caller, const std::vector<Shared>& params,
              const std::vector<Expr>& grads, const Arg& rate) {
  caller.require_scalar(rate, "rate");
  Updates updates;
  for (const auto& [p, g, name] : caller.slopes(params, grads)) {
    // The step has the parameter's dtype, whatever the rate's is.
    updates.push_back({p, p - cast(rate, p.dtype()) * g});
  }
  return updates;
}

Updates with_velocity(const Caller& caller, const std::vector<Shared>& params,
                      const std::vector<Expr>& grads, const Arg& rate, const Arg& mu,
                      bool look_ahead) {
  caller.require_scalar(rate, "rate");
  caller.require_scalar(mu, "mu", /*below_one=*/true);
  Updates updates;
  for (const Slope& slope : caller.slopes(params, grads)) {
    const Shared& p = slope.p;
    const Expr keep = cast(mu, p.dtype()), step = cast(rate, p.dtype()) * slope.g;
    const Shared velocity = caller.state("v", slope);
    const Expr v = keep * velocity - step;
    updates.push_back({velocity, v});
    updates.push_back({p, look_ahead ? p + keep * v - step : p + v});
  }
  return updates;
}

}  // namespace

Updates sgd(const Arg& cost, const std::vector<Shared>& params, const Arg& rate) {
  const Attribution as(cost.where());
  const Caller caller("sgd", cost.where());
  return plain(caller, params, caller.gradients(cost, params), rate);
}

Updates sgd(const std::vector<Shared>& params, const std::vector<Expr>& gradients,
            const Arg& rate) {
  const Attribution as(rate.where());
  return plain(Caller("sgd", rate.where()), params, gradients, rate);
}

Updates momentum(const Arg& cost, const std::vector<Shared>& params, const Arg& rate,
                 const Arg& mu) {
  const Attribution as(cost.where());
  const Caller caller("momentum", cost.where());
  return with_velocity(caller, params, caller.gradients(cost, params), rate, mu, false);
}

Updates momentum(const std::vector<Shared>& params, const std::vector<Expr>& gradients,
                 const Arg& rate, const Arg& mu) {
  const Attribution as(rate.where());
  return with_velocity(Caller("momentum", rate.where()), params, gradients, rate, mu, false);
}

Updates nesterov(const Arg& cost, const std::vector<Shared>& params, const Arg& rate,
                 const Arg& mu) {
  const Attribution as(cost.where());
  const Caller caller("nesterov", cost.where());
  return with_velocity(caller, params, caller.gradients(cost, params), rate, mu, true);
}

Updates nesterov(const std::vector<Shared>& params, const std::vector<Expr>& gradients,
                 const Arg& rate, const Arg& mu) {
  const Attribution as(rate.where());
  return with_velocity(Caller("nesterov", rate.where()), params, gradients, rate, mu, true);
}

}  // namespace cinch
