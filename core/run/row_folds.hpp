// Rows and columns of a block, folded in one call.
#pragma once

#include <cstddef>

#include "cinch/core/op.hpp"

namespace cinch::running {

/// What accumulators do with a block (rows, n) that lies row by row: out[r] = out[r] o row r, or
/// out[c] = out[c] o column c. Sums of float32 that are `wide` go to float64. Null for an
/// accumulator that has none. Defined in ops/reduce/reduce.cpp.
struct RowFolds {
  using Fold = void (*)(void* out, const void* in, std::size_t rows, std::size_t n);
  Fold (*rows)(const Accumulator*, bool wide, DType);
  Fold (*columns)(const Accumulator*, bool wide, DType);
};
extern const RowFolds row_folds;

}  // namespace cinch::running
