// Quotients that saturate: u / (c + k u) and u / sqrt(c + k u^2), as products are made of them.
//
// The rule of the quotient gives 1 / d - k u / d^2, two terms that are nearly equal where u is
// large; float32 has no digits left from u = 3000 on. What is left of them is c / d^2. So, before a
// derivative is taken, the quotient of a factor and a sum that it is a term of goes behind an op
// that knows the rest of that sum.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/op.hpp"

namespace cinch::rules {

/// Its first operand, which is u / d; the others are u, k, what else is in the sum, and d.
extern const Op share_op;

/// The same graphs, in which such quotients are share_ops.
std::vector<Expr> shares_of_sums(std::span<const Expr> roots);

/// The root of a product of even powers, as a product of powers of sizes: of x^4, or of 4 a^2 /
/// b^2. Empty for any other, and for one factor's square.
Expr root_of_product(const Expr& e);

}  // namespace cinch::rules
