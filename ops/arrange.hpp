// Elements moved, repeated and taken apart: formulas of slices, reshapes and repetitions.
#pragma once

#include <optional>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/window.hpp"

namespace CINCH_PUBLIC cinch {

/// The same with two axes exchanged.
Expr swapaxes(const Arg& x, std::int64_t axis1, std::int64_t axis2);
/// The same with axes at other places; the others keep their order.
Expr moveaxis(const Arg& x, std::int64_t from, std::int64_t to);
Expr moveaxis(const Arg& x, const std::vector<std::int64_t>& from,
              const std::vector<std::int64_t>& to);

/// Elements in reverse order along these axes, or all.
Expr flip(const Arg& x, const Axes& axes = {});
/// Elements `shift` (a number or an int64 scalar) places further along `axis`; those that leave at
/// one end come in at the other.
Expr roll(const Arg& x, const Arg& shift, std::int64_t axis);

/// `x` counts[k] times along axis k, one after the other, as NumPy's: counts (numbers or int64
/// scalars) and axes are aligned at the right, tile(v, {batch, 1}) has v in each row.
Expr tile(const Arg& x, const std::vector<Arg>& counts);
/// Each element `count` times in a row along `axis`.
Expr repeat(const Arg& x, const Arg& count, std::int64_t axis);

/// `parts` parts of equal size along `axis`. TypeError where they cannot be; where that shows at
/// run time only, reshape throws.
std::vector<Expr> split(const Arg& x, std::int64_t parts, std::int64_t axis = 0);
/// Parts of these sizes, numbers or int64 scalars, which must make up the axis. Where that shows at
/// run time only, reshape throws.
std::vector<Expr> split_sizes(const Arg& x, const Sizes& lengths, std::int64_t axis = 0);
/// The inverse of stack: every x[k] along `axis`. How many there are must be known, by the type of
/// x or as `count`, which the size then has to be (checked at run time): the result is a list.
std::vector<Expr> unstack(const Arg& x, std::int64_t axis = 0,
                          std::optional<std::int64_t> count = {});

/// What pad() puts around x = a b c.
enum class PadMode : std::uint8_t {
  constant,   ///< v v | a b c | v v
  edge,       ///< a a | a b c | c c
  reflect,    ///< c b | a b c | b a
  symmetric,  ///< b a | a b c | c b
  wrap,       ///< b c | a b c | a b
};
/// More elements before and after each axis, as NumPy's pad: pad(x, {{1, 2}, {0, 3}}) for two axes,
/// pad(x, {1, 2}) for 1 at both sides of the first and 2 of the second, pad(x, {1}) for 1 at both
/// sides of all. `value` is a scalar, for PadMode::constant.
Expr pad(const Arg& x, const std::vector<Sides>& widths, PadMode mode = PadMode::constant,
         const Arg& value = 0);

}  // namespace cinch
