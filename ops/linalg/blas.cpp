#include "cinch/ops/linalg/blas.hpp"

#include <cblas.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <limits>

#include "cinch/core/error.hpp"
#include "cinch/core/run/cost.hpp"
#include "cinch/core/run/row_parts.hpp"
#include "cinch/core/run/team.hpp"
#include "cinch/ops/kernels/kernels.hpp"
#include "cinch/ops/linalg/sparse.hpp"

namespace cinch::blas {

namespace {

/// What OpenBLAS maps for each thread that is inside it at once (BUFFER_SIZE of its
/// common_x86_64.h), and keeps. Where the system refuses, it asks again for ever.
constexpr std::size_t buffer_bytes = std::size_t{32} << 22;

/// Whether this thread has been inside OpenBLAS, and how many are there for the first time.
thread_local bool has_been_inside = false;
std::atomic<int> newcomers = 0;

bool can_map(std::size_t bytes) {
  void* const memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory != MAP_FAILED && munmap(memory, bytes) == 0;
}

/// OpenBLAS's own threads ask for theirs while the program is loaded, and are waited for when it
/// ends: where they may never get them, it ends without.
[[maybe_unused]] const bool ends_without_waiting = [] {
  const int own_threads = openblas_get_num_threads() - 1;
  if (own_threads < 1 || can_map(buffer_bytes * own_threads)) return false;
  return on_exit(
             [](int code, void*) {
               std::cout.flush();
               std::fflush(nullptr);
               _exit(code);
             },
             nullptr) == 0;
}();

}  // namespace

Use::Use() : first_(!has_been_inside) {
  static const bool once = [] {
    openblas_set_num_threads(1);
    return true;
  }();
  (void)once;
  if (!first_) return;
  if (const int others = newcomers++; !can_map(buffer_bytes * (others + 1))) {
    --newcomers;
    throw Error(text("OpenBLAS takes ", buffer_bytes >> 20,
                     " MB of address space for each thread that calls it, and the system does not "
                     "give as much: raise the limit (ulimit -v), or set OPENBLAS_NUM_THREADS=1",
                     " and CINCH_THREADS=1, which take the least"));
  }
}

Use::~Use() {
  if (!first_) return;
  has_been_inside = true;
  --newcomers;
}

int blas_int(std::int64_t size) {
  if (size > std::numeric_limits<int>::max() || size < 0)
    throw Error(text("a matrix with an axis of ", size, " elements is too large for OpenBLAS"));
  return static_cast<int>(size);
}

namespace {

template <class T>
CBLAS_TRANSPOSE order(const Matrix<T>& m) {
  return m.column == 1 || m.columns == 1 ? CblasNoTrans : CblasTrans;
}

template <class T>
blasint leading(const Matrix<T>& m) {
  const bool plain = order(m) == CblasNoTrans;
  const std::int64_t stride = plain ? m.row : m.column;
  return blas_int(std::max<std::int64_t>({stride, plain ? m.columns : m.rows, 1}));
}

void gemm(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, blasint m, blasint n, blasint k, const float* a,
          blasint lda, const float* b, blasint ldb, float beta, float* c, blasint ldc) {
  cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
}
void gemm(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, blasint m, blasint n, blasint k, const double* a,
          blasint lda, const double* b, blasint ldb, double beta, double* c, blasint ldc) {
  cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
}

template <class T>
Matrix<T> columns_of(Matrix<T> m, running::Span part) {
  m.data += part.begin * m.column;
  m.columns = part.end - part.begin;
  return m;
}

template <class T>
Matrix<T> rows_of(Matrix<T> m, running::Span part) {
  m.data += part.begin * m.row;
  m.rows = part.end - part.begin;
  return m;
}

/// Whether skinny() computes it. `deciding`: how many rows are few.
template <class T>
bool takes_few_rows(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                    std::int64_t deciding) {
  // Where they cross with OpenBLAS's AVX-512 kernels.
  const bool plain = b.column == 1;
  const std::int64_t most_rows = plain ? 128 : 40, least_elements = 1 << 15;
  if (deciding > most_rows || b.rows * b.columns < least_elements || a.column != 1) return false;
  const simd::SkinnyProducts& kernels = simd::kernels().skinny;
  constexpr auto width = static_cast<std::int64_t>(sizeof(T));
  return (plain ? kernels.plain : kernels.transposed)[width == 8] &&
         (plain ? c.columns : a.columns) * width >= kernels.least_bytes;
}

/// Few rows against a large matrix: by our own kernels, which do not copy it first. True if done.
template <class T>
bool skinny(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
            std::int64_t deciding, T* squares = nullptr) {
  if (!takes_few_rows(a, b, c, deciding)) return false;
  const bool plain = b.column == 1;
  const simd::SkinnyProducts& kernels = simd::kernels().skinny;
  const std::size_t dtype = sizeof(T) == 8;
  const auto product = (plain ? kernels.plain : kernels.transposed)[dtype];
  constexpr auto width = static_cast<std::int64_t>(sizeof(T));
  const T* left = a.data;
  std::int64_t left_row = a.row;
  if (!plain) {
    std::byte* packed =
        running::thread_scratch(static_cast<std::size_t>(c.rows * (a.columns * width + 192)));
    left_row = kernels.pack[dtype](c.rows, a.columns, a.data, a.row, packed);
    left = reinterpret_cast<const T*>(packed);
  }
  const std::int64_t unit = 128 / width;  // No part is narrower than a tile of the plain kernel.
  const std::int64_t parts = running::parts_for(product_nanoseconds(a, c), c.columns / unit / 2);
  running::share_work(parts, [&](std::int64_t part) {
    const running::Span own = running::part_of(c.columns, unit, parts, part);
    const Matrix<const T> right = columns_of(b, own);
    product(c.rows, right.columns, a.columns, left, left_row, right.data, plain ? b.row : b.column,
            c.data + own.begin, c.row, squares ? squares + own.begin : nullptr);
  });
  return true;
}

/// One pass over c by our own kernel, for a product of little depth. True if done.
template <class T>
bool shallow_update(simd::UpdateStart start, const Matrix<const T>& a, const Matrix<const T>& b,
                    const T* scale, const Matrix<T>& c) {
  // b's rows stay in the second-level cache.
  constexpr std::int64_t most_depth = 256, most_bytes = 1 << 19;
  constexpr auto width = static_cast<std::int64_t>(sizeof(T));
  const std::int64_t depth = a.columns;
  const simd::SkinnyProducts& kernels = simd::kernels().skinny;
  const auto update = kernels.update[sizeof(T) == 8];
  const bool fits = a.row == 1 && b.column == 1 && c.column == 1 && depth <= most_depth &&
                    depth * c.columns * width <= most_bytes;
  if (!update || !fits || c.columns * width < kernels.least_bytes) return false;
  constexpr std::int64_t unit = 40;  // A multiple of all tiles' rows.
  const std::int64_t parts = running::parts_for(product_nanoseconds(a, c), c.rows / unit);
  running::share_work(parts, [&](std::int64_t part) {
    const running::Span own = running::part_of(c.rows, unit, parts, part);
    const Matrix<T> rows = rows_of(c, own);
    update(start, rows.rows, c.columns, depth, a.data + own.begin, a.column, b.data, b.row, scale,
           rows.data, c.row);
  });
  return true;
}

/// OpenBLAS copies its operands into blocks, those of the undivided side once for each part.
constexpr double most_divided = 5;

template <class T>
void by_openblas(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                 bool accumulate) {
  const Use use;
  gemm(order(a), order(b), blas_int(c.rows), blas_int(c.columns), blas_int(a.columns), a.data,
       leading(a), b.data, leading(b), T(accumulate ? 1 : 0), c.data,
       blas_int(std::max<std::int64_t>(c.row, 1)));
}

/// Parts of a product: so many of its rows times so many of its columns.
struct Grid {
  std::int64_t rows, columns;
};

/// Of as many parts as the work is worth, those that copy least: each copies its rows of a and its
/// columns of b.
template <class T>
Grid grid_of(const Matrix<const T>& a, const Matrix<T>& c) {
  constexpr std::int64_t least_length = 128;
  const std::int64_t most_rows = std::max<std::int64_t>(c.rows / least_length, 1),
                     most_columns = std::max<std::int64_t>(c.columns / least_length, 1);
  const std::int64_t parts = running::parts_for(product_nanoseconds(a, c) / most_divided,
                                                std::max(most_rows, most_columns));
  Grid best{1, 1};
  double least = std::numeric_limits<double>::infinity();
  for (std::int64_t rows = 1; rows <= parts; rows *= 2) {
    const Grid grid{rows, parts / rows};
    if (grid.rows > most_rows || grid.columns > most_columns) continue;
    const double copied = static_cast<double>(c.rows) / static_cast<double>(grid.rows) +
                          static_cast<double>(c.columns) / static_cast<double>(grid.columns);
    if (copied < least) least = copied, best = grid;
  }
  return best;
}

/// A small sum of many outer products, as a gradient by weights over all steps of a loop is: in
/// parts of the depth, which are added up. `deciding`: by how many elements of c it is chosen. True
/// if done.
template <class T>
bool deep(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c, bool accumulate,
          std::int64_t deciding) {
  constexpr std::int64_t least_depth = 512, most_parts = 8, most_bytes = 1 << 18;
  const std::int64_t elements = c.rows * c.columns, units = a.columns / least_depth;
  if (units < 2 || deciding * static_cast<std::int64_t>(sizeof(T)) > most_bytes) return false;
  const double nanoseconds = 2.0 * static_cast<double>(deciding) * static_cast<double>(a.columns) *
                             running::cost::flop(sizeof(T));
  const std::int64_t parts =
      running::parts_for(nanoseconds / most_divided, std::min(units, most_parts));
  if (parts < 2) return false;
  thread_local constinit running::ThreadMemory memory;
  T* const sums = reinterpret_cast<T*>(
      memory.get(static_cast<std::size_t>((parts - 1) * elements) * sizeof(T)));
  const auto sum_of = [&](std::int64_t part) {
    return Matrix<T>{sums + (part - 1) * elements, c.rows, c.columns, c.columns, 1};
  };
  running::share_work(parts, [&](std::int64_t part) {
    const running::Span own = running::part_of(a.columns, 16, parts, part);
    by_openblas(columns_of(a, own), rows_of(b, own), part == 0 ? c : sum_of(part),
                part == 0 && accumulate);
  });
  for (std::int64_t part = 1; part < parts; ++part) {
    const Matrix<T> sum = sum_of(part);
    for (std::int64_t i = 0; i < c.rows; ++i) {
      for (std::int64_t j = 0; j < c.columns; ++j)
        c.data[i * c.row + j] += sum.data[i * sum.row + j];
    }
  }
  return true;
}

/// The size of c by which it is chosen how a product is computed.
struct Deciding {
  std::int64_t rows, columns;
};
template <class T>
void multiply_dense(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                    bool accumulate, Deciding deciding);

/// Where rows or columns of c are those of parts: whether one of these is sparse each decides, and
/// the others are computed together.
template <class T>
void multiply_parts(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                    bool accumulate, const running::RowParts& parts) {
  const bool by_rows = c.rows == parts.rows();
  const auto left = [&](running::Span s) { return by_rows ? rows_of(a, s) : a; };
  const auto right = [&](running::Span s) { return by_rows ? b : columns_of(b, s); };
  const auto result = [&](running::Span s) { return by_rows ? rows_of(c, s) : columns_of(c, s); };
  const Deciding deciding{by_rows ? parts.batch() : c.rows, by_rows ? c.columns : parts.batch()};
  const auto compute = [&](running::Span s) {
    if (s.end > s.begin) multiply_dense(left(s), right(s), result(s), accumulate, deciding);
  };
  // OpenBLAS computes small products otherwise, and a part's may be small where that of all is not.
  const double small = b.column == 1 ? 1 << 23 : 1 << 21;
  const double work = static_cast<double>(a.columns) *
                      static_cast<double>(by_rows ? c.columns : c.rows) *
                      static_cast<double>(parts.rows() / std::ssize(parts.ends()));
  const bool has_own_kernel = by_rows && !accumulate && takes_few_rows(a, b, c, deciding.rows);
  const bool one_by_one = work < small && !has_own_kernel;
  running::Span dense{0, 0};
  const auto flush = [&](std::int64_t end) {
    dense.end = end;
    compute(dense);
  };
  std::int64_t begin = 0;
  for (const std::int64_t end : parts.ends()) {
    const running::Span part{begin, end};
    if (sparse_product(left(part), right(part), result(part), accumulate)) {
      flush(begin);
      dense.begin = end;
    } else if (one_by_one) {
      compute(part);
      dense.begin = end;
    }
    begin = end;
  }
  flush(begin);
}

template <class T>
void multiply(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
              bool accumulate) {
  if (c.rows == 0 || c.columns == 0) return;
  if (a.columns == 0) {
    if (!accumulate) {
      for (std::int64_t i = 0; i < c.rows; ++i) std::fill_n(c.data + i * c.row, c.columns, T(0));
    }
    return;
  }
  const running::RowParts* parts = running::RowParts::current();
  if (parts && (c.rows == parts->rows() || c.columns == parts->rows()))
    return multiply_parts(a, b, c, accumulate, *parts);
  if (sparse_product(a, b, c, accumulate)) return;
  multiply_dense(a, b, c, accumulate, {c.rows, c.columns});
}

template <class T>
void multiply_dense(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                    bool accumulate, Deciding deciding) {
  const simd::UpdateStart start = accumulate ? simd::UpdateStart::old : simd::UpdateStart::zero;
  if (!accumulate && skinny(a, b, c, deciding.rows)) return;
  if (shallow_update<T>(start, a, b, nullptr, c)) return;
  if (deep(a, b, c, accumulate, deciding.rows * deciding.columns)) return;
  const Grid grid = grid_of(a, c);
  running::share_work(grid.rows * grid.columns, [&](std::int64_t part) {
    constexpr std::int64_t unit = 16;
    const running::Span rows = running::part_of(c.rows, unit, grid.rows, part / grid.columns),
                        columns =
                            running::part_of(c.columns, unit, grid.columns, part % grid.columns);
    by_openblas(rows_of(a, rows), columns_of(b, columns), columns_of(rows_of(c, rows), columns),
                accumulate);
  });
}

template <class T>
void scale_and_add(const Matrix<const T>& a, const Matrix<const T>& b, const T* scale,
                   const Matrix<T>& c) {
  if (c.rows == 0 || c.columns == 0) return;
  if (a.columns > 0 && shallow_update(simd::UpdateStart::scaled, a, b, scale, c)) return;
  const auto& multiplied = simd::kernels().elementwise[formula::formula_index<formula::Mul>()];
  const BlockFn mul = multiplied[static_cast<std::size_t>(dtype_of<T>())];
  const std::int64_t parts =
      running::parts_for(static_cast<double>(c.rows * c.columns) * running::cost::element, c.rows);
  running::share_work(parts, [&](std::int64_t part) {
    const running::Span own = running::part_of(c.rows, 1, parts, part);
    for (std::int64_t i = own.begin; i < own.end; ++i) {
      T* row = c.data + i * c.row;
      const void* in[] = {row, scale};
      mul(row, in, 0, static_cast<std::size_t>(c.columns));
    }
  });
  multiply(a, b, c, true);
}

template <class T>
void multiply_and_square(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c,
                         T* squares) {
  if (c.rows > 0 && c.columns > 0 && a.columns > 0 && b.column == 1 &&
      skinny(a, b, c, running::deciding_rows(c.rows), squares))
    return;
  multiply(a, b, c, false);
  std::fill_n(squares, c.columns, T(0));
  for (std::int64_t k = 0; k < b.rows; ++k) {
    for (std::int64_t j = 0; j < b.columns; ++j) {
      const T x = b.data[k * b.row + j * b.column];
      squares[j] += x * x;
    }
  }
}

}  // namespace

void product(const Matrix<const float>& a, const Matrix<const float>& b, const Matrix<float>& c,
             bool accumulate) {
  multiply(a, b, c, accumulate);
}
void product(const Matrix<const double>& a, const Matrix<const double>& b, const Matrix<double>& c,
             bool accumulate) {
  multiply(a, b, c, accumulate);
}

void update(const Matrix<const float>& a, const Matrix<const float>& b, const float* scale,
            const Matrix<float>& c) {
  scale_and_add(a, b, scale, c);
}
void update(const Matrix<const double>& a, const Matrix<const double>& b, const double* scale,
            const Matrix<double>& c) {
  scale_and_add(a, b, scale, c);
}
void product_and_squares(const Matrix<const float>& a, const Matrix<const float>& b,
                         const Matrix<float>& c, float* squares) {
  multiply_and_square(a, b, c, squares);
}
void product_and_squares(const Matrix<const double>& a, const Matrix<const double>& b,
                         const Matrix<double>& c, double* squares) {
  multiply_and_square(a, b, c, squares);
}

std::string core_name() { return openblas_get_corename(); }

}  // namespace cinch::blas
