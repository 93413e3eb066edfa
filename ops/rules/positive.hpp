// What is known to be positive: products, quotients, powers, roots and sums of exponentials and of
// functions made of them (sigmoid, softmax, cosh ...). Each has a logarithm that neither overflows
// nor vanishes where the value does, and a quotient of two of them is the exponential of a
// difference, or a sigmoid or hyperbolic tangent. The simplifications of log, mul, div, pow and
// sqrt ask here, so that no rule is needed for every way to write such a formula.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/op.hpp"

namespace cinch::rules {

/// log(sum(w exp(x))) over axes, of x and w of one shape: what a sum with weights that nothing is
/// known of becomes. NaN where it is negative.
extern const Op weighted_logsumexp_op;

/// Whether `e` is positive wherever it is a number, as far as its ops say.
bool is_positive(const Expr& e);

/// log(e) as a sum of logarithms known in another form, for `e` with a positive part: w exp(x)
/// gives log(w) + x. Empty where that says no more than log(e).
Expr log_of_positive(const Expr& e);

/// exp(x) where that is a softmax, or elements of one: of x = log_softmax(z) or z - logsumexp(z);
/// else empty.
Expr softmax_by_logarithm(const Expr& x);

/// The product, quotient, power or root `e` without parts that overflow or vanish on the way to a
/// number: exp(x) / (exp(x) + exp(y)) is sigmoid(x - y). Empty where nothing is to be mended.
Expr balanced(const Expr& e);

}  // namespace cinch::rules
