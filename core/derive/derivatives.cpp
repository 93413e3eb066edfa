#include "cinch/core/derivatives.hpp"

#include <algorithm>

#include "cinch/core/derive/collapsed.hpp"
#include "cinch/core/derive/derivative_of.hpp"
#include "cinch/core/derive/rows.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/graph/derivation.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/refusal.hpp"

namespace cinch {

namespace {

Expr total(const Expr& x) {
  std::vector<std::int64_t> all;
  for (std::int64_t axis = 0; axis < x.rank(); ++axis) all.push_back(axis);
  return all.empty() ? x : sum_axes(x, all);
}

/// sum_k <a[k], b[k]>
Expr inner(std::span<const Expr> a, std::span<const Expr> b) {
  Expr result;
  for (std::size_t k = 0; k < a.size(); ++k) {
    const Expr part = total(a[k] * b[k]);
    result = result.has_value() ? result + part : part;
  }
  return result;
}

/// `v`, each of the shape of its `wrt`: refused now where the sizes are known, else when it runs.
std::vector<Expr> of_their_shapes(const char* name, std::span<const Expr> wrt,
                                  std::span<const Expr> v) {
  const auto refuse = [&](const std::string& what, const std::vector<Expr>& operands) {
    throw TypeError(refusal(name, what, operands, attributed({})));
  };
  if (wrt.empty()) refuse("there is nothing to differentiate by", {});
  if (wrt.size() != v.size()) {
    refuse(text("there are ", wrt.size(), " expressions and ", v.size(), " vectors for them"),
           {wrt.begin(), wrt.end()});
  }
  std::vector<Expr> result;
  for (std::size_t k = 0; k < wrt.size(); ++k) {
    if (!wrt[k].has_value() || !v[k].has_value()) refuse(text("expression ", k, " is empty"), {});
    bool same = wrt[k].rank() == v[k].rank();
    for (std::size_t axis = 0; same && axis < v[k].dims().size(); ++axis) {
      const Dim a = wrt[k].dims()[axis], b = v[k].dims()[axis];
      same = !a.known() || !b.known() || a == b;
    }
    if (!same) refuse("a vector must have the shape of what it belongs to", {wrt[k], v[k]});
    result.push_back(records::alike(name, v[k], wrt[k]));
  }
  return result;
}

/// `e` where `seed` lends its shape only, without it.
Expr without(const Expr& e, const Expr& seed, const Expr& y) {
  return substitute(std::span(&e, 1), {{seed, stop_gradient(y)}}).front();
}

}  // namespace

Expr Rop(const Arg& y, const Parameters& wrt, const Parameters& v, const GradOptions& options) {
  const Attribution as(y.where());
  const std::vector<Expr> vectors = of_their_shapes("Rop", wrt.all(), v.all());
  const Expr seed = variable("seed", y->type());
  std::vector<Expr> directions;
  for (std::size_t k = 0; k < v.size(); ++k) directions.push_back(cast(vectors[k], wrt[k].dtype()));
  const std::vector<Expr> pulled = Lop(y, wrt, seed, options);
  const bool single = pulled.size() == 1;
  const Expr along = single ? pulled[0] : inner(pulled, directions);
  deriving::require_linear("Rop", along, seed, y);
  const GradOptions linear{.disconnected = Disconnected::zero};
  return without(single ? Lop(along, seed, directions[0], linear) : grad(along, seed, linear), seed,
                 y);
}

Expr Rop(const Arg& y, const Expr& wrt, const Expr& v, const GradOptions& options) {
  return Rop(y, Parameters(wrt), Parameters(v), options);
}

std::vector<Expr> jvp(const Parameters& y, const Parameters& wrt, const Parameters& v,
                      Source where) {
  const Attribution as(where);
  std::vector<Expr> result;
  for (const Expr& one_y : y)
    result.push_back(Rop(one_y, wrt, v, {.disconnected = Disconnected::zero}));
  return result;
}

std::vector<Expr> vjp(const Parameters& y, const Parameters& wrt, const Parameters& u,
                      Source where) {
  const Attribution as(where);
  const std::vector<Expr> vectors = of_their_shapes("vjp", y.all(), u.all());
  std::vector<Expr> result(wrt.size());
  for (std::size_t i = 0; i < y.size(); ++i) {
    const auto parts = Lop(y[i], wrt, vectors[i], {.disconnected = Disconnected::zero});
    for (std::size_t k = 0; k < parts.size(); ++k)
      result[k] = result[k].has_value() ? result[k] + parts[k] : parts[k];
  }
  return result;
}

namespace {

/// Every output of y by every element of x: y's axes, then x's.
Expr all_rows(const Expr& y, const Expr& x, const GradOptions& options) {
  const Expr seed = variable("seed", y.type());
  return deriving::as_derivative(
      deriving::rows(Lop(y, x, seed, options), seed, y, /*first_axis=*/0), x);
}

}  // namespace

Expr jacobian_full(const Arg& y, const Expr& x) {
  const Attribution as(y.where());
  return all_rows(y, x, {});
}

Expr hessian(const Arg& cost, const Expr& x) {
  return hessian(cost, Parameters(x)).front().front();
}

std::vector<std::vector<Expr>> hessian(const Arg& cost, const Parameters& wrt) {
  const Attribution as(cost.where());
  std::vector<std::vector<Expr>> blocks;
  for (const Expr& g : grad(cost, wrt)) {
    auto& row = blocks.emplace_back();
    // A cost that is linear in a parameter has a gradient without it.
    for (const Expr& x : wrt) row.push_back(all_rows(g, x, {.disconnected = Disconnected::zero}));
  }
  return blocks;
}

std::vector<Expr> hessian_vector(const Arg& cost, const Parameters& wrt, const Parameters& v,
                                 const GradOptions& options) {
  const Attribution as(cost.where());
  const std::vector<Expr> given = of_their_shapes("hessian_vector", wrt.all(), v.all());
  GradOptions second = options;
  second.disconnected = Disconnected::zero;
  // The vectors come in at the end: they are constant, whatever they are made of.
  std::vector<Expr> directions;
  Substitutions vectors;
  for (std::size_t k = 0; k < v.size(); ++k) {
    directions.push_back(variable("direction", Type{v[k].dtype(), wrt[k].dims()}));
    vectors.emplace_back(directions.back(), given[k]);
  }
  return substitute(grad(inner(grad(cost, wrt, options), directions), wrt, second), vectors);
}

Expr hessian_vector(const Arg& cost, const Expr& wrt, const Expr& v, const GradOptions& options) {
  return hessian_vector(cost, Parameters(wrt), Parameters(v), options).front();
}

Expr jacobian_diagonal(const Arg& y, const Expr& x, const GradOptions& options) {
  const Attribution as(y.where());
  if (y->rank() != 2 || x.rank() != 2) {
    refuse("jacobian_diagonal", "both must be (batch, n)", y, {x});
  }
  const Dim a = y->dims()[1], b = x.dims()[1];
  if (a.known() && b.known() && !(a == b)) {
    refuse("jacobian_diagonal",
           text("the Jacobian of ", describe(y), " by ", describe(x), " is ", a.size(), " by ",
                b.size(), ", not square"),
           y, {x});
  }
  // It refuses what has no such Jacobian, and stands where nothing collapses.
  const Expr from_rows = sum_axes(jacobian(y, x, options) * eye(size(x, 1), y->dtype()), {2});
  if (!options.consider_constant.empty()) return from_rows;
  const auto collapsed = [y = y.expr(), x](std::vector<Expr> whole) {
    whole.push_back(x);
    return deriving::collapsed_diagonal(graphs::showing(std::span(&y, 1), whole).front(), x);
  };
  const Expr result = collapsed({});
  if (!result.has_value()) return from_rows;
  const auto again = [=](const std::vector<Expr>& whole) {
    const Expr e = collapsed(whole);
    return e.has_value() ? e : graphs::showing(std::span(&from_rows, 1), whole).front();
  };
  return deriving::as_derivative(
      deriving::of_each_example(graphs::derived(result, {{y}, {x}, again}), y), x);
}

Expr divergence(const Arg& y, const Expr& x, const GradOptions& options) {
  const Attribution as(y.where());
  return sum_axes(jacobian_diagonal(y, x, options), {1});
}

Expr hessian_diagonal(const Arg& cost, const Expr& x) {
  const Attribution as(cost.where());
  const Expr g = grad(cost, x);
  const GradOptions linear{.disconnected = Disconnected::zero};
  if (x.rank() == 2 && examples_are_separate(g, x)) return jacobian_diagonal(g, x, linear);
  const Expr count = product(sizes(x));
  const Expr square = reshape(all_rows(g, x, linear), {count, count});
  return reshape(sum_axes(square * eye(count, g.dtype()), {1}), sizes(x));
}

std::vector<Expr> per_example_grad(const Arg& costs, const Parameters& wrt) {
  const Attribution as(costs.where());
  if (costs->rank() != 1 || !is_float(costs->dtype())) {
    refuse("per_example_grad", "costs must be a float vector, one number an example", costs);
  }
  const Expr seed = variable("seed", costs->type());
  const Expr seeds = eye(size(costs, 0), costs->dtype());
  std::vector<Expr> result;
  for (const Expr& pulled : Lop(costs, wrt, seed))
    result.push_back(deriving::of_each_example(vectorize(pulled, seed, seeds), costs));
  return result;
}

Expr per_example_grad(const Arg& costs, const Expr& wrt) {
  return per_example_grad(costs, Parameters(wrt)).front();
}

Expr per_example_grad_norms(const Arg& costs, const Parameters& wrt) {
  const Attribution as(costs.where());
  Expr squares;
  for (const Expr& g : per_example_grad(costs, wrt)) {
    std::vector<std::int64_t> axes;
    for (std::int64_t axis = 1; axis < g.rank(); ++axis) axes.push_back(axis);
    const Expr part = axes.empty() ? square(g) : sum_axes(square(g), axes);
    squares = squares.has_value() ? squares + part : part;
  }
  return sqrt(squares);
}

}  // namespace cinch
