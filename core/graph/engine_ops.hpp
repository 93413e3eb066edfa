// Ops that the engine itself applies, besides those of expr.hpp. Defined in ops/.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cinch/core/expr.hpp"

namespace cinch {

/// The op behind stop_gradient().
extern const Op stop_gradient_op;
/// Ops that the engine looks for in formulas.
extern const Op switch_op, cast_op, sum_op, sum_like_op, equal_op, scatter_add_op, add_along_op,
    concatenate_op, abs_op, sign_op;
/// The op behind size(x, axis).
extern const Op size_op;
/// The op behind scan(): graph/recurrence.hpp says what it computes.
extern const Op scan_op;
/// The op behind fixed_point(), which expands into a loop.
extern const Op fixed_point_op;
/// The op behind ifelse(): of its two last operands only the chosen one is computed.
extern const Op ifelse_op;
/// The element itself, stored anew: how the planner lays values out in row-major order.
extern const Op copy_op;

Expr operator*(const Arg& a, const Arg& b);
Expr operator-(const Arg& x);
Expr operator-(const Arg& a, const Arg& b);
Expr switch_(const Arg& condition, const Arg& a, const Arg& b);
Expr logical_and(const Arg& a, const Arg& b);
Expr logical_or(const Arg& a, const Arg& b);
Expr logical_not(const Arg& a);
Expr square(const Arg& x);
Expr sqrt(const Arg& x);
Expr dot(const Arg& a, const Arg& b);
Expr batched_dot(const Arg& a, const Arg& b);
Expr add_dot(const Arg& c, const Arg& a, const Arg& b);
Expr scaled_add_dot(const Arg& c, const Arg& scale, const Arg& a, const Arg& b);
Expr dot_squares(const Arg& a, const Arg& b);
Expr chosen_dot(const Arg& chosen, const Arg& a, const Arg& b);
Expr squared_differences(const Arg& a, const Arg& b);
Expr weighted_differences(const Arg& weights, const Arg& a, const Arg& b);
Expr concatenate(const std::vector<Expr>& parts, std::int64_t axis, Source where);
Expr narrow(const Arg& x, std::int64_t axis, const Arg& start, const Arg& length,
            std::int64_t step);
/// The diagonal of the matrices that two axes span, which go; the diagonal comes last.
Expr diagonal(const Arg& x, std::int64_t offset, std::int64_t axis1, std::int64_t axis2);
/// Zeros of the shape of `like` but for that diagonal, the last axis of `x`.
Expr embed_diagonal(const Arg& x, const Arg& like, std::int64_t offset, std::int64_t axis1,
                    std::int64_t axis2);
/// Sum over these axes, ascending, which go.
Expr sum_axes(const Expr& x, const std::vector<std::int64_t>& axes);

namespace widening {
/// The same formulas with parts of what is stored narrow taken before they are widened, not after.
std::vector<Expr> parts_first(std::span<const Expr> roots);
/// `y`, an op that takes a part of its first operand, in that order; empty where its operand is not
/// widened, views of it apart.
Expr part_first(const Expr& y);
}  // namespace widening

namespace records {
/// `x` of the same shape as `other`: refused in the name of `function` where it is not, when the
/// formula is written as far as sizes are known and else when it runs.
Expr alike(const char* function, const Arg& x, const Arg& other);
}  // namespace records

}  // namespace cinch
