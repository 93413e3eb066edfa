// Positions in tensors: what references walk over, and what kernels check.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cinch/core/error.hpp"
#include "cinch/core/tensor.hpp"

namespace cinch::references {

/// `index` counted from the front. Throws ValueError unless -n <= index < n.
inline std::int64_t row_of(std::int64_t index, std::int64_t n) {
  if (index == INT64_MIN) {
    throw ValueError(
        text("an index is NaN or beyond int64, as a float was before it was cast: it is ",
             "out of range for an axis of size ", n));
  }
  if (index < -n || index >= n)
    throw ValueError(text("index ", index, " is out of range for an axis of size ", n));
  return index < 0 ? index + n : index;
}

/// Calls f(index) for every index of an array of this shape, in row-major order.
template <class F>
void for_each_index(const Shape& shape, F&& f) {
  std::vector<std::size_t> index(shape.size(), 0);
  for (std::int64_t left = element_count(shape); left > 0; --left) {
    f(index);
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      if (++index[axis] < static_cast<std::size_t>(shape[axis])) break;
      index[axis] = 0;
    }
  }
}

/// A row-major array as (outer, n, inner), where n is the size of one axis: element k of lane l
/// lies at first(l) + k * inner.
struct Lanes {
  std::int64_t n, inner, count;

  template <class Sizes>
  Lanes(const Sizes& shape, std::int64_t axis)
      : n(shape[static_cast<std::size_t>(axis)]), inner(1), count(1) {
    for (std::size_t k = 0; k < shape.size(); ++k) {
      if (k == static_cast<std::size_t>(axis)) continue;
      count *= shape[k];
      if (k > static_cast<std::size_t>(axis)) inner *= shape[k];
    }
    if (n == 0) count = 0;  // Without elements there may be more than can be gone through.
  }
  std::int64_t first(std::int64_t lane) const { return lane / inner * inner * n + lane % inner; }
};

}  // namespace cinch::references
