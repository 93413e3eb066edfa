#include "cinch/core/plan/guards.hpp"

#include <algorithm>

#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"

namespace cinch::planning {

NodeMap<Guards> guards_of(std::span<const Expr> order, std::span<const Expr> roots) {
  const bool any =
      std::ranges::any_of(order, [](const Expr& node) { return &node.op() == &ifelse_op; });
  if (!any) return {};
  // From the roots down: what all that use a node have in common.
  NodeMap<Guards> result;
  NodeSet known;
  for (const Expr& root : roots) known.insert(root.get());
  for (auto node = order.rbegin(); node != order.rend(); ++node) {
    const Guards own = result[node->get()];
    for (std::size_t k = 0; k < node->inputs().size(); ++k) {
      const Expr& input = node->inputs()[k];
      Guards needed = own;
      if (&node->op() == &ifelse_op && k > 0) {
        const Guard chosen{node->inputs()[0], k == 1};
        if (std::ranges::find(needed, chosen) == needed.end()) needed.push_back(chosen);
      }
      Guards& all = result[input.get()];
      if (known.insert(input.get()).second) {
        all = std::move(needed);
      } else {
        std::erase_if(all, [&](const Guard& guard) {
          return std::ranges::find(needed, guard) == needed.end();
        });
      }
    }
  }
  for (const Expr& root : roots) result[root.get()].clear();
  // A condition that is not needed in all cases is looked at after those that it is needed in.
  for (auto& [node, guards] : result) {
    std::ranges::stable_sort(guards, {}, [&](const Guard& guard) {
      const auto found = result.find(guard.condition.get());
      return found == result.end() ? std::size_t{0} : found->second.size();
    });
  }
  std::erase_if(result, [](const auto& entry) {
    return entry.second.empty() || entry.first->inputs.empty();
  });
  return result;
}

}  // namespace cinch::planning
