// What a formula repeats for each row of a minibatch, written so that it is seen.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "cinch/core/derive/examples.hpp"
#include "cinch/core/expr.hpp"

namespace cinch::parallel {

/// `roots`, where what is repeated for each row is written as a product by a 1 for each, in the
/// steps of loops too: so it is seen where the rows stand in it, and whoever mixes these mixes
/// rows. `ones` gives the variable of these 1, of a dtype; loops have it as a further operand.
std::vector<Expr> with_marked_repeats(std::span<const Expr> roots,
                                      std::span<const deriving::Separation::Given> given,
                                      const deriving::Count& examples,
                                      const std::function<Expr(DType)>& ones);

}  // namespace cinch::parallel
