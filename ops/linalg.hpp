// Products of matrices.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op dot_op, batched_dot_op;

/// Product over the last axis of `a` and the second-last (or only) axis of `b`, as NumPy's dot:
/// vectors, matrices, and for `a` of any rank a product for each of its leading positions. A scalar
/// operand multiplies.
Expr dot(const Arg& a, const Arg& b);
/// A product of matrices for each leading position: (n, i, k) x (n, k, j) -> (n, i, j).
Expr batched_dot(const Arg& a, const Arg& b);
/// a_i b_j for vectors.
Expr outer(const Arg& a, const Arg& b);

/// What OpenBLAS runs with on this machine: its kernels' name. For benchmarks' reports.
std::string blas_core();

}  // namespace cinch
