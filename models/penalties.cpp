#include "cinch/models/penalties.hpp"

#include "cinch/core/derivatives.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/models/losses.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/loss.hpp"
#include "cinch/ops/norm.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

/// Throws TypeError unless each element of y depends on the same element of `a` only.
void require_elementwise(const Expr& y, const Expr& a) {
  NodeSet dependent{a.get()};
  for (const Expr& node : topological(std::span(&y, 1), dependent)) {
    bool depends = false;
    for (std::size_t i = 0; i < node.inputs().size() && node != a; ++i) {
      depends = depends ||
                (!(node.op().shape_only >> i & 1u) && dependent.contains(node.inputs()[i].get()));
    }
    if (!depends) continue;
    dependent.insert(node.get());
    if (node.op().elementwise()) continue;
    refuse("activation",
           text("the closed form needs an activation of each element by itself\n  ", node.op().name,
                " joins several: take the derivatives of layer(x) by x, as jacobian_norm2(h, x)"),
           Arg(y, y->where));
  }
}

/// A layer's input to its activation and the activation's first derivative there.
struct Slope {
  Expr a, first;
};

Slope slope(const Layer& layer, const Expr& x) {
  const Expr a = dot(x, layer.W) + layer.b, h = layer.activation(a);
  require_elementwise(h, a);
  return {a, Lop(h, a, ones_like(h))};
}

/// The matrix product of each example's J', or J, with itself, minus the identity.
Expr gram_error(const Expr& J, bool transposed) {
  const Expr turned = dimshuffle(J, {0, 2, 1});
  const Expr gram = transposed ? batched_dot(turned, J) : batched_dot(J, turned);
  return example_sum(square(gram - eye(size(gram, 1), J.dtype())));
}

struct Noise {
  double sd;
  std::int64_t samples;
  Source where;
};

/// The mean over samples of noise of combine((y - y where x + noise is in place of x)^2).
template <class F>
Expr mean_change(const Expr& y, const Expr& x, const F& combine, const Noise& n,
                 RandomStreams& random) {
  if (!(n.sd > 0) || n.samples < 1) {
    refuse<ValueError>(
        "jacobian_change",
        text("the standard deviation must be positive and there must be a sample, got ", n.sd,
             " and ", n.samples),
        n.where);
  }
  const Expr noise = variable("noise", x.type());
  const Expr moved = substitute(std::span(&y, 1), {{x, x + noise}}).front();
  std::vector<Expr> shape{constant(Tensor(n.samples))};
  for (const Expr& size : sizes(x)) shape.push_back(size);
  const Expr draws = random.normal(shape, 0.0, n.sd, x.dtype());
  return mean(vectorize(combine(square(y - moved)), noise, draws), 0);
}

void require_vectors(const char* function, const Arg& y, const Expr& x) {
  if (y->rank() == 2 && x.rank() == 2) return;
  refuse(function, "both must be (batch, n)", y, {x});
}

}  // namespace

Expr jacobian_norm2(const Arg& h, const Expr& x) {
  const Attribution as(h.where());
  return example_sum(square(jacobian(h, x)));
}

Expr jacobian_norm2(const Layer& layer, const Arg& x) {
  const Attribution as(x.where());
  return dot(square(slope(layer, x).first), sum(square(layer.W), 0));
}

Expr hessian_norm2(const Arg& h, const Expr& x) {
  const Attribution as(h.where());
  return example_sum(square(jacobian(jacobian(h, x), x)));
}

Expr hessian_norm2(const Layer& layer, const Arg& x) {
  const Attribution as(x.where());
  const auto [a, first] = slope(layer, x);
  // A slope that is constant by parts, as relu's, has the second derivative 0.
  const Expr second = Lop(first, a, ones_like(a), {.disconnected = Disconnected::zero});
  return dot(square(second), square(sum(square(layer.W), 0)));
}

Expr jacobian_change(const Arg& h, const Expr& x, double sd, RandomStreams& random,
                     std::int64_t samples) {
  const Attribution as(h.where());
  const Expr J = jacobian(h, x);
  return mean_change(J, x, example_sum, {sd, samples, h.where()}, random);
}

Expr jacobian_change(const Layer& layer, const Arg& x, double sd, RandomStreams& random,
                     std::int64_t samples) {
  const Attribution as(x.where());
  // The weights come in after the difference, which makes no matrix for each example.
  const Expr norms = sum(square(layer.W), 0);
  return mean_change(
      slope(layer, x).first, x, [&](const Arg& squares) { return dot(squares, norms); },
      {sd, samples, x.where()}, random);
}

Expr nuclear_norm_bound(const Arg& z, const Expr& h, const Expr& x) {
  const Attribution as(z.where());
  return (jacobian_norm2(z, h) + jacobian_norm2(h, x)) / 2;
}

Expr isometry_error(const Arg& z, const Expr& h) {
  const Attribution as(z.where());
  require_vectors("isometry_error", z, h);
  return gram_error(jacobian(z, h), /*transposed=*/true);
}

Expr orthonormality_error(const Arg& h, const Expr& x) {
  const Attribution as(h.where());
  require_vectors("orthonormality_error", h, x);
  return gram_error(jacobian(h, x), /*transposed=*/false);
}

Expr stretch_error(const Arg& z, const Expr& h, RandomStreams& random) {
  const Attribution as(z.where());
  require_vectors("stretch_error", z, h);
  const Expr u = random.normal(sizes(h), 0.0, 1.0, h.dtype());
  return square(norm(Rop(z, h, u / norm(u, 2, 1, /*keepdims=*/true)), 2, 1) - 1);
}

Expr sparse_kl(const Arg& h, double rho) {
  const Attribution as(h.where());
  if (!(rho > 0 && rho < 1)) {
    refuse<ValueError>(
        "sparse_kl",
        text("rho is the mean activation that units should have, in (0, 1), got ", rho), h.where());
  }
  return sum(bernoulli_kl(rho, mean(h, 0)));
}

Expr l1(const Arg& h) {
  const Attribution as(h.where());
  return example_sum(abs(h));
}

Expr weight_decay(std::span<const Shared> params, Source where) {
  const Attribution as(where);
  Expr total;
  for (const Shared& W : params) {
    if (W.rank() < 2) continue;
    total = total.has_value() ? total + sum(square(W)) : sum(square(W));
  }
  if (total.has_value()) return total;
  refuse("weight_decay", text("none of the ", params.size(), " parameters has two axes or more"),
         where);
}

}  // namespace cinch
