#include "cinch/train/minibatches.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

#include "cinch/core/compile/inspect.hpp"
#include "cinch/train/parallel/parts.hpp"
#include "cinch/train/reading/shard_rows.hpp"

namespace cinch {

namespace {

/// Each share in an order of its own.
void shuffle_lane(training::ShardRows& lane, std::size_t part, std::int64_t seed,
                  std::int64_t epoch) {
  constexpr std::uint64_t odd = 0x9E3779B97F4A7C15u;
  lane.order().shuffle(static_cast<std::uint64_t>(seed) + odd * (part + 1),
                       static_cast<std::uint64_t>(epoch));
}

}  // namespace

Minibatches::Minibatches(std::string what, std::vector<const Tensor*> data, std::int64_t size,
                         bool drop_last)
    : data_(std::move(data)), size_(size) {
  if (data_.empty()) throw TypeError(what + ": there are no data");
  for (const Tensor* tensor : data_) {
    if (!tensor) throw TypeError(what + ": a tensor of the data is a null pointer");
    if (tensor->rank() == 0) throw TypeError(what + ": the data must have rows, got a scalar");
    if (tensor->shape()[0] != data_[0]->shape()[0])
      throw TypeError(text(what, ": the data must have the same number of rows, got ",
                           text(data_[0]->shape()), " and ", text(tensor->shape())));
  }
  rows_ = data_[0]->shape()[0];
  count_minibatches(what, drop_last);
}

Minibatches::Minibatches(std::string what, std::int64_t rows, std::int64_t size, bool drop_last)
    : rows_(rows), size_(size) {
  count_minibatches(what, drop_last);
  number_.tensors.emplace_back(DType::int64, Shape{});
  number_.pointers.push_back(&number_.tensors[0]);
}

Minibatches::Minibatches(const std::vector<const Shards*>& data, std::string what,
                         std::int64_t size, bool drop_last)
    : shards_(std::make_unique<training::ShardRows>(what, data)),
      rows_(shards_->rows()),
      size_(size) {
  count_minibatches(what, drop_last);
}

Minibatches::~Minibatches() = default;
Minibatches::Minibatches(Minibatches&&) noexcept = default;
Minibatches& Minibatches::operator=(Minibatches&&) noexcept = default;

void Minibatches::shuffle(std::int64_t seed, std::int64_t epoch) {
  if (!shards_)
    throw ValueError("Minibatches: only data in files are shuffled so: get() takes an order");
  if (apart_) {
    seed_ = seed, epoch_ = epoch;
    lanes_.resize(static_cast<std::size_t>(parallel::part_count(size_, asked_parts_)));
    for (std::size_t p = 0; p < lanes_.size(); ++p) {
      if (!lanes_[p]) continue;  // Nobody has asked for it yet.
      lanes_[p]->restart();
      shuffle_lane(*lanes_[p], p, seed, epoch);
    }
    return;
  }
  shards_->restart();
  shards_->order().shuffle(static_cast<std::uint64_t>(seed), static_cast<std::uint64_t>(epoch));
}

void Minibatches::keep_parts_apart(std::int64_t parts) {
  apart_ = shards_ != nullptr;
  asked_parts_ = parts;
  lanes_.clear();
}

/// The share of the data whose rows become those of one part.
training::ShardRows& Minibatches::lane(std::size_t part) {
  if (lanes_[part]) return *lanes_[part];
  const std::int64_t whole = rows_ / size_, rest = rows_ % size_,
                     parts = static_cast<std::int64_t>(lanes_.size()),
                     last = rest > 0 ? parallel::part_count(rest, asked_parts_) : 0;
  const auto rows_of_part = [&](std::int64_t p) {
    return whole * parallel::part_rows(size_, parts, p).count +
           (p < last ? parallel::part_rows(rest, last, p).count : 0);
  };
  std::int64_t begin = 0;
  for (std::int64_t p = 0; p < static_cast<std::int64_t>(part); ++p) begin += rows_of_part(p);
  lanes_[part] = std::make_unique<training::ShardRows>(
      *shards_, begin, rows_of_part(static_cast<std::int64_t>(part)), parts);
  shuffle_lane(*lanes_[part], part, seed_, epoch_);
  return *lanes_[part];
}

/// Each part's rows, of those that are asked for, are the next of its share.
void Minibatches::read_parts(std::int64_t k, std::int64_t first, std::int64_t count,
                             std::span<Tensor> into) {
  const std::int64_t parts = parallel::part_count(rows_of(k), asked_parts_);
  for (std::int64_t p = 0; p < parts; ++p) {
    const parallel::PartRows own = parallel::part_rows(rows_of(k), parts, p);
    const std::int64_t begin = std::max(own.first, first),
                       end = std::min(own.first + own.count, first + count);
    if (begin >= end) continue;
    const std::int64_t before =
        k == 0 ? 0 : k * parallel::part_rows(size_, std::ssize(lanes_), p).count;
    lane(static_cast<std::size_t>(p))
        .read(before + begin - own.first, end - begin, into, begin - first);
  }
}

std::pair<std::int64_t, std::int64_t> Minibatches::blocks() const {
  if (!shards_) return {0, 0};
  return {shards_->order().block(), shards_->order().window()};
}

Minibatches::Buffer& Minibatches::buffer_for(std::int64_t rows) {
  Buffer& buffer = buffers_[rows];
  if (!buffer.tensors.empty()) return buffer;
  const auto add = [&](DType dtype, Shape shape) {
    buffer.tensors.emplace_back(dtype, std::move(shape));
  };
  for (const Tensor* source : data_) {
    Shape shape = source->shape();
    shape[0] = rows;
    add(source->dtype(), std::move(shape));
  }
  for (const Shards& source : shards_ ? shards_->sources() : std::span<const Shards>()) {
    Shape shape = source.row_shape();
    shape.insert(shape.begin(), rows);
    add(source.dtype(), std::move(shape));
  }
  for (const Tensor& tensor : buffer.tensors) buffer.pointers.push_back(&tensor);
  return buffer;
}

void Minibatches::count_minibatches(const std::string& what, bool drop_last) {
  if (size_ <= 0) throw ValueError(text(what, ": a minibatch must have rows, got size ", size_));
  count_ = drop_last ? rows_ / size_ : (rows_ + size_ - 1) / size_;
  if (count_ == 0)
    throw ValueError(
        text(what, ": there are ", rows_, " rows, too few for a minibatch of ", size_));
}

std::span<const Tensor* const> Minibatches::get(std::int64_t k,
                                                std::span<const std::int64_t> order) {
  return part(k, 0, rows_of(k), order);
}

std::span<const Tensor* const> Minibatches::part(std::int64_t k, std::int64_t first,
                                                 std::int64_t count,
                                                 std::span<const std::int64_t> order) {
  if (data_.empty() && !shards_) {
    number_.tensors[0].data<std::int64_t>()[0] = k;
    return number_.pointers;
  }
  Buffer& buffer = buffer_for(count);
  if (!lanes_.empty()) {
    read_parts(k, first, count, buffer.tensors);
    return buffer.pointers;
  }
  fill(buffer, k * size_ + first, count, order);
  return buffer.pointers;
}

void Minibatches::fill(Buffer& buffer, std::int64_t first_row, std::int64_t rows,
                       std::span<const std::int64_t> order) const {
  if (shards_) {
    apart_ ? shards_->read_alone(first_row, rows, buffer.tensors)
           : shards_->read(first_row, rows, buffer.tensors);
    return;
  }
  const auto first = static_cast<std::size_t>(first_row), count = static_cast<std::size_t>(rows);
  for (std::size_t t = 0; t < data_.size(); ++t) {
    const std::size_t row = data_[t]->bytes() / static_cast<std::size_t>(rows_);
    const auto* from = static_cast<const std::byte*>(data_[t]->raw());
    auto* to = static_cast<std::byte*>(buffer.tensors[t].raw());
    if (order.empty()) {
      std::memcpy(to, from + first * row, count * row);
      continue;
    }
    for (std::size_t i = 0; i < count; ++i)
      std::memcpy(to + i * row, from + static_cast<std::size_t>(order[first + i]) * row, row);
  }
}

std::vector<double> mean_over(const Function& f, Minibatches batches) {
  std::vector<double> result;
  std::vector<Tensor> outputs;
  for (std::int64_t k = 0; k < batches.count(); ++k) {
    f.call(batches.get(k), outputs);
    result.resize(outputs.size());
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i].rank() != 0)
        throw TypeError(text("mean_over: output ", i, " of ", Inspect::program(f).name,
                             " must be a scalar, got shape ", text(outputs[i].shape())));
      result[i] += outputs[i].item() * static_cast<double>(batches.rows_of(k));
    }
  }
  for (double& sum : result) sum /= static_cast<double>(batches.rows());
  return result;
}

std::vector<double> mean_over(const Function& f, const std::vector<const Tensor*>& data,
                              std::int64_t batch) {
  return mean_over(f, Minibatches("mean_over", data, batch));
}

}  // namespace cinch
