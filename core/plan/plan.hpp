// From a graph whose sizes are all known to a list of loops and kernel calls over one block of
// memory.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <variant>
#include <vector>

#include "cinch/core/op.hpp"
#include "cinch/core/report.hpp"
#include "cinch/core/run/loop.hpp"
#include "cinch/core/run/row_chain.hpp"

namespace cinch::planning {

/// One update of a shared variable, or an output where `target` is null.
struct PlanResult {
  Expr value;  ///< Static type.
  SharedState* target = nullptr;
  /// Whether the new value has other sizes than the old one: then it gets memory of its own.
  bool resizes = false;
};

/// An executable graph for one set of sizes. Allocates its memory once; run() allocates nothing.
class Plan {
 public:
  /// `inputs` are the variables whose values run() is given, in that order. All types are static.
  Plan(std::span<const Expr> inputs, std::span<const PlanResult> results);

  /// Computes everything and leaves the updates pending. `inputs[k]` points to the elements of
  /// input k. Throws ValueError (an index out of range) with nothing changed.
  void run(std::span<const void* const> inputs);
  /// Where result k, an output, lies after run(), row-major. Valid until commit().
  const void* result(std::size_t k) const;
  /// Has runs from now on write result k to `to`, which nothing else may be using, where it has
  /// memory of its own: result() says where it is then.
  void send_result(std::size_t k, void* to);
  const Shape& result_shape(std::size_t k) const { return shapes_[k]; }
  /// Writes the updates. Changes none of them where there is no memory for one.
  void commit();

  /// Of all temporaries, those of loops included.
  std::size_t arena_bytes() const;
  /// Bytes of all temporaries, had each a place of its own.
  std::size_t temporary_bytes() const { return temporary_bytes_; }
  std::size_t step_count() const { return steps_.size() + commits_.size(); }

  std::vector<StepInfo> steps() const;
  /// One line a step: what it computes, from which of the user's lines.
  std::string text() const;

  /// From now on, or no longer, run() and commit() measure what each step takes.
  void set_profiling(bool on);
  /// By number of the step; empty where nothing was measured.
  const std::vector<StepTime>& times() const { return times_; }

 private:
  friend class Planner;

  struct KernelStep {
    Expr node;
    struct Argument {
      int buffer;
      Strided where;
      DType dtype;
      Shape shape;
    };
    std::vector<Argument> inputs;
    Argument output;
    mutable std::vector<Operand> operands;  // Filled at each run.
  };
  /// A view that starts at an index known only at run time.
  struct MoveStep {
    Expr node;
    int from, to, start;
    std::int64_t stride_bytes, base_bytes;
    std::int64_t most, least;  ///< The starts that stay inside.
    bool empty;
    std::int64_t start_offset;  ///< Of the start in its buffer, in elements.
  };
  struct LoopStep {
    running::Loop loop;
    std::vector<Expr> nodes;
  };
  /// Loops over the same rows, some rows at a time.
  struct ChainStep {
    running::RowChain chain;
    std::vector<LoopStep> loops;  ///< As they would run alone.
    std::vector<int> local;       ///< Buffers that nobody else sees.
  };
  struct CopyStep {
    int from;
    SharedState* target;
    Shape shape;
    bool resizes;       ///< Then a tensor of this shape takes the place of the old value.
    Tensor fresh = {};  ///< That one, from when a commit begins until the step.
  };
  using Step = std::variant<LoopStep, KernelStep, MoveStep, CopyStep, ChainStep>;
  /// In which case a step is needed: where a bool in a buffer is this.
  struct GuardAt {
    int buffer;
    std::int64_t offset;
    bool holds;
  };

  void run_step(Step& step);
  bool is_needed(std::size_t step) const;
  void run_all(std::vector<Step>& steps, std::size_t first_number);
  std::string name_of(int buffer) const;

  struct Free {
    void operator()(std::byte* memory) const;
  };
  std::vector<Step> steps_, commits_;
  std::vector<std::vector<GuardAt>> guards_;  // Of each of steps_; empty where nothing is chosen.
  std::vector<std::byte*> buffers_;
  std::vector<std::size_t> inputs_;  // Buffer of each input.
  std::vector<std::pair<std::size_t, SharedState*>>
      shared_;  // Buffers whose address is looked up at each run.
  std::vector<int> results_;
  std::vector<std::int64_t> result_offsets_;  // Bytes from the beginning of the buffer.
  std::vector<bool> result_moves_;            // Whether its buffer holds it alone.
  std::vector<Shape> shapes_;
  std::vector<Expr> alive_;  // Constants and states that buffers point into.
  std::unique_ptr<std::byte, Free> arena_;
  std::size_t arena_bytes_ = 0, temporary_bytes_ = 0, partial_offset_ = 0;
  std::vector<std::string> names_;  // Of buffers that are no temporaries.
  std::vector<int> owner_;          // The buffer whose memory a buffer shows.
  bool profiling_ = false;
  std::vector<StepTime> times_;
};

}  // namespace cinch::planning
