// What is a derivative already: where it does not depend on what it is taken by, the next one is 0.
#pragma once

#include "core/grad.hpp"

namespace cinch {

/// The op behind as_derivative(). Defined in ops/.
extern const Op derivative_op;

/// The same value, known to be a derivative by `by`. Rewriting leaves nothing of it.
Expr as_derivative(const Expr& value, const Expr& by);

/// Options for the derivative of y by x. That y does not depend on x is a mistake, unless y is made
/// of derivatives by x, as those of a linear function and of relu, and depends on x in no other
/// way: then the next derivative is 0.
GradOptions options_for(const Expr& y, const Expr& x, const GradOptions& given);

}  // namespace cinch
