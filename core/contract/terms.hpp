// Sums that are read by what is linear in them, term by term.
#pragma once

#include <span>
#include <vector>

#include "cinch/core/expr.hpp"

namespace cinch::contraction {

/// `roots`, whose sizes are all known, with large sums a + b taken apart where products and sums
/// read them: the gradient of two penalties on one Jacobian comes through its formula in two, each
/// of which has its own order, as each penalty alone has. Differences stay: they may be small
/// against their terms. Empty where there is nothing of the kind. Whether it gains, orders tell.
std::vector<Expr> with_terms_apart(std::span<const Expr> roots);

}  // namespace cinch::contraction
