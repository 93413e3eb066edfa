// The exponential of matrices, for one or for many: the last two axes are the matrix.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op expm_op;

/// sum_k A^k / k!: (..., n, n) -> (..., n, n). By scaling and squaring of a Pade approximant
/// (Higham, The scaling and squaring method for the matrix exponential revisited, 2005). ValueError
/// at run time for a matrix with a NaN or infinity.
Expr expm(const Arg& A);

}  // namespace cinch
