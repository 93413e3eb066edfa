// Elements computed in the order in which they are read.
#pragma once

#include <span>
#include <vector>

#include "cinch/core/expr.hpp"

namespace cinch::compiling {

/// `roots`, whose sizes are known, where arithmetic on elements whose result nobody reads but with
/// its axes permuted is done on permuted operands instead, if no more reads go across memory then:
/// (A' * s)' is A * s'. So one loop computes what would be a loop and a copy, and equal values that
/// were written in two layouts are one.
std::vector<Expr> laid_out_as_read(std::span<const Expr> roots);

}  // namespace cinch::compiling
