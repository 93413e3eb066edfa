// Products with and over the rows of a minibatch that is cut into parts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "cinch/core/dtype.hpp"

namespace cinch::blas {

/// a' b, or -a' b: a is (depth, rows) and b (depth, columns), both row-major.
struct PartsTerm {
  const std::byte *a, *b;
  bool negative;
};

/// Whether parts_product() can be used for a result of so many columns.
bool has_parts_product(DType dtype, std::int64_t columns);

/// c, (rows, columns) and row-major, = the sum over parts of the sum of the terms' products of a
/// part, in one pass over c. Part k has the rows of a and b up to part_ends[k]. Parts are added
/// along a binary tree that has the largest power of two on the left. Parts of which a factor is
/// mostly zeros are computed from what is not 0. The same bits for any number of threads.
void parts_product(DType dtype, std::int64_t rows, std::int64_t columns,
                   std::span<const PartsTerm> terms, std::span<const std::int64_t> part_ends,
                   std::byte* c);

}  // namespace cinch::blas
