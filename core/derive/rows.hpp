// All vector-Jacobian products of an expression at once.
#pragma once

#include <cstdint>

#include "cinch/core/expr.hpp"

namespace cinch::deriving {

/// `pulled`, which is linear in `seed` of y's type, for each output of y along its axes from
/// `first_axis` on: these axes, then those of `pulled`.
Expr rows(const Expr& pulled, const Expr& seed, const Expr& y, std::int64_t first_axis);

}  // namespace cinch::deriving
