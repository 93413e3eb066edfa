// LAPACK as OpenBLAS brings it, on the calling thread. Matrices are dense and column-major: the
// row-major matrix in the same memory is the transpose.
#pragma once

#include <cstdint>

namespace cinch::linalg {

/// For T = float and double. Functions that can fail return whether they succeeded.
template <class T>
struct Lapack {
  /// a (n, n) becomes its factors L and U with partial pivoting, n numbers tell the exchanges of
  /// rows. Fails where singular, but is complete: U then has a 0 on its diagonal.
  static bool lu(std::int64_t n, T* a, int* pivots);
  /// b (n, k) becomes a^-1 b, or a^-T b if `transposed`, by the result of lu().
  static void lu_solve(bool transposed, std::int64_t n, std::int64_t k, const T* lu,
                       const int* pivots, T* b);
  /// The inverse in place of the result of lu(). `work` has n * block elements.
  static bool lu_inverse(std::int64_t n, T* lu, const int* pivots, T* work);

  /// b (n, k) becomes op(a)^-1 b for the lower or upper triangle of a; its diagonal counts as 1 if
  /// `unit`.
  static bool triangular_solve(bool lower, bool transposed, bool unit, std::int64_t n,
                               std::int64_t k, const T* a, T* b);

  /// The upper triangle of a (n, n) becomes the R of a = R' R; the lower one stays.
  static bool cholesky(std::int64_t n, T* a);

  /// Eigenvalues of a symmetric matrix, ascending; a becomes the eigenvectors if asked for, one a
  /// column, else rubbish. `work` has eigen_work() elements, `iwork` 5 n + 3.
  static bool eigen(bool vectors, std::int64_t n, T* a, T* values, T* work, std::int64_t work_size,
                    int* iwork);
  static std::int64_t eigen_work(bool vectors, std::int64_t n);

  /// Singular values of a (m, n), descending; with vectors u (m, k) and vt (k, n), k = min(m, n). a
  /// becomes rubbish. `work` has svd_work() elements, `iwork` 8 k.
  static bool svd(bool vectors, std::int64_t m, std::int64_t n, T* a, T* s, T* u, T* vt, T* work,
                  std::int64_t work_size, int* iwork);
  static std::int64_t svd_work(bool vectors, std::int64_t m, std::int64_t n);

  /// a (m, n), m >= n, becomes Q, and r (n, n) becomes R with zeros below its diagonal. `work` has
  /// n * (block + 1) elements.
  static void qr(std::int64_t m, std::int64_t n, T* a, T* r, T* work);

  /// c (m, n) = op(a) op(b), where op transposes if asked to and there are k terms in a sum.
  static void product(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n,
                      std::int64_t k, const T* a, const T* b, T* c);

  /// Columns that the blocked algorithms take at once, at most.
  static constexpr std::int64_t block = 64;
};

}  // namespace cinch::linalg
