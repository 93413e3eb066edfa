#include "cinch/ops/linalg/lapack.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <type_traits>
#include <utility>

#include "cinch/ops/linalg/blas.hpp"

// Fortran passes everything by address, and the length of each character after all arguments.
#define CINCH_LAPACK(T, p)                                                                         \
  void p##getrf_(const int* m, const int* n, T* a, const int* lda, int* ipiv, int* info);          \
  void p##getrs_(const char* trans, const int* n, const int* k, const T* a, const int* lda,        \
                 const int* ipiv, T* b, const int* ldb, int* info, std::size_t);                   \
  void p##getri_(const int* n, T* a, const int* lda, const int* ipiv, T* work, const int* lwork,   \
                 int* info);                                                                       \
  void p##trtrs_(const char* uplo, const char* trans, const char* diag, const int* n,              \
                 const int* k, const T* a, const int* lda, T* b, const int* ldb, int* info,        \
                 std::size_t, std::size_t, std::size_t);                                           \
  void p##potrf_(const char* uplo, const int* n, T* a, const int* lda, int* info, std::size_t);    \
  void p##syevd_(const char* jobz, const char* uplo, const int* n, T* a, const int* lda, T* w,     \
                 T* work, const int* lwork, int* iwork, const int* liwork, int* info, std::size_t, \
                 std::size_t);                                                                     \
  void p##gesdd_(const char* jobz, const int* m, const int* n, T* a, const int* lda, T* s, T* u,   \
                 const int* ldu, T* vt, const int* ldvt, T* work, const int* lwork, int* iwork,    \
                 int* info, std::size_t);                                                          \
  void p##geqrf_(const int* m, const int* n, T* a, const int* lda, T* tau, T* work,                \
                 const int* lwork, int* info);                                                     \
  void p##orgqr_(const int* m, const int* n, const int* k, T* a, const int* lda, const T* tau,     \
                 T* work, const int* lwork, int* info);                                            \
  void p##gemm_(const char* transa, const char* transb, const int* m, const int* n, const int* k,  \
                const T* alpha, const T* a, const int* lda, const T* b, const int* ldb,            \
                const T* beta, T* c, const int* ldc, std::size_t, std::size_t);

extern "C" {
CINCH_LAPACK(float, s)
CINCH_LAPACK(double, d)
}
#undef CINCH_LAPACK

namespace cinch::linalg {

namespace {

int narrow(std::int64_t n) { return blas::blas_int(n); }
/// A leading dimension is at least 1, even of nothing.
int leading(std::int64_t n) { return narrow(std::max<std::int64_t>(n, 1)); }

/// A routine, to be called in the expression that makes this.
template <class F>
struct Routine {
  F* call;
  blas::Use use = {};

  template <class... Ts>
  auto operator()(Ts... arguments) const {
    return call(arguments...);
  }
};

/// The routine of T's precision.
template <class T, class S, class D>
auto routine(S* of_floats, D* of_doubles) {
  if constexpr (std::is_same_v<T, float>) {
    return Routine<S>{of_floats};
  } else {
    return Routine<D>{of_doubles};
  }
}

/// Whether a pivot may be below the range of normal numbers: OpenBLAS 0.3.29 passes over such
/// columns as if there were nothing to exchange or to divide.
template <class T>
bool has_tiny_elements(std::int64_t count, const T* a) {
  constexpr T limit = std::numeric_limits<T>::min() / std::numeric_limits<T>::epsilon();
  return std::any_of(a, a + count, [](T e) { return e != 0 && std::abs(e) < limit; });
}

/// What getrf does, with a quotient for each element below a pivot. False where a pivot is 0.
template <class T>
bool eliminate(std::int64_t n, T* a, int* pivots) {
  bool regular = true;
  const auto at = [&](std::int64_t i, std::int64_t j) -> T& { return a[j * n + i]; };
  for (std::int64_t j = 0; j < n; ++j) {
    std::int64_t most = j;
    for (std::int64_t i = j + 1; i < n; ++i) {
      if (std::abs(at(i, j)) > std::abs(at(most, j))) most = i;
    }
    pivots[j] = narrow(most + 1);
    if (at(most, j) == 0) {
      regular = false;
      continue;
    }
    if (most != j) {
      for (std::int64_t k = 0; k < n; ++k) std::swap(at(j, k), at(most, k));
    }
    for (std::int64_t i = j + 1; i < n; ++i) {
      at(i, j) /= at(j, j);
      for (std::int64_t k = j + 1; k < n; ++k) at(i, k) -= at(i, j) * at(j, k);
    }
  }
  return regular;
}

}  // namespace

template <class T>
bool Lapack<T>::lu(std::int64_t n, T* a, int* pivots) {
  if (has_tiny_elements(n * n, a)) return eliminate(n, a, pivots);
  const int size = narrow(n), lda = leading(n);
  int info = 0;
  routine<T>(sgetrf_, dgetrf_)(&size, &size, a, &lda, pivots, &info);
  return info == 0;
}

template <class T>
void Lapack<T>::lu_solve(bool transposed, std::int64_t n, std::int64_t k, const T* lu,
                         const int* pivots, T* b) {
  const int size = narrow(n), columns = narrow(k), lda = leading(n);
  int info = 0;
  routine<T>(sgetrs_, dgetrs_)(transposed ? "T" : "N", &size, &columns, lu, &lda, pivots, b, &lda,
                               &info, 1);
}

template <class T>
bool Lapack<T>::lu_inverse(std::int64_t n, T* lu, const int* pivots, T* work) {
  const int size = narrow(n), lda = leading(n), lwork = leading(n * block);
  int info = 0;
  routine<T>(sgetri_, dgetri_)(&size, lu, &lda, pivots, work, &lwork, &info);
  return info == 0;
}

template <class T>
bool Lapack<T>::triangular_solve(bool lower, bool transposed, bool unit, std::int64_t n,
                                 std::int64_t k, const T* a, T* b) {
  const int size = narrow(n), columns = narrow(k), lda = leading(n);
  int info = 0;
  routine<T>(strtrs_, dtrtrs_)(lower ? "L" : "U", transposed ? "T" : "N", unit ? "U" : "N", &size,
                               &columns, a, &lda, b, &lda, &info, 1, 1, 1);
  return info == 0;
}

template <class T>
bool Lapack<T>::cholesky(std::int64_t n, T* a) {
  const int size = narrow(n), lda = leading(n);
  int info = 0;
  routine<T>(spotrf_, dpotrf_)("U", &size, a, &lda, &info, 1);
  return info == 0;
}

template <class T>
bool Lapack<T>::eigen(bool vectors, std::int64_t n, T* a, T* values, T* work,
                      std::int64_t work_size, int* iwork) {
  const int size = narrow(n), lda = leading(n), lwork = narrow(work_size),
            liwork = narrow(5 * n + 3);
  int info = 0;
  routine<T>(ssyevd_, dsyevd_)(vectors ? "V" : "N", "L", &size, a, &lda, values, work, &lwork,
                               iwork, &liwork, &info, 1, 1);
  return info == 0;
}

template <class T>
std::int64_t Lapack<T>::eigen_work(bool vectors, std::int64_t n) {
  const int size = narrow(n), lda = leading(n), ask = -1;
  T best = 0, nothing = 0;
  int integers = 0, info = 0;
  routine<T>(ssyevd_, dsyevd_)(vectors ? "V" : "N", "L", &size, &nothing, &lda, &nothing, &best,
                               &ask, &integers, &ask, &info, 1, 1);
  // What a float cannot hold exactly may have been rounded down.
  return static_cast<std::int64_t>(static_cast<double>(best) * 1.000001) + 1;
}

template <class T>
bool Lapack<T>::svd(bool vectors, std::int64_t m, std::int64_t n, T* a, T* s, T* u, T* vt, T* work,
                    std::int64_t work_size, int* iwork) {
  const int rows = narrow(m), columns = narrow(n), lda = leading(m), ldvt = leading(std::min(m, n)),
            lwork = narrow(work_size);
  int info = 0;
  routine<T>(sgesdd_, dgesdd_)(vectors ? "S" : "N", &rows, &columns, a, &lda, s, u, &lda, vt, &ldvt,
                               work, &lwork, iwork, &info, 1);
  return info == 0;
}

template <class T>
std::int64_t Lapack<T>::svd_work(bool vectors, std::int64_t m, std::int64_t n) {
  const int rows = narrow(m), columns = narrow(n), lda = leading(m), ldvt = leading(std::min(m, n)),
            ask = -1;
  T best = 0, nothing = 0;
  int integers = 0, info = 0;
  routine<T>(sgesdd_, dgesdd_)(vectors ? "S" : "N", &rows, &columns, &nothing, &lda, &nothing,
                               &nothing, &lda, &nothing, &ldvt, &best, &ask, &integers, &info, 1);
  return static_cast<std::int64_t>(static_cast<double>(best) * 1.000001) + 1;
}

template <class T>
void Lapack<T>::qr(std::int64_t m, std::int64_t n, T* a, T* r, T* work) {
  const int rows = narrow(m), columns = narrow(n), lda = leading(m), lwork = leading(n * block);
  int info = 0;
  T* scales = work + n * block;
  routine<T>(sgeqrf_, dgeqrf_)(&rows, &columns, a, &lda, scales, work, &lwork, &info);
  for (std::int64_t j = 0; j < n; ++j) {
    for (std::int64_t i = 0; i < n; ++i) r[j * n + i] = i <= j ? a[j * m + i] : T(0);
  }
  routine<T>(sorgqr_, dorgqr_)(&rows, &columns, &columns, a, &lda, scales, work, &lwork, &info);
}

template <class T>
void Lapack<T>::product(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n,
                        std::int64_t k, const T* a, const T* b, T* c) {
  const int rows = narrow(m), columns = narrow(n), terms = narrow(k),
            lda = leading(transpose_a ? k : m), ldb = leading(transpose_b ? n : k),
            ldc = leading(m);
  const T one = 1, zero = 0;
  routine<T>(sgemm_, dgemm_)(transpose_a ? "T" : "N", transpose_b ? "T" : "N", &rows, &columns,
                             &terms, &one, a, &lda, b, &ldb, &zero, c, &ldc, 1, 1);
}

template struct Lapack<float>;
template struct Lapack<double>;

}  // namespace cinch::linalg
