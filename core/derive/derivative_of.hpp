// What is known of a derivative: where it does not depend on what it is taken by, the next one is
// 0; if it is one for each example, it depends on no other.
#pragma once

#include "cinch/core/expr.hpp"

namespace cinch::deriving {

/// The op behind as_derivative(). Defined in ops/.
extern const Op derivative_op;

/// The same value, known to be a derivative by `by`. Rewriting leaves nothing of it.
Expr as_derivative(const Expr& value, const Expr& by);
/// The same value, example n of which is known to depend on what example n of `y` depends on, as
/// derivatives of y[n] do. Rewriting leaves nothing of it.
Expr of_each_example(const Expr& value, const Expr& y);
/// The y of that; empty for anything else.
Expr each_example_of(const Expr& value);

/// Whether `y` is made of derivatives by x, as those of a linear function and of relu, and depends
/// on x in no other way: then its derivative by x is 0. That other formulas do not depend on x is a
/// mistake.
bool is_flat_derivative(const Expr& y, const Expr& x);

}  // namespace cinch::deriving
