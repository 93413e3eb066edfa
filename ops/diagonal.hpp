// Diagonals and triangles of matrices.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op diagonal_op, embed_diagonal_op;

/// The elements with column = row + offset of the matrices that two axes span, as NumPy's: those
/// axes go, the diagonal comes last. (n, m) -> (k); (batch, n, m) with axes 1, 2 -> (batch, k).
/// Costs nothing; the diagonal of a product of matrices is computed without the product.
Expr diagonal(const Arg& x, std::int64_t offset = 0, std::int64_t axis1 = 0,
              std::int64_t axis2 = 1);
/// The transpose of diagonal: zeros of like's shape with `x` there.
Expr embed_diagonal(const Arg& x, const Arg& like, std::int64_t offset = 0, std::int64_t axis1 = 0,
                    std::int64_t axis2 = 1);
/// NumPy's diag: of a vector (n) the matrix (n + |offset|, n + |offset|) with it on that diagonal,
/// of a matrix its diagonal.
Expr diag(const Arg& x, std::int64_t offset = 0);
/// Sum of a diagonal; trace(dot(a, b)) costs what a * b costs.
Expr trace(const Arg& x, std::int64_t offset = 0, std::int64_t axis1 = 0, std::int64_t axis2 = 1);

/// Matrices, the last two axes of `x`, with zeros where column > row + offset.
Expr tril(const Arg& x, std::int64_t offset = 0);
/// With zeros where column < row + offset.
Expr triu(const Arg& x, std::int64_t offset = 0);
/// Those matrices with `value` on their diagonals: a scalar, or what broadcasts to (..., n).
Expr fill_diagonal(const Arg& x, const Arg& value);

}  // namespace cinch
