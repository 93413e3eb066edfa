// An ordered network as ops again.
#pragma once

#include "cinch/core/contract/order.hpp"
#include "cinch/core/contract/sum_of_products.hpp"
#include "cinch/core/expr.hpp"

namespace cinch::contraction {

/// `head`, computed in this order: by matrix products where indices are summed, else by elementwise
/// ones, with its axes and sizes.
Expr written(const Network& net, const Order& order, const Expr& head);

}  // namespace cinch::contraction
