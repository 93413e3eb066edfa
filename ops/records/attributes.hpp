// What the integers of some ops mean, where more than the op's own file reads them.
#pragma once

#include <cstdint>

#include "cinch/core/op.hpp"

namespace cinch::records {

/// Along which axis sums run, and which way.
struct Running {
  std::int64_t axis;
  bool backward;

  static Running of(const Attrs& a) { return {a.ints[0], a.ints[1] != 0}; }
  Attrs attrs() const { return {.ints = {axis, backward}}; }
};

/// The same of positions of what is the largest so far, or the smallest.
struct RunningExtreme {
  std::int64_t axis;
  bool backward, smallest;

  static RunningExtreme of(const Attrs& a) { return {a.ints[0], a.ints[1] != 0, a.ints[2] != 0}; }
  Attrs attrs() const { return {.ints = {axis, backward, smallest}}; }
};

/// Along which axis y[k + 1] = a[k] y[k] + b[k] goes, which way, and its first value.
struct LinearRecurrence {
  std::int64_t axis;
  bool backward;
  std::int64_t start;

  static LinearRecurrence of(const Attrs& a) { return {a.ints[0], a.ints[1] != 0, a.ints[2]}; }
  Attrs attrs() const { return {.ints = {axis, backward, start}}; }
};

/// Along which axis elements are sorted, whether large ones come first, and how many are wanted.
struct Sorting {
  std::int64_t axis;
  bool descending;
  std::int64_t count;  ///< -1: all.

  static Sorting of(const Attrs& a) { return {a.ints[0], a.ints[1] != 0, a.ints[2]}; }
  Attrs attrs() const { return {.ints = {axis, descending, count}}; }
};

/// Whether an index may count from the end.
struct IndexCheck {
  bool negatives;

  static IndexCheck of(const Attrs& a) { return {a.ints[0] != 0}; }
  Attrs attrs() const { return {.ints = {negatives}}; }
};

}  // namespace cinch::records
