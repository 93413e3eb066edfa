// What is computed in which loop and in which order: a graph before it has memory.
#pragma once

#include <span>
#include <vector>

#include "cinch/core/graph.hpp"
#include "cinch/core/plan/guards.hpp"
#include "cinch/core/plan/plan.hpp"

namespace cinch::planning {

/// Elementwise nodes of one shape, and reductions of it, that one loop computes.
struct Group {
  Shape shape;
  std::vector<Expr> nodes;  ///< In topological order.
  bool is_final = false;    ///< Runs at commit, writing parameters in place.
};

/// What a step is made from.
struct Unit {
  int level;
  int group;  ///< Index into groups, or -1 for a node of its own.
  Expr node;
};

/// Nodes are grouped by level: the longest way from the leaves counted in passes over memory.
/// Elementwise nodes of one level and shape only depend on each other element by element, so they
/// form one loop; a reduction belongs to the loop that computes what it reduces.
struct Schedule {
  std::vector<Expr> order;  ///< All nodes, topologically.
  std::vector<Group> groups;
  std::vector<Unit> units;  ///< In the order in which they run.
  NodeMap<int> group_of;
  NodeMap<Guards> guards;  ///< Of what need not be computed in all cases.
  NodeSet stored;          ///< Loop values that something outside their loop reads.
  /// New values that their loop, or a product added to one, writes over the old ones.
  NodeMap<SharedState*> final_target, in_place;

  Group& group(int k) { return groups[static_cast<std::size_t>(k)]; }
  /// In which cases a node is needed.
  const Guards& guards_of(const Expr& node) const {
    static const Guards& always = *new Guards;
    const auto found = guards.find(node.get());
    return found == guards.end() ? always : found->second;
  }
  /// Where a node has no group: -1.
  int group_at(const Expr& node) const {
    const auto found = group_of.find(node.get());
    return found == group_of.end() ? -1 : found->second;
  }
};

/// The loops of the graph below `roots`, and what they store.
Schedule schedule(std::span<const Expr> roots);

/// Finds what updates can be written in place: loops that compute nothing but updates, if they read
/// the old values only where they write the new ones, and nothing else written at commit reads
/// them; and products added to these.
void choose_in_place(Schedule& schedule, std::span<const Expr> roots,
                     std::span<const PlanResult> results);

}  // namespace cinch::planning
