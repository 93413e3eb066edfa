// Formulas as a person writes them, to name terms by.
#pragma once

#include <string>

#include "cinch/core/expr.hpp"

namespace cinch::searching {

/// `e` in infix, with mean() where it divides a sum by its number of elements and without the ops
/// that only move or convert. What does not fit into `width` characters is "...".
std::string formula_text(const Expr& e, std::size_t width = 44);

}  // namespace cinch::searching
