// Are the gradients right? Compared with finite differences, to any order.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/expr.hpp"
#include "core/interpret.hpp"

namespace cinch {

/// Outcome of check_grad; true where analytic and numeric derivatives agree.
struct GradCheck {
  bool ok = true;
  double worst = 0;    ///< Largest difference over the scale it was judged by.
  std::string report;  ///< One line an order: analytic and numeric derivative and their difference.
  explicit operator bool() const { return ok; }
};

struct GradCheckOptions {
  int order = 1;  ///< Derivatives up to this order.
  double tolerance =
      1e-7;  ///< Largest accepted difference, relative to the size of the terms that make it up.
  double step = 1e-4;      ///< Of the fourth-order central difference, relative to 1.
  std::uint32_t seed = 1;  ///< Of the random directions.
};

/// Compares the derivatives of `cost`, a float64 scalar, along random directions of `wrt` (float64
/// variables or shared variables) with differences of its values at `at`. Order n is the derivative
/// of the derivative along the direction of order n - 1. Throws TypeError for float32, whose
/// rounding would hide errors.
GradCheck check_grad(const Arg& cost, std::span<const Expr> wrt, const std::vector<Binding>& at,
                     const GradCheckOptions& options = {});

}  // namespace cinch
