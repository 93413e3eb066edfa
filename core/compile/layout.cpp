#include "cinch/core/compile/layout.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>

#include "cinch/core/graph.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/op.hpp"

namespace cinch::compiling {

namespace {

/// The axis of each axis of a result; -1: a new one.
using Pattern = std::vector<std::int64_t>;

Pattern as_it_is(const Expr& e) {
  Pattern result(static_cast<std::size_t>(e.rank()));
  std::iota(result.begin(), result.end(), 0);
  return result;
}

/// `pattern` of what the permutation `e` makes, of its operand.
Pattern through(const Expr& e, Pattern pattern) {
  for (std::int64_t& axis : pattern) {
    if (axis >= 0) axis = AxisPattern::of(e.attrs())[static_cast<std::size_t>(axis)];
  }
  return pattern;
}

/// `pattern` of what `e` makes element by element, of an operand that may have fewer axes.
Pattern of_operand(const Expr& e, const Expr& operand, Pattern pattern) {
  for (std::int64_t& axis : pattern)
    axis = std::max<std::int64_t>(axis - (e.rank() - operand.rank()), -1);
  return pattern;
}

/// Whether reading `e` in this order of its axes goes across memory.
bool is_across(const Expr& e, const Pattern& pattern) {
  std::int64_t last = -1;
  for (const std::int64_t axis : pattern) {
    if (axis < 0 || e.dims()[static_cast<std::size_t>(axis)].size() == 1) continue;
    if (axis < last) return true;
    last = axis;
  }
  return false;
}

class Layout {
 public:
  explicit Layout(std::span<const Expr> roots)
      : roots_(roots.begin(), roots.end()), order_(topological(roots)) {
    for (const Expr& root : roots_) users_[root.get()].emplace_back();  // That is not in the graph.
    for (const Expr& node : order_) {
      for (const Expr& input : node.inputs()) {
        std::vector<Expr>& users = users_[input.get()];
        if (std::ranges::find(users, node) == users.end()) users.push_back(node);
      }
    }
  }

  std::vector<Expr> operator()() {
    // From users to operands: what is turned as a part of something is not turned once more.
    NodeSet turned, parts;
    for (auto node = order_.rbegin(); node != order_.rend(); ++node) {
      if (!is_permuted_arithmetic(*node) || parts.contains(node->get())) continue;
      Reads reads;
      count(*node, as_it_is(*node), as_it_is(*node), reads, 0);
      if (is_read_turned(*node)) --reads.as_written;
      if (reads.turned > reads.as_written) continue;
      turned.insert(node->get());
      parts.insert(reads.parts.begin(), reads.parts.end());
    }
    if (turned.empty()) return roots_;
    NodeMap<Expr> done;
    for (const Expr& node : order_) {
      std::vector<Expr> inputs;
      for (const Expr& input : node.inputs()) inputs.push_back(done.at(input.get()));
      done[node.get()] = turned.contains(node.get()) ? built(node, as_it_is(node), done, 0)
                                                     : with_inputs(node, std::move(inputs));
    }
    return rebuild(roots_, done);
  }

 private:
  static constexpr int deepest = 16;

  /// Reads across memory, of operands and of what is kept between loops.
  struct Reads {
    int as_written = 0, turned = 0;
    NodeSet parts;  // That are computed in the new order.
  };

  bool has_one_user(const Expr& e) const { return users_.at(e.get()).size() == 1; }
  bool is_turnable(const Expr& e, int depth) const {
    return depth < deepest && e.op().elementwise() && !e.op().observes && has_one_user(e);
  }

  bool is_permuted_arithmetic(const Expr& e) const {
    return e.op().algebra == Algebra::permute && users_.contains(e.get()) &&
           is_turnable(e.inputs()[0], 0) && is_across(e.inputs()[0], AxisPattern::of(e.attrs()));
  }

  /// Products of matrices, and what they become, read them as they lie.
  bool is_read_turned(const Expr& e) const {
    const Pattern& pattern = AxisPattern::of(e.attrs());
    const std::size_t rank = pattern.size();
    if (rank < 2 || rank != static_cast<std::size_t>(e.inputs()[0].rank())) return false;
    Pattern swapped = as_it_is(e);
    std::swap(swapped[rank - 1], swapped[rank - 2]);
    return pattern == swapped && std::ranges::all_of(users_.at(e.get()), [](const Expr& user) {
             return user.has_value() && user.op().kernel() && user.op().kernel()->accepts;
           });
  }

  /// `own`: the order in which `e` is read now, `wanted`: the one in which it would be.
  void count(const Expr& e, const Pattern& own, const Pattern& wanted, Reads& reads, int depth) {
    if (e.op().algebra == Algebra::permute) {
      if (depth > 0 && has_one_user(e)) reads.parts.insert(e.get());
      return count(e.inputs()[0], through(e, own), through(e, wanted), reads, depth + 1);
    }
    reads.as_written += is_across(e, own);
    if (!is_turnable(e, depth)) {
      reads.turned += is_across(e, wanted);
      return;
    }
    for (const Expr& x : e.inputs())
      count(x, as_it_is(x), of_operand(e, x, wanted), reads, depth + 1);
  }

  Expr built(const Expr& e, const Pattern& wanted, const NodeMap<Expr>& done, int depth) const {
    if (e.op().algebra == Algebra::permute)
      return built(e.inputs()[0], through(e, wanted), done, depth + 1);
    if (e.rank() == 0) return done.at(e.get());
    if (!is_turnable(e, depth)) return dimshuffle(done.at(e.get()), wanted);
    const Attribution as(e->where, /*force=*/true);
    std::vector<Expr> inputs;
    for (const Expr& x : e.inputs())
      inputs.push_back(built(x, of_operand(e, x, wanted), done, depth + 1));
    return with_inputs(e, std::move(inputs));
  }

  std::vector<Expr> roots_, order_;
  NodeMap<std::vector<Expr>> users_;  // A root has an empty one besides.
};

}  // namespace

std::vector<Expr> laid_out_as_read(std::span<const Expr> roots) { return Layout(roots)(); }

}  // namespace cinch::compiling
