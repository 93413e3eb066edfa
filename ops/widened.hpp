// Numbers that are stored narrow, and computed with as float32.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// widened: inputs divisor, x; Attrs::dtype.
extern const Op widen_op;

/// What is stored as uint8, float16 or bfloat16, a data set in a shared variable, an input, a
/// tensor, as float32, or float64: each element divided by `divisor` in float64, then rounded.
/// widened(images, 255) of bytes are the numbers that read_images(path, DType::float32, 255) gives.
/// Slices, rows and taken parts of the result are widened alone, whatever the size of `x`; what
/// uses all of it has all of it for the time of a call. Nothing can be differentiated by `x`.
/// Throws TypeError for another dtype of `x` or the result, ValueError where the divisor is not
/// positive and finite.
Expr widened(const Arg& x, double divisor = 1, DType dtype = DType::float32);

}  // namespace cinch
