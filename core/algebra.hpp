// How ops read as sums of products, which is what contractions are found by.
#pragma once

#include <cstdint>

namespace cinch {

/// How an op reads as a sum of products over named indices.
enum class Algebra : std::uint8_t {
  none,
  product,  ///< Elementwise a * b, broadcast.
  square,
  power,  ///< To a constant exponent; read where that is 2, 3 or 4.
  negative,
  quotient,        ///< a / b, for a constant b.
  sum,             ///< Over the axes in attrs.
  matrix_product,  ///< Over the last axis of a and the second-last of b. b's earlier axes pair up
                   ///< with a's; without any, all of a's stay.
  permute,         ///< Axes moved, added or dropped, as attrs say.
  repeat,          ///< Along new axes and axes of size 1.
  regroup,         ///< The same elements in row-major order under other sizes.
  identity,        ///< 1 where both indices are equal.
  diagonal,        ///< Elements where two axes agree: ints are the axes, which go, and an offset.
  embed_diagonal,  ///< Its transpose: zeros but for the last axis on a diagonal.
};

/// Whether an op is a sum or a difference of its operands.
enum class LinearForm : std::uint8_t { none, sum, difference };

}  // namespace cinch
