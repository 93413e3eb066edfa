// Sums over parts, added along one tree wherever the parts were computed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "cinch/core/tensor.hpp"
#include "cinch/train/distribution.hpp"
#include "cinch/train/parallel/parts.hpp"

namespace cinch::parallel {

/// Adds tensors of all parts of a minibatch. Each rank computes some of the parts; a slice of each
/// sum is added up by one rank, which sends it to all. Memory is kept from one call to the next.
class Sums {
 public:
  explicit Sums(std::shared_ptr<Distribution> ranks) : ranks_(std::move(ranks)) {}

  /// How tensors are computed, of the same dtypes and sizes for all parts.
  struct Work {
    /// Of one part, all but the products.
    std::function<void(std::int64_t part, std::vector<Tensor>& result)> part;
    std::size_t others = 0;  ///< How many these are; of any number where there are no products.
    /// Behind them, so many matrices that are added up over several parts at once, along the same
    /// tree.
    std::size_t products = 0;
    /// These rows of the k-th.
    std::function<void(std::size_t k, PartRange parts, PartRange rows, Tensor& result)> product =
        {};
    /// Whether some of its rows may be computed before others.
    std::function<bool(std::size_t k, PartRange parts)> has_rows_apart = {};
  };
  /// Of each tensor; what `how` says nothing of is added.
  void combine_by(std::vector<Combine> how) { how_ = std::move(how); }
  /// Of each tensor, whether all ranks need all of it: else each gets its rows. By default all do.
  void need_whole(std::vector<bool> needed) { needs_whole_ = std::move(needed); }
  /// The sums over all parts, the same bits on every rank and for any number of them. `flag`, of
  /// this rank and from 0 to 255, becomes the largest of all.
  void add(std::int64_t parts, const Work& work, std::vector<Tensor>& result, int& flag);

 private:
  /// Where one tensor's elements are that a rank adds up, or sends.
  using Slices = std::vector<std::byte*>;
  using Piece = PartRange;

  bool needs_whole(std::size_t t) const { return t >= needs_whole_.size() || needs_whole_[t]; }
  Combine how(std::size_t t) const { return t < how_.size() ? how_[t] : Combine::add; }
  void sum_together(const Work& work, Piece piece, std::vector<Tensor>& result);
  void sum_own(const Work& work, Piece piece, std::size_t depth, std::vector<Tensor>& result);
  void multiply(const Work& work, std::size_t k, Piece piece, PartRange rows, std::size_t depth,
                Tensor& result);
  void multiply_all(const Work& work, Piece piece, std::vector<Tensor>& result);
  void multiply_and_send(const Work& work, std::size_t k);
  std::vector<Piece> pieces_of(std::int64_t parts, int rank) const;
  void learn_sizes(const Work& work);
  void begin_receiving();
  void begin_sending(std::size_t t, int rank);
  Slices sum_slices(std::int64_t begin, std::int64_t end);
  void gather(const Slices& sums, std::vector<Tensor>& result, int& flag);

  std::size_t slice_begin(const Tensor& t, int rank) const;
  std::size_t slice_bytes(int rank) const;
  Slices slices(std::byte* packed, int rank) const;

  std::shared_ptr<Distribution> ranks_;
  std::int64_t parts_ = 0;
  std::vector<std::vector<Piece>> pieces_;            // Of each rank: whole subtrees.
  std::vector<std::vector<Tensor>> own_;              // Of each of this rank's pieces.
  std::vector<std::vector<Tensor>> scratch_;          // By depth.
  std::vector<std::vector<Tensor>> product_scratch_;  // Likewise.
  std::vector<std::vector<Tensor>> leaves_;           // Of parts that are added up together.
  std::vector<Combine> how_;
  std::vector<bool> needs_whole_;
  std::vector<Tensor> like_;                // Dtypes and sizes.
  std::vector<std::vector<std::byte>> in_;  // By rank.
};

/// A tensor of which each rank knows its rows, slice_of() these, and where they lie.
struct RowsOfRank {
  Tensor* whole;
  const std::byte* own;
};
/// Afterwards every rank knows all rows.
void gather_rows(Distribution& ranks, std::span<const RowsOfRank> tensors);

/// `values`, `width` of them for each k, where rank k % ranks knows those of k: afterwards all do.
void gather_values(Distribution& ranks, std::vector<double>& values, std::size_t width);

/// a[i] = a[i] + b[i], or the larger or smaller of both, NaN if either is, for n elements.
void combine_elements(Combine how, DType dtype, std::byte* a, const std::byte* b, std::size_t n);
/// The same of several parts along their tree, in one pass over all of them.
void combine_leaves(Combine how, DType dtype, std::span<const std::byte* const> leaves,
                    std::byte* result, std::size_t n);

}  // namespace cinch::parallel
