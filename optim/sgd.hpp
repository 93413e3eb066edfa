// Stochastic gradient descent.
#pragma once

#include <span>
#include <vector>

#include "core/function.hpp"
#include "core/shared.hpp"

namespace cinch {

/// p <- p - rate * d cost / d p for each parameter. `rate` is a number or a scalar expression, so
/// it may be an input of the function or follow a schedule. Throws as grad() does.
Updates sgd(const Arg& cost, const std::vector<Shared>& params, const Arg& rate);

}  // namespace cinch
