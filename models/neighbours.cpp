#include "cinch/models/neighbours.hpp"

#include <limits>

#include "cinch/core/grad.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/diagonal.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/norm.hpp"
#include "cinch/ops/order.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/spanning_tree.hpp"
#include "cinch/ops/subtensor.hpp"

namespace cinch {

namespace {

void require_examples(const char* function, const Arg& x, const Expr& other) {
  if (x->rank() == 2 && other.rank() == 2) return;
  refuse(function, "both must be (batch, n)", x, {other});
}

/// The lengths of edges, (edges, 2), between the rows of x.
Expr edge_lengths(const Expr& x, const Expr& edges) {
  const Expr i = squeeze(slice(edges, 0, 1, 1), 1), j = squeeze(slice(edges, 1, 2, 1), 1);
  return norm(take(x, i) - take(x, j), 2, 1);
}

}  // namespace

Expr squared_distances(const Arg& x) {
  const Attribution as(x.where());
  if (x->rank() != 2) refuse("squared_distances", "examples must be (batch, n)", x);
  return sum(square(expand_dims(x, 1) - expand_dims(x, 0)), 2);
}

Expr nearest_examples(const Arg& x, std::int64_t k) {
  const Attribution as(x.where());
  if (k < 1) refuse<ValueError>("nearest_examples", text("k must be positive, got ", k), x);
  const Expr distances = squared_distances(x);
  const Expr self = eye(size(x, 0), DType::bool_);
  return topk(switch_(self, std::numeric_limits<double>::infinity(), distances), k, 1,
              /*largest=*/false)
      .indices;
}

Expr topological_error(const Arg& x, const Arg& h) {
  const Attribution as(x.where());
  require_examples("topological_error", x, h);
  Expr total;
  for (const Expr& from : {x.expr(), h.expr()}) {
    const Expr edges = minimum_spanning_tree(squared_distances(from));
    const Expr error = sum(square(edge_lengths(x, edges) - edge_lengths(h, edges))) / 2;
    total = total.has_value() ? total + error : error;
  }
  return total;
}

Expr neighbourhood_error(const Arg& x, const Arg& z, const Expr& h, const Arg& neighbours,
                         int order) {
  const Attribution as(x.where());
  require_examples("neighbourhood_error", x, z);
  require_examples("neighbourhood_error", z, h);
  if (neighbours->rank() != 2 || neighbours->dtype() != DType::int64)
    refuse("neighbourhood_error", "neighbours must be int64 (batch, k)", neighbours, {x});
  if (order != 1 && order != 2)
    refuse<ValueError>("neighbourhood_error", text("order must be 1 or 2, got ", order), x);
  const Expr J = jacobian(z, h);                           // (batch, n, m)
  const Expr d = take(h, neighbours) - expand_dims(h, 1);  // (batch, k, m)
  Expr expansion = expand_dims(z, 1) + batched_dot(d, dimshuffle(J, {0, 2, 1}));
  if (order == 2) {
    const Expr H = jacobian(J, h);  // (batch, n, m, m)
    const Expr bent =
        sum(expand_dims(H, 1) * dimshuffle(d, {0, 1, -1, 2, -1}) * dimshuffle(d, {0, 1, -1, -1, 2}),
            {3, 4});
    expansion = expansion + bent / 2;
  }
  return sum(square(take(x, neighbours) - expansion), {1, 2});
}

}  // namespace cinch
