// Sums and products of all elements up to each.
#pragma once

#include "ops/prod.hpp"

namespace cinch {

extern const Op cumsum_op;

/// y[k] = x[0] + ... + x[k] along `axis`; backward x[k] + ... + x[n - 1]. Bools count as integers.
Expr cumsum(const Arg& x, std::int64_t axis, Direction direction = Direction::forward);
/// y[k] = x[0] * ... * x[k] along `axis`; integers stay integers and wrap
/// around, bools count as integers. The gradient is exact with zeros among the elements, to any
/// order.
Expr cumprod(const Arg& x, std::int64_t axis, Direction direction = Direction::forward);
/// x[k + 1] - x[k] along `axis`, which becomes one shorter.
Expr diff(const Arg& x, std::int64_t axis = -1);

}  // namespace cinch
