// Derivatives beyond the gradient, of every order: all are expressions made from grad() and Lop(),
// so they can be differentiated again, and go through the same passes as what users write. None
// stores an array that its result does not need.
#pragma once

#include <vector>

#include "cinch/core/grad.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// The Jacobian-vector product sum_k (d y / d wrt[k]) v[k], in y's shape (Theano's Rop): the
/// derivative of y along the direction v. v[k] has wrt[k]'s shape. By differentiating u -> Lop(y,
/// wrt, u), which is linear, once more; what that does not need is never computed. Throws as grad()
/// where y does not depend on a wrt[k].
Expr Rop(const Arg& y, const Parameters& wrt, const Parameters& v, const GradOptions& options = {});
Expr Rop(const Arg& y, const Expr& wrt, const Expr& v, const GradOptions& options = {});

/// Jacobian-vector products of several y along one direction: element i is sum_k (d y[i] / d
/// wrt[k]) v[k], 0 where y[i] does not depend on any of wrt.
std::vector<Expr> jvp(const Parameters& y, const Parameters& wrt, const Parameters& v,
                      Source where = Source::here());
/// Vector-Jacobian products of several y together: element k is sum_i u[i] (d y[i] / d wrt[k]), 0
/// where no y[i] depends on wrt[k].
std::vector<Expr> vjp(const Parameters& y, const Parameters& wrt, const Parameters& u,
                      Source where = Source::here());

/// The whole Jacobian, of y's axes followed by x's: element (i..., j...) is d y[i...] / d x[j...].
/// Examples may mix; for one Jacobian for each example see jacobian().
Expr jacobian_full(const Arg& y, const Expr& x);

/// Second derivatives of a scalar cost: element (i..., j...) is d^2 cost / d x[i...] d x[j...].
Expr hessian(const Arg& cost, const Expr& x);
/// Blocks for several parameters: element [a][b] has wrt[a]'s axes followed by wrt[b]'s.
std::vector<std::vector<Expr>> hessian(const Arg& cost, const Parameters& wrt);
/// Hessian times vector, for several parameters together: element a is sum_b (d^2 cost / d wrt[a] d
/// wrt[b]) v[b], for a small multiple of a gradient's time (Pearlmutter, Fast exact multiplication
/// by the Hessian, 1994). v is constant.
std::vector<Expr> hessian_vector(const Arg& cost, const Parameters& wrt, const Parameters& v,
                                 const GradOptions& options = {});
Expr hessian_vector(const Arg& cost, const Expr& wrt, const Expr& v,
                    const GradOptions& options = {});

/// Diagonal of each example's Jacobian, for y and x of the same shape (batch, n): element (b, i) is
/// d y[b, i] / d x[b, i]. Throws as jacobian() where examples mix.
Expr jacobian_diagonal(const Arg& y, const Expr& x, const GradOptions& options = {});
/// Trace of each example's Jacobian, (batch): the divergence of the field x -> y.
Expr divergence(const Arg& y, const Expr& x, const GradOptions& options = {});
/// Diagonal of the Hessian in x's shape: d^2 cost / d x[i...]^2. Where x is (batch, n) and the
/// gradients of examples do not depend on each other, in the time of n Jacobian rows for all
/// examples at once; else from the whole Hessian.
Expr hessian_diagonal(const Arg& cost, const Expr& x);

/// Gradients of each example's own cost: `costs` is (batch), and element k has the axes (batch,
/// wrt[k]'s axes...). Sums of their squares are contracted without storing them.
std::vector<Expr> per_example_grad(const Arg& costs, const Parameters& wrt);
Expr per_example_grad(const Arg& costs, const Expr& wrt);
/// Euclidean norm of each example's gradient by all of wrt together, (batch).
Expr per_example_grad_norms(const Arg& costs, const Parameters& wrt);

}  // namespace cinch
