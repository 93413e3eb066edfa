// Integer scalars that decide sizes and positions, computed before a plan is chosen.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cinch/core/graph.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/shared.hpp"

namespace cinch::planning {

/// The int64 scalars of a graph that other nodes use as sizes or as starting positions, as a list
/// of instructions on single numbers. What cannot be had from arguments and their shapes alone is
/// left to the plan (positions) or to the interpreter (sizes).
class HostProgram {
 public:
  HostProgram() = default;
  /// `inputs` are the variables whose values run() is given.
  HostProgram(std::span<const Expr> roots, std::span<const Expr> inputs);

  /// Scalars used as sizes, and scalars used as positions only.
  const std::vector<Expr>& sizes() const { return sizes_; }
  const std::vector<Expr>& positions() const { return positions_; }

  /// Computes them: afterwards size(k) and position(k) hold. `arguments[k]` is the value of input
  /// k.
  void run(std::span<const Tensor* const> arguments);
  std::int64_t size(std::size_t k) const { return slots_[size_slots_[k]]; }
  const std::int64_t& position(std::size_t k) const { return slots_[position_slots_[k]]; }

 private:
  struct Load {  // A scalar argument or shared value, or one size of an argument.
    std::size_t slot, argument;
    const SharedState* state;
    std::int64_t axis;  // -1: the value itself.
    DType dtype;
  };
  struct Step {
    BlockFn run;
    std::size_t slot, args[3];
    int arity;
  };

  bool compute(const Expr& node, std::span<const Expr> inputs);

  std::vector<Expr> sizes_, positions_, inputs_, late_;
  std::vector<std::size_t> size_slots_, position_slots_, late_slots_;
  std::vector<std::int64_t> slots_;
  std::vector<Load> loads_;
  std::vector<Step> steps_;
  NodeMap<std::size_t> slot_of_;
  NodeSet refused_, known_;
};

}  // namespace cinch::planning
