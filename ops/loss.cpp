#include "ops/loss.hpp"

#include <limits>

#include "ops/activation.hpp"
#include "ops/arithmetic.hpp"
#include "ops/index.hpp"
#include "ops/norm.hpp"
#include "ops/reduce.hpp"
#include "ops/root.hpp"
#include "ops/shape.hpp"
#include "ops/special.hpp"

namespace cinch {

namespace {

[[noreturn]] void refuse(const char* name, const Arg& t, const Arg& p, std::int64_t axis) {
  throw TypeError(text(name, ": targets must be floats with the axes of the predictions, or int64 ",
                       "labels without axis ", axis, "\n  targets      ", text(t->type()), "  ",
                       describe(t), "\n  predictions  ", text(p->type()), "  ", describe(p),
                       "\n  written at ", t.where().text()));
}

/// Whether k is the class that `labels` say, for every class k along `axis`.
Expr is_label(const Expr& labels, const Expr& like, std::int64_t axis) {
  std::vector<std::int64_t> pattern(static_cast<std::size_t>(like.rank()), -1);
  pattern[static_cast<std::size_t>(axis)] = 0;
  return equal(expand_dims(labels, axis), dimshuffle(arange(size(like, axis)), pattern));
}

/// -sum of `weighted`(distribution) along the axis, where labels stand for distributions of one
/// class.
template <class Weighted>
Expr cross_entropy_along(const char* name, const Arg& t, const Arg& p, std::int64_t axis,
                         Weighted&& weighted) {
  axis = axis_of(name, p, axis);
  if (is_float(t->dtype()) && t->rank() == p->rank()) return -sum(weighted(t), axis);
  if (t->dtype() != DType::int64 || t->rank() != p->rank() - 1) refuse(name, t, p, axis);
  const Expr right = is_label(t, p, axis);
  const Expr cost = -sum(weighted(cast(right, p->dtype())), axis);
  return switch_(any(right, axis), cost, std::numeric_limits<double>::quiet_NaN());
}

}  // namespace

Expr huber(const Arg& e, const Arg& delta) {
  const Attribution as(e.where());
  const Expr size = abs(e);
  return switch_(size <= delta, 0.5 * square(e), delta * (size - 0.5 * delta));
}

Expr hinge(const Arg& t, const Arg& y) {
  const Attribution as(t.where());
  return relu(1 - t * y);
}

Expr binary_cross_entropy(const Arg& t, const Arg& p) {
  const Attribution as(t.where());
  return -(xlogy(t, p) + xlog1py(1 - t, -p));
}

Expr binary_cross_entropy_from_logits(const Arg& t, const Arg& a) {
  const Attribution as(t.where());
  return t * softplus(-a) + (1 - t) * softplus(a);
}

Expr categorical_cross_entropy(const Arg& t, const Arg& p, std::int64_t axis) {
  const Attribution as(t.where());
  return cross_entropy_along("categorical_cross_entropy", t, p, axis,
                             [&](const Expr& q) { return xlogy(q, p); });
}

Expr categorical_cross_entropy_from_logits(const Arg& t, const Arg& a, std::int64_t axis) {
  const Attribution as(t.where());
  return cross_entropy_along("categorical_cross_entropy_from_logits", t, a, axis,
                             [&](const Expr& q) { return times_log(q, log_softmax(a, axis)); });
}

Expr negative_log_likelihood(const Arg& t, const Arg& log_p, std::int64_t axis) {
  const Attribution as(t.where());
  return cross_entropy_along("negative_log_likelihood", t, log_p, axis,
                             [&](const Expr& q) { return times_log(q, log_p); });
}

Expr bernoulli_kl(const Arg& rho, const Arg& rho_hat) {
  const Attribution as(rho.where());
  const Expr heads = xlogy(rho, rho) - xlogy(rho, rho_hat);
  return heads + (xlog1py(1 - rho, -rho) - xlog1py(1 - rho, -rho_hat));
}

Expr categorical_kl(const Arg& p, const Arg& q, std::int64_t axis) {
  const Attribution as(p.where());
  return sum(xlogy(p, p) - xlogy(p, q), axis_of("categorical_kl", p, axis));
}

Expr gaussian_kl(const Arg& mean, const Arg& log_variance) {
  const Attribution as(mean.where());
  return 0.5 * (square(mean) + (expm1(log_variance) - log_variance));
}

Expr cosine_similarity(const Arg& a, const Arg& b, std::int64_t axis) {
  const Attribution as(a.where());
  axis = axis_of("cosine_similarity", a, axis);
  const Expr lengths = norm(a, 2, axis) * norm(b, 2, axis);
  const Expr none = equal(lengths, 0);
  return switch_(none, flat(lengths, 2), sum(a * b, axis) / switch_(none, 1, lengths));
}

}  // namespace cinch
