#include "cinch/optim/clipping.hpp"

#include <cmath>
#include <limits>

#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/ifelse.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/optim/optimizer/caller.hpp"

namespace cinch {

namespace {

using optimizer::Caller;

void require_gradients(const Caller& caller, const std::vector<Expr>& gradients) {
  if (gradients.empty()) caller.refuse_value("the list of gradients is empty");
  for (std::size_t k = 0; k < gradients.size(); ++k) {
    if (!gradients[k].has_value())
      caller.refuse_type(text("gradient ", k, " is an empty expression"));
    if (!is_float(gradients[k].dtype()))
      caller.refuse_type(text("gradient ", k, " must be a float, got ", text(gradients[k].type()),
                              "  ", describe(gradients[k])));
  }
}

void require_bound(const Caller& caller, const Arg& bound) {
  caller.require_scalar(bound, "bound");
  if (const Tensor* value = constant_value(bound.expr()))
    caller.require(value->item() > 0, "bound", value->item(), "positive");
}

/// The length of all gradients together, from elements times a power of two, in float64.
Expr length(const std::vector<Expr>& gradients, double factor) {
  Expr total;
  for (const Expr& g : gradients) {
    const Expr part = sum(square(factor * cast(g, DType::float64)));
    total = total.has_value() ? total + part : part;
  }
  return sqrt(total) / factor;
}

/// Squares of numbers beyond 1e154 overflow, and those of numbers below 1e-154 are lost: then, and
/// only then, squares are taken of smaller or larger ones.
Expr norm(const std::vector<Expr>& gradients) {
  const double smaller = std::ldexp(1.0, -530), larger = std::ldexp(1.0, 565);
  const Expr plain = length(gradients, 1);
  const Expr is_held = logical_and(plain > 1e-145, plain < std::numeric_limits<double>::infinity());
  return ifelse(is_held, plain,
                ifelse(plain > 1, length(gradients, smaller), length(gradients, larger)));
}

/// 1 where the norm is within the bound, NaN where it is not finite.
Expr factor(const Expr& norm, const Arg& bound) {
  const Expr limit = cast(bound, DType::float64);
  return where(norm < std::numeric_limits<double>::infinity(), limit / maximum(norm, limit),
               std::numeric_limits<double>::quiet_NaN());
}

std::vector<Expr> limited(const std::vector<Expr>& gradients, const Arg& low, const Arg& high) {
  std::vector<Expr> result;
  for (const Expr& g : gradients)
    result.push_back(clip(g, cast(low, g.dtype()), cast(high, g.dtype())));
  return result;
}

}  // namespace

std::vector<Expr> clip_by_value(const std::vector<Expr>& gradients, const Arg& low,
                                const Arg& high) {
  const Attribution as(low.where());
  const Caller caller("clip_by_value", low.where());
  require_gradients(caller, gradients);
  for (const Arg* bound : {&low, &high}) {
    if (!bound->expr().has_value() || bound->expr().rank() != 0)
      caller.refuse_type("low and high must be numbers or scalars");
  }
  const Tensor *least = constant_value(low.expr()), *most = constant_value(high.expr());
  if (least && most && !(least->item() <= most->item()))
    caller.refuse_value(
        text("low must not be above high, got ", least->item(), " and ", most->item()));
  return limited(gradients, low, high);
}

std::vector<Expr> clip_by_value(const std::vector<Expr>& gradients, const Arg& bound) {
  const Attribution as(bound.where());
  const Caller caller("clip_by_value", bound.where());
  require_gradients(caller, gradients);
  require_bound(caller, bound);
  return limited(gradients, -bound, bound);
}

std::vector<Expr> clip_by_norm(const std::vector<Expr>& gradients, const Arg& bound) {
  const Attribution as(bound.where());
  const Caller caller("clip_by_norm", bound.where());
  require_gradients(caller, gradients);
  require_bound(caller, bound);
  std::vector<Expr> result;
  for (const Expr& g : gradients) result.push_back(cast(factor(norm({g}), bound), g.dtype()) * g);
  return result;
}

std::vector<Expr> clip_by_global_norm(const std::vector<Expr>& gradients, const Arg& bound) {
  const Attribution as(bound.where());
  const Caller caller("clip_by_global_norm", bound.where());
  require_gradients(caller, gradients);
  require_bound(caller, bound);
  const Expr scale = factor(norm(gradients), bound);
  std::vector<Expr> result;
  for (const Expr& g : gradients) result.push_back(cast(scale, g.dtype()) * g);
  return result;
}

Expr global_norm(const std::vector<Expr>& gradients, Source where) {
  const Attribution as(where);
  require_gradients(Caller("global_norm", where), gradients);
  return norm(gradients);
}

std::vector<Expr> zero_unless_finite(const std::vector<Expr>& gradients, Source where) {
  const Attribution as(where);
  require_gradients(Caller("zero_unless_finite", where), gradients);
  Expr finite;
  for (const Expr& g : gradients) {
    const Expr part = all(abs(g) < std::numeric_limits<double>::infinity());
    finite = finite.has_value() ? logical_and(finite, part) : part;
  }
  std::vector<Expr> result;
  for (const Expr& g : gradients) result.push_back(switch_(finite, g, 0));
  return result;
}

}  // namespace cinch
