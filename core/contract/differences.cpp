#include "cinch/core/contract/differences.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cinch/core/derive/factored.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/op.hpp"

namespace cinch::contraction {

namespace {

using Axes = std::vector<std::int64_t>;

/// A sum of products with a difference among its factors, and what its axes are.
class Pairs {
 public:
  explicit Pairs(const Expr& head) : head_(head), body_(head.inputs()[0]) {}

  /// Empty where it is nothing of the kind.
  Expr replaced() {
    constexpr std::int64_t least_summed = 8, least_smaller = 4, least_elements = 1 << 12;
    const std::int64_t all = elements(body_);
    if (all < least_elements || all < least_summed * elements(head_)) return {};
    constexpr std::size_t most_factors = 6;
    const std::vector<Expr> factors = deriving::factors_of(body_, most_factors);
    if (factors.size() > most_factors) return {};
    for (const Expr& f : factors) {
      const auto times = std::ranges::count(factors, f.get(), &Expr::get);
      if (f.op().linear != LinearForm::difference || elements(f) != all || times > 2) continue;
      difference_ = f;
      if (std::max(elements(left()), elements(right())) * least_smaller > all) continue;
      weights_.clear();
      for (const Expr& other : factors) {
        if (!(other == f)) weights_.push_back(unrepeated(other));
      }
      const Attribution as(head_->where, /*force=*/true);
      const Expr result = times == 2 ? squared() : weighted();
      if (result.has_value()) return result;
    }
    return {};
  }

 private:
  static std::int64_t elements(const Expr& e) { return element_count(e.type().shape()); }

  /// Whether `e`, which is repeated to the shape of the body, varies along an axis of that.
  bool varies(const Expr& e, std::int64_t axis) const {
    const std::int64_t own = axis - (body_.rank() - e.rank());
    return own >= 0 && e.dims()[static_cast<std::size_t>(own)].size() != 1;
  }
  bool is_weighted_along(std::int64_t axis) const {
    return std::ranges::any_of(weights_, [&](const Expr& w) { return varies(w, axis); });
  }
  bool is_summed(std::int64_t axis) const {
    return std::ranges::binary_search(OverAxes::of(head_.attrs()), axis);
  }

  /// Axes along which the first of two varies, the second does, both.
  struct Kinds {
    Axes first, second, both;
  };
  Kinds kinds() const {
    Kinds result;
    for (std::int64_t axis = 0; axis < body_.rank(); ++axis) {
      const bool a = varies(left(), axis), b = varies(right(), axis);
      if (a && b) result.both.push_back(axis);
      if (a && !b) result.first.push_back(axis);
      if (b && !a) result.second.push_back(axis);
    }
    return result;
  }

  /// What is repeated along axes of the body.
  static Expr unrepeated(Expr e) {
    while (e.op().algebra == Algebra::repeat) e = e.inputs()[0];
    return e;
  }
  Expr left() const { return unrepeated(difference_.inputs()[0]); }
  Expr right() const { return unrepeated(difference_.inputs()[1]); }

  /// `e` with these axes of the body, joined to one in each group.
  Expr grouped(const Expr& e, const std::vector<Axes>& groups) const {
    Axes pattern;
    std::vector<Expr> shape;
    for (const Axes& group : groups) {
      std::int64_t n = 1;
      for (const std::int64_t axis : group) {
        const std::int64_t own = axis - (body_.rank() - e.rank());
        pattern.push_back(own < 0 ? -1 : own);
        n *= count(axis);
      }
      shape.push_back(constant(Tensor(n)));
    }
    return reshape(dimshuffle(e, pattern), shape);
  }
  std::int64_t count(std::int64_t axis) const {
    return body_.dims()[static_cast<std::size_t>(axis)].size();
  }

  /// What has an axis for each group, with the axes of the body again, 1 where it has none.
  Expr spread(const Expr& e, const std::vector<Axes>& groups) const {
    std::vector<Expr> shape;
    Axes order, pattern(static_cast<std::size_t>(body_.rank()), -1);
    for (const Axes& group : groups) {
      for (const std::int64_t axis : group) {
        shape.push_back(constant(Tensor(count(axis))));
        pattern[static_cast<std::size_t>(axis)] = static_cast<std::int64_t>(shape.size()) - 1;
      }
    }
    return dimshuffle(reshape(e, shape), pattern);
  }

  Expr product_of_weights() const {
    if (weights_.empty()) return constant(Tensor::full(body_.dtype(), {}, 1));
    Expr result;
    for (const Expr& w : weights_) result = result.has_value() ? result * w : w;
    return result;
  }

  /// `e`, that is summed already over axes of which it has one element, summed over the others.
  Expr summed(const Expr& e) const { return sum_axes(e, OverAxes::of(head_.attrs())); }

  /// sum_k w (a[i, k] - b[j, k])^2.
  Expr squared() const {
    const auto [first, second, both] = kinds();
    Axes sets, coordinates;
    for (const std::int64_t axis : both) (is_summed(axis) ? coordinates : sets).push_back(axis);
    if (coordinates.empty() || first.empty() || second.empty()) return {};
    if (std::ranges::any_of(coordinates, [&](auto axis) { return is_weighted_along(axis); }))
      return {};
    const Expr a = grouped(left(), {sets, first, coordinates}),
               b = grouped(right(), {sets, second, coordinates});
    Expr result = spread(squared_differences(a, b), {sets, first, second});
    if (!weights_.empty()) result = result * product_of_weights();
    return summed(result);
  }

  /// sum_j w[i, j] (a[i, k] - b[j, k]), or the same over i.
  Expr weighted() const {
    const auto [first, second, both] = kinds();
    const auto all_summed = [&](const Axes& axes) {
      return !axes.empty() && std::ranges::all_of(axes, [&](auto axis) { return is_summed(axis); });
    };
    const bool over_second = all_summed(second);
    if (first.empty() || second.empty() || !(over_second || all_summed(first))) return {};
    Axes sets, coordinates;
    for (const std::int64_t axis : both) {
      if (is_summed(axis)) return {};
      (is_weighted_along(axis) ? sets : coordinates).push_back(axis);
    }
    if (coordinates.empty()) return {};
    const Axes &own = over_second ? first : second, &others = over_second ? second : first;
    Axes pairs = sets;
    pairs.insert(pairs.end(), own.begin(), own.end());
    pairs.insert(pairs.end(), others.begin(), others.end());
    const Expr weights = grouped(repeated(product_of_weights(), pairs), {sets, own, others}),
               a = grouped(over_second ? left() : right(), {sets, own, coordinates}),
               b = grouped(over_second ? right() : left(), {sets, others, coordinates});
    const Expr result = spread(weighted_differences(weights, a, b), {sets, own, coordinates});
    return summed(over_second ? result : -result);
  }

  /// `e` with all elements along these axes of the body.
  Expr repeated(const Expr& e, const Axes& axes) const {
    std::vector<Expr> shape;
    for (std::int64_t axis = 0; axis < body_.rank(); ++axis) {
      const bool whole = std::ranges::find(axes, axis) != axes.end() || varies(e, axis);
      shape.push_back(constant(Tensor(whole ? count(axis) : 1)));
    }
    return broadcast_to(e, shape);
  }

  Expr head_, body_, difference_;
  std::vector<Expr> weights_;  // The other factors.
};

}  // namespace

std::vector<Expr> with_pairs_of_points(std::span<const Expr> roots) {
  NodeMap<Expr> done;
  return rebuild(
      roots,
      [](const Expr& e) {
        if (e.op().algebra != Algebra::sum || !is_float(e.dtype())) return e;
        const Expr better = Pairs(e).replaced();
        return better.has_value() ? better : e;
      },
      done);
}

}  // namespace cinch::contraction
