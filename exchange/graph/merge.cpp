#include "cinch/exchange/graph/merge.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <functional>
#include <utility>

#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/graph/recurrence.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/refusal.hpp"

namespace cinch::exchange {

namespace {

/// The same elements, but for axes of other sizes, along which both repeat theirs, or count.
bool same_values(const Tensor& a, const Tensor& b) {
  std::vector<bool> differ;
  for (std::size_t axis = 0; axis < a.shape().size(); ++axis)
    differ.push_back(a.shape()[axis] != b.shape()[axis]);
  if (counts_along(a, differ) && counts_along(b, differ)) return a.dtype() == b.dtype();
  const std::optional<Tensor> x = unrepeated(a, differ), y = unrepeated(b, differ);
  if (!x || !y) return false;
  const auto bytes = static_cast<std::size_t>(x->size()) * cinch::size_of(x->dtype());
  return x->size() == y->size() && std::memcmp(x->raw(), y->raw(), bytes) == 0;
}

/// What turns two compilations, for two sets of unknown sizes, into one graph. Operands of sums and
/// products may come in either order; which is which is told by what they are made of.
class Merge {
 public:
  Merge(const char* function, const Sized& a, const Sized& b, std::vector<std::int64_t> in_a,
        std::vector<std::int64_t> in_b)
      : function_(function), a_(a), b_(b), in_a_(std::move(in_a)), in_b_(std::move(in_b)) {}

  NodeMap<std::vector<Size>> sizes() {
    mark(a_);
    mark(b_);
    NodeMap<Expr> other;
    for (std::size_t k = 0; k < a_.roots.size(); ++k) other[a_.roots[k].get()] = b_.roots[k];
    for (auto node = a_.order.rbegin(); node != a_.order.rend(); ++node)
      compare(*node, other.at(node->get()), other);
    return std::move(result_);
  }

 private:
  static void add(std::size_t& all, std::size_t one) {
    all ^= one + 0x9e3779b97f4a7c15 + (all << 6) + (all >> 2);
  }

  /// Numbers that tell what nodes compute, whatever the sizes.
  void mark(const Sized& sized) {
    for (std::size_t k = 0; k < sized.inputs.size(); ++k) mark_[sized.inputs[k].get()] = k + 1;
    for (const Draw& draw : sized.draws)
      mark_[draw.variable.get()] = std::hash<const void*>()(draw.drawn.inputs()[0].get());
    mark(sized.order);
  }
  void mark(const std::vector<Expr>& nodes) {
    for (const Expr& node : nodes) {
      if (mark_.contains(node.get())) continue;
      std::size_t all = std::hash<const void*>()(&node.op());
      add(all, static_cast<std::size_t>(node.rank()) * 8 + static_cast<std::size_t>(node.dtype()));
      for (const std::int64_t k : node.attrs().ints) add(all, static_cast<std::size_t>(k));
      if (const Tensor* value = constant_value(node)) {
        if (node.dtype() != DType::int64 && value->size() > 0)
          add(all, std::hash<double>()(value->at(0)));
      } else if (graphs::is_leaf(node)) {
        add(all, std::hash<const void*>()(node.get()));
      }
      // What a step of a loop computes, in variables of its own.
      const std::vector<Expr>& formula = node.attrs().formula;
      for (std::size_t k = 0; !formula.empty() && k < node.inputs().size(); ++k)
        mark_[formula[k].get()] = k + 1;
      mark(topological(formula));
      for (const Expr& inner : formula) add(all, mark_.at(inner.get()));
      std::size_t inputs = 0;
      for (const Expr& input : node.inputs()) {
        const std::size_t one = mark_.at(input.get());
        node.op().commutative ? void(inputs += one * one + one) : add(inputs, one);
      }
      add(all, inputs);
      mark_[node.get()] = all;
    }
  }

  void compare(const Expr& one, const Expr& other, NodeMap<Expr>& pairs) {
    const std::size_t count = one.inputs().size();
    if (&one.op() != &other.op() || one.rank() != other.rank() || one.dtype() != other.dtype() ||
        count != other.inputs().size() || one.attrs().ints != other.attrs().ints)
      refuse_graph(one);
    const auto fit = [&](std::size_t k, std::size_t j) {
      return mark_.at(one.inputs()[k].get()) == mark_.at(other.inputs()[j].get());
    };
    const bool turned = count == 2 && one.op().commutative && !fit(0, 0);
    for (std::size_t k = 0; k < count; ++k) {
      const std::size_t j = turned ? 1 - k : k;
      const Expr &mine = one.inputs()[k], &its = other.inputs()[j];
      if (!fit(k, j)) refuse_graph(one);
      pairs.try_emplace(mine.get(), its);
      const Tensor* value = constant_value(mine);
      if (value && one.op().reads(k) && !graphs::says_size(one, k) &&
          !same_values(*value, *constant_value(its)))
        refuse_graph(one);
    }
    compare_steps(one.attrs().formula, other.attrs().formula);
    std::vector<Size> sizes;
    bool any = false;
    for (std::size_t axis = 0; axis < one.dims().size(); ++axis) {
      sizes.push_back(size_of(one, one.dims()[axis].size(), other.dims()[axis].size()));
      any = any || !sizes.back().is_number();
    }
    if (any) result_[one.get()] = std::move(sizes);
  }

  /// Of loops; both are the same in number, as the marks are equal.
  void compare_steps(const std::vector<Expr>& one, const std::vector<Expr>& other) {
    NodeMap<Expr> pairs;
    for (std::size_t k = 0; k < one.size(); ++k) pairs.try_emplace(one[k].get(), other[k]);
    const std::vector<Expr> nodes = topological(one);
    for (auto node = nodes.rbegin(); node != nodes.rend(); ++node)
      compare(*node, pairs.at(node->get()), pairs);
  }

  Size size_of(const Expr& node, std::int64_t one, std::int64_t other) const {
    if (one == other) return {one, {}};
    Size result{one, {}};
    for (std::size_t k = 0; k < in_a_.size(); ++k) {
      while (one % in_a_[k] == 0 && other % in_b_[k] == 0 && one > 0) {
        one /= in_a_[k];
        other /= in_b_[k];
        result.unknown.push_back(static_cast<int>(k));
      }
    }
    if (one != other) refuse_graph(node);
    result.factor = one;
    return result;
  }

  [[noreturn]] void refuse_graph(const Expr& node) const {
    refuse(function_,
           text("how ", describe(node), " is computed depends on sizes that are not known",
                "\n  Give the sizes of the inputs as numbers."),
           node->where);
  }

  const char* function_;
  const Sized &a_, &b_;
  std::vector<std::int64_t> in_a_, in_b_;
  NodeMap<std::vector<Size>> result_;
  NodeMap<std::size_t> mark_;
};

}  // namespace

NodeMap<std::vector<Size>> merged_sizes(const char* function, const Sized& a, const Sized& b,
                                        const std::vector<std::int64_t>& in_a,
                                        const std::vector<std::int64_t>& in_b) {
  return Merge(function, a, b, in_a, in_b).sizes();
}

std::optional<Tensor> unrepeated(const Tensor& x, const std::vector<bool>& axes) {
  Shape shape = x.shape();
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (axes[axis]) shape[axis] = std::min<std::int64_t>(shape[axis], 1);
  }
  Tensor result(x.dtype(), shape);
  const std::size_t width = cinch::size_of(x.dtype());
  const auto* from = static_cast<const std::byte*>(x.raw());
  auto* to = static_cast<std::byte*>(result.raw());
  for (const bool write : {true, false}) {
    std::vector<std::int64_t> at(shape.size(), 0);
    for (std::int64_t k = 0; k < x.size(); ++k) {
      std::int64_t place = 0;
      bool first = true;
      for (std::size_t axis = 0; axis < shape.size(); ++axis) {
        place = place * shape[axis] + (axes[axis] ? 0 : at[axis]);
        first = first && (!axes[axis] || at[axis] == 0);
      }
      std::byte* there = to + static_cast<std::size_t>(place) * width;
      const std::byte* here = from + static_cast<std::size_t>(k) * width;
      if (write && first) std::memcpy(there, here, width);
      if (!write && std::memcmp(there, here, width) != 0) return std::nullopt;
      for (std::size_t axis = at.size(); axis-- > 0;) {
        if (++at[axis] < x.shape()[axis]) break;
        at[axis] = 0;
      }
    }
  }
  return result;
}

bool counts_along(const Tensor& x, const std::vector<bool>& axes) {
  if (std::ranges::count(axes, true) != 1) return false;
  for (std::size_t axis = 0; axis < axes.size(); ++axis) {
    if (!axes[axis] && x.shape()[axis] != 1) return false;
  }
  for (std::int64_t k = 0; k < x.size(); ++k) {
    if (x.at(k) != static_cast<double>(k)) return false;
  }
  return true;
}

}  // namespace cinch::exchange
