// Values shown while a function computes.
#pragma once

#include <functional>
#include <iostream>
#include <string>

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op observed_op;

/// `x`, whose value is handed to `see` at each call of a function that computes it, in the order of
/// the graph, by the thread that calls. The gradient passes through, and of derivatives the value
/// is seen once. What a function does not need is not computed and not seen, as the factor of 0;
/// constants are seen as everything else. check_grad() and audit(), which evaluate many times, show
/// nothing. Two calls of observed() are two values to see, of one x as well.
///
/// The value is stored before it is seen: what is computed of it is not fused with what it is
/// computed from, and no rule of rewriting looks through it, so that log(observed(sigmoid(x), see))
/// is -inf where log(sigmoid(x)) is not. `see` must not use the function that calls it, or the
/// variables that function reads and writes; what it throws ends the call.
Expr observed(const Arg& x, std::function<void(const Tensor&)> see);

/// `x`, printed at each call as a line "name: value", as Theano's Print. `out` has to outlive the
/// functions.
Expr printed(const Arg& x, const std::string& name, std::ostream& out = std::cout);

}  // namespace cinch
