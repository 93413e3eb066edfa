// How messages name what a node does.
#pragma once

#include <string_view>

#include "cinch/core/expr.hpp"

namespace cinch::graphs {

/// The public function that a node checks an operand for, which is its label, or the name of its
/// op.
std::string_view op_name_of(const Expr& node);

}  // namespace cinch::graphs
