#include "optim/sgd.hpp"

#include "core/grad.hpp"
#include "ops/arithmetic.hpp"

namespace cinch {

Updates sgd(const Arg& cost, const std::vector<Shared>& params, const Arg& rate) {
  const Attribution as(cost.where());
  const std::vector<Expr> gradients = grad(cost, params);
  Updates updates;
  for (std::size_t k = 0; k < params.size(); ++k) {
    // The step has the parameter's dtype, whatever the rate's is.
    updates.push_back({params[k], params[k] - cast(rate, params[k].dtype()) * gradients[k]});
  }
  return updates;
}

}  // namespace cinch
