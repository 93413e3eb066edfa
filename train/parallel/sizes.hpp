// Sizes in a step's formula.
#pragma once

#include "cinch/core/expr.hpp"

namespace cinch::parallel {

/// An integer or bool of no axes.
bool is_whole_scalar(const Expr& node);

/// A size that is known as a number, and what is made of numbers, so that more may be.
Expr with_known_sizes(const Expr& node);

}  // namespace cinch::parallel
