// Tables of compiled loops, one for each instruction set, and the choice among them.
#pragma once

#include <string_view>

#include "core/op.hpp"
#include "ops/formulas.hpp"

namespace cinch {

constexpr std::size_t dtype_count = 4;

/// How elements are combined in a reduction. `fold` keeps a fixed number of partial results
/// whatever the machine's vectors hold, so the order of combination depends on n only.
struct FoldKernels {
  void (*fold[dtype_count])(void* out, const void* in, std::size_t n);
  void (*zip[dtype_count])(void* out, const void* in, std::size_t n);
};

/// The loops of one instruction set. Null where a formula is not made for a dtype.
struct KernelTable {
  std::string_view name;
  BlockFn elementwise[formula_count][dtype_count];
  BlockFn choose[dtype_count];
  BlockFn cast[dtype_count][dtype_count];  ///< [from][to]
  FoldKernels sum, max;
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

}  // namespace cinch
