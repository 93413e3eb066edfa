// Where gradients stop on their way from a term to a parameter.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/graph.hpp"

namespace cinch::searching {

/// The nodes whose values `root` is computed from, itself included, inputs first; not those of
/// which only the shape matters.
std::vector<Expr> value_nodes(const Expr& root);

/// The nodes whose value depends on one of `leaves` (not only on its shape), these included.
NodeSet dependents(const Expr& root, std::span<const Expr> leaves);

/// What relu, abs, maxima and minima in `root` are applied to, and what maxima over axes give:
/// comparisons with these are the slopes of kinks.
NodeSet kinked(const Expr& root);

/// How a root depends on a parameter. That by the slope of a kink, as in the Jacobian of relu
/// units, is none: it jumps where the kink is, and its derivative is exactly 0 elsewhere.
struct TermFlow {
  bool mentions = false;    ///< Its value does.
  bool flows = false;       ///< And a gradient gets through.
  std::vector<Expr> stops;  ///< Nodes that a gradient would come to, and does not get past.
};
TermFlow flow(const Expr& root, const Expr& parameter, const NodeSet& constants,
              const NodeSet& kinks);

/// Whether a stop is a choice that `root`, a formula, needs: a comparison, or an index that only
/// selects, never made a float. Nobody expects a gradient through it.
bool is_choice(const Expr& stop, const Expr& root);
/// Whether a stop, comparisons too, is used only to select: as a condition or an index, never made
/// a float that counts.
bool selects(const Expr& stop, const Expr& root);
/// What to do about a stop, one sentence.
std::string remedy(const Expr& stop, const NodeSet& constants);

/// `root` with division in place of integer division, and what is rounded, converted to integers
/// or held constant in place of the result: what was meant, if the stop is a mistake. Nothing where
/// there is no such thing in it, or the formula does not allow it.
std::optional<Expr> without_stops(const Expr& root);

}  // namespace cinch::searching
