#include "cinch/core/plan/schedule.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/op.hpp"

namespace cinch::planning {

namespace {

/// Instructions; longer chains are cut, so that registers stay in cache.
constexpr std::size_t largest_loop = 200;

bool is_loop(const Expr& node) { return node.op().elementwise() || node.op().reduction(); }

Shape loop_shape(const Expr& node) {
  return node.op().reduction() ? node.inputs()[0].type().shape() : node.type().shape();
}

/// The groups that take nodes, one for each level and kind.
class OpenGroups {
 public:
  explicit OpenGroups(Schedule& s) : s_(s) {}

  /// The first level from `level` on whose group of this shape has room. Full ones are passed over
  /// at once the next time.
  int level_with_room(int level, const Shape& shape, const Guards& guards) {
    const Kind kind = kind_of(shape, guards);
    const int start = level;
    while (true) {
      const auto next = passed_.find({level, kind});
      if (next != passed_.end()) {
        level = next->second;
        continue;
      }
      const auto group = open_.find({level, kind});
      if (group == open_.end() || s_.group(group->second).nodes.size() < largest_loop) break;
      passed_[{level, kind}] = level + 1;
      ++level;
    }
    if (level > start + 1) passed_[{start, kind}] = level;
    return level;
  }

  void add(const Expr& node, int level, const Shape& shape) {
    const auto [entry, fresh] = open_.try_emplace({level, kind_of(shape, s_.guards_of(node))},
                                                  static_cast<int>(s_.groups.size()));
    if (fresh) {
      s_.groups.push_back({shape, {}, false});
      s_.units.push_back({level, entry->second, {}});
    }
    s_.group(entry->second).nodes.push_back(node);
    s_.group_of[node.get()] = entry->second;
  }

 private:
  /// A shape, and in which cases what has it is computed.
  using Kind = std::pair<Shape, std::size_t>;

  Kind kind_of(const Shape& shape, const Guards& guards) {
    const auto found = std::ranges::find(guards_, guards);
    const auto number = static_cast<std::size_t>(found - guards_.begin());
    if (found == guards_.end()) guards_.push_back(guards);
    return {shape, number};
  }

  Schedule& s_;
  std::vector<Guards> guards_;
  std::map<std::pair<int, Kind>, int> open_;
  std::map<std::pair<int, Kind>, int> passed_;  // The level after one whose group is full.
};

void group_nodes(Schedule& s) {
  NodeMap<int> levels;
  OpenGroups open(s);
  for (const Expr& node : s.order) {
    int level = 0;
    for (const Expr& input : node.inputs()) level = std::max(level, levels.at(input.get()) + 1);
    int after_conditions = 0;
    for (const Guard& guard : s.guards_of(node))
      after_conditions = std::max(after_conditions, levels.at(guard.condition.get()) + 1);
    level = std::max(level, after_conditions);
    if (graphs::is_leaf(node)) {
      level = 0;
    } else if (is_loop(node)) {
      const Shape shape = loop_shape(node);
      // Operands computed element by element at the same positions may share the loop.
      int lowest = std::max(1, after_conditions);
      for (const Expr& input : node.inputs()) {
        const bool joins = input.op().elementwise() && input.type().shape() == shape &&
                           s.guards_of(input) == s.guards_of(node);
        lowest = std::max(lowest, levels.at(input.get()) + (joins ? 0 : 1));
      }
      level = open.level_with_room(lowest, shape, s.guards_of(node));
      open.add(node, level, shape);
    } else {
      s.units.push_back({level, -1, node});
    }
    levels[node.get()] = level;
  }
  std::ranges::stable_sort(s.units, {}, &Unit::level);
}

/// Moves what one loop computes for another one only into that one, where it stays in registers:
/// levels place everything as early as it can be.
void sink_nodes(Schedule& s, std::span<const Expr> roots) {
  NodeMap<int> reader;  // The one group that reads a node; -1 where others do.
  for (const Expr& root : roots) reader[root.get()] = -1;
  std::vector<std::size_t> sizes;
  for (const Group& group : s.groups) sizes.push_back(group.nodes.size());
  const auto guards_of_group = [&](int g) -> const Guards& {
    return s.guards_of(s.group(g).nodes.front());
  };
  bool moved = false;
  for (auto node = s.order.rbegin(); node != s.order.rend(); ++node) {
    int own = s.group_at(*node);
    if (own >= 0 && node->op().elementwise()) {
      const auto to = reader.find(node->get());
      const int target = to == reader.end() ? -1 : to->second;
      if (target >= 0 && target != own && s.group(target).shape == node->type().shape() &&
          s.guards_of(*node) == guards_of_group(target) &&
          sizes[static_cast<std::size_t>(target)] < largest_loop) {
        ++sizes[static_cast<std::size_t>(target)];
        s.group_of[node->get()] = own = target;
        moved = true;
      }
    }
    for (const Expr& input : node->inputs()) {
      const auto [entry, fresh] = reader.try_emplace(input.get(), own);
      if (!fresh && entry->second != own) entry->second = -1;
    }
  }
  if (!moved) return;
  for (Group& group : s.groups) group.nodes.clear();
  for (const Expr& node : s.order) {
    if (const int own = s.group_at(node); own >= 0) s.group(own).nodes.push_back(node);
  }
  std::erase_if(s.units, [&](const Unit& unit) {
    return unit.group >= 0 && s.group(unit.group).nodes.empty();
  });
}

void find_stored(Schedule& s, std::span<const Expr> roots) {
  const auto outside = [&](const Expr& value, int reader) {
    const int own = s.group_at(value);
    if (own >= 0 && own != reader) s.stored.insert(value.get());
  };
  for (const Expr& root : roots) outside(root, -1);
  for (const Expr& node : s.order) {
    for (const Expr& input : node.inputs()) outside(input, s.group_at(node));
    if (node.op().reduction()) s.stored.insert(node.get());
  }
}

/// Topologically, and conditions before all that is computed for one of the sides.
std::vector<Expr> ordered(std::span<const Expr> roots) {
  std::vector<Expr> order = topological(roots);
  std::vector<Expr> conditions;
  for (const Expr& node : order) {
    if (&node.op() == &ifelse_op) conditions.push_back(node.inputs()[0]);
  }
  if (conditions.empty()) return order;
  // Those of outer choices first: inner ones may be needed on one side of them only.
  std::ranges::reverse(conditions);
  conditions.insert(conditions.end(), roots.begin(), roots.end());
  return topological(conditions);
}

}  // namespace

Schedule schedule(std::span<const Expr> roots) {
  Schedule result;
  result.order = ordered(roots);
  result.guards = guards_of(result.order, roots);
  group_nodes(result);
  sink_nodes(result, roots);
  find_stored(result, roots);
  return result;
}

}  // namespace cinch::planning
