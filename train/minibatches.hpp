// A data set, so many rows at a time.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cinch/core/function.hpp"
#include "cinch/core/visibility.hpp"
#include "cinch/io/shards.hpp"

namespace cinch::training {
class ShardRows;
}

namespace CINCH_PUBLIC cinch {

/// Rows (along the first axis) of tensors that belong together: images and their labels. The
/// tensors are not copied and must outlive it.
class Minibatches {
 public:
  /// The last minibatch is smaller where `size` does not divide the number of rows, or, with
  /// `drop_last`, left out. Throws TypeError for tensors without rows or with different numbers of
  /// them, ValueError where `size` is not positive or there is no minibatch. `what` begins the
  /// message.
  Minibatches(std::string what, std::vector<const Tensor*> data, std::int64_t size,
              bool drop_last = false);
  /// Of data that a function holds itself, as a shared variable: minibatch k is the number k, an
  /// int64 scalar, for the function to slice by.
  Minibatches(std::string what, std::int64_t rows, std::int64_t size, bool drop_last = false);

  /// Of data in files, so many of them that belong together: images and their labels. A window of
  /// them is in memory, some 16 MB, and the next one. Throws as above, and get() as Shards::read().
  template <std::same_as<Shards> S>
  Minibatches(std::string what, std::initializer_list<const S*> data, std::int64_t size,
              bool drop_last = false)
      : Minibatches(std::vector<const Shards*>(data), std::move(what), size, drop_last) {}
  template <std::same_as<Shards> S>
  Minibatches(std::string what, const std::vector<const S*>& data, std::int64_t size,
              bool drop_last = false)
      : Minibatches(data, std::move(what), size, drop_last) {}
  ~Minibatches();
  Minibatches(Minibatches&&) noexcept;
  Minibatches& operator=(Minibatches&&) noexcept;

  /// Of data in files: from now on in an order that these two numbers decide, each row once. get()
  /// needs no order then.
  void shuffle(std::int64_t seed, std::int64_t epoch);
  /// Of data in files: from now on whoever asks for some parts of each minibatch, as train() cuts
  /// it with .distribute, reads no others. Shuffled, a part's rows come from a share of the data
  /// that lies together, shuffled by itself; in an order that these numbers and `parts` decide,
  /// whoever reads. `parts` as TrainOptions has it.
  void keep_parts_apart(std::int64_t parts = 0);
  /// Rows that data in files keep together when they are shuffled, and how many of such blocks are
  /// shuffled among each other; 0, 0 for other data.
  std::pair<std::int64_t, std::int64_t> blocks() const;

  std::int64_t rows() const { return rows_; }    ///< Of the data.
  std::int64_t count() const { return count_; }  ///< Of minibatches.
  /// Of minibatch k.
  std::int64_t rows_of(std::int64_t k) const { return std::min(size_, rows_ - k * size_); }

  /// Minibatch k: rows k size, ... of the data; with an `order`, a permutation of all rows, the
  /// rows that it names there. Valid until the next call; what has been called for before is not
  /// allocated again.
  std::span<const Tensor* const> get(std::int64_t k, std::span<const std::int64_t> order = {});
  /// `count` rows of minibatch k from its row `first` on; no other rows are read. Without data the
  /// number k. Valid until the next call with this count.
  std::span<const Tensor* const> part(std::int64_t k, std::int64_t first, std::int64_t count,
                                      std::span<const std::int64_t> order = {});

 private:
  struct Buffer {
    std::vector<Tensor> tensors;
    std::vector<const Tensor*> pointers;
  };

  // Two pointers to tensors in braces would be a vector of any type, a range: so those that users
  // call are templates, of shards alone.
  Minibatches(const std::vector<const Shards*>& data, std::string what, std::int64_t size,
              bool drop_last);

  void read_parts(std::int64_t k, std::int64_t first, std::int64_t count, std::span<Tensor> into);
  training::ShardRows& lane(std::size_t part);
  void count_minibatches(const std::string& what, bool drop_last);
  Buffer& buffer_for(std::int64_t rows);
  /// Rows at places [first, first + count) of the order.
  void fill(Buffer& buffer, std::int64_t first, std::int64_t count,
            std::span<const std::int64_t> order) const;

  std::vector<const Tensor*> data_;  ///< Empty: minibatches are numbers, or rows of shards.
  std::unique_ptr<training::ShardRows> shards_;
  std::vector<std::unique_ptr<training::ShardRows>>
      lanes_;  ///< Shuffled, by part, where kept apart.
  bool apart_ = false;
  std::int64_t asked_parts_ = 0, seed_ = 0, epoch_ = 0;
  std::int64_t rows_ = 0, size_, count_ = 0;
  Buffer number_;                           ///< Without data.
  std::map<std::int64_t, Buffer> buffers_;  ///< By their numbers of rows.
};

/// The means over the rows of `data` of f's outputs: scalars that are means over the rows f is
/// called with, `batch` of them at a time. For data sets whose intermediate results are too large
/// for one call: {error} = mean_over(f, {&images, &labels}). Throws as Minibatches and f.call() do,
/// TypeError where an output is not a scalar.
std::vector<double> mean_over(const Function& f, const std::vector<const Tensor*>& data,
                              std::int64_t batch = 1000);
/// The same over all of these minibatches.
std::vector<double> mean_over(const Function& f, Minibatches batches);
/// The same over data in files: {error} = mean_over(f, {&images, &labels}).
template <std::same_as<Shards> S>
std::vector<double> mean_over(const Function& f, std::initializer_list<const S*> data,
                              std::int64_t batch = 1000) {
  return mean_over(f, Minibatches("mean_over", data, batch));
}

}  // namespace cinch
