// Triangular factors, for one matrix or for many: the last two axes are the matrix. A matrix with a
// NaN or infinity is a ValueError at run time that names it and the line.
#pragma once

#include "core/expr.hpp"
#include "core/op.hpp"

namespace cinch {

extern const Op cholesky_op, qr_op;

/// The lower triangular L with positive diagonal of A = L L': (..., n, n) -> (..., n, n). Of A the
/// symmetric part (A + A') / 2 is read, so that gradients are symmetric; ValueError where it is not
/// positive definite. Gradient: Murray, Differentiation of the Cholesky decomposition, 2016.
Expr cholesky(const Arg& A);

/// A = Q R with m >= n: Q (..., m, n) has orthonormal columns, R (..., n, n) is upper triangular
/// and its diagonal not negative, which makes them unique. Where a column depends on those before
/// it, but for rounding, the diagonal is 0 and the gradient is a ValueError: Walter and Lehmann,
/// Algorithmic differentiation of linear algebra functions, 2010.
struct QR {
  Expr Q, R;
};
QR qr(const Arg& A);

}  // namespace cinch
