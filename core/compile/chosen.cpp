#include "cinch/core/compile/chosen.hpp"

#include <algorithm>

#include "cinch/core/graph.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/op.hpp"

namespace cinch::compiling {

namespace {

/// Whether a condition says what stands where indices have put something: few of many, mostly. A
/// comparison of values, as in relu, may hold for half of them.
bool is_by_indices(const Expr& condition) {
  std::vector<Expr> pending{condition};
  while (!pending.empty()) {
    const Expr e = std::move(pending.back());
    pending.pop_back();
    if (&e.op() == &scatter_add_op || &e.op() == &add_along_op) return true;
    const bool moves = e.op().elementwise() || e.op().algebra == Algebra::regroup;
    if (moves) pending.insert(pending.end(), e.inputs().begin(), e.inputs().end());
  }
  return false;
}

class Chooser {
 public:
  explicit Chooser(std::span<const Expr> roots)
      : roots_(roots.begin(), roots.end()), order_(topological(roots)) {
    for (const Expr& root : roots_) ends_.insert(root.get());
    for (const Expr& node : order_) {
      for (std::size_t k = 0; k < node.inputs().size(); ++k) {
        if (!node.op().reads(k)) continue;
        std::vector<Expr>& users = users_[node.inputs()[k].get()];
        if (std::ranges::find(users, node) == users.end()) users.push_back(node);
      }
    }
  }

  std::vector<Expr> operator()() {
    NodeMap<Expr> done;
    const auto as_now = [&](const Expr& e) { return rebuild(std::span(&e, 1), done).front(); };
    for (const Expr& node : order_) {
      if (!is_large_product(node)) continue;
      const Expr chosen = condition_of(node);
      if (!chosen.has_value()) continue;
      const Attribution as(node->where, /*force=*/true);
      done[node.get()] = as_now(chosen_dot(chosen, node.inputs()[0], node.inputs()[1]));
    }
    if (done.empty()) return roots_;
    return rebuild(roots_, done);
  }

 private:
  static bool is_large_product(const Expr& e) {
    constexpr std::int64_t least = 1 << 20;  // Of multiplications.
    return e.op().algebra == Algebra::matrix_product && e.rank() == 2 && is_float(e.dtype()) &&
           e.inputs()[0].rank() == 2 &&
           element_count(e.type().shape()) >
               least / std::max<std::int64_t>(e.inputs()[0].dims()[1].size(), 1);
  }

  /// Where a product is used; empty where that is everywhere.
  Expr condition_of(const Expr& product) const {
    Expr result, e = product;
    while (!ends_.contains(e.get())) {
      const auto users = users_.find(e.get());
      if (users == users_.end() || users->second.size() != 1) break;
      const Expr user = users->second.front();
      if (!user.op().elementwise() || user.op().observes || user.dims() != product.dims()) break;
      if (&user.op() == &switch_op && !(user.inputs()[1] == e)) break;
      if (&user.op() == &switch_op && user.inputs()[0].dims() == product.dims() &&
          !(user.inputs()[2] == e) && is_by_indices(user.inputs()[0])) {
        const Expr& here = user.inputs()[0];
        result = result.has_value() ? logical_and(result, here) : here;
      }
      e = user;
    }
    return result;
  }

  std::vector<Expr> roots_, order_;
  NodeSet ends_;
  NodeMap<std::vector<Expr>> users_;
};

}  // namespace

std::vector<Expr> with_chosen_products(std::span<const Expr> roots) { return Chooser(roots)(); }

}  // namespace cinch::compiling
