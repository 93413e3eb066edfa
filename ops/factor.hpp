// Triangular factors, for one matrix or for many: the last two axes are the matrix. A matrix with a
// NaN or infinity is a ValueError at run time that names it and the line.
#pragma once

#include <cstdint>

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op cholesky_op, qr_op;

/// The lower triangular L with positive diagonal of A = L L': (..., n, n) -> (..., n, n). Of A the
/// symmetric part (A + A') / 2 is read, so that gradients are symmetric; ValueError where it is not
/// positive definite. Gradient: Murray, Differentiation of the Cholesky decomposition, 2016.
Expr cholesky(const Arg& A);

/// What of A = Q R is computed for A of more rows than columns; of others, all of Q is reduced.
enum class QrMode : std::uint8_t {
  reduced,   ///< Q (..., m, n), R (..., n, n)
  complete,  ///< Q (..., m, m), R (..., m, n) with rows of 0 below
};

/// A = Q R: with k = min(m, n), Q (..., m, k) has orthonormal columns, R (..., k, n) is upper
/// triangular and its diagonal not negative, which makes them unique. Where one of the first k
/// columns of A depends on those before it, but for rounding, the diagonal is 0 and the gradient is
/// a ValueError: Walter and Lehmann, Algorithmic differentiation of linear algebra functions, 2010.
/// In mode complete the further columns of Q are some orthonormal basis of what is orthogonal to A;
/// derivatives are right, to any order, for functions to which it does not matter which.
struct QR {
  Expr Q, R;
};
QR qr(const Arg& A, QrMode mode = QrMode::reduced);

}  // namespace cinch
