#include "cinch/train/parallel/regroup.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "cinch/core/algebra.hpp"
#include "cinch/core/contract/sum_of_products.hpp"
#include "cinch/core/derive/derivative_of.hpp"
#include "cinch/core/error.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/op.hpp"
#include "cinch/ops/records/operands.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/train/parallel/sizes.hpp"

namespace cinch::parallel {

namespace {

bool same_type(const Expr& a, const Expr& b) {
  return a.dtype() == b.dtype() && a.dims() == b.dims();
}

using contraction::AxisIndices;
using contraction::Factor;
using contraction::IndexTable;
using contraction::SumOfProducts;
using deriving::Place;

/// A number of rows with which formulas are read, where none is known: any would do.
constexpr std::int64_t some_rows = 61;

/// The formula with a number of rows, and what its nodes were before.
struct Fixed {
  NodeMap<Expr> fixed, original;

  Fixed(std::span<const Expr> roots, std::span<const deriving::Separation::Given> rows) {
    for (const auto& given : rows) {
      Dims dims = given.x.dims();
      dims[static_cast<std::size_t>(given.place.axis)] = Dim(some_rows);
      fixed[given.x.get()] = variable(describe(given.x), {given.x.dtype(), dims});
    }
    rebuild(
        roots,
        [](const Expr& node) {
          // Now that sizes are known, nothing is summed.
          const bool same = &node.op() == &sum_like_op && same_type(node, node.inputs()[0]);
          return same ? node.inputs()[0] : with_known_sizes(node);
        },
        fixed);
    for (const Expr& node : topological(roots)) original.emplace(fixed.at(node.get()).get(), node);
  }
};

/// One sum over rows, to be taken apart.
class Outside {
 public:
  Outside(const Expr& sum, const Fixed& formula, const Kinds& kinds)
      : sum_(sum), formula_(formula), kinds_(kinds) {}

  /// The same, with factors outside; empty where there are none that help.
  Expr made() {
    try {
      read_ = contraction::read(table_, formula_.fixed.at(sum_.get()), {}, {});
    } catch (const contraction::NotReadable&) {
      return {};
    }
    if (!sort() || outer_.empty() || inner_.empty() || !is_smaller()) return {};
    const Attribution as(sum_->where, /*force=*/true);
    Expr result = shown(inner_sum(), inner_atoms_, result_);
    for (const Factor& f : outer_) result = arranged(f, result_) * result;
    if (read_.scale != 1) result = literal(read_.scale) * result;
    return same_type(result, sum_) ? result : Expr();
  }

 private:
  int atom(const AxisIndices& axis) const { return axis.empty() ? -1 : table_.find(axis[0]); }

  /// Factors of rows, and those that are the same for all. False where this does not read plainly.
  bool sort() {
    for (const AxisIndices& axis : read_.axes) {
      if (axis.size() > 1) return false;
      result_.push_back(atom(axis));
    }
    for (const Factor& f : read_.factors) {
      std::vector<int> own;
      for (const AxisIndices& axis : f.axes) {
        if (axis.size() > 1) return false;
        const int a = atom(axis);
        if (a >= 0 && std::ranges::find(own, a) != own.end()) return false;
        own.push_back(a);
      }
      const auto found = formula_.original.find(f.value.get());
      const bool constant = constant_value(f.value) != nullptr;
      if (found == formula_.original.end() && !constant) return false;
      const Kind kind = constant ? Kind::same : kinds_.of(found->second);
      if (kind == Kind::local) {
        const Place place = kinds_.place(found->second);
        if (!(place == Place{.axis = place.axis}) || !place.found()) return false;
        const int rows = own[static_cast<std::size_t>(place.axis)];
        if (rows < 0 || (rows_ >= 0 && rows != rows_)) return false;
        rows_ = rows;
      } else if (kind != Kind::same) {
        return false;
      }
      const bool outside = kind == Kind::same && std::ranges::all_of(own, [&](int a) {
                             return a < 0 || std::ranges::find(result_, a) != result_.end();
                           });
      (outside ? outer_ : inner_).push_back({constant ? f.value : found->second, f.axes});
    }
    for (const Factor& f : outer_) {
      for (const AxisIndices& axis : f.axes) {
        if (atom(axis) == rows_) return false;
      }
    }
    return rows_ >= 0 && std::ranges::find(result_, rows_) == result_.end();
  }

  /// Of the indices that the inner sum keeps, whether there are fewer than in the result.
  bool is_smaller() {
    std::int64_t all = 1, kept = 1;
    for (const int a : result_) {
      if (a < 0) continue;
      if (std::ranges::count(result_, a) > 1) return false;  // A diagonal.
      const std::int64_t n = table_.size[static_cast<std::size_t>(a)];
      all *= n;
      const bool inside = has(inner_, a);
      if (!inside && !has(outer_, a)) return false;
      if (!inside) continue;
      kept *= n;
      inner_atoms_.push_back(a);
    }
    return kept < all;
  }

  bool has(const std::vector<Factor>& factors, int a) const {
    return std::ranges::any_of(factors, [&](const Factor& f) {
      return std::ranges::any_of(f.axes, [&](const AxisIndices& axis) { return atom(axis) == a; });
    });
  }

  /// A value with its axes where `order` has their indices, of size 1 where it has none.
  static Expr shown(const Expr& value, const std::vector<int>& own, const std::vector<int>& order) {
    std::vector<std::int64_t> pattern;
    for (const int a : order) {
      const auto at = a < 0 ? own.end() : std::ranges::find(own, a);
      pattern.push_back(at == own.end() ? -1 : at - own.begin());
    }
    return dimshuffle(value, pattern);
  }
  Expr arranged(const Factor& f, const std::vector<int>& order) const {
    std::vector<int> own;
    for (const AxisIndices& axis : f.axes) own.push_back(atom(axis));
    return shown(f.value, own, order);
  }

  Expr inner_sum() const {
    std::vector<int> order{rows_};
    order.insert(order.end(), inner_atoms_.begin(), inner_atoms_.end());
    for (const Factor& f : inner_) {
      for (const AxisIndices& axis : f.axes) {
        const int a = atom(axis);
        if (a >= 0 && std::ranges::find(order, a) == order.end()) order.push_back(a);
      }
    }
    Expr product;
    for (const Factor& f : inner_) {
      const Expr each = arranged(f, order);
      product = product.has_value() ? product * each : each;
    }
    std::vector<std::int64_t> over{0};
    for (std::size_t k = inner_atoms_.size() + 1; k < order.size(); ++k)
      over.push_back(static_cast<std::int64_t>(k));
    return sum(product, over);
  }

  const Expr& sum_;
  const Fixed& formula_;
  const Kinds& kinds_;
  IndexTable table_;
  SumOfProducts read_;
  std::vector<int> result_, inner_atoms_;  // Indices of the axes; -1 where the size is 1.
  std::vector<Factor> outer_, inner_;
  int rows_ = -1;
};

Expr added(const std::vector<SumTerm>& terms, NodeMap<Expr>& now) {
  Expr total;
  for (const SumTerm& t : terms) {
    Expr value = now.at(t.value.get());
    if (t.transposed) value = dimshuffle(value, {1, 0});
    if (!total.has_value()) {
      total = t.negative ? -value : value;
    } else {
      total = t.negative ? total - value : total + value;
    }
  }
  return total;
}

}  // namespace

bool is_transposed(const Expr& e) {
  return e.op().algebra == Algebra::permute && e.rank() == 2 &&
         AxisPattern::of(e.attrs()) == std::vector<std::int64_t>{1, 0};
}

std::vector<SumTerm> terms_of(const Expr& root) {
  std::vector<SumTerm> result, pending{{root, false, false}};
  while (!pending.empty()) {
    const SumTerm t = pending.back();
    pending.pop_back();
    const Expr& e = t.value;
    const bool alike = std::ranges::all_of(
        e.inputs(), [&](const Expr& x) { return x.dims() == e.dims() && x.dtype() == e.dtype(); });
    if (e.op().linear != LinearForm::none && alike) {
      const bool minus = e.op().linear == LinearForm::difference;
      pending.push_back({e.inputs()[1], t.negative != minus, t.transposed});
      pending.push_back({e.inputs()[0], t.negative, t.transposed});
    } else if (&e.op() == &sum_like_op && same_type(e, e.inputs()[0])) {
      pending.push_back({e.inputs()[0], t.negative, t.transposed});
    } else if (e.op().algebra == Algebra::negative) {
      pending.push_back({e.inputs()[0], !t.negative, t.transposed});
    } else if (is_transposed(e)) {
      pending.push_back({e.inputs()[0], t.negative, !t.transposed});
    } else {
      result.push_back(t);
    }
  }
  return result;
}

std::vector<Expr> with_factors_outside(std::span<const Expr> roots, const Kinds& kinds,
                                       std::span<const deriving::Separation::Given> rows) {
  std::vector<Expr> result(roots.begin(), roots.end());
  std::optional<Fixed> formula;
  try {
    formula.emplace(roots, rows);
  } catch (const TypeError&) {
    return result;  // There is no such number of rows: the formula is left as it is.
  }
  NodeMap<Expr> done;
  for (const Expr& node : topological(roots)) {
    if (kinds.of(node) != Kind::sum || !contraction::is_head(node)) continue;
    const bool of_rows = std::ranges::any_of(
        node.inputs(), [&](const Expr& x) { return kinds.of(x) == Kind::local; });
    const Expr& fixed = formula->fixed.at(node.get());
    if (!of_rows || !fixed.type().is_static() || !contraction::is_head(fixed)) continue;
    const auto nodes = topological(std::span(&fixed, 1));
    if (!std::ranges::all_of(nodes, [](const Expr& e) { return e.type().is_static(); })) continue;
    if (const Expr better = Outside(node, *formula, kinds).made(); better.has_value())
      done[node.get()] = better;
  }
  return done.empty() ? result : rebuild(roots, with_known_sizes, done);
}

std::vector<Expr> with_sums_together(std::span<const Expr> roots, const Kinds& kinds) {
  NodeMap<Expr> done;
  for (const Expr& node : topological(roots)) {
    std::vector<Expr> inputs;
    for (const Expr& input : node.inputs()) inputs.push_back(done.at(input.get()));
    Expr& now = done[node.get()];
    now = with_inputs(node, inputs);
    if (kinds.of(node) != Kind::blocked || node.op().linear == LinearForm::none) continue;
    std::vector<SumTerm> sums, others = terms_of(node);
    std::erase_if(others, [&](const SumTerm& t) {
      const bool is_sum = kinds.of(t.value) == Kind::sum;
      if (is_sum) sums.push_back(t);
      return is_sum;
    });
    if (sums.size() < 2 || others.empty()) continue;
    const Attribution as(node->where, /*force=*/true);
    const Expr total = added(others, done) + added(sums, done);
    if (same_type(total, node)) now = total;
  }
  std::vector<Expr> result;
  for (const Expr& root : roots) result.push_back(done.at(root.get()));
  return result;
}

std::vector<Expr> plain_sums(std::span<const Expr> sums, const Kinds& kinds) {
  std::vector<Expr> result;
  for (Expr sum : sums) {
    while (kinds.of(sum) == Kind::sum) {
      Expr below;
      for (const Expr& input : sum.inputs()) {
        const bool others_are_the_same = kinds.of(input) != Kind::sum || !below.has_value();
        if (kinds.of(input) == Kind::local || !others_are_the_same) {
          below = {};
          break;
        }
        if (kinds.of(input) == Kind::sum) below = input;
      }
      const bool is_alike =
          below.has_value() && below.dtype() == sum.dtype() && below.type().is_static() &&
          sum.type().is_static() &&
          element_count(below.type().shape()) == element_count(sum.type().shape());
      if (!is_alike) break;
      sum = below;
    }
    if (std::ranges::find(result, sum.get(), &Expr::get) == result.end()) result.push_back(sum);
  }
  return result;
}

}  // namespace cinch::parallel
