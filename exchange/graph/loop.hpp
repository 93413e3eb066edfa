// Loops of a graph that is to be written: each result is a node of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/graph/recurrence.hpp"

namespace cinch::exchange {

/// The op of such nodes. Operands are those of the recurrence's variables.
extern const Op loop_op;

/// What a node of loop_op is: one result of steps that it shares with other nodes.
struct LoopResult {
  enum Kind : std::int64_t {
    row,     ///< Formula `index` of rows, at each step.
    before,  ///< State `index` as each step finds it,
    after,   ///< as each step leaves it,
    last     ///< and at the end.
  };
  Kind kind = row;
  std::size_t index = 0;
  graphs::Recurrence r;    ///< Its value stands for nothing. Once `until` is true, states stay.
  std::vector<Expr> rows;  ///< What is asked of each step besides states.
  /// Of each of `rows`: whether it is 0 once the loop is over; else it stays what it was, or is 0
  /// where no step was made.
  std::vector<bool> is_zero_after;

  static LoopResult of(const Expr& node);
};

/// Steps and the results that are asked of them.
struct Loop {
  graphs::Recurrence r;
  std::vector<Expr> rows;  ///< Those that there is a result for.
  std::vector<bool> is_zero_after;
  struct Result {
    Expr node;
    LoopResult::Kind kind;
    std::size_t index;
  };
  std::vector<Result> results;

  /// With what a node is one result of, and all others among `nodes`.
  static Loop of(const Expr& node, const std::vector<Expr>& nodes);
  /// What a step computes: the states' new values, then `rows`.
  std::vector<Expr> roots() const;
};

/// `roots` with each scan as such nodes. `compile` does for what a step computes what is done for
/// the graph around it. Sizes are known.
std::vector<Expr> with_loops(
    std::vector<Expr> roots,
    const std::function<std::vector<Expr>(const std::vector<Expr>&)>& compile);

}  // namespace cinch::exchange
