// The order in which a network of factors is multiplied, and what that takes.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "cinch/core/contract/sum_of_products.hpp"
#include "cinch/core/report.hpp"

namespace cinch::contraction {

/// A change must save a tenth.
constexpr double gain_wanted = 0.9;

/// What every step takes besides its elements.
Work step();
/// One sweep over so many elements of `element` bytes.
Work pass(double elements, std::size_t element);
/// Multiplications and additions of a matrix product; its operands are counted apart.
Work products(double flops, std::size_t element);
/// Computing the result `c` from two operands, all sets of indices.
Work pair_work(const Network& net, Atoms a, Atoms b, Atoms c);

/// Computing a head as it is written: sums fuse with all that is elementwise below them; a matrix
/// product wants its operands in memory.
Work written_work(const Expr& head);

/// In which order groups are multiplied. Parts are the groups, then the products of pairs of parts,
/// the last of which is the result.
struct Order {
  Work work;
  std::vector<std::pair<std::size_t, std::size_t>> pairs;
  std::vector<Atoms> atoms;  // Indices of each part.
  bool is_cheapest = true;   // Of all there are.
};

/// Up to nine groups by dynamic programming over their sets: the time of a set is that of the best
/// two halves and of their product. Of more, one after the other the pair that takes least.
Order cheapest_order(const Network& net);

}  // namespace cinch::contraction
