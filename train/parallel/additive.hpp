// Which ops add up over examples, so that sums of parts are the sum.
#pragma once

#include <cstddef>
#include <vector>

#include "cinch/core/derive/examples.hpp"
#include "cinch/core/expr.hpp"

namespace cinch::parallel {

/// Whether `node`, in whose result examples do not stand apart, is a sum over them: that of any
/// examples and of others are its value for all of them, to rounding. `places[k]` says where
/// examples stand in input k, `local[k]` whether it has an axis of so many rows as there are
/// examples. What is repeated along such an axis has no place.
bool adds_examples(const Expr& node, const std::vector<deriving::Place>& places,
                   const std::vector<bool>& local);

/// Whether `node` is linear in its inputs that are `partial`, sums over some of the examples,
/// together, the others being the same for all of them, and no larger than those are.
bool is_linear(const Expr& node, const std::vector<bool>& partial);

}  // namespace cinch::parallel
