// A loop within a plan.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cinch/core/graph/recurrence.hpp"
#include "cinch/core/op.hpp"

namespace cinch::planning {

class Plan;

/// A recurrence as it runs. Its results lie one after the other in one block; offsets are elements.
struct LoopProgram {
  static constexpr std::int64_t nowhere = -1;

  /// Where a state is written.
  struct State {
    std::int64_t course = nowhere;  ///< Its value before the first step and after each, steps + 1.
    std::int64_t last = nowhere;
  };
  /// What else is asked for at each step.
  struct Rows {
    std::size_t root;
    std::int64_t offset;
    bool is_zero_after;  ///< Once the loop is over; else it stays what it was.
  };

  /// All steps for some of the rows of what is cut.
  struct Part {
    std::int64_t begin, end;
    std::unique_ptr<planning::Plan> plan;
  };
  /// How values are divided among parts: along their first axis, of `rows`. What is not cut each
  /// part has, and the first one writes.
  struct Cut {
    std::int64_t rows = 1;
    std::vector<bool> variables, roots;
  };

  graphs::Recurrence r;     ///< Its value stands for nothing.
  std::vector<Expr> roots;  ///< The updates, then the formulas of `rows`.
  std::vector<State> states;
  std::vector<Rows> rows;
  std::int64_t size = 0;  ///< Elements of all results.
  DType dtype = DType::float32;
  Cut cut;
  std::vector<Part> parts;  ///< At least one; they run at the same time.

  void run(std::span<const Operand> in, const Operand& out) const;
  /// Of the temporaries of a step, and the states.
  std::size_t bytes() const;
  double flops_of_a_step() const;

 private:
  class Run;
};

}  // namespace cinch::planning
