// Formulas that look like a known mistake.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cinch/audit/audit.hpp"
#include "cinch/core/check/probe.hpp"
#include "cinch/core/graph.hpp"

namespace cinch::searching {

/// A leaf with the same elements as a parameter, or its transpose's, bit for bit.
struct Copy {
  Expr leaf;
  std::size_t parameter;
  bool transposed;
  /// The nodes that use it, in words and by line.
  Expr user;
};
/// Copies in `term` of the probe's parameters. What is all one number, as new biases are, tells
/// nothing, and the difference of a parameter and its copy is meant (a start to stay close to).
std::vector<Copy> copies(const Expr& term, const checking::Probe& at);

/// A nonlinearity's slope, h (1 - h) or 1 - h^2, of what another nonlinearity has computed.
struct ForeignSlope {
  Expr slope, values;
  std::string formula;       ///< "h * (1 - h)"
  std::string_view belongs;  ///< The op whose slope it is.
  std::string right;         ///< The slope of the op that computed h, in words.
};
std::vector<ForeignSlope> foreign_slopes(const Expr& term);

/// A sigmoid of a sigmoid or a softmax of a softmax, with nothing between: scores were to be given,
/// not probabilities. Also under a logarithm, as where a loss takes it. `cost` in its stable form.
struct Squashed {
  Expr outer, inner;
};
std::vector<Squashed> squashed_twice(const Expr& cost);

/// Sigmoid, tanh and relu units in `cost`, whose values are outputs. Sigmoids that a logarithm
/// undoes are left out: such a pair has a gradient however saturated they are.
struct Nonlinearity {
  Expr node;
  std::string op;
};
std::vector<Nonlinearity> nonlinearities(const Expr& cost, const NodeSet& depends);
/// What a relu is applied to, also one written as maximum(x, 0).
Expr argument_of(const Expr& relu);
/// Of how many units `x`, what relu is applied to, is far below 0 for all examples: by 1, which new
/// weights hardly give, and by three times their standard deviation.
std::int64_t count_far_units(const Tensor& x);
AuditUnits count_units(const Nonlinearity& units, const Tensor& value, double saturation);

}  // namespace cinch::searching
