// Rows of shards in an order of their own each epoch, without the order in memory.
#pragma once

#include <cstdint>
#include <future>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cinch/io/shards.hpp"

namespace cinch::training {

/// A permutation of 0, 1, ..., n - 1 that takes no memory: a Feistel network over the next power
/// of 4, applied again until the result is below n.
class Permutation {
 public:
  Permutation() = default;
  Permutation(std::int64_t n, std::uint64_t key);
  std::int64_t operator()(std::int64_t i) const;
  /// The i whose image is k.
  std::int64_t inverse(std::int64_t k) const;

 private:
  std::uint64_t round(int r, std::uint64_t half) const;

  std::uint64_t n_ = 0, key_ = 0;
  int bits_ = 1;  ///< Of a half.
};

/// The order in which an epoch reads `rows` rows: blocks of consecutive rows, shuffled among all,
/// and then the rows of so many blocks, a window, among each other. A block is read at once, a
/// window is what has to be in memory. Where everything fits into one window each order is as
/// likely as any other; else rows of one block stay within one window. Depends on nothing but these
/// numbers, the seed and the epoch, so that it is known in the middle of an epoch too.
class RowOrder {
 public:
  RowOrder() = default;
  RowOrder(std::int64_t rows, std::int64_t block, std::int64_t window);

  std::int64_t block() const { return block_; }    ///< Rows.
  std::int64_t window() const { return window_; }  ///< Blocks.
  std::int64_t windows() const;                    ///< How many there are.

  /// As the rows stand.
  void keep();
  void shuffle(std::uint64_t seed, std::uint64_t epoch);
  bool is_kept() const { return !shuffled_; }

  /// Where window w begins in the order.
  std::int64_t first(std::int64_t w) const;
  /// The window that a place in the order is in.
  std::int64_t window_of(std::int64_t place) const;
  struct Run {
    std::int64_t begin, count;  ///< Rows.
  };
  /// The blocks of a window, in the order in which they are to be read one behind the other.
  std::vector<Run> blocks(std::int64_t w) const;
  /// For each place in a window, which of its rows as they were read.
  std::vector<std::uint32_t> within(std::int64_t w) const;

 private:
  std::int64_t block_count() const { return (rows_ + block_ - 1) / block_; }

  std::int64_t rows_ = 0, block_ = 1, window_ = 1;
  bool shuffled_ = false;
  std::uint64_t key_ = 0;
  Permutation blocks_;
  std::int64_t short_block_ = 0;  ///< Where the last block, which may be smaller, comes.
};

/// Reads rows of several shards that belong together, images and labels, in one order: a window is
/// in memory, and the next one is being read meanwhile.
class ShardRows {
 public:
  /// Throws as Minibatches does; the shards are not copied but for what they share.
  ShardRows(const std::string& what, std::span<const Shards* const> sources);
  /// Of the same sources the rows [begin, begin + count), a window of them `share` times smaller.
  ShardRows(const ShardRows& all, std::int64_t begin, std::int64_t count, std::int64_t share);
  ~ShardRows();

  std::int64_t rows() const { return rows_; }
  RowOrder& order() { return order_; }
  const RowOrder& order() const { return order_; }
  /// Forgets what was read in another order.
  void restart();
  std::span<const Shards> sources() const { return sources_; }

  /// Rows at places [first, first + count) of the order, into tensors, one for each source, from
  /// their row `at` on. Throws what Shards::read() throws.
  void read(std::int64_t first, std::int64_t count, std::span<Tensor> into, std::int64_t at = 0);
  /// Of rows as they stand: no others are read, no window of them, and none ahead.
  void read_alone(std::int64_t first, std::int64_t count, std::span<Tensor> into);

 private:
  struct Window {
    std::int64_t number = -1;
    std::vector<std::vector<std::byte>> bytes;  ///< Of each source.
    std::vector<std::uint32_t> within;
  };
  Window load(std::int64_t w, Window reused) const;
  void require(std::int64_t w);
  void read_ahead(std::int64_t w);

  void convert(std::size_t source, const std::byte* from, std::int64_t count, Tensor& into,
               std::int64_t at) const;

  std::vector<Shards> sources_;
  std::int64_t begin_ = 0, rows_ = 0;
  RowOrder order_;
  Window now_, spare_;
  std::optional<std::future<Window>> next_;
  std::int64_t next_number_ = -1;
};

}  // namespace cinch::training
