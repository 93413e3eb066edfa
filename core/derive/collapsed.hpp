// Second derivatives along one direction at a time, summed before they are carried on.
#pragma once

#include "cinch/core/expr.hpp"

namespace cinch::deriving {

/// Of y and x, both (batch, n), whose examples are apart: element (b, i) of the diagonal of each
/// example's Jacobian, where y is made of derivatives that depend on x. Empty where it is not, or
/// where nothing would be gained.
///
/// The derivative of u has nodes that u has too, and others that carry its cotangents. Where the
/// first enter the second, at nodes c, the change of y[i] by x[i] is the sum over c of <how y[i]
/// follows c, how c follows x[i]>. As cotangents go backwards through what u goes through, how y[i]
/// follows c is again how something of u follows x[i]: n directions are carried through u once and
/// never back. Laplacians so computed are the collapsed Taylor mode (Dangel et al., arXiv
/// 2505.13644, 2025) and the forward Laplacian (Li et al., Nature Machine Intelligence 6, 2024).
Expr collapsed_diagonal(const Expr& y, const Expr& x);

}  // namespace cinch::deriving
