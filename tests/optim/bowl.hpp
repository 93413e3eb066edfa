// A cost with one known minimum, and its values and gradients by hand, to try optimizers on.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/reduce.hpp"

namespace cinch::testing {

/// sum_i a_i (p_i - q_i)^2: smallest, and 0, at p = q.
struct Bowl {
  std::vector<double> start{3, -2, 0.5, 0}, minimum{1, 2, -0.25, 4}, curvature{0.5, 1, 2, 4};
  Shared p;
  Expr cost;
  double tolerance;  ///< Of values after a few tens of steps, absolute and relative.

  explicit Bowl(DType dtype) : tolerance(dtype == DType::float32 ? 2e-5 : 1e-12) {
    const auto tensor = [&](const std::vector<double>& values) {
      return Tensor::from<double>({static_cast<std::int64_t>(values.size())}, values).cast(dtype);
    };
    p = Shared(tensor(start), "p");
    cost = sum(constant(tensor(curvature)) * square(p - constant(tensor(minimum))));
  }

  double cost_at(const std::vector<double>& at) const {
    double result = 0;
    for (std::size_t i = 0; i < at.size(); ++i)
      result += curvature[i] * std::pow(at[i] - minimum[i], 2);
    return result;
  }
  std::vector<double> gradient_at(const std::vector<double>& at) const {
    std::vector<double> result(at.size());
    for (std::size_t i = 0; i < at.size(); ++i) result[i] = 2 * curvature[i] * (at[i] - minimum[i]);
    return result;
  }
  /// Largest difference between the parameter's value and `at`.
  double distance_to(const std::vector<double>& at) const {
    double result = 0;
    for (std::size_t i = 0; i < at.size(); ++i) {
      const double d = std::abs(p.value().at(static_cast<std::int64_t>(i)) - at[i]);
      result = std::max(result, std::isnan(d) ? INFINITY : d);
    }
    return result;
  }
};

}  // namespace cinch::testing
