// Singular values and what is made of them, for one matrix (m, n) or for many: the last two axes
// are the matrix. k = min(m, n). A matrix with a NaN or infinity is a ValueError at run time that
// names it and the line.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op singular_values_op, singular_vectors_op, pinv_op;

/// Singular values, descending: (..., m, n) -> (..., k). The gradient, sum_k g_k u_k v_k', divides
/// nothing: at equal values it is right for functions that treat them alike, and at 0, where a
/// singular value has a kink, it is one of the subgradients. The second derivative needs different
/// values.
Expr singular_values(const Arg& A);

/// A = U diag(s) V': U (..., m, k), s (..., k) as by singular_values(), V (..., n, k), a singular
/// vector in each column. The first element of a column of U that is about its largest is positive;
/// V goes with it. The gradient of U and V divides by differences of squares of singular values
/// (Townsend, Differentiating the singular value decomposition, 2016), and by them where A is not
/// square: at equal ones, or 0, vectors are not functions of A, and their gradient is NaN, infinite
/// or just wrong.
struct Svd {
  Expr U, s, V;
};
Svd svd(const Arg& A);

/// The Moore-Penrose inverse: (..., m, n) -> (..., n, m). Singular values up to `cutoff` times the
/// largest count as 0; below 0 it stands for max(m, n) times the dtype's epsilon. The gradient
/// (Golub and Pereyra, 1973) is that among matrices of the same rank.
Expr pinv(const Arg& A, double cutoff = -1);

/// The x of least norm among those of least |A x - b|: pinv(A) b. b is (..., m, j) with A's leading
/// axes, or (..., m).
Expr lstsq(const Arg& A, const Arg& b);

/// Sum of the singular values: (..., m, n) -> (...).
Expr nuclear_norm(const Arg& A);
/// The largest singular value; TypeError for a matrix without elements.
Expr spectral_norm(const Arg& A);
/// The root of the sum of squares; gradient 0 at 0.
Expr frobenius_norm(const Arg& A);

}  // namespace cinch
