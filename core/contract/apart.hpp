// Functions of products, as products of functions.
#pragma once

#include <span>
#include <vector>

#include "cinch/core/expr.hpp"

namespace cinch::contraction {

/// `roots`, whose sizes are all known, with |a b| as |a| |b|, and its sign likewise, wherever that
/// leaves factors that are smaller than the whole: a sum of the magnitudes of a layer's Jacobian
/// reads as a sum of products then.
std::vector<Expr> with_factors_apart(std::span<const Expr> roots);

}  // namespace cinch::contraction
