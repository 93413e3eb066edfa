// Codes of two views of the same examples that agree, and do not collapse.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// The terms of VICReg for codes a and b of two views, each a number: Bardes, Ponce, LeCun,
/// "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning", ICLR 2022.
struct Vicreg {
  Expr invariance;  ///< The mean of (a - b)^2 over examples and units.
  Expr variance;    ///< The mean over units and views of max(0, gamma - sd): 0 if none collapses.
  Expr covariance;  ///< The sum over views of the squared covariances of different units, / units.
  Expr total;       ///< The paper's: 25 invariance + 25 variance + covariance.
};

struct VicregOptions {
  double gamma = 1;  ///< The standard deviation that units are to have.
  double epsilon = 1e-4;
  double invariance = 25, variance = 25, covariance = 1;  ///< Weights of the total.
};

/// Codes are (batch, units); variances are divided by batch - 1, and sd = sqrt(variance + epsilon).
/// Throws ValueError unless gamma and epsilon are positive, TypeError for other shapes.
Vicreg vicreg(const Arg& a, const Arg& b, const VicregOptions& options = {});

}  // namespace cinch
