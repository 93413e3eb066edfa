// The plain meaning of a graph: every op by its xtensor reference, in order, one value for each
// node.
#pragma once

#include <span>
#include <vector>

#include "cinch/core/graph.hpp"

namespace cinch::running {

/// Values of `roots`, unrewritten, op by op. With `watch`, throws ValueError at the first NaN or
/// infinity, naming the node and the line that built it. Throws TypeError where sizes do not fit,
/// or for a variable without a value.
std::vector<Tensor> interpret(std::span<const Expr> roots, std::span<const Binding> bindings,
                              bool watch);

/// The value of one node of these operands. Throws TypeError where their sizes do not fit, and what
/// the op's reference throws.
Tensor interpret_node(const Expr& node, std::span<const Tensor* const> operands);

}  // namespace cinch::running
