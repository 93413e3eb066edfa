// OpenBLAS through its C interface. Apart from linalg.cpp because <cblas.h> and xtensor-blas cannot
// meet in one file.
#pragma once

#include <cstdint>
#include <string>

#include "cinch/core/run/cost.hpp"
#include "cinch/core/run/team.hpp"

namespace cinch::blas {

/// A matrix in memory: element (i, j) at data[i * row + j * column]; one of the strides is 1.
template <class T>
struct Matrix {
  T* data;
  std::int64_t rows, columns, row, column;
};

/// Estimated time of the whole product on one thread, at a good rate.
template <class T>
double product_nanoseconds(const Matrix<const T>& a, const Matrix<T>& c) {
  return 2.0 * static_cast<double>(c.rows) * static_cast<double>(c.columns) *
         static_cast<double>(a.columns) * running::cost::flop(sizeof(T));
}

/// c = a b (+ c if `accumulate`). c is row-major; none of the sizes has to be positive.
void product(const Matrix<const float>& a, const Matrix<const float>& b, const Matrix<float>& c,
             bool accumulate = false);
void product(const Matrix<const double>& a, const Matrix<const double>& b, const Matrix<double>& c,
             bool accumulate = false);

/// c = c * scale + a b, where `scale` has a number for each column of c; one pass over c if a b is
/// a product of little depth. c is row-major.
void update(const Matrix<const float>& a, const Matrix<const float>& b, const float* scale,
            const Matrix<float>& c);
void update(const Matrix<const double>& a, const Matrix<const double>& b, const double* scale,
            const Matrix<double>& c);

/// c = a b, and in the same pass over b, if c has few rows, squares[j] = sum_k b[k, j]^2.
void product_and_squares(const Matrix<const float>& a, const Matrix<const float>& b,
                         const Matrix<float>& c, float* squares);
void product_and_squares(const Matrix<const double>& a, const Matrix<const double>& b,
                         const Matrix<double>& c, double* squares);

/// To be held around every call of OpenBLAS, LAPACK included. Results must not depend on how many
/// processors there are, so it runs on the calling thread.
/// Throws Error where the system has no room for the buffer that a thread's first call takes.
class Use {
 public:
  Use();
  ~Use();
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

 private:
  running::UntilExit until_exit_;
  bool first_;  ///< Whether this thread calls it for the first time.
};

/// A size as OpenBLAS counts. Throws Error where it has more than 31 bits.
int blas_int(std::int64_t size);

/// Name of the kernels OpenBLAS chose for this processor.
std::string core_name();

}  // namespace cinch::blas
