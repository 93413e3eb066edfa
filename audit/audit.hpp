// What a cost does to its parameters, term by term, and what looks like a mistake.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cinch/core/check_grad.hpp"
#include "cinch/core/expr.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/parameters.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

struct AuditOptions {
  /// Expressions that grad() is told to treat as constants.
  std::vector<Expr> consider_constant = {};
  /// Names for terms: an expression among the sums that make up the cost, and its name.
  std::vector<std::pair<Expr, std::string>> names = {};
  /// Variables whose first axis counts examples. Empty: those whose first size is not fixed and is
  /// the most common one among `at`.
  std::vector<Expr> batch = {};
  /// A sigmoid or tanh within this distance of its limits is saturated.
  double saturation = 1e-3;
  /// The share of saturated values, and of units that never move, from which it is a finding.
  double most_saturated = 0.3, most_stuck = 0.1;
};

/// What audit() can find.
enum class Finding {
  no_gradient,       ///< A term mentions a parameter, and an op on the way stops the gradient.
  partial_gradient,  ///< Some ways from a term to a parameter are stopped.
  zero_gradient,     ///< A gradient flows and is exactly 0 here.
  unreached,         ///< No term has a gradient to a parameter.
  constant_term,     ///< A term depends on no parameter.
  copied_parameter,  ///< A stored or constant copy of a parameter stands where it was to be.
  foreign_slope,     ///< The formula of one nonlinearity's slope on the values of another.
  wrong_gradient,    ///< Finite differences of a term disagree with its gradient.
  undecided,         ///< Finite differences tell nothing: a kink.
  batch_scale,       ///< A term grows or shrinks with the number of examples.
  fixed_batch,       ///< The cost cannot be computed for another number of examples.
  mixed_means,       ///< One term is a mean over the values of an example too, and others sum them.
  saturated,         ///< Sigmoid or tanh units near their limits.
  dead,              ///< Units of relu that are 0 for all examples.
  not_finite,        ///< NaN or infinity in a term or its gradient.
  out_of_range,      ///< The target of a cross-entropy lies outside [0, 1].
  examples_mix,      ///< What an example adds depends on the others; a finding where a softmax is
                     ///< taken over them, else a note.
  squashed_twice,    ///< A sigmoid or softmax of what is one already.
  counted_twice,     ///< A parameter is a summand of a held target and of what explains it.
  moving_target,     ///< One term explains what another leaves over, and moves that as well.
  selected_twice,    ///< A threshold is applied to what it has selected already.
  foreign_axis,      ///< A dictionary's columns have the length 1, not its rows.
  misplaced_epsilon,  ///< A small number stands outside of the root that it is to protect.
  hidden_nan,         ///< Something else is chosen where a value is NaN.
  slow_threshold,  ///< A threshold's logarithm is learnt, from far below what it is compared with.
  unused_input,    ///< A variable has a value, and the cost does not depend on it.
  single_target,   ///< One row is given for all examples.
  summed_draws,    ///< A note: a term is a sum over several draws of one kind, not their mean.
  not_trained,     ///< A note: a stored variable has a gradient and is no parameter.
  given_gradient,  ///< A note: with_gradient() gives one that is not the slope of the value.
};

struct AuditFinding {
  Finding kind;
  int term = -1;  ///< Index in AuditReport::terms; -1: of the whole cost.
  std::vector<std::string> parameters = {};  ///< Names of those concerned.
  Source where = {};                         ///< The user's line.
  std::string text = {};                     ///< What was found, in sentences.
  /// What the norm of the gradient by these parameters would be without the stop, or with the
  /// parameter instead of its copy, where that can be computed.
  std::optional<double> mended = {};
};

/// How a term depends on a parameter.
enum class Reach {
  none,     ///< Not at all.
  stopped,  ///< Its value does, but no gradient flows.
  flows,
};

struct AuditTerm {
  std::string name;           ///< The user's, or a short formula.
  Source where;               ///< The line that wrote it.
  double value = 0;           ///< What it adds to the cost.
  std::vector<Reach> reach;   ///< For each parameter.
  std::vector<double> norms;  ///< Of the gradient by each parameter.
  double share = 0;           ///< Of the sum of all terms' gradient norms.
  /// Exponent e where the term is proportional to n^e for n examples, from the same examples taken
  /// twice: 0 for a mean, 1 for a sum. Nothing where that cannot be told.
  std::optional<double> growth = {};
  /// Of a mean over more than the examples: over how many values of each.
  std::int64_t mean_over = 1;
  GradCheck differences;  ///< Against finite differences, to first order.
};

/// Units of one nonlinearity.
struct AuditUnits {
  std::string op;
  Source where;
  std::int64_t units = 0;
  double saturated = 0;    ///< Share of values near a limit; for relu, of zeros.
  std::int64_t stuck = 0;  ///< Units saturated (relu: 0) for every example.
};

/// What audit() found.
struct AuditReport {
  double value = 0;
  Source where;
  std::int64_t examples = 0;       ///< 0 where there is no batch.
  std::vector<std::string> batch;  ///< Names of the variables that hold examples.
  std::vector<std::string> parameters;
  std::vector<AuditTerm> terms;
  std::vector<AuditUnits> units;
  std::vector<AuditFinding> findings;  ///< What looks like a mistake.
  std::vector<AuditFinding> notes;     ///< What is good to know, and right as often as not.

  bool has(Finding kind) const;  ///< Among findings and notes.
  /// A table of the terms with their lines, the units, and the findings in sentences: `width`
  /// columns, of a terminal by terminal_width(stdout).
  std::string text(int width = 80) const;
};
std::ostream& operator<<(std::ostream& out, const AuditReport& report);

/// Takes `cost`, a float scalar, apart into the terms that it is the sum of (through sums,
/// differences, constant factors, means and sums of sums; formulas written on one line stay whole
/// where they are no scalars), and looks at each at the values that variables have in `at` and
/// shared variables now: its gradient and finite differences, what stops the gradient, how the term
/// changes with the number of examples. Nothing is written to. A finding need not be a mistake:
/// its text says when it is not.
/// Throws TypeError for a cost that is no scalar, and where check_grad() would for parameters and
/// values.
///
///     std::cout << audit(cost, model.params(), {{x, examples}}).text();
AuditReport audit(const Arg& cost, const Parameters& parameters,
                  const std::vector<Binding>& at = {}, const AuditOptions& options = {});

}  // namespace cinch
