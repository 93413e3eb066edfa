#include "cinch/train/parallel/sums.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <utility>

#include "cinch/core/run/team.hpp"
#include "cinch/train/parallel/slices.hpp"

namespace cinch::parallel {

namespace {

/// Elements that one thread adds at a time: few enough to share, many enough to be worth it.
constexpr std::size_t block = std::size_t{1} << 15;
/// Parts whose sums are kept to be added in one pass, and the memory that they may take.
constexpr std::int64_t most_together = 8;
constexpr std::size_t most_bytes = std::size_t{1} << 30;
/// In how many blocks of rows a product is computed at most, each of which is sent before the next.
constexpr int most_blocks = 8;

std::size_t at(int rank) { return static_cast<std::size_t>(rank); }

}  // namespace

namespace {

/// f(combine of two elements), by what is combined how.
template <class T, class F>
void with_combine(Combine how, F f) {
  switch (how) {
    case Combine::add:
      return f([](T x, T y) { return static_cast<T>(x + y); });
    case Combine::max:
      return f([](T x, T y) { return x > y || x != x ? x : y; });
    case Combine::min:
      return f([](T x, T y) { return x < y || x != x ? x : y; });
  }
}

/// f(begin, end) for all of n elements, a block at a time, on several threads.
template <class F>
void for_blocks(std::size_t n, std::size_t size, F f) {
  const std::size_t parts = (n + size - 1) / size;
  const auto one = [&](std::int64_t part) {
    const std::size_t begin = static_cast<std::size_t>(part) * size;
    f(begin, std::min(n, begin + size));
  };
  if (parts == 1) return one(0);
  running::share_work(static_cast<std::int64_t>(parts), one);
}

/// out = the parts [begin, end) along their tree, n elements from `from` on; `more` is memory for
/// the right halves.
template <class T, class Two>
void tree(std::span<const std::byte* const> leaves, std::int64_t begin, std::int64_t end,
          std::size_t from, std::size_t n, T* out, T* more, Two two) {
  const std::int64_t middle = middle_of(begin, end);
  const auto half = [&](std::int64_t b, std::int64_t e, T* place, T* rest) -> const T* {
    if (e - b == 1) return reinterpret_cast<const T*>(leaves[static_cast<std::size_t>(b)]) + from;
    tree(leaves, b, e, from, n, place, rest, two);
    return place;
  };
  const T *left = half(begin, middle, out, more), *right = half(middle, end, more, more + n);
  for (std::size_t i = 0; i < n; ++i) out[i] = two(left[i], right[i]);
}

}  // namespace

void combine_elements(Combine how, DType dtype, std::byte* a, const std::byte* b, std::size_t n) {
  dispatch(dtype, [&]<class T> {
    T* to = reinterpret_cast<T*>(a);
    const T* from = reinterpret_cast<const T*>(b);
    with_combine<T>(how, [&](auto two) {
      for_blocks(n, block, [&](std::size_t begin, std::size_t end) {
        for (std::size_t i = begin; i < end; ++i) to[i] = two(to[i], from[i]);
      });
    });
  });
}

void combine_leaves(Combine how, DType dtype, std::span<const std::byte* const> leaves,
                    std::byte* result, std::size_t n) {
  // Right halves of right halves: as many as the tree is deep.
  constexpr std::size_t depth = 8, cached = 2048;
  dispatch(dtype, [&]<class T> {
    with_combine<T>(how, [&](auto two) {
      for_blocks(n, cached, [&](std::size_t begin, std::size_t end) {
        T* more = reinterpret_cast<T*>(running::thread_scratch(depth * cached * sizeof(T)));
        tree(leaves, 0, std::ssize(leaves), begin, end - begin,
             reinterpret_cast<T*>(result) + begin, more, two);
      });
    });
  });
}

void gather_values(Distribution& ranks, std::vector<double>& values, std::size_t width) {
  const auto count = static_cast<std::size_t>(ranks.ranks());
  std::string mine;
  for (std::size_t k = at(ranks.rank()); k * width < values.size(); k += count)
    mine.append(reinterpret_cast<const char*>(&values[k * width]), width * sizeof(double));
  const std::vector<std::string> all = all_gathered(ranks, mine);
  for (std::size_t r = 0; r < count; ++r) {
    const char* from = all[r].data();
    for (std::size_t k = r; k * width < values.size(); k += count, from += width * sizeof(double))
      std::memcpy(&values[k * width], from, width * sizeof(double));
  }
}

void gather_rows(Distribution& ranks, std::span<const RowsOfRank> tensors) {
  const auto of_rank = [&](const Tensor& t, int r) { return slice_of(t, {r, ranks.ranks()}); };
  std::vector<Distribution::Outgoing> out;
  std::vector<Distribution::Incoming> in;
  for (int k = 1; k < ranks.ranks(); ++k) {
    const int r = (ranks.rank() + k) % ranks.ranks();
    for (const RowsOfRank& one : tensors) {
      const ByteRange mine = of_rank(*one.whole, ranks.rank()), theirs = of_rank(*one.whole, r);
      if (mine.count > 0) out.push_back({r, {one.own, mine.count}});
      if (theirs.count > 0)
        in.push_back({r, {static_cast<std::byte*>(one.whole->raw()) + theirs.begin, theirs.count}});
    }
  }
  ranks.exchange(out, in);
  for (const RowsOfRank& one : tensors) {
    const ByteRange mine = of_rank(*one.whole, ranks.rank());
    if (mine.count > 0)
      std::memcpy(static_cast<std::byte*>(one.whole->raw()) + mine.begin, one.own, mine.count);
  }
}

void Sums::add(std::int64_t parts, const Work& work, std::vector<Tensor>& result, int& flag) {
  const int ranks = ranks_->ranks(), own = ranks_->rank();
  if (ranks == 1) {
    sum_own(work, {0, parts}, 0, result);
    return multiply_all(work, {0, parts}, result);
  }
  parts_ = parts;
  pieces_.clear();
  for (int r = 0; r < ranks; ++r) pieces_.push_back(pieces_of(parts, r));
  const std::vector<Piece>& pieces = pieces_[at(own)];
  own_.resize(std::max(own_.size(), pieces.size()));
  for (std::size_t k = 0; k < pieces.size(); ++k) sum_own(work, pieces[k], 0, own_[k]);
  if (like_.empty()) learn_sizes(work);
  for (std::vector<Tensor>& sums : own_) sums.resize(like_.size());
  if (result.empty()) result = like_;
  try {
    begin_receiving();
    for (std::size_t t = 0; t < like_.size() - work.products; ++t) {
      for (int k = 1; k < ranks; ++k) begin_sending(t, (own + k) % ranks);
    }
    for (std::size_t k = 0; k < work.products; ++k) multiply_and_send(work, k);
    ranks_->finish();
  } catch (const std::exception& error) {
    // Nothing may arrive in this memory once it is gone.
    ranks_->fail(error.what());
    throw;
  }
  gather(sum_slices(0, parts), result, flag);
}

/// Also where this rank has no part of a minibatch.
void Sums::learn_sizes(const Work& work) {
  const std::vector<Piece>& pieces = pieces_[at(ranks_->rank())];
  if (pieces.empty()) {
    work.part(0, like_);
  } else {
    like_ = own_[0];
  }
  const std::int64_t part = pieces.empty() ? 0 : pieces[0].begin;
  const std::size_t others = work.products > 0 ? work.others : like_.size();
  like_.resize(others + work.products);
  for (std::size_t k = 0; k < work.products; ++k)
    work.product(k, {part, part + 1}, {0, 0}, like_[others + k]);
}

/// Whole pieces are kept and added in one pass where memory allows it: half of what adding two at
/// a time moves. The order of additions is the same.
void Sums::sum_together(const Work& work, Piece piece, std::vector<Tensor>& result) {
  const auto count = static_cast<std::size_t>(piece.end - piece.begin);
  leaves_.resize(std::max(leaves_.size(), count));
  for (std::size_t k = 0; k < count; ++k)
    work.part(piece.begin + static_cast<std::int64_t>(k), leaves_[k]);
  if (result.empty()) result = leaves_[0];
  std::vector<const std::byte*> all(count);
  for (std::size_t t = 0; t < leaves_[0].size(); ++t) {
    for (std::size_t k = 0; k < count; ++k)
      all[k] = static_cast<const std::byte*>(leaves_[k][t].raw());
    combine_leaves(how(t), result[t].dtype(), all, static_cast<std::byte*>(result[t].raw()),
                   static_cast<std::size_t>(result[t].size()));
  }
}

/// All but the products.
void Sums::sum_own(const Work& work, Piece piece, std::size_t depth, std::vector<Tensor>& result) {
  const std::int64_t count = piece.end - piece.begin;
  if (count == 1) return work.part(piece.begin, result);
  const std::size_t others =
      work.products > 0 ? std::min(work.others, result.size()) : result.size();
  if (count <= most_together) {
    std::size_t bytes = 0;
    for (std::size_t t = 0; t < others; ++t) bytes += result[t].bytes();
    if (bytes * static_cast<std::size_t>(count) <= most_bytes)
      return sum_together(work, piece, result);
  }
  const std::int64_t middle = middle_of(piece.begin, piece.end);
  sum_own(work, {piece.begin, middle}, depth + 1, result);
  if (scratch_.size() <= depth) scratch_.resize(depth + 1);
  std::vector<Tensor> other = std::move(scratch_[depth]);
  sum_own(work, {middle, piece.end}, depth + 1, other);
  for (std::size_t t = 0; t < other.size(); ++t) {
    combine_elements(how(t), result[t].dtype(), static_cast<std::byte*>(result[t].raw()),
                     static_cast<const std::byte*>(other[t].raw()),
                     static_cast<std::size_t>(result[t].size()));
  }
  scratch_[depth] = std::move(other);
}

/// These rows of product k.
void Sums::multiply(const Work& work, std::size_t k, Piece piece, PartRange rows, std::size_t depth,
                    Tensor& result) {
  if (piece.end - piece.begin <= most_together) return work.product(k, piece, rows, result);
  const std::int64_t middle = middle_of(piece.begin, piece.end);
  multiply(work, k, {piece.begin, middle}, rows, depth + 1, result);
  if (product_scratch_.size() <= depth) product_scratch_.resize(depth + 1);
  if (product_scratch_[depth].size() <= k) product_scratch_[depth].resize(k + 1);
  Tensor other = std::move(product_scratch_[depth][k]);
  multiply(work, k, {middle, piece.end}, rows, depth + 1, other);
  const auto each = static_cast<std::size_t>(result.size() / result.shape()[0]);
  const std::size_t from = static_cast<std::size_t>(rows.begin) * each * size_of(result.dtype());
  combine_elements(Combine::add, result.dtype(), static_cast<std::byte*>(result.raw()) + from,
                   static_cast<const std::byte*>(other.raw()) + from,
                   static_cast<std::size_t>(rows.end - rows.begin) * each);
  product_scratch_[depth][k] = std::move(other);
}

void Sums::multiply_all(const Work& work, Piece piece, std::vector<Tensor>& result) {
  if (work.products == 0) return;
  result.resize(work.others + work.products);
  for (std::size_t k = 0; k < work.products; ++k) {
    Tensor& sum = result[work.others + k];
    work.product(k, {piece.begin, piece.begin + 1}, {0, 0}, sum);  // Its size.
    multiply(work, k, piece, {0, sum.shape()[0]}, 0, sum);
  }
}

/// The rows that another rank adds up are on their way to it while the next ones are computed.
void Sums::multiply_and_send(const Work& work, std::size_t k) {
  const int ranks = ranks_->ranks(), own = ranks_->rank();
  const std::vector<Piece>& pieces = pieces_[at(own)];
  const std::size_t t = like_.size() - work.products + k;
  const std::int64_t all = like_[t].shape()[0];
  const auto compute = [&](PartRange rows) {
    for (std::size_t p = 0; p < pieces.size(); ++p)
      multiply(work, k, pieces[p], rows, 0, own_[p][t]);
  };
  const bool apart = has_slices(like_[t].shape()) && std::ranges::all_of(pieces, [&](Piece piece) {
                       return work.has_rows_apart(k, piece);
                     });
  if (!apart) compute({0, all});
  // The next rank's first, so that not all begin with the same; its own last.
  const int each = (ranks + most_blocks - 1) / most_blocks;
  for (int begin = own + 1, end = 0; begin <= own + ranks; begin = end) {
    end = std::min(begin + each, own + ranks + 1);
    if (begin < ranks) end = std::min(end, ranks);
    if (apart)
      compute({slice_of(all, {begin % ranks, ranks}).begin,
               slice_of(all, {(end - 1) % ranks, ranks}).end});
    for (int r = begin; r < end; ++r) {
      if (r % ranks != own) begin_sending(t, r % ranks);
    }
    ranks_->advance();
  }
}

/// The largest subtrees of which a rank computes all parts, from left to right.
std::vector<Sums::Piece> Sums::pieces_of(std::int64_t parts, int rank) const {
  const PartRange own = parts_of_rank(parts, rank, ranks_->ranks());
  std::vector<Piece> result, pending{{0, parts}};
  while (!pending.empty()) {
    const Piece piece = pending.back();
    pending.pop_back();
    if (piece.end <= own.begin || piece.begin >= own.end) continue;
    if (piece.begin >= own.begin && piece.end <= own.end) {
      result.push_back(piece);
      continue;
    }
    const std::int64_t middle = middle_of(piece.begin, piece.end);
    pending.push_back({middle, piece.end});
    pending.push_back({piece.begin, middle});
  }
  return result;
}

/// In bytes.
std::size_t Sums::slice_begin(const Tensor& t, int rank) const {
  const auto n = static_cast<std::size_t>(t.size()), ranks = at(ranks_->ranks());
  if (has_slices(t.shape())) return slice_of(t, {rank, ranks_->ranks()}).begin;
  return n * at(rank) / ranks * size_of(t.dtype());
}

std::size_t Sums::slice_bytes(int rank) const {
  std::size_t result = 0;
  for (const Tensor& t : like_) result += slice_begin(t, rank + 1) - slice_begin(t, rank);
  return result;
}

/// Where the slices of a rank lie in memory that has one after the other.
Sums::Slices Sums::slices(std::byte* packed, int rank) const {
  Slices result;
  for (const Tensor& t : like_) {
    result.push_back(packed);
    packed += slice_begin(t, rank + 1) - slice_begin(t, rank);
  }
  return result;
}

/// Of each piece of each other rank, the slices that this one adds up.
void Sums::begin_receiving() {
  const int ranks = ranks_->ranks(), own = ranks_->rank();
  in_.resize(at(ranks));
  std::vector<Distribution::Incoming> in;
  for (int k = 1; k < ranks; ++k) {
    const int r = (own + k) % ranks;
    const std::size_t count = pieces_[at(r)].size(), bytes = slice_bytes(own);
    in_[at(r)].resize(count * bytes);
    for (std::size_t t = 0; t < like_.size(); ++t) {
      const std::size_t size = slice_begin(like_[t], own + 1) - slice_begin(like_[t], own);
      for (std::size_t p = 0; p < count && size > 0; ++p)
        in.push_back({r, {slices(in_[at(r)].data() + p * bytes, own)[t], size}});
    }
  }
  ranks_->begin({}, in);
}

/// Sends a rank its slice of a tensor, of each piece of this one, from where it is.
void Sums::begin_sending(std::size_t t, int rank) {
  std::vector<Distribution::Outgoing> out;
  const std::size_t begin = slice_begin(like_[t], rank), end = slice_begin(like_[t], rank + 1);
  for (std::size_t p = 0; p < pieces_[at(ranks_->rank())].size() && end > begin; ++p)
    out.push_back({rank, {static_cast<const std::byte*>(own_[p][t].raw()) + begin, end - begin}});
  ranks_->begin(out, {});
}

/// This rank's slices of the sums of parts [begin, end), where they may be written over.
Sums::Slices Sums::sum_slices(std::int64_t begin, std::int64_t end) {
  const int own = ranks_->rank();
  for (int r = 0; r < ranks_->ranks(); ++r) {
    const PartRange range = parts_of_rank(parts_, r, ranks_->ranks());
    if (begin < range.begin || end > range.end) continue;
    std::size_t p = 0;
    while (pieces_[at(r)][p].begin != begin) ++p;
    if (r != own) return slices(in_[at(r)].data() + p * slice_bytes(own), own);
    Slices result;
    for (Tensor& t : own_[p])
      result.push_back(static_cast<std::byte*>(t.raw()) + slice_begin(t, own));
    return result;
  }
  const std::int64_t middle = middle_of(begin, end);
  const Slices left = sum_slices(begin, middle), right = sum_slices(middle, end);
  for (std::size_t t = 0; t < like_.size(); ++t) {
    const std::size_t bytes = slice_begin(like_[t], own + 1) - slice_begin(like_[t], own);
    if (bytes > 0)
      combine_elements(how(t), like_[t].dtype(), left[t], right[t],
                       bytes / size_of(like_[t].dtype()));
  }
  return left;
}

/// All slices of the sums, and a byte for the flag, from each rank to all.
void Sums::gather(const Slices& sums, std::vector<Tensor>& result, int& flag) {
  const int ranks = ranks_->ranks(), own = ranks_->rank();
  const auto bytes_of = [&](const Tensor& t, int r) {
    return slice_begin(t, r + 1) - slice_begin(t, r);
  };
  const auto place = [&](Tensor& t, int r) {
    return static_cast<std::byte*>(t.raw()) + slice_begin(t, r);
  };
  std::vector<std::byte> flags(at(ranks), static_cast<std::byte>(flag));
  std::vector<Distribution::Outgoing> out;
  std::vector<Distribution::Incoming> in;
  for (int k = 1; k < ranks; ++k) {
    const int r = (own + k) % ranks;
    for (std::size_t t = 0; t < result.size(); ++t) {
      if (!needs_whole(t)) continue;
      if (const std::size_t bytes = bytes_of(result[t], own); bytes > 0)
        out.push_back({r, {sums[t], bytes}});
      if (const std::size_t bytes = bytes_of(result[t], r); bytes > 0)
        in.push_back({r, {place(result[t], r), bytes}});
    }
    out.push_back({r, {&flags[at(own)], 1}});
    in.push_back({r, {&flags[at(r)], 1}});
  }
  ranks_->exchange(out, in);
  for (std::size_t t = 0; t < result.size(); ++t) {
    if (const std::size_t bytes = bytes_of(result[t], own); bytes > 0)
      std::memcpy(place(result[t], own), sums[t], bytes);
  }
  for (const std::byte theirs : flags) flag = std::max(flag, std::to_integer<int>(theirs));
}

}  // namespace cinch::parallel
