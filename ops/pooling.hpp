// Pooling over windows, and its transposes: for maps (..., length) or (..., height, width).
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"
#include "cinch/ops/window.hpp"

namespace CINCH_PUBLIC cinch {

/// The sum over each window, and its transpose: every element spread over its window.
extern const Op window_sum_op, window_spread_op;
/// Position of each window's maximum in its map, and what takes elements of maps from positions,
/// or adds them there.
extern const Op window_argmax_op, pick_op, unpool_op;

struct PoolOptions {
  PerAxis stride = 0;  ///< 0: as wide as the window, so that windows do not overlap.
  /// Less than the window on every side. What is beyond the last whole window is dropped unless
  /// padding behind completes it: `.padding = {{0, 1}, {0, 1}}` keeps odd edges for a window of 2.
  Padding padding = Pad::valid;
  /// Of averages: whether the padding counts, as zeros, or each is over the elements there are.
  bool count_include_pad = true;
  PerAxis dilation = 1;  ///< Distance between the elements that a window sees.
  /// Whether a last window that begins inside and reaches out counts too: PyTorch's ceil_mode. In
  /// an average over the padding, too, what is beyond the padding does not count.
  bool ceil = false;
};

/// Largest element of each window along the last axis, or the last two: (batch, channels, height,
/// width) gives (batch, channels, rows, columns), with any axes in front, where
///   rows = floor((height + before + after - (window - 1) * dilation - 1) / stride) + 1.
/// NaN if a window has one. The gradient goes to the first of equal largest elements in row-major
/// order (Theano gives it to all of them, PyTorch to the first as here); windows that overlap add
/// theirs. Padding is never the largest. Throws TypeError where no window fits, or the padding is
/// as large as a window.
Expr max_pool1d(const Arg& x, const PerAxis& window, const PoolOptions& options = {});
Expr max_pool2d(const Arg& x, const PerAxis& window, const PoolOptions& options = {});
/// Where max_pool found its elements: row * width + column in the map (int64). No gradient.
Expr max_pool1d_positions(const Arg& x, const PerAxis& window, const PoolOptions& options = {});
Expr max_pool2d_positions(const Arg& x, const PerAxis& window, const PoolOptions& options = {});
/// The transpose of max pooling ("unpooling"): maps of zeros with y added at `positions`, as
/// max_pool_positions gives them, of the spatial sizes of `like`. Where windows overlap and share
/// their maximum, their elements add up. ValueError at run time for positions outside the map.
Expr max_unpool1d(const Arg& y, const Arg& positions, const Arg& like);
Expr max_unpool2d(const Arg& y, const Arg& positions, const Arg& like);

/// Mean of each window, of the same sizes; integers give float64.
Expr average_pool1d(const Arg& x, const PerAxis& window, const PoolOptions& options = {});
Expr average_pool2d(const Arg& x, const PerAxis& window, const PoolOptions& options = {});

/// Each element repeated `factor` times along each spatial axis ("nearest neighbour").
Expr upsample1d(const Arg& x, const PerAxis& factor);
Expr upsample2d(const Arg& x, const PerAxis& factor);

}  // namespace cinch
