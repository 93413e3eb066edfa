// How far to go along a direction: strong Wolfe conditions.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

namespace cinch::optimizer {

/// A point on a line: how far, the value there, and its derivative along the line.
struct LinePoint {
  double step, value, slope;
};

struct WolfeOptions {
  double decrease = 1e-4;         ///< c1: value <= value0 + c1 step slope0. In (0, 1/2).
  double curvature = 0.9;         ///< c2: |slope| <= c2 |slope0|. In (c1, 1).
  double rounding = 1e-15;        ///< Relative error of values: see below.
  std::int64_t evaluations = 40;  ///< At most.
};

/// A step that satisfies the strong Wolfe conditions, from a point with `value0` and `slope0` < 0,
/// with `first` as the first guess: Nocedal and Wright, "Numerical Optimization", 2006, algorithms
/// 3.5 and 3.6, with cubic interpolation. A trial whose value or slope is not finite counts as too
/// far. Near a minimum, where values differ by their rounding only, the slope decides alone: after
/// Hager and Zhang, "A new conjugate gradient method with guaranteed descent", SIAM J. Optim. 16,
/// 2005. Where no trial is good, the lowest one with enough decrease; nothing where there is none
/// such. `along` is called last for the step that is returned.
std::optional<LinePoint> line_search(const std::function<LinePoint(double step)>& along,
                                     double value0, double slope0, double first,
                                     const WolfeOptions& options = {});

}  // namespace cinch::optimizer
