// What holds for every function that is composed of ops, as the catalog's tests have it for ops.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cinch/core/op.hpp"

namespace cinch::testing {

/// A function of tensors, and inputs to try it on.
struct Composed {
  std::string name;
  std::vector<Type> inputs;
  std::function<Expr(Args)> build;
  std::vector<double> limits = {};  ///< Integer input k is drawn from [0, limits[k]).
  /// Example n of the result depends on example n of the first input only, along the first axes.
  bool per_example = false;
  bool differentiable = true;
  bool floats_only = false;
};

/// Checks, with doctest: fast and checked mode agree in every dtype, with sizes known and unknown;
/// gradients agree with finite differences to second order; many inputs at once give what each
/// gives; the per-example Jacobian is made of the gradients of each output.
void check_composed(const std::vector<Composed>& functions);

}  // namespace cinch::testing
