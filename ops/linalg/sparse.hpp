// Products of which one operand is mostly zeros, as codes are that keep a few of many units.
#pragma once

#include <cstdint>

#include "cinch/ops/linalg/blas.hpp"

namespace cinch::blas {

/// c = a b, or c + a b, from what is not 0 in `a` or in `b`. False, and nothing done, where neither
/// is sparse enough for that to be faster, or where the other one has infinities or NaN, which
/// times 0 are NaN. c is row-major. The same bits for any number of threads.
template <class T>
bool sparse_product(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                    bool accumulate);

/// Whether a few elements of `a`, or of `b`, are mostly zeros, so that sparse_product() may do.
template <class T>
bool may_be_sparse(const Matrix<const T>& a, const Matrix<const T>& b);

/// The elements of a b where `chosen`, row-major like c, holds, and 0 elsewhere. False, and nothing
/// done, where there are so many that the whole product is faster.
template <class T>
bool chosen_product(const bool* chosen, const Matrix<const T>& a, const Matrix<const T>& b,
                    const Matrix<T>& c);

}  // namespace cinch::blas
