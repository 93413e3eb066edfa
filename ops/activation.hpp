// Exponentials, logarithms and the nonlinearities of neural networks. Elementwise unless an axis is
// named.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op exp_op, expm1_op, log_op, log1p_op, sin_op, cos_op, sigmoid_op, tanh_op,
    softplus_op, relu_op, softmax_op, log_softmax_op;

Expr exp(const Arg& x);
Expr expm1(const Arg& x);  ///< exp(x) - 1, exact near 0.
Expr log(const Arg& x);
Expr log1p(const Arg& x);  ///< log(1 + x), exact near 0.
Expr sin(const Arg& x);
Expr cos(const Arg& x);

Expr sigmoid(const Arg& x);  ///< 1 / (1 + exp(-x))
Expr tanh(const Arg& x);
Expr softplus(const Arg& x);  ///< log(1 + exp(x)) without overflow.
Expr relu(const Arg& x);      ///< max(x, 0); gradient 0 at 0.

/// exp(x) / sum exp(x) along `axis`, finite for any finite x.
Expr softmax(const Arg& x, std::int64_t axis);
Expr softmax(const Arg& x);  ///< Along the last axis.
/// log(softmax(x)) along `axis`, exact where softmax underflows.
Expr log_softmax(const Arg& x, std::int64_t axis);
Expr log_softmax(const Arg& x);  ///< Along the last axis.

}  // namespace cinch
