// What things take on one thread, in nanoseconds: the one place that says it. Work is divided among
// threads by these numbers, and the order of a contraction is chosen by them; only their ratios
// matter, which AVX2 and AVX-512 machines have within a factor of two.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cinch::running::cost {

/// A step of a plan, of whatever size, and a part of one that another thread is handed.
inline constexpr double step = 200, handing_over = 400;

/// An element that a fused loop reads, computes or writes.
inline constexpr double element = 0.1;
/// A byte read or written in a pass over memory, and in one that gathers windows.
inline constexpr double byte = 0.012, gathered_byte = 0.05;
/// A byte on top of that, of an array too large to stay near the processor: so many bytes stay.
inline constexpr double far_byte = 0.06, near = 1 << 20;

/// An operation of a product: where orders are compared, those of its passes come on top; where it
/// is divided, at OpenBLAS's best rate, and for many small matrices.
constexpr double ordered_flop(std::size_t width) { return width == 4 ? 0.008 : 0.016; }
constexpr double flop(std::size_t width) { return static_cast<double>(width) / 400; }
constexpr double small_flop(std::size_t width) { return static_cast<double>(width) * 0.005; }
/// What each matrix of a batch of products costs apart from its operations.
inline constexpr double batched_product = 150;

/// An element of kernels that are no loops of vectors.
inline constexpr double uniform = 0.5, normal = 5, compared = 4, scanned = 1, argument_scanned = 2,
                        windowed = 1, spread = 0.5, special_function = 100;

/// A decomposition of about `factor` n^3 operations.
constexpr double cubic(std::int64_t n, double factor) {
  const auto side = static_cast<double>(n);
  return factor * (side * side * side / 4 + 20 * side) + 200;
}

}  // namespace cinch::running::cost
