// Which ops add up over examples, so that sums of parts are the sum; or find the largest.
#pragma once

#include <optional>
#include <vector>

#include "cinch/core/derive/examples.hpp"
#include "cinch/core/expr.hpp"
#include "cinch/train/parallel/parts.hpp"

namespace cinch::parallel {

/// How the value of `node`, which has no axis of examples any more, is made of those of parts
/// of the examples: as a sum, to rounding, or as the largest or smallest. Nothing where it is not,
/// or that is not known. `places[k]` says where examples stand in input k, `local[k]` whether it
/// has an axis of so many rows as there are examples; what is repeated along it has no place.
std::optional<Combine> combination(const Expr& node, const std::vector<deriving::Place>& places,
                                   const std::vector<bool>& local);

/// Whether `node` is linear in its inputs that are `partial`, sums over some of the examples,
/// together, the others being the same for all of them, and no larger than those are.
bool is_linear(const Expr& node, const std::vector<bool>& partial);

}  // namespace cinch::parallel
