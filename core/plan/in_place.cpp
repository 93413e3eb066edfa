#include <algorithm>

#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/graph/shared_state.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/plan/schedule.hpp"
#include "cinch/core/shared.hpp"

namespace cinch::planning {

namespace {

/// An update that ends in products added to what a loop writes, or to the old value, and that
/// nothing else reads.
struct Chain {
  Expr base;
  SharedState* target;
  std::vector<Expr> nodes;  ///< Each adds to the one after it; the last one to the base.
};

/// The shared variable whose memory `node` shows, through views; null if none.
SharedState* shared_behind(Expr node) {
  while (node.op().view()) node = Expr(node.inputs()[0]);
  return is_shared(node) ? node.attrs().state.get() : nullptr;
}

std::vector<Chain> chains_of(const Schedule& s, std::span<const Expr> roots,
                             std::span<const PlanResult> results) {
  NodeMap<int> uses;
  for (const Expr& node : s.order) {
    for (const Expr& input : node.inputs()) ++uses[input.get()];
  }
  for (const Expr& root : roots) ++uses[root.get()];
  std::unordered_set<const SharedState*> changing;
  for (const PlanResult& r : results) {
    if (r.target) changing.insert(r.target);
  }
  std::vector<Chain> chains;
  for (std::size_t k = 0; k < roots.size(); ++k) {
    if (!results[k].target || results[k].resizes || !roots[k].op().accumulates()) continue;
    Chain chain{roots[k], results[k].target, {}};
    bool alone = true;
    while (alone && chain.base.op().accumulates()) {
      const Expr node = chain.base;
      alone = uses.at(node.get()) == 1;
      for (const Expr& factor : node.inputs().subspan(1))
        alone = alone && !changing.contains(shared_behind(factor));
      chain.nodes.push_back(node);
      chain.base = node.inputs()[0];
    }
    if (alone && (is_shared(chain.base) || uses.at(chain.base.get()) == 1))
      chains.push_back(std::move(chain));
  }
  return chains;
}

/// What each update is computed as: the value that a loop would write in place.
struct Targets {
  NodeMap<SharedState*> of_value;
  std::unordered_map<const SharedState*, const Node*> updated;
  NodeSet outputs;  ///< Returned, or the update of two variables.
};

Targets targets_of(const std::vector<Chain>& chains, std::span<const Expr> roots,
                   std::span<const PlanResult> results) {
  std::unordered_map<const SharedState*, const Node*> base_of;
  for (const Chain& chain : chains) base_of[chain.target] = chain.base.get();
  Targets t;
  for (std::size_t k = 0; k < roots.size(); ++k) {
    const auto base = base_of.find(results[k].target);
    const Node* value = results[k].target && base != base_of.end() ? base->second : roots[k].get();
    if (results[k].target && !results[k].resizes && !t.of_value.contains(value)) {
      t.of_value[value] = results[k].target;
    } else {
      t.outputs.insert(value);
    }
    if (results[k].target) t.updated[results[k].target] = value;
  }
  return t;
}

/// Values of groups that are read outside of them, but by the chain that adds to them.
NodeSet read_elsewhere(const Schedule& s, const std::vector<Chain>& chains) {
  NodeMap<const Node*> chain_reader;  // The node that adds to a chain's base.
  for (const Chain& chain : chains) chain_reader[chain.base.get()] = chain.nodes.back().get();
  NodeSet result;
  for (const Expr& node : s.order) {
    for (const Expr& input : node.inputs()) {
      const auto reader = chain_reader.find(input.get());
      const bool by_chain = reader != chain_reader.end() && reader->second == node.get();
      const int from = s.group_at(input);
      if (from >= 0 && !by_chain && s.group_at(node) != from) result.insert(input.get());
    }
  }
  return result;
}

}  // namespace

void choose_in_place(Schedule& s, std::span<const Expr> roots,
                     std::span<const PlanResult> results) {
  const std::vector<Chain> chains = chains_of(s, roots, results);
  const Targets targets = targets_of(chains, roots, results);
  const NodeSet elsewhere = read_elsewhere(s, chains);
  // Whether an operand keeps its old value until this group has read it.
  const auto safe = [&](const Expr& input, std::size_t g) {
    const SharedState* state = shared_behind(input);
    const auto update = targets.updated.find(state);
    if (!state || update == targets.updated.end()) return true;
    const auto writer = s.group_of.find(update->second);
    return is_shared(input) && input.type().shape() == s.groups[g].shape &&
           writer != s.group_of.end() && writer->second == static_cast<int>(g) &&
           targets.of_value.contains(update->second);
  };
  for (std::size_t g = 0; g < s.groups.size(); ++g) {
    s.groups[g].is_final = std::ranges::all_of(s.groups[g].nodes, [&](const Expr& node) {
      if (node.op().reduction() || elsewhere.contains(node.get())) return false;
      if (s.stored.contains(node.get()) &&
          (!targets.of_value.contains(node.get()) || targets.outputs.contains(node.get())))
        return false;
      return std::ranges::all_of(node.inputs(), [&](const Expr& input) { return safe(input, g); });
    });
  }
  s.final_target = targets.of_value;
  for (const Chain& chain : chains) {
    const int base = s.group_at(chain.base);
    const bool starts_in_place =
        base >= 0 ? s.group(base).is_final
                  : is_shared(chain.base) && chain.base.attrs().state.get() == chain.target;
    if (!starts_in_place) continue;
    for (const Expr& node : chain.nodes) s.in_place[node.get()] = chain.target;
  }
}

}  // namespace cinch::planning
