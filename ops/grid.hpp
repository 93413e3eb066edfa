// Evenly spaced numbers and grids of them, and what is known at points: sums by trapezoids, values
// in between.
#pragma once

#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// `n` (a number or an int64 scalar) numbers from `start` to `stop`, both included, as NumPy's: the
/// last one is `stop` exactly, of one there is `start`. Both are scalars; literals and integers
/// give float64.
Expr linspace(const Arg& start, const Arg& stop, const Arg& n);
/// base to the power of linspace(start, stop, n).
Expr logspace(const Arg& start, const Arg& stop, const Arg& n, const Arg& base = 10.0);

/// The coordinates of all points of a grid: for vectors (n), (m), (k), ... tensors of shape (n, m,
/// k, ...), the first of which varies along the first axis. NumPy's indexing="ij"; its default,
/// with the first two axes exchanged, is `exchanged`.
std::vector<Expr> meshgrid(const std::vector<Expr>& vectors, bool exchanged = false,
                           Source where = Source::here());

/// The integral along `axis`, which goes, of lines through values y at distances `x`, a scalar, or
/// at positions `x` (n). NumPy's trapezoid, once trapz.
Expr trapezoid(const Arg& y, const Arg& x = 1.0, std::int64_t axis = -1);

/// Where `values`, of any shape, would go into `sorted` (n), ascending: how many elements are less
/// (or, with `right`, not more). int64; NaN goes to the end. No gradient.
Expr searchsorted(const Arg& sorted, const Arg& values, bool right = false);
/// At each x the value of the lines through the points (at[k], values[k]), at (n) ascending; before
/// the first and after the last point that point's value. Differentiable in x and values, and in
/// `at`.
Expr interp(const Arg& x, const Arg& at, const Arg& values);

/// Images (..., height, width) at other sizes (numbers or int64 scalars), each pixel a weighted
/// mean of the four around the place that it comes from, and along the edge of two or one. Pixels
/// are squares, or with `align_corners` points of which the outermost stay: PyTorch's bilinear
/// interpolation, without antialiasing.
Expr resize_bilinear(const Arg& x, const Arg& height, const Arg& width, bool align_corners = false);

}  // namespace cinch
