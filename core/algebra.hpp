// How ops read as sums of products, which is what contractions are found by, and what their
// attributes say, where the engine reads them.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// How an op reads as a sum of products over named indices.
enum class Algebra : std::uint8_t {
  none,
  product,  ///< Elementwise a * b, broadcast.
  square,
  power,  ///< To a constant exponent; read where that is 2, 3 or 4.
  negative,
  quotient,        ///< a / b, for a constant b.
  sum,             ///< Over the axes that OverAxes says.
  matrix_product,  ///< Over the last axis of a and the second-last of b. b's earlier axes pair up
                   ///< with a's; without any, all of a's stay.
  permute,         ///< Axes moved, added or dropped, as an AxisPattern says.
  repeat,          ///< Along new axes and axes of size 1.
  regroup,         ///< The same elements in row-major order under other sizes.
  identity,        ///< 1 where both indices are equal.
  diagonal,        ///< Elements where two axes agree, up to an offset: DiagonalAxes, which go.
  embed_diagonal,  ///< Its transpose: zeros but for the last axis on a diagonal.
};

/// Whether an op is a sum or a difference of its operands.
enum class LinearForm : std::uint8_t { none, sum, difference };

// Attrs::ints by name: of() reads them, attrs() writes them, and nobody else knows their places.
// What only one family of ops says stands beside its records, in the same form.

/// The axes that an op combines elements along, ascending: of a reduction, which go; of softmax and
/// its kind, which stay.
struct OverAxes {
  std::vector<std::int64_t> axes;

  static const std::vector<std::int64_t>& of(const Attrs& a) { return a.ints; }
  Attrs attrs() && { return {.ints = std::move(axes)}; }
};

/// The one axis that an op goes along, or that size() asks about.
struct AlongAxis {
  std::int64_t axis;

  static AlongAxis of(const Attrs& a) { return {a.ints[0]}; }
  Attrs attrs() const { return {.ints = {axis}}; }
};

/// Of Algebra::permute: which of the operand's axes each axis of the result is; -1: a new one of
/// size 1.
struct AxisPattern {
  std::vector<std::int64_t> axes;

  static const std::vector<std::int64_t>& of(const Attrs& a) { return a.ints; }
  Attrs attrs() && { return {.ints = std::move(axes)}; }
};

/// Of Algebra::diagonal and embed_diagonal: element (i, i + offset) of the matrices that two axes
/// span.
struct DiagonalAxes {
  std::int64_t row, column, offset;

  static DiagonalAxes of(const Attrs& a) { return {a.ints[0], a.ints[1], a.ints[2]}; }
  Attrs attrs() const { return {.ints = {row, column, offset}}; }
};

/// A part of an axis: from a start known at run time, every `step`-th element. Of every View whose
/// start is an input.
struct Narrowing {
  std::int64_t axis, step;

  static Narrowing of(const Attrs& a) { return {a.ints[0], a.ints[1]}; }
  Attrs attrs() const { return {.ints = {axis, step}}; }
};

}  // namespace cinch
