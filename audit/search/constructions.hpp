// Formulas whose parts do not fit together, found by how they are put together.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "cinch/audit/audit.hpp"
#include "cinch/core/expr.hpp"
#include "cinch/core/graph.hpp"

namespace cinch::searching {

/// What looks like a mistake, in sentences, and the line of it.
struct Suspicion {
  Finding kind;
  Source where;
  std::string text;
};

/// What constructions are looked at with.
struct Construction {
  Expr root;
  const NodeSet& depends;            ///< The nodes that depend on parameters.
  std::span<const Expr> parameters;  ///< Leaves of `root`.
  std::function<Tensor(const Expr&)> value;
};

/// Parameters that a target held by stop_gradient() has as a summand already, and what is to
/// explain the target adds again.
std::vector<Suspicion> counted_twice(const Construction& c);
/// Targets x - z, the error of one term, that another one explains without holding them.
std::vector<Suspicion> moving_targets(const Construction& c);
/// Values that a threshold selects, of which the same threshold selects again.
std::vector<Suspicion> selected_twice(const Construction& c);
/// Dictionaries of more rows than columns, of which a code makes a reconstruction, with columns of
/// length 1.
std::vector<Suspicion> foreign_axes(const Construction& c);
/// 1 / sqrt(x) + epsilon.
std::vector<Suspicion> misplaced_epsilons(const Construction& c);
/// Choices of something else where a value is NaN.
std::vector<Suspicion> hidden_nans(const Construction& c);
/// Thresholds exp(t), far below what they are compared with.
std::vector<Suspicion> slow_thresholds(const Construction& c);

}  // namespace cinch::searching
