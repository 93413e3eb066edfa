// Products that are computed anyway, taken as factors of others.
#pragma once

#include <span>
#include <vector>

#include "cinch/core/expr.hpp"

namespace cinch::contraction {

/// Each sum of products, some of whose factors another one multiplies and sums before it, from that
/// one's value, where this takes less: the derivative of sum_k s_k a_k' M a_k by a_k is s_k M a_k.
/// Sums that take less than `least` nanoseconds are not looked at.
std::vector<Expr> with_known_products(std::span<const Expr> roots, double least = 2000);

}  // namespace cinch::contraction
