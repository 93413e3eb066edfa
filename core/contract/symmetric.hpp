// Matrices that are known to be symmetric.
#pragma once

#include <span>
#include <vector>

#include "cinch/core/expr.hpp"

namespace cinch::contraction {

/// Whether exchanging its last two axes changes nothing: A'A, A + A', and what is computed of such
/// element by element, of each example too. Sizes have to be known.
bool is_symmetric(const Expr& e);

/// `roots` with symmetric matrices in place of their transposes: the gradient by J of what depends
/// on G = J'J is J (D + D'), and D is symmetric as a rule.
std::vector<Expr> without_symmetric_turned(std::span<const Expr> roots);

}  // namespace cinch::contraction
