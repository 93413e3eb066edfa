// Minimisers for full batches: L-BFGS and nonlinear conjugate gradients.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <vector>

#include "cinch/core/function.hpp"
#include "cinch/core/interruption.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

struct MinimiseReport {
  std::int64_t iteration;    ///< From 1.
  std::int64_t evaluations;  ///< Calls of the function so far.
  double value, gradient;    ///< Now; the gradient's largest element, without sign.
};

struct MinimiseOptions {
  std::int64_t iterations = 200;     ///< At most.
  double gradient_tolerance = 1e-6;  ///< Enough where the gradient's elements are all that small.
  double value_tolerance = 0;  ///< Enough where a step gains that little, relative to the value.
  std::int64_t memory = 10;    ///< Steps that L-BFGS remembers.
  std::function<void(const MinimiseReport&)> after_iteration = {};

  std::FILE* out = stdout;  ///< For a line that says where Ctrl-C came; null: nothing.
  AfterInterrupt after_interrupt = AfterInterrupt::as_shown;
  std::function<void(const MinimiseReport&)> save = {};  ///< At Ctrl-C: writes the parameters.
};

struct MinimiseResult {
  enum class Stopped {
    gradient,     ///< gradient_tolerance is reached.
    value,        ///< value_tolerance is reached.
    precision,    ///< No lower value is to be found along the gradient: rounding hides it.
    iterations,   ///< There were as many as allowed.
    interrupted,  ///< By Ctrl-C.
  } stopped;
  double value, gradient;
  std::int64_t iterations, evaluations;
};

// `value_and_gradient` gives the cost, a scalar, and its gradient by each of `params`, in this
// order, and changes nothing; `arguments` are what it is called with. Afterwards the parameters
// hold the minimum found; also where an exception passes, the best point so far. Vectors are
// float64 whatever the parameters are. Steps satisfy the strong Wolfe conditions: line_search.hpp.
//
// Ctrl-C (SIGINT, or SIGTERM; a second one ends the program) is noticed before each call of the
// function. The parameters are then the best point so far, `save` is called to keep them, a line on
// `out` says where that was, and what follows is as `after_interrupt` says. A minimisation begins
// where the parameters are: called again with the values that were saved, it goes on from there,
// and learns the curvature anew.
//
// Throw TypeError for a function with other outputs, or that does not read a parameter; ValueError
// for one that changes variables (random draws: the value at a point must be one value), and where
// the value or gradient at the start is not finite, with the line that made it.

/// Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", Mathematical
/// Programming 45, 1989: the two-loop recursion, scaled by s y / y y of the last step.
MinimiseResult lbfgs(const Function& value_and_gradient, const std::vector<Shared>& params,
                     const std::vector<Tensor>& arguments = {},
                     const MinimiseOptions& options = {});
MinimiseResult lbfgs(const Arg& cost, const std::vector<Shared>& params,
                     const MinimiseOptions& options = {});

/// Polak and Ribiere's conjugate gradients with beta >= 0 (PR+): Gilbert and Nocedal, "Global
/// convergence properties of conjugate gradient methods for optimization", SIAM J. Optim. 2, 1992.
/// Needs more evaluations than L-BFGS and no memory.
MinimiseResult conjugate_gradient(const Function& value_and_gradient,
                                  const std::vector<Shared>& params,
                                  const std::vector<Tensor>& arguments = {},
                                  const MinimiseOptions& options = {});
MinimiseResult conjugate_gradient(const Arg& cost, const std::vector<Shared>& params,
                                  const MinimiseOptions& options = {});

/// function({inputs}, {cost, its gradients}): what the above take.
Function value_and_gradient(const Arg& cost, const std::vector<Shared>& params,
                            const std::vector<Expr>& inputs = {});

}  // namespace cinch
