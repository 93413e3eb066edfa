// Windows that slide along the last axes of a tensor: what users say of them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// A number for each spatial axis, outermost first; a single one holds for all of them.
class PerAxis {
 public:
  PerAxis(std::int64_t all) : each_{all} {}
  PerAxis(std::initializer_list<std::int64_t> each) : each_(each) {}

  /// One number for each of `axes` axes. Throws TypeError where their count is neither that nor 1,
  /// or one is below `least`.
  std::vector<std::int64_t> of(std::size_t axes, std::int64_t least, const char* what) const;

 private:
  std::vector<std::int64_t> each_;
};

/// Elements added before and after an axis.
struct Sides {
  Sides(std::int64_t both) : before(both), after(both) {}
  Sides(std::int64_t in_front, std::int64_t behind) : before(in_front), after(behind) {}

  std::int64_t before, after;
};

enum class Pad : std::uint8_t {
  valid,  ///< None: windows lie inside the input.
  same,   ///< One less than a window spans, the odd one after: a stride of s gives ceil(n / s).
};

/// How far windows may reach out of the input.
class Padding {
 public:
  Padding(Pad kind = Pad::valid) : kind_(kind) {}
  /// The same at every side.
  Padding(std::int64_t all) : each_{Sides(all)} {}
  /// {1, 2}: 1 at both sides of the first axis and 2 of the second. {{1, 2}, {0, 3}}: before and
  /// after each axis.
  Padding(std::initializer_list<Sides> each) : each_(each) {}

  /// One for each of the axes along which windows span `spans`; -1 stands for a span not known.
  /// Throws TypeError where their counts differ, one is negative, or `same` meets an unknown span.
  std::vector<Sides> of(const std::vector<std::int64_t>& spans) const;

 private:
  Pad kind_ = Pad::valid;
  std::vector<Sides> each_;
};

}  // namespace cinch
