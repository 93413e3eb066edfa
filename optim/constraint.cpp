#include "cinch/optim/constraint.hpp"

#include <algorithm>
#include <cmath>

#include "cinch/core/refusal.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/norm.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/optim/optimizer/caller.hpp"

namespace cinch {

namespace {

using optimizer::Caller;

/// Throws ValueError, in the name of unit_norm(), for the first row of length 0 or NaN.
void require_directions(const Shared& W, std::int64_t axis, Source where) {
  const Tensor lengths = evaluate(norm(W, 2, axis));
  for (std::int64_t k = 0; k < lengths.size(); ++k) {
    const double length = lengths.at(k);
    if (length > 0 && std::isfinite(length)) continue;
    refuse<ValueError>("unit_norm",
                       text(W.rank() == 2 ? (axis == 1 ? "row " : "column ") : "vector ", k, " of ",
                            describe(W), " has the length ", length,
                            " and no direction: give it values that are finite and not all 0"),
                       where);
  }
}

void require_constraints(const Caller& caller, const std::vector<Constraint>& constraints) {
  for (std::size_t k = 0; k < constraints.size(); ++k) {
    if (!constraints[k].parameter.has_value())
      caller.refuse_type(text("the parameter of constraint ", k, " is an empty expression"));
    if (!constraints[k].projection)
      caller.refuse_type(text("constraint ", k, ", of ", describe(constraints[k].parameter),
                              ", has no projection"));
  }
}

void require_type(const Caller& caller, const Expr& p, const Expr& result) {
  if (result.has_value() && result.dtype() == p.dtype() && result.rank() == p.rank()) return;
  caller.refuse_type(text("the constraint of ", describe(p), ", ", text(p.type()), ", gives ",
                          result.has_value() ? text(result.type()) : "an empty expression"));
}

}  // namespace

Constraint unit_norm(const Shared& W, std::int64_t axis, Source where) {
  const Attribution as(where);
  Caller("unit_norm", where).require_parameters({W});
  axis = axis_of("unit_norm", Arg(W, where), axis);
  require_directions(W, axis, where);
  return {
      W, [axis](const Expr& p) { return p / norm(p, 2, axis, /*keepdims=*/true); },
      [axis](const Expr& p, const Expr& g) { return g - p * sum(p * g, axis, /*keepdims=*/true); }};
}

Constraint norm_at_most(const Shared& W, double bound, std::int64_t axis, Source where) {
  const Attribution as(where);
  const Caller caller("norm_at_most", where);
  caller.require_parameters({W});
  caller.require(bound > 0, "bound", bound, "positive");
  axis = axis_of("norm_at_most", Arg(W, where), axis);
  return {W, [axis, bound](const Expr& p) {
            return p * (bound / maximum(norm(p, 2, axis, /*keepdims=*/true), bound));
          }};
}

Constraint not_negative(const Shared& W, Source where) {
  Caller("not_negative", where).require_parameters({W});
  return {W, [](const Expr& p) { return maximum(p, 0); }};
}

Updates constrained(const Updates& updates, const std::vector<Constraint>& constraints,
                    Source where) {
  const Attribution as(where);
  const Caller caller("constrained", where);
  require_constraints(caller, constraints);
  Updates result = updates;
  for (const Constraint& c : constraints) {
    const auto update = std::ranges::find_if(
        result, [&](const Update& u) { return bool(u.target == c.parameter); });
    if (update == result.end())
      caller.refuse_value(
          text("no update changes ", describe(c.parameter),
               ", which is to stay in a set: train it, or leave the constraint out"));
    update->value = c.projection(update->value);
    require_type(caller, c.parameter, update->value);
  }
  return result;
}

std::vector<Expr> tangential(const std::vector<Shared>& params, const std::vector<Expr>& gradients,
                             const std::vector<Constraint>& constraints, Source where) {
  const Attribution as(where);
  const Caller caller("tangential", where);
  require_constraints(caller, constraints);
  std::vector<Expr> result;
  for (const auto& slope : caller.slopes(params, gradients)) result.push_back(slope.g);
  for (const Constraint& c : constraints) {
    const auto p = std::ranges::find_if(
        params, [&](const Shared& param) { return bool(param == c.parameter); });
    if (p == params.end())
      caller.refuse_value(
          text(describe(c.parameter), " is to stay in a set, and is not among the parameters"));
    if (!c.tangent) continue;
    Expr& g = result[static_cast<std::size_t>(p - params.begin())];
    g = c.tangent(c.parameter, g);
    require_type(caller, c.parameter, g);
  }
  return result;
}

Updates constrained(const Arg& cost, const std::vector<Shared>& params,
                    const std::vector<Constraint>& constraints,
                    const std::function<Updates(const std::vector<Shared>& params,
                                                const std::vector<Expr>& gradients)>& optimizer) {
  const Attribution as(cost.where());
  const Caller caller("constrained", cost.where());
  if (!optimizer) caller.refuse_type("the optimizer is an empty function");
  const std::vector<Expr> gradients = caller.gradients(cost, params);
  return constrained(optimizer(params, tangential(params, gradients, constraints, cost.where())),
                     constraints, cost.where());
}

}  // namespace cinch
