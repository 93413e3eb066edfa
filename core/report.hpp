// What compiling and running leave on record: the parts of explain()'s and profile()'s results.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// One application of a rule: its name, the user's line it was applied to, and what it made of
/// what.
struct Applied {
  std::string_view rule;
  Source where;
  std::string before, after;
};

/// An estimate of what computing something takes on one thread. Bytes are those read and written.
struct Work {
  double nanoseconds = 0, flops = 0, bytes = 0;

  Work& operator+=(const Work& other) {
    nanoseconds += other.nanoseconds;
    flops += other.flops;
    bytes += other.bytes;
    return *this;
  }
  friend Work operator+(Work a, const Work& b) { return a += b; }
};

/// What the pass found, for explain().
struct ContractionReport {
  Source where;
  std::string before, after;  ///< The formula as written, and as it is computed.
  Work written, chosen;
  bool is_cheapest =
      true;  ///< Of all orders. Of more than nine factors, one is found step by step.
};

/// A step as people see it. Steps are numbered in the order in which they run; those that write
/// updates come last.
struct StepInfo {
  std::string kernel;                      ///< "loop", or the op's name.
  std::string what;                        ///< Ops and shapes.
  std::vector<Expr> nodes;                 ///< What it computes.
  double flops, bytes;                     ///< Bytes are those of its operands and results.
  std::vector<std::string> reads, writes;  ///< Of values: numbers unless they have a name.
  bool at_commit;
};

/// What a step took, together.
struct StepTime {
  double nanoseconds = 0;
  std::int64_t runs = 0;
};

/// One stage: a pass of a function, or what grad() does before it differentiates.
struct Stage {
  std::string name;                   ///< "simplify"
  std::size_t before = 0, after = 0;  ///< Nodes.
  double milliseconds = 0;
  std::vector<std::pair<std::string, int>> fired;  ///< Rules, and how often each.
  std::vector<Expr> graph;                         ///< Afterwards.
};

}  // namespace cinch
