// x[...] as in NumPy: numbers, slices, index tensors, new axes and an ellipsis together.
#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// start:stop:step, where what is not given means all there is: Slice{1, 5}, Slice{{}, -1},
/// Slice{{}, {}, -1} for all elements backwards. Positions are numbers or int64 scalars.
struct Slice {
  std::optional<Arg> start = {}, stop = {};
  std::int64_t step = 1;
};

/// All axes that the other subscripts do not speak of.
struct Ellipsis {};
inline constexpr Ellipsis ellipsis{};
/// A new axis of size 1.
struct NewAxis {};
inline constexpr NewAxis new_axis{};

/// One of the subscripts of x[...].
using Subscript = std::variant<Arg, Slice, Ellipsis, NewAxis>;

/// x[subscripts...]: an integer takes one element of its axis, which goes, a Slice a part of it, an
/// index tensor (int64) any elements. Several index tensors broadcast together, with the integers,
/// and their axes stand where the first of them stood, or in front of all where other subscripts
/// lie in between. All is as in NumPy, but for bool tensors, whose results would have a size that
/// depends on values: TypeError. Positions of slices are clipped, others outside are a ValueError
/// at run time.
///
///     subscript(x, {0, Slice{1, 5}, ellipsis})      x[0, 1:5, ...]
///     subscript(x, {arange(n), labels})             x[arange(n), labels]
///
/// What it gives can be set and added to: set_subtensor(x, subscript(x, {...}), value).
Expr subscript(const Arg& x, const std::vector<Subscript>& subscripts);

}  // namespace cinch
