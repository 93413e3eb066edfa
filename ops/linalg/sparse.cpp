#include "cinch/ops/linalg/sparse.hpp"

#include <cblas.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

#include "cinch/core/run/cost.hpp"
#include "cinch/core/run/team.hpp"

namespace cinch::blas {

namespace {

void axpy(std::int64_t n, float alpha, const float* x, float* y) {
  cblas_saxpy(static_cast<blasint>(n), alpha, x, 1, y, 1);
}
void axpy(std::int64_t n, double alpha, const double* x, double* y) {
  cblas_daxpy(static_cast<blasint>(n), alpha, x, 1, y, 1);
}
float inner(std::int64_t n, const float* x, std::int64_t step_x, const float* y,
            std::int64_t step_y) {
  return cblas_sdot(static_cast<blasint>(n), x, static_cast<blasint>(step_x), y,
                    static_cast<blasint>(step_y));
}
double inner(std::int64_t n, const double* x, std::int64_t step_x, const double* y,
             std::int64_t step_y) {
  return cblas_ddot(static_cast<blasint>(n), x, static_cast<blasint>(step_x), y,
                    static_cast<blasint>(step_y));
}

/// Nanoseconds on one thread for each product of elements: in rows that lie in one piece, in
/// elements that are fetched one by one, and that are added one by one where they belong.
namespace cost {
constexpr double added = 0.06, fetched = 1.0, scattered = 1.2;
}  // namespace cost

/// What is less is not worth looking at; what gains less, not worth doing otherwise.
constexpr double least_nanoseconds = 50'000, gain_wanted = 0.5;
constexpr std::int64_t least_other_side = 32;

template <class T>
using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
template <class T>
constexpr Bits<T> magnitude = Bits<T>(-1) >> 1;
template <class T>
constexpr Bits<T> exponent = sizeof(T) == 4 ? Bits<T>(0x7f800000)
                                            : static_cast<Bits<T>>(0x7ff0000000000000);

/// A matrix as lines that lie in one piece each.
template <class T>
struct Lines {
  const T* data;
  std::int64_t count, length, distance;
  bool are_rows;

  explicit Lines(const Matrix<const T>& m)
      : data(m.data),
        count(m.column == 1 ? m.rows : m.columns),
        length(m.column == 1 ? m.columns : m.rows),
        distance(m.column == 1 ? m.row : m.column),
        are_rows(m.column == 1) {}
  const T* line(std::int64_t k) const { return data + k * distance; }
  std::int64_t size() const { return count * length; }
};

/// An element that is not 0: of which line, where in it.
template <class T>
struct Entry {
  std::int32_t line, place;
  T value;
};

/// Whether a few elements, here and there, are mostly zeros.
template <class T>
bool may_be_sparse(const Lines<T>& m) {
  constexpr std::int64_t places = 16, most_at_each = 32;
  const std::int64_t n = std::min(m.length, most_at_each);
  std::int64_t looked_at = 0, not_zero = 0;
  for (std::int64_t k = 0; k < places; ++k) {
    const T* from = m.line(k * m.count / places) + (m.length - n) * (k % 4) / 4;
    for (std::int64_t i = 0; i < n; ++i) not_zero += from[i] != T(0);
    looked_at += n;
  }
  return not_zero * 8 <= looked_at;
}

/// The elements that are not 0, in the order in which they lie; none where there are more than
/// `most`.
template <class T>
std::vector<Entry<T>> entries(const Lines<T>& m, double most) {
  std::vector<Entry<T>> result;
  constexpr std::int64_t block = 32;
  for (std::int64_t k = 0; k < m.count; ++k) {
    const T* line = m.line(k);
    for (std::int64_t i = 0; i < m.length; i += block) {
      const std::int64_t end = std::min(i + block, m.length);
      Bits<T> any = 0;
      for (std::int64_t j = i; j < end; ++j) any |= std::bit_cast<Bits<T>>(line[j]) & magnitude<T>;
      if (any == 0) continue;
      for (std::int64_t j = i; j < end; ++j) {
        if (line[j] != T(0))
          result.push_back({static_cast<std::int32_t>(k), static_cast<std::int32_t>(j), line[j]});
      }
    }
    if (static_cast<double>(result.size()) > most) return {};
  }
  return result;
}

template <class T>
bool is_finite(const Lines<T>& m) {
  std::atomic<bool> finite = true;
  const std::int64_t parts = running::parts_for(
      static_cast<double>(m.size()) * static_cast<double>(sizeof(T)) * running::cost::far_byte,
      m.count);
  running::share_work(parts, [&](std::int64_t part) {
    const running::Span own = running::part_of(m.count, 1, parts, part);
    for (std::int64_t k = own.begin; k < own.end && finite; ++k) {
      const T* line = m.line(k);
      Bits<T> any = 0;
      for (std::int64_t i = 0; i < m.length; ++i) {
        const Bits<T> e = std::bit_cast<Bits<T>>(line[i]) & exponent<T>;
        any |= Bits<T>(e == exponent<T>);
      }
      if (any != 0) finite = false;
    }
  });
  return finite;
}

/// Entries line by line: those of line i are [start[i], start[i + 1]), in order.
template <class T>
struct Sorted {
  std::vector<Entry<T>> all;
  std::vector<std::int64_t> start;

  /// By the lines that they were found in, or, of a matrix of `count` lines across these, by those.
  Sorted(std::vector<Entry<T>> found, bool across, std::int64_t count)
      : start(static_cast<std::size_t>(count) + 1, 0) {
    for (Entry<T>& e : found) {
      if (across) std::swap(e.line, e.place);
      ++start[static_cast<std::size_t>(e.line) + 1];
    }
    for (std::size_t k = 1; k < start.size(); ++k) start[k] += start[k - 1];
    if (!across) {
      all = std::move(found);
      return;
    }
    all.resize(found.size());
    std::vector<std::int64_t> next(start.begin(), start.end() - 1);
    for (const Entry<T>& e : found)
      all[static_cast<std::size_t>(next[static_cast<std::size_t>(e.line)]++)] = e;
  }
  std::span<const Entry<T>> line(std::int64_t i) const {
    const auto k = static_cast<std::size_t>(i);
    return std::span(all).subspan(static_cast<std::size_t>(start[k]),
                                  static_cast<std::size_t>(start[k + 1] - start[k]));
  }
};

template <class T>
void clear(const Matrix<T>& c, std::int64_t row, bool accumulate) {
  if (!accumulate) std::fill_n(c.data + row * c.row, c.columns, T(0));
}

/// Rows of b, added to the rows of c that have an entry for them.
template <class T>
void add_rows(const Sorted<T>& a, const Matrix<const T>& b, const Matrix<T>& c, bool accumulate,
              double nanoseconds) {
  const std::int64_t parts = running::parts_for(nanoseconds, c.rows);
  running::share_work(parts, [&](std::int64_t part) {
    const running::Span own = running::part_of(c.rows, 1, parts, part);
    const Use use;
    for (std::int64_t i = own.begin; i < own.end; ++i) {
      clear(c, i, accumulate);
      for (const Entry<T>& e : a.line(i))
        axpy(c.columns, e.value, b.data + e.place * b.row, c.data + i * c.row);
    }
  });
}

/// Elements of b's columns, which lie in one piece each, fetched for each row of c.
template <class T>
void fetch_elements(const Sorted<T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                    bool accumulate, double nanoseconds) {
  const std::int64_t parts = running::parts_for(nanoseconds, c.columns / 8);
  running::share_work(parts, [&](std::int64_t part) {
    const running::Span own = running::part_of(c.columns, 8, parts, part);
    for (std::int64_t j = own.begin; j < own.end; ++j) {
      const T* column = b.data + j * b.column;
      for (std::int64_t i = 0; i < c.rows; ++i) {
        T sum = 0;
        for (const Entry<T>& e : a.line(i)) sum += e.value * column[e.place];
        T& to = c.data[i * c.row + j];
        to = accumulate ? to + sum : sum;
      }
    }
  });
}

/// Each row of c from a's, by the entries of b's columns.
template <class T>
void scatter_elements(const Matrix<const T>& a, const Sorted<T>& b, const Matrix<T>& c,
                      bool accumulate, double nanoseconds) {
  const std::int64_t parts = running::parts_for(nanoseconds, c.rows);
  running::share_work(parts, [&](std::int64_t part) {
    const running::Span own = running::part_of(c.rows, 1, parts, part);
    T* const row = reinterpret_cast<T*>(
        running::thread_scratch(static_cast<std::size_t>(a.columns) * sizeof(T)));
    for (std::int64_t i = own.begin; i < own.end; ++i) {
      clear(c, i, accumulate);
      for (std::int64_t k = 0; k < a.columns; ++k) row[k] = a.data[i * a.row + k * a.column];
      T* const to = c.data + i * c.row;
      for (const Entry<T>& e : b.all) to[e.line] += row[e.place] * e.value;
    }
  });
}

}  // namespace

template <class T>
bool may_be_sparse(const Matrix<const T>& a, const Matrix<const T>& b) {
  return may_be_sparse(Lines<T>(a)) || may_be_sparse(Lines<T>(b));
}

template <class T>
bool sparse_product(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                    bool accumulate) {
  const double rows = static_cast<double>(c.rows), columns = static_cast<double>(c.columns),
               depth = static_cast<double>(a.columns);
  const double dense = product_nanoseconds(a, c);
  constexpr std::int64_t longest = std::numeric_limits<std::int32_t>::max();
  if (dense < least_nanoseconds || std::max({a.rows, a.columns, b.columns}) > longest) return false;
  // What is looked at, written and looked through besides.
  const double passes =
      (rows * depth + (accumulate ? 0 : rows * columns)) * sizeof(T) * running::cost::byte;
  if (c.columns >= least_other_side) {
    const Lines<T> lines(a), other(b);
    const bool plain = b.column == 1;
    const double each = columns * (plain ? cost::added * sizeof(T) / 4 : cost::fetched),
                 fixed = passes + depth * columns * sizeof(T) * running::cost::far_byte / 2,
                 most = (gain_wanted * dense - fixed) / each;
    if (most > 0 && may_be_sparse(lines)) {
      std::vector<Entry<T>> found = entries(lines, most);
      if (!found.empty() && is_finite(other)) {
        const double nanoseconds = each * static_cast<double>(found.size());
        const Sorted<T> by_row(std::move(found), /*across=*/!lines.are_rows, a.rows);
        plain ? add_rows(by_row, b, c, accumulate, nanoseconds)
              : fetch_elements(by_row, b, c, accumulate, nanoseconds);
        return true;
      }
    }
  }
  if (c.rows >= least_other_side) {
    const Lines<T> lines(b);
    const double each = rows * cost::scattered, most = (gain_wanted * dense - passes) / each;
    if (most > 0 && may_be_sparse(lines)) {
      std::vector<Entry<T>> found = entries(lines, most);
      if (!found.empty() && is_finite(Lines<T>(a))) {
        const double nanoseconds = each * static_cast<double>(found.size());
        scatter_elements(a, Sorted<T>(std::move(found), /*across=*/lines.are_rows, b.columns), c,
                         accumulate, nanoseconds);
        return true;
      }
    }
  }
  return false;
}

template <class T>
bool chosen_product(const bool* chosen, const Matrix<const T>& a, const Matrix<const T>& b,
                    const Matrix<T>& c) {
  const double depth = static_cast<double>(a.columns);
  const double dense = product_nanoseconds(a, c);
  if (dense < least_nanoseconds) return false;
  const bool in_pieces = a.column == 1 && b.row == 1;
  const double each = depth * (in_pieces ? cost::added * sizeof(T) / 4 : cost::fetched);
  std::atomic<std::int64_t> count = 0;
  const std::int64_t parts =
      running::parts_for(static_cast<double>(c.rows * c.columns) * running::cost::element, c.rows);
  running::share_work(parts, [&](std::int64_t part) {
    const running::Span own = running::part_of(c.rows, 1, parts, part);
    std::int64_t mine = 0;
    for (std::int64_t k = own.begin * c.columns; k < own.end * c.columns; ++k) mine += chosen[k];
    count += mine;
  });
  const double nanoseconds = each * static_cast<double>(count.load());
  if (nanoseconds > gain_wanted * dense) return false;
  const std::int64_t shares = running::parts_for(nanoseconds, c.rows);
  running::share_work(shares, [&](std::int64_t part) {
    const running::Span own = running::part_of(c.rows, 1, shares, part);
    const Use use;
    for (std::int64_t i = own.begin; i < own.end; ++i) {
      clear(c, i, /*accumulate=*/false);
      const bool* here = chosen + i * c.columns;
      for (std::int64_t j = 0; j < c.columns; ++j) {
        if (here[j])
          c.data[i * c.row + j] =
              inner(a.columns, a.data + i * a.row, a.column, b.data + j * b.column, b.row);
      }
    }
  });
  return true;
}

template bool may_be_sparse(const Matrix<const float>&, const Matrix<const float>&);
template bool may_be_sparse(const Matrix<const double>&, const Matrix<const double>&);
template bool sparse_product(const Matrix<const float>&, const Matrix<const float>&,
                             const Matrix<float>&, bool);
template bool sparse_product(const Matrix<const double>&, const Matrix<const double>&,
                             const Matrix<double>&, bool);
template bool chosen_product(const bool*, const Matrix<const float>&, const Matrix<const float>&,
                             const Matrix<float>&);
template bool chosen_product(const bool*, const Matrix<const double>&, const Matrix<const double>&,
                             const Matrix<double>&);

}  // namespace cinch::blas
