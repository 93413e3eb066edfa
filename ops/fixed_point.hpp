// Solutions of z = f(z), as equilibrium codes are, with their implicit derivatives.
#pragma once

#include <cstdint>
#include <functional>

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op fixed_point_op, converged_op;

struct FixedPointOptions {
  /// Of |f(z) - z| by 1 + |f(z)|, both the largest element; of the equations that derivatives are
  /// solutions of, which are linear, by |f(z)| alone. What is below 1e-5 for float32 or 1e-13 for
  /// float64 is taken for these.
  double tolerance = 1e-6;
  std::int64_t most_steps = 500;
  /// How many earlier steps a step is put together from: Anderson, "Iterative procedures for
  /// nonlinear integral equations", 1965. 0: z <- f(z) itself, which needs |df/dz| < 1.
  std::int64_t memory = 5;
};

/// z with z = body(z), found from `initial` on, whose shape and dtype, a float, it has. The body
/// may use any other expression, of which derivatives are taken by the implicit function theorem:
/// with J = df/dz at the solution, the cotangent g becomes u = g + J'u, found in the same way, and
/// the gradient is that of f by what it uses, of u (Bai, Kolter, Koltun, "Deep Equilibrium Models",
/// NeurIPS 2019). No step is kept for it. This holds to any order, and for each example. The
/// solution does not depend on `initial`.
///
/// Throws TypeError where the body makes another shape or dtype, ValueError at run time where
/// `most_steps` do not suffice, with the residual that was left; no variable has changed then.
Expr fixed_point(const std::function<Expr(const Expr& z)>& body, const Arg& initial,
                 const FixedPointOptions& options = {});

}  // namespace cinch
