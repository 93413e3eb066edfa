#include "cinch/ops/loss.hpp"

#include <algorithm>

#include "cinch/core/refusal.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/norm.hpp"
#include "cinch/ops/records/operands.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/rules/root.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/special.hpp"

namespace cinch {

namespace {

[[noreturn]] void refuse_targets(const char* name, const Arg& t, const Arg& p, std::int64_t axis) {
  refuse(name,
         text("targets must be floats with the axes of the predictions, or int64 labels without "
              "axis ",
              axis),
         t, {p});
}

/// Whether k is the class that `labels` say, for every class k along `axis`.
Expr is_label(const Expr& labels, const Expr& like, std::int64_t axis) {
  std::vector<std::int64_t> pattern(static_cast<std::size_t>(like.rank()), -1);
  pattern[static_cast<std::size_t>(axis)] = 0;
  return equal(expand_dims(labels, axis), dimshuffle(arange(size(like, axis)), pattern));
}

/// (classes) along `axis` of `like`.
Expr along(const char* name, const Arg& weights, const Arg& like, std::int64_t axis) {
  if (weights->rank() != 1) {
    refuse(name, "class weights must be (classes)", like, {weights});
  }
  std::vector<std::int64_t> pattern(static_cast<std::size_t>(like->rank()), -1);
  pattern[static_cast<std::size_t>(axis)] = 0;
  return records::beside_along(name, dimshuffle(weights, pattern), like, axis);
}

/// -sum of `weighted`(distribution) along the axis, where labels stand for distributions of one
/// class.
template <class Weighted>
Expr cross_entropy_along(const char* name, const Arg& t, const Arg& p, std::int64_t axis,
                         const ClassOptions& options, Weighted&& weighted) {
  axis = axis_of(name, p, axis);
  if (!(options.smoothing >= 0 && options.smoothing < 1)) {
    refuse<ValueError>(name, text("smoothing must be in [0, 1), it is ", options.smoothing), t,
                       {p});
  }
  const auto cost = [&](Expr q) {
    if (options.smoothing > 0)
      q = (1 - options.smoothing) * q + options.smoothing / cast(size(p, axis), p->dtype());
    const Expr each = weighted(q);
    return -sum(options.weights ? along(name, *options.weights, p, axis) * each : each, axis);
  };
  if (is_float(t->dtype()) && t->rank() == p->rank() && !options.ignore)
    return cost(records::beside_along(name, t, p, axis));
  if (t->dtype() != DType::int64 || t->rank() != p->rank() - 1) refuse_targets(name, t, p, axis);
  const auto one_class = [&](const Expr& labels) {
    return cost(cast(is_label(records::class_labels(name, labels, p, axis), p, axis), p->dtype()));
  };
  if (!options.ignore) return one_class(t);
  const Expr counts = not_equal(t, *options.ignore);
  return switch_(counts, one_class(switch_(counts, t, 0)), 0);
}

}  // namespace

namespace {

/// Where a loss bends, beside its residual. Below 0 it would be another loss in silence.
Expr bend_of(const char* function, const char* what, const Arg& bend, const Arg& e) {
  if (const Tensor* value = constant_value(bend)) {
    for (std::int64_t k = 0; k < value->size(); ++k) {
      if (!(value->at(k) > 0))
        refuse<ValueError>(function, text(what, " must be above 0, it is ", value->at(k)), e,
                           {bend});
    }
  }
  return records::beside(function, bend, e);
}

}  // namespace

Expr huber(const Arg& e, const Arg& delta) {
  const Attribution as(e.where());
  const Expr bend = bend_of("huber", "delta", delta, e), size = abs(e);
  return switch_(size <= bend, 0.5 * square(e), bend * (size - 0.5 * bend));
}

Expr smooth_l1(const Arg& e, const Arg& beta) {
  const Attribution as(e.where());
  const Expr bend = bend_of("smooth_l1", "beta", beta, e);
  return huber(e, bend) / bend;
}

Expr hinge(const Arg& t, const Arg& y) {
  const Attribution as(t.where());
  return relu(1 - records::beside("hinge", t, y) * y);
}

Expr binary_cross_entropy(const Arg& target, const Arg& p) {
  const Attribution as(target.where());
  const Expr t = records::beside("binary_cross_entropy", target, p);
  return -(xlogy(t, p) + xlog1py(1 - t, -p));
}

Expr binary_cross_entropy_from_logits(const Arg& target, const Arg& a) {
  const Attribution as(target.where());
  const Expr t = records::beside("binary_cross_entropy_from_logits", target, a);
  return t * softplus(-a) + (1 - t) * softplus(a);
}

Expr categorical_cross_entropy(const Arg& t, const Arg& p, std::int64_t axis,
                               const ClassOptions& options) {
  const Attribution as(t.where());
  return cross_entropy_along("categorical_cross_entropy", t, p, axis, options,
                             [&](const Expr& q) { return xlogy(q, p); });
}

Expr categorical_cross_entropy_from_logits(const Arg& t, const Arg& a, std::int64_t axis,
                                           const ClassOptions& options) {
  const Attribution as(t.where());
  return cross_entropy_along("categorical_cross_entropy_from_logits", t, a, axis, options,
                             [&](const Expr& q) { return times_log(q, log_softmax(a, axis)); });
}

Expr negative_log_likelihood(const Arg& t, const Arg& log_p, std::int64_t axis,
                             const ClassOptions& options) {
  const Attribution as(t.where());
  return cross_entropy_along("negative_log_likelihood", t, log_p, axis, options,
                             [&](const Expr& q) { return times_log(q, log_p); });
}

Expr poisson_nll(const Arg& t, const Arg& a) {
  const Attribution as(t.where());
  return exp(a) - records::beside("poisson_nll", t, a) * a;
}

Expr gaussian_nll(const Arg& t, const Arg& mean, const Arg& log_variance) {
  const Attribution as(t.where());
  constexpr double log_two_pi = 1.8378770664093454836;
  const Expr deviation = records::beside("gaussian_nll", t, mean) - mean;
  const Expr log_v = records::beside("gaussian_nll", log_variance, deviation);
  return 0.5 * (square(deviation) * exp(-log_v) + log_v + log_two_pi);
}

Expr triplet_loss(const Arg& anchor, const Arg& positive, const Arg& negative, const Arg& margin,
                  std::int64_t axis) {
  const Attribution as(anchor.where());
  const char* name = "triplet_loss";
  const auto distance = [&](const Arg& other) {
    const std::int64_t rank = std::max(anchor->rank(), other->rank());
    const Expr a = records::beside_along(name, anchor, other, axis);
    return norm(a - other, 2, axis < 0 ? axis : axis - rank);
  };
  const Expr near = distance(positive), far = distance(negative);
  const Expr excess = records::beside(name, near, far) - far;
  return relu(excess + records::beside(name, margin, excess));
}

Expr contrastive_loss(const Arg& same, const Arg& d, const Arg& margin) {
  const Attribution as(same.where());
  const char* name = "contrastive_loss";
  if (same->dtype() != DType::bool_) {
    refuse(name, "whether two are the same must be bool, as in equal(a, b)", same, {d});
  }
  const Expr apart = relu(records::beside(name, margin, d) - d);
  return switch_(records::beside(name, same, apart), square(d), square(apart));
}

Expr bernoulli_kl(const Arg& target, const Arg& rho_hat) {
  const Attribution as(target.where());
  const Expr rho = records::beside("bernoulli_kl", target, rho_hat);
  const Expr heads = xlogy(rho, rho) - xlogy(rho, rho_hat);
  return heads + (xlog1py(1 - rho, -rho) - xlog1py(1 - rho, -rho_hat));
}

Expr categorical_kl(const Arg& target, const Arg& q, std::int64_t axis) {
  const Attribution as(target.where());
  const Expr p = records::beside_along("categorical_kl", target, q, axis);
  return sum(xlogy(p, p) - xlogy(p, q), axis);
}

Expr gaussian_kl(const Arg& mean, const Arg& log_variance) {
  const Attribution as(mean.where());
  const Expr m = records::beside("gaussian_kl", mean, log_variance);
  return 0.5 * (square(m) + (expm1(log_variance) - log_variance));
}

Expr cosine_similarity(const Arg& x, const Arg& b, std::int64_t axis) {
  const Attribution as(x.where());
  const Expr a = records::beside_along("cosine_similarity", x, b, axis);
  const std::int64_t from_end = axis < 0 ? axis : axis - std::max(a.rank(), b->rank());
  const Expr lengths = norm(a, 2, from_end) * norm(b, 2, from_end);
  const Expr none = equal(lengths, 0);
  return switch_(none, rules::flat(lengths, 2), sum(a * b, from_end) / switch_(none, 1, lengths));
}

}  // namespace cinch
