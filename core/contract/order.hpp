// The order in which a network of factors is multiplied, and what that takes.
#pragma once

#include <cstddef>
#include <vector>

#include "cinch/core/contract/sum_of_products.hpp"
#include "cinch/core/report.hpp"

namespace cinch::contraction {

/// What every step takes besides its elements.
Work step();
/// One sweep over so many elements of `element` bytes.
Work pass(double elements, std::size_t element);
/// Multiplications and additions of a matrix product; its operands are counted apart.
Work products(double flops, std::size_t element);
/// Computing the result `c` from two operands, all sets of indices.
Work pair_work(const Network& net, Atoms a, Atoms b, Atoms c);

/// The cheapest order: which halves each set of groups is computed from.
struct Order {
  Work work;
  std::vector<unsigned> half;  // By set of groups.
  std::vector<Atoms> atoms;    // Indices of each set's result.
};

/// By dynamic programming over sets of groups, of which there are at most a dozen: the time of a
/// set is that of the best two halves and of their product.
Order cheapest_order(const Network& net);

}  // namespace cinch::contraction
