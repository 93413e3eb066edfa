// Windows that slide along the last axes of a tensor: where they stand and how many there are.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "cinch/core/op.hpp"
#include "cinch/core/run/team.hpp"
#include "cinch/ops/window.hpp"

namespace cinch::windows {

/// Windows along one axis: number o covers the positions o * stride - before + k * dilation for
/// 0 <= k < width, of an axis that is thought of as longer by `before` and `after`.
struct Window {
  std::int64_t width = 1, stride = 1, before = 0, after = 0, dilation = 1;

  std::int64_t span() const { return (width - 1) * dilation + 1; }
  /// floor((n + before + after - span) / stride) + 1. Throws TypeError where there is not one.
  std::int64_t count(std::int64_t n) const;
};

/// The windows in [0, count) whose element `k` lies inside [0, n): from begin to before end.
inline running::Span windows_inside(const Window& window, std::int64_t k, std::int64_t n,
                                    std::int64_t count) {
  const std::int64_t shift = window.before - k * window.dilation;  // o * stride >= shift.
  const auto ceil_div = [&](std::int64_t a) {
    return a <= 0 ? 0 : (a + window.stride - 1) / window.stride;
  };
  const std::int64_t begin = std::min(ceil_div(shift), count);
  return {begin, std::max(begin, std::min(ceil_div(n + shift), count))};
}

/// Along height and width: ops know two spatial axes.
using Windows = std::array<Window, 2>;

Windows windows_of(const Attrs& attrs);
Attrs attrs_of(const Windows& windows);
/// Windows along one axis as two, of which the first is of one element; two as they are.
Windows along_two(const std::vector<Window>& windows);
/// Height and width as int64 scalars.
std::vector<Expr> spatial_sizes(const Expr& x);
/// (..., n) as (..., 1, n), and back.
Expr with_height(const Expr& x);
Expr without_height(const Expr& x);

/// How many windows stand along an axis of `n`: a number, the symbol of n where padding makes up
/// for the width, or a new symbol. `width` is used in place of the window's own.
Dim window_count(Dim n, Dim width, const Window& window);
/// The same as an int64 scalar.
Expr window_count(const Expr& n, const Expr& width, const Window& window);
/// The smallest size along which `count` windows stand; the sizes from there to stride - 1 more
/// have as many.
Expr covered_size(const Expr& count, const Expr& width, const Window& window);

/// A size that two operands share. Throws TypeError where they surely do not: "one 3, other 4".
Dim shared_size(Dim a, Dim b, const char* one, const char* other);

/// Throws TypeError unless `count` windows can stand along an axis of `n`.
void require_count(Dim count, Dim n, Dim width, const Window& window, std::size_t axis);

/// Whether the last `axes` axes lie row-major, one behind the other.
bool dense_inside(const Strided& where, const Shape& shape, std::size_t axes);

}  // namespace cinch::windows
