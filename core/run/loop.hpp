// One pass over an index space: elementwise instructions on blocks that stay in the first-level
// cache, with stores and reductions at the end of each block.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "cinch/core/op.hpp"

namespace cinch::running {

/// Sums of float32 elements into float64 results, in which long ones keep their digits, and back.
/// Defined in ops/reduce/reduce.cpp.
struct WideSum {
  const Accumulator* narrow_one;  ///< The accumulator that it stands in for.
  void (*fold)(void* out, const void* in, std::size_t n);
  void (*zip)(void* out, const void* in, std::size_t n);
  void (*narrow)(void* out, const void* in, std::size_t n);
};
extern const WideSum wide_sum;

/// What a loop is made from. Values are numbered: operands first, then one value for each
/// instruction.
struct LoopSpec {
  struct Input {
    int buffer;
    DType dtype;
    Strided where;  ///< One stride for each axis of `shape`; 0 repeats.
  };
  struct Instruction {
    BlockFn run;
    DType result;
    std::array<int, 3> args;
    int arity;
  };
  struct Output {
    int buffer;
    DType dtype;
    Strided where;  ///< As for inputs; an axis that is summed over has stride 0.
    int value;
    const Accumulator* accumulator;  ///< Null: store.
    std::int64_t size;               ///< Elements of the result.
    bool in_place;  ///< The memory is also an input's: written after all reads of a block.
  };
  Shape shape;
  std::vector<Input> inputs = {};
  std::vector<Instruction> instructions = {};
  std::vector<Output> outputs = {};
};

/// Bytes up to the next cache line.
inline std::size_t aligned(std::size_t bytes) { return (bytes + 63) / 64 * 64; }
/// What a loop takes on one thread, about.
double nanoseconds_of(const LoopSpec& spec);

/// A loop made ready: axes merged, block size and registers chosen. Running it allocates nothing.
class Loop {
 public:
  /// `copy` is the identity's block function, for each dtype.
  Loop(LoopSpec spec, BlockFn (*copy)(DType));

  /// Bytes that run() needs at `partial`, 64-byte aligned: results of reductions that several parts
  /// contribute to, or that are wider than what is asked for.
  std::size_t partial_bytes() const {
    return shared_bytes_ + partial_bytes_ * static_cast<std::size_t>(parts_);
  }
  /// `buffers[k]` is the start of buffer k. Shared out over the team's threads; which parts there
  /// are, and the order in which their results are combined, depends on sizes only.
  void run(std::byte* const* buffers, std::byte* partial) const;

  const LoopSpec& spec() const { return spec_; }

 private:
  enum class Access { direct, splat, gather, gather_once };

  void merge_axes();
  void turn_axes();
  void choose_tile();
  void choose_parts();
  void place_registers(BlockFn (*copy)(DType));
  Access access(const Strided& where) const;
  bool is_partial(const LoopSpec::Output& out) const;
  bool is_wide(const LoopSpec::Output& out) const;
  DType working_dtype(const LoopSpec::Output& out) const;
  std::byte* region(std::size_t o, std::byte* partial, std::int64_t part) const;
  std::int64_t unit(std::size_t axis) const;

  /// One block of the loop, at work: where it stands and where its values are.
  struct Block {
    std::byte* const* buffers;
    std::byte* scratch;
    std::byte** slots;    // Of each value.
    std::byte** results;  // Of each output: element 0 of its view.
    std::span<const std::int64_t> outer;
    std::int64_t row, column, rows, columns;
    bool first;
  };
  void run_part(std::byte* const* buffers, std::byte* partial, std::int64_t part) const;
  void load(const Block& block) const;
  void compute(const Block& block) const;
  void store(const Block& block) const;

  LoopSpec spec_;
  std::vector<Access> access_;           // Of the inputs.
  std::vector<std::size_t> register_;    // Scratch offset of each value, where it has one.
  std::vector<int> direct_store_;        // Output that instruction k writes straight into, or -1.
  std::int64_t rows_ = 1, columns_ = 1;  // The two innermost axes.
  std::int64_t tile_rows_ = 1, tile_columns_ = 1;
  std::size_t split_axis_ = 0;
  std::int64_t parts_ = 1;
  std::vector<std::size_t> partial_offset_;  // Of each output, within one part's memory or all's.
  std::size_t scratch_bytes_ = 0, partial_bytes_ = 0, shared_bytes_ = 0;
};

}  // namespace cinch::running
