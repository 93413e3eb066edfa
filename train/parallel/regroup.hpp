// Sums over rows, regrouped so that each part has little to add up.
#pragma once

#include <span>
#include <vector>

#include "cinch/core/derive/examples.hpp"
#include "cinch/core/expr.hpp"
#include "cinch/train/parallel/kinds.hpp"

namespace cinch::parallel {

/// `roots`, of which `kinds` are known, with factors that are the same for all rows taken out of
/// sums over rows where that leaves a smaller sum: the gradient of a contractive penalty is W times
/// a row, and each part adds up the row.
std::vector<Expr> with_factors_outside(std::span<const Expr> roots, const Kinds& kinds,
                                       std::span<const deriving::Separation::Given> rows);

/// Whether it is a matrix the other way round.
bool is_transposed(const Expr& e);

/// +- value, or its transpose.
struct SumTerm {
  Expr value;
  bool negative, transposed;
};
/// What `sum` adds up, all of one shape.
std::vector<SumTerm> terms_of(const Expr& sum);

/// `roots`, of which `kinds` are known, where among the terms of a sum those that are sums over
/// rows are added up first, by each part: they are one tensor to store and to send.
std::vector<Expr> with_sums_together(std::span<const Expr> roots, const Kinds& kinds);

/// What `sums` are made of by signs, scalar factors and transpositions, which the whole sums may
/// get as well: each once.
std::vector<Expr> plain_sums(std::span<const Expr> sums, const Kinds& kinds);

}  // namespace cinch::parallel
