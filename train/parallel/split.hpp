// What of a part's sums its rows decide each for itself, so that rows of several parts may be
// computed at once.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/train/parallel/kinds.hpp"

namespace cinch::parallel {

/// A sum over rows that is nothing but products of what the rows have: +- a' b +- ..., each by its
/// place in Split::rows.
struct RowProducts {
  struct Term {
    std::size_t a, b;
    bool negative;
  };
  Expr sum;
  std::vector<Term> terms;
};

struct Split {
  std::vector<Expr> rows;  ///< Vectors and matrices with a row, or an element, for each row.
  std::vector<RowProducts> products;
  std::vector<Expr> others;  ///< Sums that are made of `rows` in other ways, in their order.
};

/// `sums` made of the last values on the way to them that have a row for each row. Nothing where
/// that would have much computed twice.
std::optional<Split> split(std::span<const Expr> sums, const Kinds& kinds);

}  // namespace cinch::parallel
