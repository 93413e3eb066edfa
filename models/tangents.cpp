#include "cinch/models/tangents.hpp"

#include "cinch/core/grad.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/models/losses.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/norm.hpp"
#include "cinch/ops/svd.hpp"

namespace cinch {

namespace {

void require_vectors(const char* function, const Arg& y, const Expr& x) {
  if (y->rank() != 2 || x.rank() != 2) refuse(function, "both must be (batch, n)", y, {x});
}

}  // namespace

Expr tangents(const Arg& h, const Expr& x, std::int64_t count) {
  const Attribution as(h.where());
  require_vectors("tangents", h, x);
  bool fits = count >= 1;
  for (const Dim most : {h->dims()[1], x.dims()[1]}) {
    fits = fits && (!most.known() || count <= most.size());
  }
  if (!fits) refuse("tangents", text("there are not ", count, " directions"), h, {x});
  return stop_gradient(narrow(svd(jacobian(h, x)).V, 2, 0, count));
}

Expr tangent_penalty(const Arg& o, const Expr& x, const Expr& directions) {
  const Attribution as(o.where());
  require_vectors("tangent_penalty", o, x);
  if (directions.rank() != 3) {
    refuse("tangent_penalty", "directions must be (batch, n, count)", o, {x, directions});
  }
  return example_sum(square(batched_dot(jacobian(o, x), directions)));
}

Expr contraction_ratio(const Arg& h, const Expr& x, const Arg& radius, RandomStreams& random) {
  const Attribution as(h.where());
  require_vectors("contraction_ratio", h, x);
  const Expr u = random.normal(sizes(x), 0.0, 1.0, x.dtype());
  const Expr there = x + radius * u / norm(u, 2, 1, /*keepdims=*/true);
  const Expr moved = substitute(std::span(&h.expr(), 1), {{x, there}}).front();
  return norm(moved - h, 2, 1) / radius;
}

}  // namespace cinch
