// What a probability leaves to 1: the logarithm of 1 - q where q is 1 but for rounding, by the
// logarithm of q, or of what else there is.
#pragma once

#include <optional>

#include "cinch/core/expr.hpp"
#include "cinch/ops/rules/factors.hpp"

namespace cinch::exponentials {

/// The q of 1 - q; empty for any other expression.
Expr complement_of(const Expr& e);

/// Whether `e` is in [0, 1] wherever it is a number, as far as its ops say.
bool is_share(const Expr& e, int depth);

/// 1 - sum(w p) as sum((1 - w) p) for a softmax p that is summed along its own axes.
std::optional<Weighted> unchosen(const Expr& e);

/// 1 - (w a + (1 - w) b) as w (1 - a) + (1 - w) (1 - b), and 1 - a b as (1 - a) + a (1 - b) where
/// nothing says that a b is positive; else empty.
Expr spread_complement(const Expr& e);

/// log(1 - q) by the logarithm of q, as for q = prod(1 - sigmoid(x)), and log(sigmoid(a) -
/// sigmoid(b)), the share of a logistic distribution between two
/// points. NaN where the difference is negative; empty for other expressions.
Expr log_of_difference(const Expr& e);

/// log(1 - exp(a)) for what a = log(q) may be known from, also where a is 0 but for rounding.
Expr simplify_log1mexp(const Expr& e);

}  // namespace cinch::exponentials
