#include "cinch/train/parallel/split.hpp"

#include <algorithm>

#include "cinch/core/algebra.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/op.hpp"
#include "cinch/ops/linalg/parts.hpp"
#include "cinch/train/parallel/regroup.hpp"

namespace cinch::parallel {

namespace {

constexpr std::int64_t least_elements = 1024;  // Of a sum that is worth a call of its own.

/// Whether it has an axis of rows, the first, and at most one other, of known size.
bool has_rows(const Expr& node, const Kinds& kinds) {
  if (kinds.of(node) != Kind::local || node.rank() < 1 || node.rank() > 2) return false;
  if (is_storage(node.dtype()) || (node.rank() == 2 && !node.dims()[1].known())) return false;
  return kinds.place(node) == deriving::Place{.axis = 0};
}

/// Moves elements, or computes each from few others.
bool is_cheap(const Expr& node) {
  switch (node.op().algebra) {
    case Algebra::matrix_product:
      return false;
    case Algebra::none:
      return node.op().elementwise() || node.inputs().empty();
    default:
      return true;
  }
}

class Splitter {
 public:
  explicit Splitter(const Kinds& kinds) : kinds_(kinds) {}

  std::size_t place_of(const Expr& node) {
    const auto [found, fresh] = places_.emplace(node.get(), result.rows.size());
    if (fresh) result.rows.push_back(node);
    return found->second;
  }

  bool products(const Expr& sum) {
    std::int64_t n = 1;
    for (const Dim dim : sum.dims()) {
      if (!dim.known()) return false;
      n *= dim.size();
    }
    if (sum.rank() != 2 || n < least_elements ||
        !blas::has_parts_product(sum.dtype(), sum.dims()[1].size()))
      return false;
    std::vector<std::pair<Expr, Expr>> pairs;
    const std::vector<SumTerm> terms = terms_of(sum);
    for (const SumTerm& t : terms) {
      if (t.value.op().algebra != Algebra::matrix_product || t.value.rank() != 2) return false;
      const Expr left = t.value.inputs()[0], right = t.value.inputs()[1];
      if (!is_transposed(left) || !has_rows(left.inputs()[0], kinds_) || !has_rows(right, kinds_))
        return false;
      pairs.emplace_back(left.inputs()[0], right);
      if (t.transposed) std::swap(pairs.back().first, pairs.back().second);
    }
    RowProducts found{sum, {}};
    for (std::size_t k = 0; k < terms.size(); ++k)
      found.terms.push_back(
          {place_of(pairs[k].first), place_of(pairs[k].second), terms[k].negative});
    result.products.push_back(std::move(found));
    return true;
  }

  void other(const Expr& sum) {
    result.others.push_back(sum);
    std::vector<Expr> pending{sum};
    while (!pending.empty()) {
      const Expr node = pending.back();
      pending.pop_back();
      if (!visited_.insert(node.get()).second) continue;
      if (has_rows(node, kinds_)) {
        place_of(node);
        continue;
      }
      if (kinds_.of(node) == Kind::local) beyond_.push_back(node);
      for (const Expr& input : node.inputs()) {
        if (kinds_.of(input) == Kind::local || kinds_.of(input) == Kind::sum ||
            kinds_.of(input) == Kind::extreme)
          pending.push_back(input);
      }
    }
  }

  /// Whether much of what rows are made of would be computed by parts again.
  bool repeats() const {
    NodeSet made;
    for (const Expr& node : topological(result.rows)) made.insert(node.get());
    return std::ranges::any_of(
        beyond_, [&](const Expr& node) { return made.contains(node.get()) && !is_cheap(node); });
  }

  Split result;

 private:
  const Kinds& kinds_;
  NodeMap<std::size_t> places_;
  NodeSet visited_;
  std::vector<Expr> beyond_;  // Of rows, but in another form.
};

}  // namespace

std::optional<Split> split(std::span<const Expr> sums, const Kinds& kinds) {
  Splitter splitter(kinds);
  for (const Expr& sum : sums) {
    if (!splitter.products(sum)) splitter.other(sum);
  }
  if (splitter.repeats()) return {};
  return std::move(splitter.result);
}

}  // namespace cinch::parallel
