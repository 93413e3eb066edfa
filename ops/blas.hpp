// OpenBLAS through its C interface. Apart from linalg.cpp because <cblas.h> and xtensor-blas cannot
// meet in one file.
#pragma once

#include <cstdint>
#include <string>

namespace cinch::blas {

/// A matrix in memory: element (i, j) at data[i * row + j * column]; one of the strides is 1.
template <class T>
struct Matrix {
  T* data;
  std::int64_t rows, columns, row, column;
};

/// c = a b (+ c if `accumulate`). c is row-major; none of the sizes has to be positive.
void product(const Matrix<const float>& a, const Matrix<const float>& b, const Matrix<float>& c,
             bool accumulate = false);
void product(const Matrix<const double>& a, const Matrix<const double>& b, const Matrix<double>& c,
             bool accumulate = false);

/// Name of the kernels OpenBLAS chose for this processor.
std::string core_name();

}  // namespace cinch::blas
