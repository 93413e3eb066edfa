// Tables of compiled loops, one for each instruction set, and the choice among them.
#pragma once

#include <string_view>

#include "cinch/core/op.hpp"
#include "cinch/ops/kernels/formulas.hpp"

namespace cinch::simd {

constexpr std::size_t dtype_count = 4;

/// How elements are combined in a reduction. `fold` keeps a fixed number of partial results
/// whatever the machine's vectors hold, so the order of combination depends on n only.
struct FoldKernels {
  void (*fold[dtype_count])(void* out, const void* in, std::size_t n);
  void (*zip[dtype_count])(void* out, const void* in, std::size_t n);
  /// Of a block of rows of n elements each row, or each column.
  using Block = void (*)(void* out, const void* in, std::size_t rows, std::size_t n);
  Block rows[dtype_count], columns[dtype_count];
};

/// Sums of float32 elements into float64 results, folded and zipped.
struct WideSums {
  void (*fold)(void* out, const void* in, std::size_t n);
  void (*zip)(void* out, const void* in, std::size_t n);
  FoldKernels::Block rows, columns;
};

/// What a product is added to: nothing, what is there, or that with its columns scaled.
enum class UpdateStart : std::uint8_t { zero, old, scaled };

/// Products c = a b of few rows with a large matrix: b is (depth, columns), or (columns, depth)
/// when transposed. All row-major with the given distances between rows; a row is at least
/// `least_bytes` long. Each element of c is computed the same way whatever columns are asked for.
/// Null where an instruction set has none.
struct SkinnyProducts {
  /// The plain one can also sum the squares of b along its columns into `squares`, or null. The
  /// transposed one wants `a` as `pack` lays it out.
  using Product = void (*)(std::int64_t rows, std::int64_t columns, std::int64_t depth,
                           const void* a, std::int64_t lda, const void* b, std::int64_t ldb,
                           void* c, std::int64_t ldc, void* squares);
  /// Writes rows of `a`, 64-byte aligned, at the distance that it returns: less than depth elements
  /// and 192 bytes.
  using Pack = std::int64_t (*)(std::int64_t rows, std::int64_t depth, const void* a,
                                std::int64_t lda, void* packed);
  /// c = a' b, c + a' b or c * scale + a' b for a (depth, rows) and b (depth, columns) of little
  /// depth; `scale` has a number for each column.
  using Update = void (*)(UpdateStart start, std::int64_t rows, std::int64_t columns,
                          std::int64_t depth, const void* a, std::int64_t lda, const void* b,
                          std::int64_t ldb, const void* scale, void* c, std::int64_t ldc);
  /// Rows of c, each along all its columns: the sums over the parts of the depth of a' b of one or
  /// several terms, each part's added up first. Parts are added along a binary tree that has the
  /// largest power of two on the left. Of each term's a `count` columns lie packed, (depth, count);
  /// there are at most `most_rows` of them. `accumulate`: c is the beginning of the first part's
  /// sum.
  struct Term {
    const void *a, *b;
    std::int64_t ldb;
  };
  using Parts = void (*)(std::int64_t count, std::int64_t columns, const Term* terms,
                         std::int64_t term_count, const std::int64_t* part_ends,
                         std::int64_t part_count, void* c, std::int64_t ldc, bool accumulate);
  Product plain[2] = {};  ///< float32, float64
  Product transposed[2] = {};
  Pack pack[2] = {};
  Update update[2] = {};
  Parts parts[2] = {};
  std::int64_t least_bytes = 0, most_rows = 0;
};

/// Rows of planes as windows see them: to[p] = from[p * stride] for begin <= p < end, and 0 for the
/// others of `count`; so many rows `before` and `after` them are 0. Rows and planes are so many
/// elements behind those before them.
struct WindowRows {
  std::int64_t planes, before, rows, after, count, begin, end, stride;
  std::int64_t from_row, from_plane, to_row, to_plane;
};

/// What a sum that goes on begins with: 0, what is there, or 0 to be added to what is there.
enum class SumStart : std::uint8_t { zero, old, apart };

/// What convolutions are made of. Null where an instruction set has none. Index 0 is for float32, 1
/// for float64.
struct WindowProducts {
  /// c[i, n] = the sum over k < depth, in ascending order, of a[k * lda + i] b[offsets[k] + n].
  /// Reads b up to `lanes` - 1 elements beyond a row's end; what is there does not matter.
  using Product = void (*)(std::int64_t rows, std::int64_t columns, std::int64_t depth,
                           const void* a, std::int64_t lda, const void* b,
                           const std::int32_t* offsets, void* c, std::int64_t ldc, SumStart start);
  /// Adds the products of g[i * ldg + k] and b[offsets[j] + k], k < n, to the lanes of vector
  /// (i, j) of sums (rows, taps, lanes).
  using LaneProducts = void (*)(std::int64_t rows, std::int64_t taps, std::int64_t n, const void* g,
                                std::int64_t ldg, const void* b, const std::int32_t* offsets,
                                void* sums);
  /// out[k] = the sum of vector k's lanes.
  using LaneSums = void (*)(std::int64_t count, const void* sums, void* out);
  /// to[j * ldt + i] = from[i * ldf + j] for i < rows and j < columns.
  using Turn = void (*)(std::int64_t rows, std::int64_t columns, const void* from, std::int64_t ldf,
                        void* to, std::int64_t ldt);
  /// Reads what lies in [first, limit). Where to_row == count, it may write as many elements as a
  /// vector has behind a row before it writes the next, and behind the last.
  using SeeRows = void (*)(const WindowRows& rows, const void* first, const void* limit,
                           const void* from, void* to);
  /// to[2 k] = a[k], to[2 k + 1] = b[k] for k < n.
  using Weave = void (*)(std::int64_t n, const void* a, const void* b, void* to);
  Product product[2] = {};
  LaneProducts lane_products[2] = {};
  LaneSums lane_sums[2] = {};
  Turn turn[2] = {};
  SeeRows see_rows[2] = {};
  Weave weave[2] = {};
  std::int64_t vector_bytes = 0;
};

/// Draws from counter-based streams: numbers [2 first, 2 first + n) of the draw whose state is
/// {seed, draw, calls}. See random.hpp.
struct RandomKernels {
  using Fill = void (*)(const std::int64_t* state, std::int64_t first, void* out, std::int64_t n);
  Fill uniform[2];  ///< float32, float64
  Fill normal[2];
};

/// The loops of one instruction set. Null where a formula is not made for a dtype.
struct KernelTable {
  std::string_view name;
  BlockFn elementwise[formula::formula_count][dtype_count];
  BlockFn choose[dtype_count];
  BlockFn cast[dtype_count][dtype_count];  ///< [from][to]
  /// From uint8, float16, bfloat16 to int64, float32, float64. The first operand is the divisor, a
  /// float64, the second what is stored; null where there is none.
  BlockFn widen[3][3];
  FoldKernels sum, max, min, prod;
  WideSums wide_sum;
  SkinnyProducts skinny;
  WindowProducts windows;
  RandomKernels random;
};

extern const KernelTable
    kernels_baseline;  ///< Any x86-64 (SSE2), or the compiler's default elsewhere.
#if defined(__x86_64__)
extern const KernelTable kernels_avx2, kernels_avx512;
#endif

/// The table for this machine: the widest its processor and operating system support, or the one
/// that the environment variable CINCH_SIMD names (baseline, avx2, avx512). Throws ValueError for a
/// name that is unknown or unsupported.
const KernelTable& kernels();

}  // namespace cinch::simd
