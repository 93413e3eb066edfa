// What formulas say about the signs of their values.
#pragma once

#include "cinch/core/expr.hpp"

namespace cinch::rules {

/// Whether no element of `e` is below 0, as its formula says, whatever its variables are: squares,
/// lengths, exponentials and what is made of them. NaN may be.
bool never_negative(const Expr& e);

/// The same for above 0.
bool never_positive(const Expr& e);

/// Whether all elements are above 0, by a constant that is added to what is never negative.
bool bounded_below(const Expr& e);

}  // namespace cinch::rules
