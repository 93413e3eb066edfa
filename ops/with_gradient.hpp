// Expressions with a gradient of the user's own.
#pragma once

#include <functional>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/parameters.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op with_gradient_op;

/// From the cotangent, of the value's type, to an expression for each input, of its shape and
/// dtype; where one is empty or missing no gradient flows to that input.
using GradientRule = std::function<std::vector<Expr>(const Expr& cotangent)>;

/// `value`, whose gradient flows to `inputs` as `rule` says, and to nothing else: whatever else the
/// value is made of is held constant. The value need not be made of the inputs. All are floats.
///
/// The rule is called once, to write expressions, which derivatives of every order, Rop,
/// jacobian() and vectorize() go on with. Where it uses `value`, that is the result, whose own
/// derivative is the rule again; anything else that it uses is differentiated as it stands. A rule
/// that is not linear in the cotangent, as one that clips it, belongs to no Jacobian: Rop and
/// jacobian() throw GradError. Rewriting does not look through the result before derivatives are
/// taken, so a formula that is stable as a whole, as log(sigmoid(x)), should be the value as a
/// whole.
///
/// check_grad() does not judge the rule: it says how far it is from the slope of the value.
/// Throws TypeError for a gradient of another shape or dtype than its input, where sizes are not
/// known when the gradient is computed.
///
///     // JumpReLU, with a window of width e for its derivative by the threshold.
///     with_gradient(where(x > t, x, 0), {x, t}, [=](const Expr& g) {
///       return std::vector{where(x > t, g, 0), -t / e * g * (abs(x - t) < e / 2)};
///     });
Expr with_gradient(const Arg& value, const Parameters& inputs, const GradientRule& rule);
/// Of one input.
Expr with_gradient(const Arg& value, const Expr& input,
                   const std::function<Expr(const Expr& cotangent)>& rule);

/// `value` with the gradient of `x`, which has its shape: Bengio, Leonard, Courville, "Estimating
/// or Propagating Gradients Through Stochastic Neurons", 2013. Integers and bools become x's dtype.
Expr straight_through(const Arg& value, const Expr& x);

/// `x`, whose gradient is limited to [low, high], element by element.
Expr grad_clip(const Arg& x, double low, double high);
/// `x`, whose gradient is multiplied by `c`, a number, or one for each element of x.
Expr grad_scale(const Arg& x, const Arg& c);
/// `x`, whose gradient is multiplied by -c: Ganin and Lempitsky, "Unsupervised Domain Adaptation by
/// Backpropagation", ICML 2015.
Expr grad_reverse(const Arg& x, const Arg& c = 1);

}  // namespace cinch
