// Are the gradients right? Compared with finite differences, to any order.
#pragma once

#include <concepts>
#include <cstdint>
#include <cstdio>
#include <iosfwd>
#include <string>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/grad.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/parameters.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

struct GradCheckOptions {
  int order = 1;  ///< Derivatives up to this order, at least 1.
  /// Largest accepted difference, relative to the derivative: to the root of the sum of squares of
  /// the terms that it is made of. What finite differences cannot resolve is allowed on top.
  double tolerance = 1e-7;
  int directions = 2;      ///< Tried at each order, each with all parameters moving.
  int entries = 100;       ///< Of a parameter that fails: how many are tried one by one.
  int shown = 5;           ///< How many of them are reported.
  std::uint32_t seed = 1;  ///< Of the directions.
  /// What to do about a parameter that the cost does not depend on: `zero` takes that for its
  /// derivative, and compares.
  Disconnected disconnected = Disconnected::error;
  /// Expressions that grad() is told to treat as constants. They keep the value that they have at
  /// the point while the parameters move.
  std::vector<Expr> consider_constant = {};
  /// The same for what stop_gradient() holds in the cost; else it moves, and finite differences see
  /// the slope that is not passed on.
  bool hold_stopped = true;
  /// The same for what has a gradient by with_gradient(); else the rule's gradient is compared with
  /// the slope of the value.
  bool hold_given = true;
  /// Seconds for trying the parameters and entries one by one where a direction disagrees.
  double seconds = 5;
  std::string title = "check_grad";  ///< Begins the heading: what was checked.
  std::FILE* progress = stderr;      ///< For a line every few seconds; null: nothing.
};

/// What finite differences say of a gradient.
enum class Verdict {
  agrees,
  undecided,  ///< They tell nothing at this point: kinks, jumps, or nothing but rounding.
  wrong,
};

/// A derivative computed in both ways.
struct Derivative {
  double analytic = 0, numeric = 0;
  double error = 0;     ///< How far the numeric one can be off.
  double excess = 0;    ///< Difference, over the derivative's size and `error` / tolerance.
  bool decided = true;  ///< False at a kink, or where rounding hides the derivative.
};

/// The derivative by one element of a parameter.
struct GradEntry {
  std::string parameter;
  Shape index;
  Derivative by;
};

/// A gradient that the user gave, beside the value's own along a random direction of the inputs and
/// a random cotangent. Such a rule may differ on purpose: this decides nothing.
struct GivenGradient {
  std::string what;  ///< The expression, with its line.
  Derivative by;     ///< `analytic` by the rule.
  bool same = false;
};

/// What check_grad found at one order.
struct OrderCheck {
  int order;
  std::vector<Derivative> along;  ///< Each direction.
  // Only where the directions disagree.
  std::vector<std::pair<std::string, Derivative>> parameters = {};  ///< Each moving alone.
  std::vector<GradEntry> entries = {};  ///< Of the worst of them, worst first.
};

/// Outcome of check_grad; true where analytic and numeric derivatives agree. It prints as its
/// report, in lines of 80 columns at most, so that doctest's CHECK(check_grad(...)) shows it.
struct GradCheck {
  bool ok = true;
  double worst = 0;  ///< Largest `excess` of all directions; accepted up to the tolerance.
  Verdict verdict = Verdict::agrees;
  std::vector<std::string> held;  ///< What kept its value while the parameters moved, with lines.
  std::vector<GivenGradient> given;  ///< Held as well, where `hold_given` says so.
  std::vector<OrderCheck> orders;
  std::string title;   ///< Of the options.
  std::string report;  ///< What was held, a line for each order, and what was skipped; for an order
                       ///< that fails the worst entries. Lines are as long as what they say.
  explicit operator bool() const { return ok; }
};
std::ostream& operator<<(std::ostream& out, const GradCheck& check);

/// Compares derivatives of `cost`, a float scalar, by `wrt`, variables or shared variables, with
/// finite differences along random directions, at the values that the variables have in `at` and
/// the shared ones now. Order n is the derivative of the derivative along the first direction of
/// order n - 1. Everything is computed in float64, whatever the dtypes of the formula; random
/// streams stand still, and no shared variable is written to. Parameters and costs may have any
/// scale: see check/slope.hpp. Where a derivative disagrees, each parameter is moved alone, and the
/// worst one entry by entry (a large one is halved until an entry is found, and sampled).
///
/// What stop_gradient() or `consider_constant` hold is computed once, at the point, and stays: a
/// straight-through estimator or a target then has the gradient of the function that it is meant
/// to be the gradient of. The same holds of what has a gradient by a rule of with_gradient(), which
/// no finite difference can judge: the rest of the gradient is compared, and for each rule the
/// report says what it gives and what the value's own slope is. The report says what was held. At a
/// kink or a jump there is no derivative to compare with: the outcome is Verdict::undecided, not ok
/// either, and the report says which parameters are concerned and which agree. Throws GradError
/// where the cost does not depend on a parameter, as grad() does; TypeError for a cost that is no
/// scalar, for parameters that are not float or twice the same, and for a variable without a value.
///
///     CHECK(check_grad(cost, model.params(), {{x, examples}}, {.order = 2}));
GradCheck check_grad(const Arg& cost, const Parameters& wrt, const std::vector<Binding>& at = {},
                     const GradCheckOptions& options = {});
/// The same, up to this order, where all that the cost depends on has a value.
GradCheck check_grad(const Arg& cost, const Parameters& wrt, std::same_as<int> auto order) {
  return check_grad(cost, wrt, {}, {.order = order});
}

}  // namespace cinch
