// Minimisers for full batches: L-BFGS and nonlinear conjugate gradients.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
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

/// Another way than a call to compute a function's outputs at a point: by several processes, as
/// in_parts() does.
class Evaluation {
 public:
  Evaluation() = default;
  virtual ~Evaluation() = default;
  Evaluation(const Evaluation&) = delete;
  Evaluation& operator=(const Evaluation&) = delete;

  /// The outputs where the parameters are, the same on all processes. `signal`, which this one has
  /// got, or 0, becomes the largest of all.
  virtual void evaluate(std::vector<Tensor>& outputs, int& signal) = 0;
  virtual bool is_first() const = 0;  ///< Whether it is this process that shows and saves.
  virtual void wait() = 0;            ///< For all to come here.
  /// Tells the others that this process goes no further, and why.
  virtual void fail(const std::string& why) noexcept = 0;
};
/// One for this function, its parameters and its arguments.
using Evaluator = std::function<std::unique_ptr<Evaluation>(
    const Function&, const std::vector<Shared>&, const std::vector<Tensor>&)>;

struct MinimiseOptions {
  std::int64_t iterations = 200;     ///< At most.
  double gradient_tolerance = 1e-6;  ///< Enough where the gradient's elements are all that small.
  double value_tolerance = 0;  ///< Enough where a step gains that little, relative to the value.
  std::int64_t memory = 10;    ///< Steps that L-BFGS remembers.
  std::function<void(const MinimiseReport&)> after_iteration = {};

  std::FILE* out = stdout;  ///< For a line that says where Ctrl-C came; null: nothing.
  AfterInterrupt after_interrupt = AfterInterrupt::as_shown;
  std::function<void(const MinimiseReport&)> save = {};  ///< At Ctrl-C: writes the parameters.

  /// Several processes minimise together: in_parts(mpi()). Each computes parts of the arguments'
  /// rows; the first one prints and saves, after_iteration is called on all. Empty: alone.
  Evaluator distribute = {};
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
// With .distribute all processes make the same decisions, of the same bits, for any number of them;
// where an op refuses a point, as logdet() does, all end, while alone another is tried.
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
