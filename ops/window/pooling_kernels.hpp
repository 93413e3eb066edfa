// How pooling runs: map by map, window by window.
#pragma once

#include <span>

#include "cinch/core/op.hpp"

namespace cinch::windows {

void window_sum_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs);
void window_spread_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs);
void window_argmax_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs);
void pick_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs);
void unpool_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs);
/// Each map row-major; the axes in front as they like.
bool pooling_accepts(const Strided& where, const Shape& shape);

/// `position` itself. Throws ValueError unless 0 <= position < area.
inline std::int64_t inside_map(std::int64_t position, std::int64_t area) {
  if (position < 0 || position >= area)
    throw ValueError(text("position ", position, " lies outside a map of ", area, " elements"));
  return position;
}

}  // namespace cinch::windows
