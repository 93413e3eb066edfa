// Eigenvalues and eigenvectors of symmetric matrices, for one or for many: the last two axes are
// the matrix. Of A the symmetric part (A + A') / 2 is read, so that gradients are symmetric. A
// matrix with a NaN or infinity is a ValueError at run time that names it and the line.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op eigvalsh_op, eigenvectors_op;

/// Eigenvalues, ascending: (..., n, n) -> (..., n). The gradient, sum_k g_k v_k v_k', divides
/// nothing; at equal eigenvalues it is right for functions that treat them alike, such as their
/// sum. The second derivative needs different eigenvalues even then.
Expr eigvalsh(const Arg& A);

/// A = V diag(values) V': values (..., n) as by eigvalsh(), V (..., n, n) with a vector in each
/// column. A vector's first element that is about its largest is positive. The gradient of V
/// divides by differences of eigenvalues (Giles, Collected matrix derivative results, 2008): at
/// equal ones vectors are not functions of A, and their gradient is NaN, infinite or just wrong.
struct Eigh {
  Expr values, vectors;
};
Eigh eigh(const Arg& A);

}  // namespace cinch
