#include "cinch/train/reading/shard_rows.hpp"

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <numeric>
#include <system_error>
#include <utility>

#include "cinch/core/error.hpp"

namespace cinch::training {

namespace {

/// Splitmix64's finalizer: every bit of the result depends on every bit.
std::uint64_t mixed(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

/// While one lives, threads that are made take no signals: those are for the threads of the user.
class WithoutSignals {
 public:
  WithoutSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~WithoutSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  WithoutSignals(const WithoutSignals&) = delete;
  WithoutSignals& operator=(const WithoutSignals&) = delete;

 private:
  sigset_t before_{};
};

constexpr int rounds = 6;
constexpr std::int64_t block_bytes = std::int64_t{128} << 10, window_bytes = std::int64_t{16} << 20;

}  // namespace

Permutation::Permutation(std::int64_t n, std::uint64_t key)
    : n_(static_cast<std::uint64_t>(n)), key_(key) {
  while (bits_ < 31 && std::uint64_t{1} << (2 * bits_) < n_) ++bits_;
}

std::uint64_t Permutation::round(int r, std::uint64_t half) const {
  return mixed(key_ ^ mixed(half * rounds + static_cast<std::uint64_t>(r))) &
         ((std::uint64_t{1} << bits_) - 1);
}

std::int64_t Permutation::operator()(std::int64_t i) const {
  const std::uint64_t mask = (std::uint64_t{1} << bits_) - 1;
  auto x = static_cast<std::uint64_t>(i);
  do {
    std::uint64_t left = x >> bits_, right = x & mask;
    for (int r = 0; r < rounds; ++r) left = std::exchange(right, left ^ round(r, right));
    x = left << bits_ | right;
  } while (x >= n_);
  return static_cast<std::int64_t>(x);
}

std::int64_t Permutation::inverse(std::int64_t k) const {
  const std::uint64_t mask = (std::uint64_t{1} << bits_) - 1;
  auto x = static_cast<std::uint64_t>(k);
  do {
    std::uint64_t left = x >> bits_, right = x & mask;
    for (int r = rounds; r-- > 0;) right = std::exchange(left, right ^ round(r, left));
    x = left << bits_ | right;
  } while (x >= n_);
  return static_cast<std::int64_t>(x);
}

RowOrder::RowOrder(std::int64_t rows, std::int64_t block, std::int64_t window)
    : rows_(rows), block_(block), window_(window) {
  keep();
}

std::int64_t RowOrder::windows() const { return (block_count() + window_ - 1) / window_; }

void RowOrder::keep() {
  shuffled_ = false;
  short_block_ = block_count() - 1;
}

void RowOrder::shuffle(std::uint64_t seed, std::uint64_t epoch) {
  shuffled_ = true;
  key_ = mixed(mixed(seed) ^ epoch);
  blocks_ = Permutation(block_count(), key_);
  short_block_ = blocks_.inverse(block_count() - 1);
}

std::int64_t RowOrder::first(std::int64_t w) const {
  const std::int64_t before = std::min(w * window_, block_count());
  const std::int64_t missing = block_count() * block_ - rows_;
  return before * block_ - (short_block_ < before ? missing : 0);
}

std::int64_t RowOrder::window_of(std::int64_t place) const {
  std::int64_t w = place / (window_ * block_);
  return w + 1 < windows() && first(w + 1) <= place ? w + 1 : w;
}

std::vector<RowOrder::Run> RowOrder::blocks(std::int64_t w) const {
  std::vector<Run> result;
  const std::int64_t end = std::min((w + 1) * window_, block_count());
  for (std::int64_t k = w * window_; k < end; ++k) {
    const std::int64_t begin = (shuffled_ ? blocks_(k) : k) * block_;
    const std::int64_t count = std::min(block_, rows_ - begin);
    if (!result.empty() && result.back().begin + result.back().count == begin) {
      result.back().count += count;
    } else {
      result.push_back({begin, count});
    }
  }
  return result;
}

std::vector<std::uint32_t> RowOrder::within(std::int64_t w) const {
  std::vector<std::uint32_t> result(static_cast<std::size_t>(first(w + 1) - first(w)));
  std::iota(result.begin(), result.end(), 0U);
  if (!shuffled_) return result;
  // Fisher and Yates; the numbers are those of a counter.
  const std::uint64_t key = mixed(key_ ^ mixed(static_cast<std::uint64_t>(w) + 1));
  for (std::size_t k = result.size(); k > 1; --k) {
    // The upper half of a product: as likely for each but for one part in 2^32 of k.
    const std::uint64_t draw = mixed(key + k) >> 32;
    std::swap(result[k - 1], result[(draw * k) >> 32]);
  }
  return result;
}

ShardRows::ShardRows(const std::string& what, std::span<const Shards* const> sources) {
  if (sources.empty()) throw TypeError(what + ": there are no data");
  std::int64_t bytes = 0;
  for (const Shards* source : sources) {
    if (!source) throw TypeError(what + ": shards of the data are a null pointer");
    if (source->rows() != sources[0]->rows())
      throw TypeError(text(what, ": the data must have the same number of rows, got ",
                           sources[0]->rows(), " in ", sources[0]->paths().front(), " ... and ",
                           source->rows(), " in ", source->paths().front(), " ..."));
    bytes += source->row_bytes();
    sources_.push_back(*source);
  }
  rows_ = sources[0]->rows();
  const std::int64_t block = std::clamp<std::int64_t>(block_bytes / bytes, 1, rows());
  order_ = RowOrder(rows(), block, std::max<std::int64_t>(window_bytes / (block * bytes), 1));
}

ShardRows::ShardRows(const ShardRows& all, std::int64_t begin, std::int64_t count,
                     std::int64_t share)
    : sources_(all.sources_),
      begin_(all.begin_ + begin),
      rows_(count),
      order_(count, std::min(all.order_.block(), std::max<std::int64_t>(count, 1)),
             std::max<std::int64_t>(all.order_.window() / share, 1)) {}

ShardRows::~ShardRows() = default;

void ShardRows::restart() {
  if (next_) next_->wait();
  next_.reset();
  now_.number = -1;
}

ShardRows::Window ShardRows::load(std::int64_t w, Window reused) const {
  reused.number = w;
  const std::vector<RowOrder::Run> blocks = order_.blocks(w);
  const auto count = static_cast<std::size_t>(order_.first(w + 1) - order_.first(w));
  reused.bytes.resize(sources_.size());
  for (std::size_t s = 0; s < sources_.size(); ++s) {
    const auto row = static_cast<std::size_t>(sources_[s].row_bytes());
    reused.bytes[s].resize(count * row);
    std::byte* to = reused.bytes[s].data();
    for (const RowOrder::Run& run : blocks) {
      sources_[s].read_stored(begin_ + run.begin, run.count, to);
      to += static_cast<std::size_t>(run.count) * row;
    }
  }
  reused.within = order_.within(w);
  return reused;
}

void ShardRows::read_ahead(std::int64_t w) {
  if (w >= order_.windows()) return;
  const WithoutSignals here;
  next_number_ = w;
  try {
    next_ = std::async(std::launch::async, [this, w, reused = std::move(spare_)]() mutable {
      return load(w, std::move(reused));
    });
  } catch (const std::system_error&) {
    // The system gives no thread: it is read when it is needed.
  }
}

void ShardRows::require(std::int64_t w) {
  if (now_.number == w) return;
  std::optional<std::future<Window>> next = std::exchange(next_, {});
  Window old = std::exchange(now_, {});
  if (next && next_number_ == w) {
    now_ = next->get();
  } else {
    if (next) next->wait();
    now_ = load(w, std::move(old));
    old = {};
  }
  spare_ = std::move(old);
  read_ahead(w + 1);
}

void ShardRows::convert(std::size_t source, const std::byte* from, std::int64_t count, Tensor& into,
                        std::int64_t at) const {
  const auto width = into.bytes() / static_cast<std::size_t>(into.shape()[0]),
             row = static_cast<std::size_t>(sources_[source].row_bytes());
  auto* to = static_cast<std::byte*>(into.raw()) + static_cast<std::size_t>(at) * width;
  for (std::int64_t k = 0; k < count; ++k, from += row, to += width)
    sources_[source].convert(from, to);
}

void ShardRows::read(std::int64_t first, std::int64_t count, std::span<Tensor> into,
                     std::int64_t at) {
  for (std::int64_t k = 0; k < count; ++k) {
    const std::int64_t place = first + k;
    if (now_.number < 0 || place < order_.first(now_.number) ||
        place >= order_.first(now_.number + 1))
      require(order_.window_of(place));
    const std::size_t row =
        now_.within[static_cast<std::size_t>(place - order_.first(now_.number))];
    for (std::size_t s = 0; s < sources_.size(); ++s) {
      const auto* from =
          now_.bytes[s].data() + row * static_cast<std::size_t>(sources_[s].row_bytes());
      convert(s, from, 1, into[s], at + k);
    }
  }
}

void ShardRows::read_alone(std::int64_t first, std::int64_t count, std::span<Tensor> into) {
  now_.bytes.resize(sources_.size());
  now_.number = -1;
  for (std::size_t s = 0; s < sources_.size(); ++s) {
    now_.bytes[s].resize(static_cast<std::size_t>(count * sources_[s].row_bytes()));
    sources_[s].read_stored(begin_ + first, count, now_.bytes[s].data());
    convert(s, now_.bytes[s].data(), count, into[s], 0);
  }
}

}  // namespace cinch::training
