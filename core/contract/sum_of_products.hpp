// Expressions read as sums of products over named indices.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/graph.hpp"

namespace cinch::contraction {

/// A set of indices, one bit each.
using Atoms = std::uint64_t;
/// An axis stands for several indices after a reshape, for none where its size is 1.
using AxisIndices = std::vector<int>;

struct Factor {
  Expr value;
  std::vector<AxisIndices> axes;
};

/// Factors over the same set of indices, to be multiplied element by element.
struct Group {
  std::vector<Factor> factors;  // Each axis of at most one index.
  Atoms atoms = 0;
};

/// A sum of products ready for ordering: indices are bits, factors are grouped.
struct Network {
  std::vector<std::int64_t> size;  // Of each bit's index.
  std::vector<Group> groups;
  std::vector<AxisIndices> axes;  // Of the result, as bits.
  Atoms result = 0;
  double scale = 1;
  std::size_t element = 8;  // Bytes.
  bool diagonals = false;   // Factors are diagonals of what the formula names.

  double count(Atoms atoms) const {
    double n = 1;
    for (; atoms; atoms &= atoms - 1)
      n *= static_cast<double>(size[static_cast<std::size_t>(std::countr_zero(atoms))]);
    return n;
  }
};

/// Thrown by network_of() for what does not read as one sum of products within its limits.
struct NotReadable {};

/// The sum or product `head` as one sum over indices. Reading stops at the other nodes in `heads`,
/// except those in `dissolved`, and at everything that is no part of a sum of products.
Network network_of(const Expr& head, const NodeSet& heads, const NodeSet& dissolved);

}  // namespace cinch::contraction
