// How convolutions run: as products of matrices, one for each example.
#pragma once

#include <cstdint>
#include <span>

#include "cinch/core/op.hpp"
#include "cinch/ops/window.hpp"
#include "cinch/ops/window/windows.hpp"

namespace cinch::windows {

/// The sizes of a convolution's three tensors, with two spatial axes; see convolution.hpp.
struct ConvolutionSizes {
  using Sizes = std::span<const std::int64_t>;
  ConvolutionSizes(Sizes x, Sizes w, Sizes y, const Attrs& attrs);

  std::int64_t groups, examples, channels, filters;
  std::array<std::int64_t, 2> in, width, out;  ///< Spatial sizes of x, w and y.
  std::array<Window, 2> window;

  std::int64_t in_area() const { return in[0] * in[1]; }
  std::int64_t width_area() const { return width[0] * width[1]; }
  std::int64_t out_area() const { return out[0] * out[1]; }
  /// Of one example of one group: the elements of x that each filter and window meet.
  std::int64_t meetings() const { return channels * width_area() * out_area(); }
};

void convolution_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs);
void convolution_data_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs);
void convolution_filters_kernel(std::span<const Operand> in, const Operand& out,
                                const Attrs& attrs);
/// Spatial axes and the one before them row-major; those in front as they like.
bool convolution_accepts(const Strided& where, const Shape& shape);

}  // namespace cinch::windows
