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

/// One tensor: (groups, outer, a dense block of three axes).
template <class T>
struct Blocks {
  T* data;
  std::int64_t group, outer;

  explicit Blocks(const Operand& x)
      : data(x.as<T>()),
        group(x.shape.size() == 5 ? x.strides[0] : 0),
        outer(x.strides[x.shape.size() - 4]) {}
  T* at(std::int64_t g, std::int64_t i) const { return data + g * group + i * outer; }
};

/// Estimated time of the products of one example of one group, on one thread.
double convolution_nanoseconds(const ConvolutionSizes& s, std::size_t bytes);

void convolution_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs);
void convolution_data_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs);
void convolution_filters_kernel(std::span<const Operand> in, const Operand& out,
                                const Attrs& attrs);
/// Spatial axes and the one before them row-major; those in front as they like.
bool convolution_accepts(const Strided& where, const Shape& shape);

}  // namespace cinch::windows
