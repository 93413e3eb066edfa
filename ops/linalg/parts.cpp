#include "cinch/ops/linalg/parts.hpp"

#include <algorithm>
#include <bit>
#include <vector>

#include "cinch/core/run/team.hpp"
#include "cinch/ops/kernels/kernels.hpp"
#include "cinch/ops/linalg/blas.hpp"
#include "cinch/ops/linalg/sparse.hpp"

namespace cinch::blas {

namespace {

using Term = simd::SkinnyProducts::Term;

/// The second-level cache holds b's columns that all rows of c pass over.
constexpr std::int64_t near_bytes = std::int64_t{1} << 19;

/// Rows [row, row + count) of c that tile t of so many has.
struct Tile {
  std::int64_t row, count;
};
Tile tile_of(std::int64_t rows, std::int64_t tiles, std::int64_t t) {
  const std::int64_t each = rows / tiles, more = rows % tiles;
  return {t * each + std::min(t, more), each + (t < more)};
}

template <class T>
void pack(const T* a, std::int64_t stride, std::int64_t depth, Tile tile, bool negative, T* to) {
  for (std::int64_t k = 0; k < depth; ++k) {
    const T* from = a + k * stride + tile.row;
    for (std::int64_t i = 0; i < tile.count; ++i) *to++ = negative ? -from[i] : from[i];
  }
}

/// Depth of all terms together that is computed in one pass over c: what each row of c passes over
/// stays near.
constexpr std::int64_t most_depth = 1024;

template <class T>
struct Product {
  std::int64_t rows, columns;              // Of c.
  std::span<const PartsTerm> terms;        // All of it, from the first row on.
  std::int64_t first = 0, of_rows = rows;  // The first of these rows, of so many that a has.

  /// c = the products of rows [from, ends.back()), of which `ends` says the parts.
  void compute(std::span<const PartsTerm> of, std::int64_t from, std::span<const std::int64_t> ends,
               T* c, bool accumulate) const;
  /// The same of any depth.
  void add_up(std::int64_t from, std::span<const std::int64_t> ends, T* c) const;
  void add_up_part(std::int64_t from, std::int64_t end, T* c) const;
  /// Of a part of which a factor may be sparse, which products of two matrices find out.
  bool may_be_sparse(std::int64_t from, std::int64_t end) const;
  void add_up_sparse(std::int64_t from, std::int64_t end, T* c) const;
  bool is_dense(std::span<const std::int64_t> ends) const;

  Matrix<const T> left(const PartsTerm& t, std::int64_t from, std::int64_t end) const {
    return {reinterpret_cast<const T*>(t.a) + from * of_rows + first, rows, end - from, 1, of_rows};
  }
  Matrix<const T> right(const PartsTerm& t, std::int64_t from, std::int64_t end) const {
    return {reinterpret_cast<const T*>(t.b) + from * columns, end - from, columns, columns, 1};
  }
};

template <class T>
void Product<T>::compute(std::span<const PartsTerm> of, std::int64_t from,
                         std::span<const std::int64_t> ends, T* c, bool accumulate) const {
  thread_local constinit running::ThreadMemory memory;
  const simd::SkinnyProducts& kernels = simd::kernels().skinny;
  const auto kernel = kernels.parts[sizeof(T) == 8];
  constexpr auto width = static_cast<std::int64_t>(sizeof(T));
  const std::int64_t depth = ends.back() - from, count = std::ssize(of),
                     tiles = (rows + kernels.most_rows - 1) / kernels.most_rows;
  T* const packed =
      reinterpret_cast<T*>(memory.get(static_cast<std::size_t>(count * rows * depth * width)));
  const auto panel = [&](std::int64_t k, Tile tile) {
    return packed + k * rows * depth + tile.row * depth;
  };
  std::vector<std::int64_t> own_ends;
  for (const std::int64_t end : ends) own_ends.push_back(end - from);
  const double nanoseconds =
      static_cast<double>(count) *
      product_nanoseconds(left(of[0], from, ends.back()), Matrix<T>{c, rows, columns, columns, 1});
  const std::int64_t bands = running::parts_for(nanoseconds, tiles);
  const std::int64_t unit = kernels.least_bytes / width,
                     most = std::max<std::int64_t>(near_bytes / (depth * count * width), 1),
                     blocks =
                         std::clamp<std::int64_t>((columns + most - 1) / most, 1,
                                                  std::max<std::int64_t>(columns / unit / 2, 1));
  running::share_work(bands, [&](std::int64_t band) {
    const running::Span own = running::part_of(tiles, 1, bands, band);
    for (std::int64_t t = own.begin; t < own.end; ++t) {
      const Tile tile = tile_of(rows, tiles, t);
      for (std::int64_t k = 0; k < count; ++k) {
        const PartsTerm& term = of[static_cast<std::size_t>(k)];
        pack(reinterpret_cast<const T*>(term.a) + from * of_rows + first, of_rows, depth, tile,
             term.negative, panel(k, tile));
      }
    }
    std::vector<Term> now(of.size());
    for (std::int64_t block = 0; block < blocks; ++block) {
      const running::Span across = running::part_of(columns, unit, blocks, block);
      for (std::int64_t t = own.begin; t < own.end; ++t) {
        const Tile tile = tile_of(rows, tiles, t);
        for (std::int64_t k = 0; k < count; ++k) {
          const auto* b = reinterpret_cast<const T*>(of[static_cast<std::size_t>(k)].b);
          now[static_cast<std::size_t>(k)] = {panel(k, tile), b + from * columns + across.begin,
                                              columns};
        }
        kernel(tile.count, across.end - across.begin, now.data(), count, own_ends.data(),
               std::ssize(own_ends), c + tile.row * columns + across.begin, columns, accumulate);
      }
    }
  });
}

template <class T>
void Product<T>::add_up(std::int64_t from, std::span<const std::int64_t> ends, T* c) const {
  bool any_sparse = false;
  for (std::size_t k = 0; k < ends.size() && !any_sparse; ++k)
    any_sparse = may_be_sparse(k == 0 ? from : ends[k - 1], ends[k]);
  if (!any_sparse && (ends.back() - from) * std::ssize(terms) <= most_depth)
    return compute(terms, from, ends, c, false);
  if (ends.size() == 1)
    return any_sparse ? add_up_sparse(from, ends[0], c) : add_up_part(from, ends[0], c);
  const std::size_t middle = std::bit_ceil(ends.size()) / 2;
  add_up(from, ends.first(middle), c);
  std::vector<T> right(static_cast<std::size_t>(rows * columns));
  add_up(ends[middle - 1], ends.subspan(middle), right.data());
  constexpr std::int64_t block = std::int64_t{1} << 15;
  const std::int64_t n = rows * columns;
  running::share_work((n + block - 1) / block, [&](std::int64_t part) {
    const std::int64_t end = std::min(n, (part + 1) * block);
    for (std::int64_t k = part * block; k < end; ++k) c[k] += right[static_cast<std::size_t>(k)];
  });
}

template <class T>
bool Product<T>::may_be_sparse(std::int64_t from, std::int64_t end) const {
  return end > from && std::ranges::any_of(terms, [&](const PartsTerm& t) {
           // Of all rows, whichever are computed.
           const Product whole{of_rows, columns, terms};
           return blas::may_be_sparse(whole.left(t, from, end), right(t, from, end));
         });
}

template <class T>
bool Product<T>::is_dense(std::span<const std::int64_t> ends) const {
  for (std::size_t k = 0; k < ends.size(); ++k) {
    if (may_be_sparse(k == 0 ? 0 : ends[k - 1], ends[k])) return false;
  }
  return true;
}

template <class T>
void Product<T>::add_up_sparse(std::int64_t from, std::int64_t end, T* c) const {
  std::vector<T> negative;
  for (std::size_t k = 0; k < terms.size(); ++k) {
    const PartsTerm& t = terms[k];
    if (t.negative) negative.resize(static_cast<std::size_t>(rows * columns));
    product(left(t, from, end), right(t, from, end),
            Matrix<T>{t.negative ? negative.data() : c, rows, columns, columns, 1},
            /*accumulate=*/!t.negative && k > 0);
    if (!t.negative) continue;
    for (std::int64_t i = 0; i < rows * columns; ++i)
      c[i] = (k > 0 ? c[i] : T(0)) - negative[static_cast<std::size_t>(i)];
  }
}

/// One term after the other: sums go on where they were.
template <class T>
void Product<T>::add_up_part(std::int64_t from, std::int64_t end, T* c) const {
  bool begun = false;
  for (std::size_t k = 0; k < terms.size(); ++k) {
    for (std::int64_t at = from; at < end; at += most_depth) {
      const std::int64_t to = std::min(end, at + most_depth);
      compute(terms.subspan(k, 1), at, std::span(&to, 1), c, begun);
      begun = true;
    }
  }
}

}  // namespace

bool has_parts_product(DType dtype, std::int64_t columns) {
  if (dtype != DType::float32 && dtype != DType::float64) return false;
  const simd::SkinnyProducts& kernels = simd::kernels().skinny;
  const bool wide = dtype == DType::float64;
  return kernels.parts[wide] && columns * (wide ? 8 : 4) >= kernels.least_bytes;
}

void parts_product(DType dtype, std::int64_t rows, std::int64_t columns,
                   std::span<const PartsTerm> terms, std::span<const std::int64_t> part_ends,
                   std::byte* c) {
  parts_product_rows(dtype, rows, columns, terms, part_ends, 0, rows, c);
}

void parts_product_rows(DType dtype, std::int64_t rows, std::int64_t columns,
                        std::span<const PartsTerm> terms, std::span<const std::int64_t> part_ends,
                        std::int64_t first, std::int64_t count, std::byte* c) {
  if (count == 0) return;
  const auto add_up = [&]<class T>(T* to) {
    Product<T>{count, columns, terms, first, rows}.add_up(0, part_ends, to + first * columns);
  };
  dtype == DType::float32 ? add_up(reinterpret_cast<float*>(c))
                          : add_up(reinterpret_cast<double*>(c));
}

bool is_dense(DType dtype, std::int64_t rows, std::int64_t columns,
              std::span<const PartsTerm> terms, std::span<const std::int64_t> part_ends) {
  return dtype == DType::float32 ? Product<float>{rows, columns, terms}.is_dense(part_ends)
                                 : Product<double>{rows, columns, terms}.is_dense(part_ends);
}

}  // namespace cinch::blas
