// Convolutions in one, two and three dimensions, and transposes of the first two.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"
#include "cinch/ops/window.hpp"

namespace CINCH_PUBLIC cinch {

/// The three forms of one sum over x (examples, channels, n...), w (filters, channels, k...) and
/// y (examples, filters, o...), each linear in two of them and the derivative of the other two.
/// With i = o s - p + k d:
///
///   convolution          y[b, f, o] = sum over c, k        of x[b, c, i] w[f, c, k]
///   convolution_data     x[b, c, i] = sum over f, o, k     of y[b, f, o] w[f, c, k]
///   convolution_filters  w[f, c, k] = sum over b, o        of x[b, c, i] y[b, f, o]
///
/// All three may have one more axis in front, of groups that do not meet.
extern const Op convolution_op, convolution_data_op, convolution_filters_op;

struct ConvOptions {
  PerAxis stride = 1;
  Padding padding = Pad::valid;  ///< With zeros.
  PerAxis dilation = 1;          ///< Distance between the elements of the input that a filter sees.
  std::int64_t groups = 1;       ///< Both channels and filters are divided into this many groups.
  bool flip = false;             ///< Filters are read backwards, see below.
};

/// x (batch, channels, length) with filters w (filters, channels / groups, width):
///   y[b, f, o] = sum over c, k of x[b, c, o * stride - before + k * dilation] * w[f, c, k],
/// of length floor((length + before + after - (width - 1) * dilation - 1) / stride) + 1. Where the
/// input ends, zeros follow. This is the cross-correlation that PyTorch and TensorFlow call
/// convolution. Theano's conv2d (filter_flip=True), NumPy's convolve and mathematics read the
/// filter backwards: ask for `flip` to use weights from there.
/// A bias b (filters) is added as y + dimshuffle(b, {0, -1}).
/// Throws TypeError where channels, groups or sizes do not fit, or no window fits into the input.
Expr conv1d(const Arg& x, const Arg& w, const ConvOptions& options = {});
/// The same for x (batch, channels, height, width) and w (filters, channels / groups, height,
/// width). Bias: y + dimshuffle(b, {0, -1, -1}).
Expr conv2d(const Arg& x, const Arg& w, const ConvOptions& options = {});

/// The same for x (batch, channels, depth, height, width) and w (filters, channels / groups, depth,
/// height, width), whose depth must be known: a conv2d over the slices that each filter sees, as
/// more channels. Numbers of options are for depth, height and width. Bias: y + dimshuffle(b, {0,
/// -1, -1, -1}).
Expr conv3d(const Arg& x, const Arg& w, const ConvOptions& options = {});

struct ConvTransposeOptions {
  PerAxis stride = 1;
  Padding padding = Pad::valid;  ///< Of the convolution that is transposed: taken off the result.
  PerAxis output_padding = 0;    ///< Added to the size of the result, less than `stride`.
  PerAxis dilation = 1;
  std::int64_t groups = 1;
  bool flip = false;
};

/// The transpose of conv1d in its input ("deconvolution"): y (batch, filters, length) and
/// w (filters, channels / groups, width) as conv1d takes it give (batch, channels, n), where
///   n = (length - 1) * stride + (width - 1) * dilation + 1 - before - after + output_padding:
/// for the same options, sum(conv1d(x, w) * y) = sum(x * conv_transpose1d(y, w)) where
/// output_padding makes n the length of x. conv1d with a stride gives the same length for `stride`
/// different ones of x; output_padding says which one: 1 for an even x with stride 2 and Pad::same.
Expr conv_transpose1d(const Arg& y, const Arg& w, const ConvTransposeOptions& options = {});
/// The same in two dimensions, the transpose of conv2d.
Expr conv_transpose2d(const Arg& y, const Arg& w, const ConvTransposeOptions& options = {});

}  // namespace cinch
