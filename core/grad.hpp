// Derivatives as expressions.
#pragma once

#include <initializer_list>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/parameters.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// What grad() does about a parameter that the cost does not depend on.
enum class Disconnected { error, zero };

struct GradOptions {
  /// Expressions to treat as constants: no gradient flows through them.
  std::vector<Expr> consider_constant = {};
  Disconnected disconnected = Disconnected::error;
};

/// d cost / d wrt[k], each with the type of wrt[k], made of ops, so that it can be differentiated
/// again. `cost` is a float scalar; `wrt` may be any float expressions that it is computed from.
/// The cost is first brought to its numerically stable form (docs/rules.md), so that a gradient
/// is finite where the stable formula's is; all nodes of the cost can be asked for afterwards, in
/// the gradient too. Throws GradError for a parameter that the cost does not depend on, unless it
/// is made of Jacobians by it, which are constant then, or depends on only through ops without a
/// gradient, which it names; TypeError for a cost that is not a scalar.
std::vector<Expr> grad(const Arg& cost, const Parameters& wrt, const GradOptions& options = {});
/// {W} is a list as well.
std::vector<Expr> grad(const Arg& cost, std::initializer_list<Expr> wrt,
                       const GradOptions& options = {});
Expr grad(const Arg& cost, const Expr& wrt, const GradOptions& options = {});

/// The vector-Jacobian product sum_i v_i d y_i / d wrt (Theano's Lop). `v` has y's shape: TypeError
/// for another, when the function runs where sizes are not known before.
std::vector<Expr> Lop(const Arg& y, const Parameters& wrt, const Expr& v,
                      const GradOptions& options = {});
Expr Lop(const Arg& y, const Expr& wrt, const Expr& v, const GradOptions& options = {});

/// Per-example Jacobian: element (n, i, j) is d y[n, i] / d x[n, j]. `y` is (batch, ...) and `x` is
/// (batch, ...); the axes after the first are kept, y's before x's: (batch, y's axes..., x's
/// axes...). Throws GradError naming the op where one example's y depends on another example's x,
/// and as grad() where y does not depend on x. Where y is itself a Jacobian by x, as in
/// jacobian(jacobian(h, x), x), that is no mistake: second derivatives of a linear layer are 0.
Expr jacobian(const Arg& y, const Expr& x, const GradOptions& options = {});

/// Whether jacobian(y, x) exists: no example's y depends on another example's x.
bool examples_are_separate(const Expr& y, const Expr& x);

/// `y`, an expression in `x`, for many x at once: `many` has one more axis in front than x, and so
/// has the result. Where y does not depend on x, the result is y repeated.
Expr vectorize(const Arg& y, const Expr& x, const Expr& many);

}  // namespace cinch
