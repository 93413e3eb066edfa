// Costs as tensor contractions: products and sums in the cheapest order.
#pragma once

#include <span>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/report.hpp"

namespace cinch::contraction {

/// `roots`, whose sizes are all known, with sums of products computed in the cheapest order found.
/// Reads each sum and each matrix product, with all products, squares, transposes and repetitions
/// inside it, as one sum over named indices; decides which inner sums to dissolve into those that
/// use them; orders the products of each by dynamic programming over estimated time, and writes it
/// with matrix products and reductions again. What would not gain stays.
std::vector<Expr> contract(std::span<const Expr> roots,
                           std::vector<ContractionReport>* reports = nullptr);

/// Whether a diagonal is taken of what is computed element by element.
bool has_diagonals_of_arithmetic(std::span<const Expr> roots);

}  // namespace cinch::contraction
