// Sets that parameters stay in while any optimizer trains them: a step is taken, and its result is
// put back. What of a gradient would only lead out of the set can be taken away before the step.
//
//     const std::vector<Constraint> stay{unit_norm(d.W_dec, 1)};
//     Updates updates = constrained(cost, d.params(), stay, [](const auto& params, const auto& g) {
//       return adam(params, clip_by_global_norm(g, 1), 0.001);
//     });
#pragma once

#include <functional>
#include <vector>

#include "cinch/core/function.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// A parameter and the set that its values stay in. One of a user's own: the two functions, or the
/// first alone.
struct Constraint {
  Shared parameter;
  /// The point of the set that stands for a point p outside it, of p's type.
  std::function<Expr(const Expr& p)> projection;
  /// A gradient g at the point p of the set, without what leads out of it. Null: g as it is.
  std::function<Expr(const Expr& p, const Expr& g)> tangent = nullptr;
};

/// Rows along `axis` of length 1: with axis 1 the rows of a (latents, features) dictionary, with 0
/// its columns. The tangent takes g's part along p away, g - p (p'g). Throws ValueError for a value
/// with a row that is 0, or not finite, and has no direction; TypeError for an axis that does not
/// exist.
Constraint unit_norm(const Shared& W, std::int64_t axis, Source where = Source::here());
/// Rows along `axis` of length `bound` at most; longer ones are shortened. Throws ValueError unless
/// bound > 0.
Constraint norm_at_most(const Shared& W, double bound, std::int64_t axis,
                        Source where = Source::here());
/// Elements of at least 0.
Constraint not_negative(const Shared& W, Source where = Source::here());

/// The updates of any optimizer, where what it makes of a constrained parameter is projected; all
/// others as they are. Throws ValueError where a constrained parameter is not among the targets.
Updates constrained(const Updates& updates, const std::vector<Constraint>& constraints,
                    Source where = Source::here());
/// The gradients, one for each of `params`, of which those of constrained parameters keep what
/// stays in the set. Throws ValueError where a constrained parameter is not among `params`.
std::vector<Expr> tangential(const std::vector<Shared>& params, const std::vector<Expr>& gradients,
                             const std::vector<Constraint>& constraints,
                             Source where = Source::here());
/// Both: the gradients of `cost` are made tangential, `optimizer` makes updates of them, and the
/// results are projected.
Updates constrained(const Arg& cost, const std::vector<Shared>& params,
                    const std::vector<Constraint>& constraints,
                    const std::function<Updates(const std::vector<Shared>& params,
                                                const std::vector<Expr>& gradients)>& optimizer);

}  // namespace cinch
