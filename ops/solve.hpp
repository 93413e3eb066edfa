// Systems of linear equations, for one matrix or for many: the last two axes are the matrix, those
// before count matrices. Real numbers; integers are taken as float64.
//
// At run time a matrix with a NaN or infinity, or a singular one, is a ValueError that names it and
// the line. "Singular" means that elimination meets a pivot of exactly 0: a matrix that is singular
// but for rounding gives huge numbers instead, as in NumPy.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op inverse_op, solve_op, triangular_solve_op;

/// A^-1: (..., n, n) -> (..., n, n). To multiply with it, solve() is faster and more exact.
Expr inverse(const Arg& A);

/// The x of A x = b. A is (..., n, n); b is (..., n, k) with the same leading axes, or more of
/// them, for each of which A is used again; or with one axis fewer than A, (..., n): a vector for
/// each matrix.
Expr solve(const Arg& A, const Arg& b);

struct TriangularOptions {
  bool lower = true;           ///< Which triangle of A is read; the other counts as 0.
  bool unit_diagonal = false;  ///< The diagonal counts as 1.
};
/// The x of A x = b for a triangular A; shapes as for solve().
Expr triangular_solve(const Arg& A, const Arg& b, const TriangularOptions& options = {});

}  // namespace cinch
