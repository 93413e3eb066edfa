// Loops one after the other over the same rows, as a normalisation and what follows it are: some
// rows go through all of them before the next ones are begun, so that what one loop makes for
// another stays near the processor.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cinch/core/run/loop.hpp"

namespace cinch::running {

/// The first axis of each loop is that of the rows. What they read of each other's results is of
/// the same row. A loop may sum over rows, for who comes after the chain.
class RowChain {
 public:
  /// A buffer that only these loops read and write: memory for some rows is enough.
  struct Local {
    int buffer;
    std::int64_t row_bytes;
  };
  /// `copy` as for loops.
  RowChain(std::span<const LoopSpec> loops, std::span<const Local> locals, BlockFn (*copy)(DType));

  /// `buffers[k]` is the start of buffer k; those of locals are not looked at. Shared out over the
  /// team's threads in a way that depends on sizes only.
  void run(std::byte* const* buffers, std::byte* partial) const;
  /// Bytes that run() needs at `partial`, 64-byte aligned.
  std::size_t partial_bytes() const { return static_cast<std::size_t>(parts_) * sums_bytes_; }
  std::int64_t block_rows() const { return block_rows_; }
  /// Bytes of what is local, for the rows of one block.
  std::size_t local_bytes() const { return local_bytes_; }

 private:
  /// Where an operand of a loop is: in a buffer, at so many bytes for each row; or in the block's
  /// own memory.
  struct Where {
    int buffer;
    std::int64_t row_bytes;
    std::int64_t local;  ///< -1: in the buffer.
  };
  struct Member {
    std::unique_ptr<Loop> whole, rest;  ///< For a block's rows, and for those that are left over.
    std::vector<Where> operands;        ///< Inputs, then outputs.
  };
  /// What is summed over rows: a block's part in its memory, a part's, and the result.
  struct Sum {
    int buffer;
    std::int64_t local, own;  ///< Offsets in a block's memory and in a part's.
    std::int64_t result;      ///< Bytes from the buffer's start.
    std::int64_t size;
    DType dtype;
    const Accumulator* accumulator;
    bool is_wide;
  };
  void add(const LoopSpec& spec, std::span<const Local> locals,
           std::span<const std::int64_t> local_at, BlockFn (*copy)(DType));
  void run_part(std::byte* const* buffers, std::byte* sums, std::int64_t part) const;
  std::int64_t take(std::size_t bytes);

  std::int64_t rows_ = 0, block_rows_ = 1, parts_ = 1;
  std::vector<Member> members_;
  std::vector<Sum> sums_;
  std::size_t local_bytes_ = 0, loop_bytes_ = 0, sums_bytes_ = 0, operands_ = 0;
};

/// Where it is not 0, loops are joined whatever their size and go through so many rows at a time;
/// for tests.
extern std::atomic<std::int64_t> forced_block_rows;

}  // namespace cinch::running
