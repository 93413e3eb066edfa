// Products of tensors, made of those of matrices (ops/linalg.hpp).
#pragma once

#include <string>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// NumPy's matmul, its operator @: products of matrices (..., i, k) and (..., k, j), the axes in
/// front repeated as NumPy repeats. A vector is a row on the left and a column on the right, and
/// that axis goes. Throws TypeError for scalars, and for sizes that do not fit, at the latest when
/// it runs.
Expr matmul(const Arg& a, const Arg& b);
/// Sums of products over `axes_a` of `a` and `axes_b` of `b`, in pairs; the other axes follow one
/// another, a's first. Or over the last `count` axes of `a` and the first ones of `b`: 2 for
/// NumPy's default, 1 for a product of matrices, 0 for all products.
Expr tensordot(const Arg& a, const Arg& b, const std::vector<std::int64_t>& axes_a,
               const std::vector<std::int64_t>& axes_b);
Expr tensordot(const Arg& a, const Arg& b, std::int64_t count = 2);
/// Einstein's sum, as NumPy's: a letter for each axis of each operand, then "->" and those of the
/// result; letters that are not among these are summed over, and a letter that an operand has twice
/// is its diagonal. Without "->" the result has the letters that come once, in alphabetical order.
/// "ij,jk->ik" is a product of matrices. Products of several operands are computed in the cheapest
/// order. Throws TypeError where letters and axes do not fit; "..." is not read.
Expr einsum(const std::string& subscripts, const std::vector<Expr>& operands,
            Source where = Source::here());
/// The Kronecker product of matrices: (m, n), (p, q) -> (m p, n q), a_ij b in block i, j.
Expr kron(const Arg& a, const Arg& b);
/// The vector product of vectors of three elements along `axis`; the other axes of one operand are
/// repeated to those of the other.
Expr cross(const Arg& a, const Arg& b, std::int64_t axis = -1);
/// The product of `n` times A, (..., m, m), by few multiplications; the identity for 0, that of the
/// inverse for n < 0.
Expr matrix_power(const Arg& A, std::int64_t n);

}  // namespace cinch
