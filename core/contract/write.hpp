// An ordered network as ops again.
#pragma once

#include <vector>

#include "cinch/core/contract/order.hpp"
#include "cinch/core/contract/sum_of_products.hpp"
#include "cinch/core/expr.hpp"

namespace cinch::contraction {

/// The network's result, computed in this order: by matrix products where indices are summed, else
/// by elementwise ones. An axis for each index of the result, or axes of these sizes.
Expr written(const Network& net, const Order& order);
Expr written(const Network& net, const Order& order, const std::vector<Expr>& sizes);

}  // namespace cinch::contraction
