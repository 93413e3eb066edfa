// What derivatives remember, so that every node of the formula that they are of can be found in
// them.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "cinch/core/graph.hpp"

namespace cinch {

/// How a derivative was made. It is the derivative of a formula's stable form, in which inner nodes
/// of the formula may have no place any more: it is made again where one of them is asked for.
struct Derivation {
  std::vector<Expr> of;     ///< The formula.
  std::vector<Expr> whole;  ///< Nodes that the derivative has wherever it needs their values.
  /// The derivative with these nodes of the formula whole.
  std::function<Expr(const std::vector<Expr>& whole)> again;
};

namespace graphs {

/// `result`, which remembers how it was made.
Expr derived(const Expr& result, Derivation how);

/// `roots` in which `nodes` are found wherever a formula under them needs their values, derivatives
/// included. To be called before nodes are looked for by identity: to differentiate by them, to
/// replace them, to hold them constant.
std::vector<Expr> showing(std::span<const Expr> roots, std::span<const Expr> nodes);
Expr showing(const Expr& root, const Expr& node);

/// substitute() for nodes that are shown already. Derivatives that change stay derivatives, of
/// which more can be shown.
std::vector<Expr> replaced(std::span<const Expr> roots, const Substitutions& replacements);

}  // namespace graphs

}  // namespace cinch
