// Updates of matrices as products added in place.
#pragma once

#include <vector>

#include "core/plan.hpp"

namespace cinch {

/// Rewrites each update of the form W + c1 A1 B1 + c2 A2 B2 + rest so that the products are added
/// to W + rest in one pass, stacked: [c1 A1, c2 A2] [B1; B2]. No gradient of W's size is stored.
/// Sizes are known.
void accumulate_products(std::vector<PlanResult>& results);

}  // namespace cinch
