// Where the elements of a tensor lie, relative to its first.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "cinch/core/op.hpp"

namespace cinch::planning {

/// The step of the next slower axis. What no memory holds is planned too, until memory is asked
/// for.
inline std::int64_t next_step(std::int64_t step, std::int64_t size) {
  std::int64_t next = 0;
  return __builtin_mul_overflow(step, size, &next) ? std::numeric_limits<std::int64_t>::max()
                                                   : next;
}

/// Strides of elements one after the other, the last axis fastest.
inline std::vector<std::int64_t> row_major(const Shape& shape) {
  std::vector<std::int64_t> strides(shape.size());
  std::int64_t step = 1;
  for (std::size_t axis = shape.size(); axis-- > 0; step = next_step(step, shape[axis]))
    strides[axis] = step;
  return strides;
}

/// Strides of an operand of shape `shape` read at the positions of a result of shape `full`.
inline Strided broadcast_strides(const Strided& where, const Shape& shape, const Shape& full) {
  Strided result{where.offset, std::vector<std::int64_t>(full.size(), 0)};
  const std::size_t lead = full.size() - shape.size();
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] != 1) result.strides[lead + axis] = where.strides[axis];
  }
  return result;
}

/// Whether elements lie so; axes of size 1 may have any stride.
inline bool is_row_major(const Strided& where, const Shape& shape) {
  std::int64_t step = 1;
  for (std::size_t axis = shape.size(); axis-- > 0; step = next_step(step, shape[axis])) {
    if (shape[axis] != 1 && where.strides[axis] != step) return false;
  }
  return true;
}

}  // namespace cinch::planning
