// Powers to constant exponents.
#pragma once

#include "cinch/core/expr.hpp"

namespace cinch::rules {

/// `power`, to a whole exponent of up to 16 in size, as products, which take a fraction of a
/// general power's time; so too to one half more, where no base is negative: (-inf)^1.5 is inf,
/// which products do not give. Each product rounds, so the power to k is within k units in the last
/// place, and that to -k where x^k is no smaller than the smallest normal number. Others as they
/// are.
Expr as_products(const Expr& power);

}  // namespace cinch::rules
