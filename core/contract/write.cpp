#include "cinch/core/contract/write.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "cinch/core/graph/engine_ops.hpp"

namespace cinch::contraction {

namespace {

/// Writes an ordered network as ops.
class Writer {
 public:
  Writer(const Network& net, const Order& order) : net_(net), order_(order) {
    for (const AxisIndices& axis : net.axes)
      wanted_.insert(wanted_.end(), axis.begin(), axis.end());
  }

  Expr write() {
    Part whole = part(order_.atoms.size() - 1);
    // Repeated along indices that no factor has, then axes as the result wants them.
    std::vector<int> once;
    for (const int i : wanted_) {
      if (std::ranges::find(once, i) == once.end()) once.push_back(i);
    }
    Expr e = arranged(whole, once);
    if (net_.scale != 1) e = e * literal(net_.scale);
    e = broadcast_to(e, counts(once));
    return on_diagonals(e);
  }

 private:
  struct Part {
    Expr value;
    std::vector<int> order;  // The index of each axis.
    // The same with these two changed, as A'A is; none: {0, 0}.
    std::pair<int, int> twins = {};
  };

  static Expr count_of(std::int64_t n) { return constant(Tensor(n)); }
  std::vector<Expr> counts(const std::vector<int>& order) const {
    std::vector<Expr> result;
    for (const int i : order) result.push_back(count_of(net_.size[static_cast<std::size_t>(i)]));
    return result;
  }

  /// From an axis for each index of the result, in the order in which they come there first, to all
  /// of its axes: zeros but where those of one index agree.
  Expr on_diagonals(Expr e) const {
    const auto first = [&](std::size_t k) {
      return static_cast<std::size_t>(std::ranges::find(wanted_, wanted_[k]) - wanted_.begin());
    };
    std::vector<std::size_t> places;  // In `wanted_`, of the axes that there are.
    for (std::size_t k = 0; k < wanted_.size(); ++k) {
      if (first(k) == k) places.push_back(k);
    }
    for (std::size_t k = 0; k < wanted_.size(); ++k) {
      if (first(k) == k) continue;
      const auto row = std::ranges::find(places, first(k)) - places.begin();
      std::vector<std::int64_t> pattern;
      for (std::ptrdiff_t axis = 0; axis < std::ssize(places); ++axis) {
        if (axis != row) pattern.push_back(axis);
      }
      pattern.push_back(row);  // The diagonal comes last.
      const auto column = std::ranges::lower_bound(places, k) - places.begin();
      places.insert(places.begin() + column, k);
      std::vector<int> order;
      for (const std::size_t place : places) order.push_back(wanted_[place]);
      const Expr like = broadcast_to(constant(Tensor(e.dtype(), {})), counts(order));
      e = embed_diagonal(dimshuffle(e, pattern), like, 0, row, column);
    }
    return e;
  }

  Expr sum_over(const Expr& e, const std::vector<std::int64_t>& axes) {
    return axes.empty() ? e : sum_axes(e, axes);
  }

  Part part(std::size_t number) {
    const std::size_t groups = net_.groups.size();
    if (number < groups) return group(number, order_.atoms[number]);
    const auto [a, b] = order_.pairs[number - groups];
    Part left = part(a), right = part(b);
    if (leads(right) < leads(left)) std::swap(left, right);
    return pair(left, right, order_.atoms[number]);
  }

  /// The product of a group's factors, summed to the indices `keep`.
  Part group(std::size_t g, Atoms keep) {
    std::vector<Part> parts;
    for (const Factor& factor : net_.groups[g].factors) {
      Part p{factor.value, {}};
      std::vector<std::int64_t> pattern;
      for (std::size_t axis = 0; axis < factor.axes.size(); ++axis) {
        if (factor.axes[axis].empty()) continue;
        pattern.push_back(static_cast<std::int64_t>(axis));
        p.order.push_back(factor.axes[axis][0]);
      }
      p.value = dimshuffle(p.value, pattern);
      const std::size_t rank = factor.axes.size();
      if (factor.is_symmetric && !factor.axes[rank - 1].empty())
        p.twins = {factor.axes[rank - 2][0], factor.axes[rank - 1][0]};
      parts.push_back(std::move(p));
    }
    // Equal factors next to each other become squares.
    Part result = parts[0];
    std::vector<bool> used(parts.size(), false);
    Expr product;
    for (std::size_t k = 0; k < parts.size(); ++k) {
      if (used[k]) continue;
      Expr value = arranged(parts[k], result.order);
      for (std::size_t l = k + 1; l < parts.size(); ++l) {
        if (used[l] || !is_same_value(parts[l].value, parts[k].value) ||
            parts[l].order != parts[k].order)
          continue;
        value = square(value);
        used[l] = true;
        break;
      }
      product = product.has_value() ? product * value : value;
    }
    result.value = product;
    if (parts.size() > 1) result.twins = {};
    return reduced(std::move(result), keep);
  }

  Part reduced(Part p, Atoms keep) {
    std::vector<std::int64_t> over;
    std::vector<int> left;
    for (std::size_t axis = 0; axis < p.order.size(); ++axis) {
      if (keep >> p.order[axis] & 1u) {
        left.push_back(p.order[axis]);
      } else {
        over.push_back(static_cast<std::int64_t>(axis));
      }
    }
    return {sum_over(p.value, over), std::move(left), over.empty() ? p.twins : std::pair(0, 0)};
  }

  /// Axes in the order of `wanted`; size 1 for an index that `p` does not have.
  static Expr arranged(const Part& p, const std::vector<int>& wanted) {
    const auto place = [](const std::vector<int>& order, int i) {
      return std::ranges::find(order, i) - order.begin();
    };
    std::vector<int> order = p.order;
    const auto [a, b] = p.twins;
    // So that a product with A'A and one with its transpose are seen to be one.
    if (a != b && (place(order, a) < place(order, b)) != (place(wanted, a) < place(wanted, b)))
      std::swap(order[static_cast<std::size_t>(place(p.order, a))],
                order[static_cast<std::size_t>(place(p.order, b))]);
    std::vector<std::int64_t> pattern;
    for (const int i : wanted) {
      const std::ptrdiff_t at = place(order, i);
      pattern.push_back(at == std::ssize(order) ? -1 : at);
    }
    return dimshuffle(p.value, pattern);
  }

  std::vector<int> list(const std::vector<int>& order, Atoms atoms) const {
    std::vector<int> result;
    for (const int i : order) {
      if (atoms >> i & 1u) result.push_back(i);
    }
    return result;
  }

  /// Where the first of the part's indices stands in the result: the part that comes first there
  /// goes left, so that fewer results have to be transposed.
  std::size_t leads(const Part& p) const {
    return static_cast<std::size_t>(std::ranges::find_first_of(wanted_, p.order) - wanted_.begin());
  }

  /// Puts indices of the result in its order, before the others, so that it is written as it lies.
  void as_in_result(std::vector<int>& order) const {
    std::ranges::stable_sort(
        order, {}, [&](int i) { return std::ranges::find(wanted_, i) - wanted_.begin(); });
  }

  Part pair(const Part& a, const Part& b, Atoms keep) {
    Atoms in_a = 0, in_b = 0;
    for (const int i : a.order) in_a |= Atoms(1) << i;
    for (const int i : b.order) in_b |= Atoms(1) << i;
    const Atoms summed = (in_a | in_b) & ~keep, batch = in_a & in_b & keep;
    const bool matrices =
        summed && (!batch || (net_.count(in_a & ~in_b) > 1 && net_.count(in_b & ~in_a) > 1));
    if (!matrices) {
      std::vector<int> order = a.order;
      for (const int i : b.order) {
        if (!(in_a >> i & 1u)) order.push_back(i);
      }
      as_in_result(order);
      return reduced({arranged(a, order) * arranged(b, order), order}, keep);
    }
    const std::vector<int> pairs = list(a.order, batch), rows = list(a.order, in_a & ~in_b),
                           inner = list(a.order, summed), columns = list(b.order, in_b & ~in_a);
    const auto total = [&](const std::vector<int>& order) {
      std::int64_t n = 1;
      for (const int i : order) n *= net_.size[static_cast<std::size_t>(i)];
      return count_of(n);
    };
    const auto matrix = [&](const Part& p, const std::vector<int>& first,
                            const std::vector<int>& second) {
      const auto joined = [&](const std::vector<int>& one, const std::vector<int>& other) {
        std::vector<int> order = pairs;
        order.insert(order.end(), one.begin(), one.end());
        order.insert(order.end(), other.begin(), other.end());
        return order;
      };
      const auto shape = [&](const std::vector<int>& one, const std::vector<int>& other) {
        std::vector<Expr> sizes{total(one), total(other)};
        if (!pairs.empty()) sizes.insert(sizes.begin(), total(pairs));
        return sizes;
      };
      // A matrix that lies in memory as its transpose is read there.
      if (p.order == joined(second, first) && p.twins.first == p.twins.second) {
        const Expr lying = reshape(p.value, shape(second, first));
        return pairs.empty() ? dimshuffle(lying, {1, 0}) : dimshuffle(lying, {0, 2, 1});
      }
      return reshape(arranged(p, joined(first, second)), shape(first, second));
    };
    const Expr left = matrix(a, rows, inner), right = matrix(b, inner, columns);
    const Expr product = pairs.empty() ? dot(left, right) : batched_dot(left, right);
    std::vector<int> order = pairs;
    order.insert(order.end(), rows.begin(), rows.end());
    order.insert(order.end(), columns.begin(), columns.end());
    std::vector<Expr> shape;
    for (const int i : order) shape.push_back(count_of(net_.size[static_cast<std::size_t>(i)]));
    Part result{reshape(product, shape), order};
    if (rows.size() == 1 && columns.size() == 1 && a.value == b.value &&
        renamed(a.order, rows[0], columns[0]) == b.order)
      result.twins = {rows[0], columns[0]};
    return result;
  }

  static std::vector<int> renamed(std::vector<int> order, int from, int to) {
    std::ranges::replace(order, from, to);
    return order;
  }

  const Network& net_;
  const Order& order_;
  std::vector<int> wanted_;  // The indices of the result's axes.
};

}  // namespace

Expr written(const Network& net, const Order& order) { return Writer(net, order).write(); }
Expr written(const Network& net, const Order& order, const std::vector<Expr>& sizes) {
  return reshape(written(net, order), sizes);
}

}  // namespace cinch::contraction
