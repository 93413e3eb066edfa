// Convolutions without the matrix of all that windows see: as sums of products with rows of the
// image where they lie, or lie once for each column of the filters.
#pragma once

#include "cinch/ops/window/convolution_kernels.hpp"

namespace cinch::windows {

/// The same as the kernels of convolution_kernels.hpp, for float and double. False, and nothing
/// done, where the instruction set has no loops for it or sizes are too large for them.
template <class T>
bool convolve_directly(const ConvolutionSizes& s, const Blocks<const T>& x,
                       const Blocks<const T>& w, const Blocks<T>& y);
template <class T>
bool convolve_data_directly(const ConvolutionSizes& s, const Blocks<const T>& y,
                            const Blocks<const T>& w, const Blocks<T>& x);
template <class T>
bool convolve_filters_directly(const ConvolutionSizes& s, const Blocks<const T>& x,
                               const Blocks<const T>& y, const Blocks<T>& w);

}  // namespace cinch::windows
