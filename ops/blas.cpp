#include "ops/blas.hpp"

#include <cblas.h>

#include <algorithm>
#include <cstddef>
#include <vector>

#include "ops/kernels.hpp"

namespace cinch::blas {

namespace {

/// Results must not depend on how many processors there are, so OpenBLAS runs on the calling
/// thread.
void one_thread() {
  static const bool once = [] {
    openblas_set_num_threads(1);
    return true;
  }();
  (void)once;
}

template <class T>
CBLAS_TRANSPOSE order(const Matrix<T>& m) {
  return m.column == 1 || m.columns == 1 ? CblasNoTrans : CblasTrans;
}

template <class T>
blasint leading(const Matrix<T>& m) {
  const bool plain = order(m) == CblasNoTrans;
  const std::int64_t stride = plain ? m.row : m.column;
  return static_cast<blasint>(std::max<std::int64_t>({stride, plain ? m.columns : m.rows, 1}));
}

template <class T>
std::int64_t step(const Matrix<T>& m) {
  return m.columns == 1 ? m.row : m.column;
}

void gemm(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, blasint m, blasint n, blasint k, const float* a,
          blasint lda, const float* b, blasint ldb, float beta, float* c, blasint ldc) {
  cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
}
void gemm(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, blasint m, blasint n, blasint k, const double* a,
          blasint lda, const double* b, blasint ldb, double beta, double* c, blasint ldc) {
  cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
}

/// Few rows against a large matrix: by our own kernels, which do not copy it first. True if done.
template <class T>
bool skinny(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c) {
  // Where they cross with OpenBLAS's AVX-512 kernels.
  const bool plain = b.column == 1;
  const std::int64_t most_rows = plain ? 128 : 40, least_elements = 1 << 15;
  if (c.rows > most_rows || b.rows * b.columns < least_elements || a.column != 1) return false;
  const SkinnyProducts& kernels = cinch::kernels().skinny;
  const auto product = (plain ? kernels.plain : kernels.transposed)[sizeof(T) == 8];
  const auto row_bytes = static_cast<std::int64_t>(sizeof(T)) * c.columns;
  const auto depth_bytes = static_cast<std::int64_t>(sizeof(T)) * a.columns;
  if (!product || (plain ? row_bytes < kernels.least_bytes : depth_bytes < kernels.least_bytes))
    return false;
  // Grows to the largest product this thread has met, and stays.
  thread_local std::vector<std::byte> scratch;
  const auto bytes = static_cast<std::size_t>(
      c.rows * (a.columns * static_cast<std::int64_t>(sizeof(T)) + 192) + 64);
  if (!plain && scratch.size() < bytes) scratch.resize(bytes);
  auto* aligned =
      scratch.data() + (64 - reinterpret_cast<std::uintptr_t>(scratch.data()) % 64) % 64;
  product(c.rows, c.columns, a.columns, a.data, a.row, b.data, plain ? b.row : b.column, c.data,
          c.row, aligned);
  return true;
}

template <class T>
void multiply(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
              bool accumulate) {
  one_thread();
  if (c.rows == 0 || c.columns == 0) return;
  if (a.columns == 0) {
    if (!accumulate) {
      for (std::int64_t i = 0; i < c.rows; ++i) std::fill_n(c.data + i * c.row, c.columns, T(0));
    }
    return;
  }
  if (!accumulate && skinny(a, b, c)) return;
  gemm(order(a), order(b), static_cast<blasint>(c.rows), static_cast<blasint>(c.columns),
       static_cast<blasint>(a.columns), a.data, leading(a), b.data, leading(b),
       T(accumulate ? 1 : 0), c.data, static_cast<blasint>(std::max<std::int64_t>(c.row, 1)));
}

}  // namespace

void product(const Matrix<const float>& a, const Matrix<const float>& b, const Matrix<float>& c,
             bool accumulate) {
  multiply(a, b, c, accumulate);
}
void product(const Matrix<const double>& a, const Matrix<const double>& b, const Matrix<double>& c,
             bool accumulate) {
  multiply(a, b, c, accumulate);
}

std::string core_name() { return openblas_get_corename(); }

}  // namespace cinch::blas
