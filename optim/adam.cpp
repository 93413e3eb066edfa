#include "optim/adam.hpp"

#include "core/grad.hpp"
#include "ops/activation.hpp"
#include "ops/arithmetic.hpp"

namespace cinch {

namespace {

void require(bool valid, const char* name, double value, const char* range) {
  if (!valid) throw ValueError(text("adam: ", name, " must be ", range, ", got ", value));
}

}  // namespace

Updates adam(const Arg& cost, const std::vector<Shared>& params, const Arg& rate, double beta1,
             double beta2, double epsilon) {
  require(beta1 >= 0 && beta1 < 1, "beta1", beta1, "in [0, 1)");
  require(beta2 >= 0 && beta2 < 1, "beta2", beta2, "in [0, 1)");
  require(epsilon > 0, "epsilon", epsilon, "positive");
  const Attribution as(cost.where());
  const std::vector<Expr> gradients = grad(cost, params);

  const Shared step(Tensor(std::int64_t{0}), "adam step");
  const Expr t = step + 1;
  Updates updates{{step, t}};
  // In float64 whatever the parameters are: 1 - beta2^t is a difference of close numbers at first.
  const Expr correction = sqrt(1 - pow(beta2, t)) / (1 - pow(beta1, t));
  const Expr pace = cast(rate, DType::float64) * correction;
  for (std::size_t k = 0; k < params.size(); ++k) {
    const Shared& p = params[k];
    const Expr& g = gradients[k];
    const Shared first(Tensor(p.dtype(), p.value().shape()), "adam m " + p.label());
    const Shared second(Tensor(p.dtype(), p.value().shape()), "adam v " + p.label());
    const Expr m = beta1 * first + (1 - beta1) * g;
    const Expr v = beta2 * second + (1 - beta2) * square(g);
    updates.push_back({first, m});
    updates.push_back({second, v});
    updates.push_back({p, p - cast(pace, p.dtype()) * m / (sqrt(v) + epsilon)});
  }
  return updates;
}

}  // namespace cinch
