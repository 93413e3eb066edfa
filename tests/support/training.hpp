// Training a model to convergence on small data, for tests of what it ends up as.
#pragma once

#include <vector>

#include "cinch/core/function.hpp"
#include "cinch/optim/adam.hpp"

namespace cinch::testing {

/// The cost before the last of `steps` steps of Adam on all of `data`.
inline double train(const Expr& cost, const std::vector<Shared>& params, const Expr& x,
                    const Tensor& data, double rate, int steps) {
  const Function step =
      function({.inputs = {x}, .outputs = {cost}, .updates = adam(cost, params, rate)});
  double last = 0;
  for (int k = 0; k < steps; ++k) last = step({data})[0].item();
  return last;
}

}  // namespace cinch::testing
