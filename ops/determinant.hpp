// Determinants, for one matrix or for many: the last two axes are the matrix, (..., n, n) -> (...).
// A matrix with a NaN or infinity is a ValueError at run time that names it and the line.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op det_op, cofactors_op, slogdet_op, logdet_op;

/// The determinant; 0 for a singular matrix, 1 for one of size 0. A polynomial of the elements: its
/// derivatives exist everywhere, of singular matrices of any rank, too.
Expr det(const Arg& A);

/// d det(A) / d A_ij, (..., n, n) -> (..., n, n): det(A) A^-T where A has an inverse, but computed
/// without dividing. Derivative k takes about n^(k + 1) (k + 1)! operations besides a
/// singular value decomposition; there are 12.
Expr cofactors(const Arg& A);

/// det(A) = sign * exp(log_abs), which neither overflows nor underflows. sign is -1, 0 or 1 and has
/// no gradient; log_abs is -infinity where it is 0, and has no gradient there (ValueError).
struct SignAndLog {
  Expr sign, log_abs;
};
SignAndLog slogdet(const Arg& A);

/// log det(A) of a positive definite matrix, of which the symmetric part (A + A') / 2 is read.
/// ValueError where it is not positive definite.
Expr logdet(const Arg& A);

}  // namespace cinch
