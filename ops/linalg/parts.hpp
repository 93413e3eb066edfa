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

/// Rows [first, first + count) of this alone, at their place in c, to the same bits. For products
/// of which is_dense().
void parts_product_rows(DType dtype, std::int64_t rows, std::int64_t columns,
                        std::span<const PartsTerm> terms, std::span<const std::int64_t> part_ends,
                        std::int64_t first, std::int64_t count, std::byte* c);

/// Whether no part has a factor that is mostly zeros, so that its rows are computed each for
/// itself.
bool is_dense(DType dtype, std::int64_t rows, std::int64_t columns,
              std::span<const PartsTerm> terms, std::span<const std::int64_t> part_ends);

}  // namespace cinch::blas
