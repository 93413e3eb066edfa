// One pass over an index space: elementwise instructions on blocks that stay in the first-level
// cache, with stores and reductions at the end of each block.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "core/op.hpp"

namespace cinch {

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

/// A loop made ready: axes merged, block size and registers chosen. Running it allocates nothing.
class Loop {
 public:
  /// `copy` is the identity's block function, for each dtype.
  Loop(LoopSpec spec, BlockFn (*copy)(DType));

  /// Bytes that run() needs at `scratch`, 64-byte aligned.
  std::size_t scratch_bytes() const { return scratch_bytes_; }
  /// `buffers[k]` is the start of buffer k.
  void run(std::byte* const* buffers, std::byte* scratch) const;

  const LoopSpec& spec() const { return spec_; }

 private:
  enum class Access { direct, splat, gather, gather_once };

  void merge_axes();
  void choose_tile();
  void place_registers(BlockFn (*copy)(DType));
  Access access(const Strided& where) const;
  void load(std::byte* const* buffers, std::byte* scratch, std::byte** slots,
            std::span<const std::int64_t> outer, std::int64_t row, std::int64_t column,
            std::int64_t rows, std::int64_t columns, bool first) const;
  void store(std::byte* const* buffers, std::byte** slots, std::span<const std::int64_t> outer,
             std::int64_t row, std::int64_t column, std::int64_t rows, std::int64_t columns) const;

  LoopSpec spec_;
  std::vector<Access> access_;           // Of the inputs.
  std::vector<std::size_t> register_;    // Scratch offset of each value, where it has one.
  std::vector<int> direct_store_;        // Output that instruction k writes straight into, or -1.
  std::int64_t rows_ = 1, columns_ = 1;  // The two innermost axes.
  std::int64_t tile_rows_ = 1, tile_columns_ = 1;
  std::size_t scratch_bytes_ = 0;
};

}  // namespace cinch
