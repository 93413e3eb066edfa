// Expressions read as sums of products over named indices.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/op.hpp"

namespace cinch::contraction {

/// A set of indices, one bit each.
using Atoms = std::uint64_t;
/// An axis stands for several indices after a reshape, for none where its size is 1.
using AxisIndices = std::vector<int>;

struct Factor {
  Expr value;
  std::vector<AxisIndices> axes;
  bool is_symmetric = false;  ///< Exchanging its last two axes is known to change nothing.
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
  std::vector<AxisIndices> axes;  // Of the result, as bits; of two with one index, the diagonal.
  Atoms result = 0;
  double scale = 1;
  std::size_t element = 8;  // Bytes.

  /// One more factor, among those over the same indices.
  void add(Factor factor);
  double count(Atoms atoms) const {
    double n = 1;
    for (; atoms; atoms &= atoms - 1)
      n *= static_cast<double>(size[static_cast<std::size_t>(std::countr_zero(atoms))]);
    return n;
  }
};

/// Whether an op sums, of products maybe: where reading begins.
inline bool is_head(const Expr& e) {
  const Algebra kind = e.op().algebra;
  return kind == Algebra::sum || kind == Algebra::matrix_product || kind == Algebra::diagonal;
}

/// The operand that `e` reads as a part of a sum of products, where it takes that or 0: 1 or 2; 0:
/// it is no such choice.
std::size_t chosen_or_zero(const Expr& e);
/// The operands of `e` that are parts of a sum of products; none: it stands for itself.
std::span<const Expr> read_operands(const Expr& e);

/// Whether it has an order to choose: of floats, not of nothing.
bool has_order(const Expr& head);

/// Thrown for what does not read as one sum of products within its limits.
struct NotReadable {};

/// Indices of one or several sums of products, each known by its number.
struct IndexTable {
  std::vector<std::int64_t> size;
  std::vector<int> same_as;                            // Union-find.
  std::unordered_map<int, std::pair<int, int>> parts;  // Of one that a reshape has split in two.

  int fresh(std::int64_t n) {
    if (n == 0) throw NotReadable{};  // A sum of nothing has no order to choose.
    size.push_back(n);
    same_as.push_back(static_cast<int>(same_as.size()));
    return same_as.back();
  }
  int find(int i) const {
    while (same_as[static_cast<std::size_t>(i)] != i) i = same_as[static_cast<std::size_t>(i)];
    return i;
  }
  void unite(int a, int b) { same_as[static_cast<std::size_t>(find(a))] = find(b); }
  /// Index i, that has no parts, as one of `first` values and one of how many there are for each.
  void split(int i, std::int64_t first) {
    const int whole = find(i);
    const std::int64_t n = size[static_cast<std::size_t>(whole)];
    const int outer = fresh(first);
    parts[whole] = {outer, fresh(n / first)};
  }
  /// `axis`, with the parts of what is split.
  AxisIndices in_parts(const AxisIndices& axis) const {
    AxisIndices result;
    for (const int i : axis) {
      const auto found = parts.find(find(i));
      if (found == parts.end()) {
        result.push_back(i);
      } else {
        for (const int part : in_parts({found->second.first, found->second.second}))
          result.push_back(part);
      }
    }
    return result;
  }
};

/// Whether two factors are one, as they are or under other sizes.
bool is_same_value(const Expr& a, const Expr& b);
/// What a value is under other sizes.
Expr ungrouped(Expr value);

/// scale * sum over the indices that are not in `axes` of the product of the factors. An index that
/// stands in two axes makes the value 0 off their diagonal.
struct SumOfProducts {
  double scale = 1;
  std::vector<Factor> factors;
  std::vector<AxisIndices> axes;
  std::vector<int> indices;  // All there are.
};

/// The sum or product `head` as one sum over indices. Reading stops at the other nodes in `heads`,
/// except those in `dissolved`, and at everything that is no part of a sum of products.
SumOfProducts read(IndexTable& table, const Expr& head, const NodeSet& heads,
                   const NodeSet& dissolved);
Network network_of(const IndexTable& table, SumOfProducts sum, DType dtype);
Network network_of(const Expr& head, const NodeSet& heads, const NodeSet& dissolved);

}  // namespace cinch::contraction
