// Costs as tensor contractions: products and sums in the cheapest order.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cinch/core/expr.hpp"

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

/// An estimate of what computing something takes on one thread. Bytes are those read and written.
struct Work {
  double nanoseconds = 0, flops = 0, bytes = 0;

  Work& operator+=(const Work& other) {
    nanoseconds += other.nanoseconds;
    flops += other.flops;
    bytes += other.bytes;
    return *this;
  }
  friend Work operator+(Work a, const Work& b) { return a += b; }
};

/// What the pass found, for explain().
struct ContractionReport {
  Source where;
  std::string before, after;  ///< The formula as written, and as it is computed.
  Work written, chosen;
};

/// `roots`, whose sizes are all known, with sums of products computed in the cheapest order found.
/// Reads each sum and each matrix product, with all products, squares, transposes and repetitions
/// inside it, as one sum over named indices; decides which inner sums to dissolve into those that
/// use them; orders the products of each by dynamic programming over estimated time, and writes it
/// with matrix products and reductions again. What would not gain stays.
std::vector<Expr> contract(std::span<const Expr> roots,
                           std::vector<ContractionReport>* reports = nullptr);

}  // namespace cinch
