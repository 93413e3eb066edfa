// Operands of matrix products as BLAS wants them.
#pragma once

#include <algorithm>
#include <type_traits>

#include "cinch/core/op.hpp"
#include "cinch/ops/linalg/blas.hpp"

namespace cinch::linalg {

/// One of the two innermost strides is 1, and the other steps over whole rows or columns.
inline bool accepts_matrix(const Strided& where, const Shape& shape) {
  const std::size_t r = shape.size() - 2, c = shape.size() - 1;
  const auto unit = [&](std::size_t inner, std::size_t outer) {
    const bool inner_ok = where.strides[inner] == 1 || shape[inner] == 1;
    return inner_ok &&
           (shape[outer] == 1 || where.strides[outer] >= std::max<std::int64_t>(shape[inner], 1));
  };
  return unit(c, r) || unit(r, c);
}

template <class T>
blas::Matrix<T> matrix(const Operand& x, std::int64_t batch = 0) {
  const std::size_t r = x.shape.size() - 2;
  T* data = x.as<std::remove_const_t<T>>() + (r == 1 ? batch * x.strides[0] : 0);
  // An axis of size 1 may have any stride; give it one that fits the other.
  std::int64_t row = x.strides[r], column = x.strides[r + 1];
  if (x.shape[r + 1] == 1) column = row == 1 ? std::max<std::int64_t>(x.shape[r], 1) : 1;
  if (x.shape[r] == 1) row = column == 1 ? std::max<std::int64_t>(x.shape[r + 1], 1) : 1;
  return {data, x.shape[r], x.shape[r + 1], row, column};
}

}  // namespace cinch::linalg
