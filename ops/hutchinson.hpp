// Traces and norms of Jacobians and Hessians that are never formed, from random probes.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"
#include "cinch/ops/random.hpp"

namespace CINCH_PUBLIC cinch {

/// A mean over random probes, and its standard error: the standard deviation of the probes' values
/// over the square root of their number. Both can be differentiated; a new call draws new probes.
struct Estimate {
  Expr mean, standard_error;
};

/// The distribution of a probe's elements, both with mean 0 and variance 1. Rademacher's, 1 or -1
/// with equal probability, has the smaller error for traces (Hutchinson, 1990).
enum class Probe { rademacher, normal };

struct HutchinsonOptions {
  std::int64_t probes = 10;  ///< At least 2.
  Probe probe = Probe::rademacher;
};

/// Trace of each example's Jacobian d y / d x, (batch), as the mean of v' J v; y and x are (batch,
/// n). The exact one is divergence().
Estimate divergence_estimate(const Arg& y, const Expr& x, RandomStreams& random,
                             const HutchinsonOptions& options = {});
/// Squared Frobenius norm of each example's Jacobian, (batch), as the mean of ||v' J||^2; y and x
/// have a first axis of examples. The exact one is the sum of square(jacobian(y, x)).
Estimate jacobian_norm2_estimate(const Arg& y, const Expr& x, RandomStreams& random,
                                 const HutchinsonOptions& options = {});
/// Trace of the Hessian of a scalar cost by x, a scalar, as the mean of v' H v.
Estimate hessian_trace_estimate(const Arg& cost, const Expr& x, RandomStreams& random,
                                const HutchinsonOptions& options = {});

}  // namespace cinch
