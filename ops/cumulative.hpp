// Sums and products of all elements up to each.
#pragma once

#include "cinch/core/visibility.hpp"
#include "cinch/ops/prod.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op cumsum_op, running_argmax_op;

/// y[k] = x[0] + ... + x[k] along `axis`; backward x[k] + ... + x[n - 1]. Bools count as integers.
Expr cumsum(const Arg& x, std::int64_t axis, Direction direction = Direction::forward);
/// y[k] = x[0] * ... * x[k] along `axis`; integers stay integers and wrap
/// around, bools count as integers. The gradient is exact with zeros among the elements, to any
/// order.
Expr cumprod(const Arg& x, std::int64_t axis, Direction direction = Direction::forward);
/// y[k] = the largest, or smallest, of x[0], ..., x[k]; NaN from the first NaN on. The gradient
/// goes to the first of equal ones.
Expr cummax(const Arg& x, std::int64_t axis, Direction direction = Direction::forward);
Expr cummin(const Arg& x, std::int64_t axis, Direction direction = Direction::forward);
/// Where (int64) those stand. No gradient.
Expr cummax_positions(const Arg& x, std::int64_t axis, Direction direction = Direction::forward);
Expr cummin_positions(const Arg& x, std::int64_t axis, Direction direction = Direction::forward);
/// y[k] = log(exp(x[0]) + ... + exp(x[k])) without overflow, with exact gradients of any order.
Expr logcumsumexp(const Arg& x, std::int64_t axis, Direction direction = Direction::forward);
/// x[k + 1] - x[k] along `axis`, which becomes one shorter.
Expr diff(const Arg& x, std::int64_t axis = -1);

}  // namespace cinch
