// Passes over a large matrix that do two things at once.
#pragma once

#include <span>
#include <vector>

#include "cinch/core/plan/plan.hpp"

namespace cinch::compiling {

/// Rewrites each update of the form W + c1 A1 B1 + c2 A2 B2 + rest so that the products are added
/// to W + rest in one pass, stacked: [c1 A1, c2 A2] [B1; B2]. No gradient of W's size is stored.
/// Two products or more are added to zeros where there is nothing else. Where W + rest is W with
/// its columns scaled, the scaling is part of that pass. Sizes are known.
void accumulate_products(std::vector<planning::PlanResult>& results);

/// The sums of the squares of a matrix's columns are computed where a product of few rows passes
/// over it. Sizes are known.
std::vector<Expr> join_column_norms(std::span<const Expr> roots);

}  // namespace cinch::compiling
