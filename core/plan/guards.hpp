// What is needed only if a condition holds.
#pragma once

#include <span>
#include <vector>

#include "cinch/core/graph.hpp"

namespace cinch::planning {

/// A condition of an ifelse(), or that it does not hold.
struct Guard {
  Expr condition;
  bool holds;

  friend bool operator==(const Guard& a, const Guard& b) {
    return a.condition.get() == b.condition.get() && a.holds == b.holds;
  }
};
/// All of them, in an order in which each may be looked at where those before it are met.
using Guards = std::vector<Guard>;

/// For each node under `roots` that is not needed in all cases, in which it is. Empty where nothing
/// is chosen.
NodeMap<Guards> guards_of(std::span<const Expr> order, std::span<const Expr> roots);

}  // namespace cinch::planning
