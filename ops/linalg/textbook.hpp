// Linear algebra by textbook methods in long double: what the references of matrix ops run. Other
// algorithms than LAPACK's, other code, more digits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "cinch/core/op.hpp"
#include "cinch/ops/linalg/matrices.hpp"

namespace cinch::textbook {

using Real = long double;
using Vector = std::vector<Real>;

struct Matrix {
  Matrix(std::int64_t m, std::int64_t n)
      : rows(m), columns(n), elements(static_cast<std::size_t>(m * n)) {}
  Real& operator()(std::int64_t i, std::int64_t j) {
    return elements[static_cast<std::size_t>(i * columns + j)];
  }
  Real operator()(std::int64_t i, std::int64_t j) const {
    return elements[static_cast<std::size_t>(i * columns + j)];
  }

  std::int64_t rows, columns;
  Vector elements;
};

Matrix identity(std::int64_t n);
Matrix transposed(const Matrix& a);
Matrix operator*(const Matrix& a, const Matrix& b);

/// a^-1 b by elimination with partial pivoting; nothing where a pivot is 0.
std::optional<Matrix> solve(Matrix a, Matrix b);
/// By substitution; only one triangle of a is read.
std::optional<Matrix> triangular_solve(const Matrix& a, Matrix b, bool lower, bool unit);

/// det(a) = sign * exp(log). 0 and -infinity where a pivot is 0.
struct Determinant {
  Real sign, log, value;
};
Determinant determinant(Matrix a);
/// The derivative of det(a) by each element of a, also where a is singular: by elimination with
/// complete pivoting, which leaves all that is about 0 for the last pivots.
Matrix cofactors(Matrix a);

/// The lower L with positive diagonal of a = L L'; nothing where there is none.
std::optional<Matrix> cholesky(const Matrix& a);

/// Gram-Schmidt twice, for rows >= columns. R's diagonal is not negative.
struct Qr {
  Matrix Q, R;
};
Qr qr(const Matrix& a);

/// Jacobi's rotations. Values ascend; column j is the vector of value j.
struct Eigen {
  Vector values;
  Matrix vectors;
};
Eigen eigen(Matrix a);

/// One-sided Jacobi rotations. Values descend; a = U diag(s) V' with k = min(rows, columns) columns
/// in U and V.
struct Svd {
  Matrix U;
  Vector s;
  Matrix V;
};
Svd svd(const Matrix& a);

/// Taylor's series of a / 2^j, squared j times.
Matrix exponential(Matrix a);

/// Matrix number `k` of a tensor.
Matrix matrix_of(const Tensor& x, std::int64_t k);
template <class T>
Matrix matrix_of(const linalg::MatrixView<T>& x) {
  Matrix result(x.rows, x.columns);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int64_t j = 0; j < x.columns; ++j) result(i, j) = x(i, j);
  }
  return result;
}
/// (a + a') / 2.
Matrix symmetric_part(const Matrix& a);
/// a and below it b.
Matrix stacked(const Matrix& a, const Matrix& b);
bool all_finite(const Matrix& a);

/// The axes in front of a tensor's matrices, and how many matrices they count.
Shape leading_of(const Tensor& x);
/// Writes the elements one after the other, from number `at` on.
void store(Tensor& to, std::int64_t at, const Matrix& from);

/// A tensor of `shape` with make(k, matrix) for each matrix of x in it, one after the other. `make`
/// returns a Matrix, or a MatrixFault.
struct Result {
  Result(Matrix m) : value(std::move(m)) {}
  Result(linalg::MatrixFault f) : fault(f) {}
  Result(std::optional<Matrix> m, linalg::MatrixFault otherwise)
      : value(std::move(m)), fault(value ? linalg::MatrixFault::none : otherwise) {}
  std::optional<Matrix> value;
  linalg::MatrixFault fault = linalg::MatrixFault::none;
};
template <class F>
Tensor for_each(const Tensor& x, const Shape& own_shape, F&& make) {
  const Shape leading = leading_of(x);
  Shape shape = leading;
  shape.insert(shape.end(), own_shape.begin(), own_shape.end());
  Tensor result(x.dtype(), shape);
  const std::int64_t count = element_count(leading), size = element_count(own_shape);
  for (std::int64_t k = 0; k < count; ++k) {
    const Matrix a = matrix_of(x, k);
    const Result one = all_finite(a) ? make(a, k) : Result(linalg::MatrixFault::not_finite);
    require_sound(one.fault, leading, k);
    store(result, k * size, *one.value);
  }
  return result;
}

}  // namespace cinch::textbook
