// Losses and divergences. The target comes first, as in -sum t log p and KL(p || q). Elementwise
// where no axis is named: take sum() or mean() of them as the model asks. One number for each
// example: models/losses.hpp.
#pragma once

#include "core/expr.hpp"

namespace cinch {

/// e^2 / 2 for |e| <= delta, delta (|e| - delta / 2) above, for a residual e = x - z: Huber,
/// "Robust Estimation of a Location Parameter", 1964. (log_cosh(e), ops/special.hpp, is alike and
/// smooth; square(e) and abs(e) need no name.)
Expr huber(const Arg& e, const Arg& delta = 1.0);

/// max(0, 1 - t y) for targets t = -1 or 1 and scores y.
Expr hinge(const Arg& t, const Arg& y);

/// -(t log p + (1 - t) log(1 - p)) for targets and probabilities in [0, 1]; a certain prediction
/// that is right costs 0, one that is wrong infinity. Where p is a sigmoid, the rewritten form is
/// exact at any logit.
Expr binary_cross_entropy(const Arg& t, const Arg& p);
/// The same for p = sigmoid(a): exact and finite for any logit a.
Expr binary_cross_entropy_from_logits(const Arg& t, const Arg& a);

/// -sum t log p along `axis`, which goes, for probabilities p. Either t has p's axes and is a
/// distribution of floats, or it is int64, lacks `axis` and says which class is right: -log p[t].
/// What has t = 0 costs nothing. Where p is a softmax along `axis`, the rewritten form is exact at
/// any logits. A label outside [0, classes) gives NaN. Throws TypeError where t is neither.
Expr categorical_cross_entropy(const Arg& t, const Arg& p, std::int64_t axis = -1);
/// The same for p = softmax(a) along `axis`.
Expr categorical_cross_entropy_from_logits(const Arg& t, const Arg& a, std::int64_t axis = -1);
/// The same for log_p = log(p).
Expr negative_log_likelihood(const Arg& t, const Arg& log_p, std::int64_t axis = -1);

/// KL(rho || rho_hat) of two coins: the sparsity penalty of mean activations rho_hat. 0 log 0 is 0.
Expr bernoulli_kl(const Arg& rho, const Arg& rho_hat);
/// KL(p || q) = sum p log(p / q) along `axis`, which goes; 0 log 0 is 0.
Expr categorical_kl(const Arg& p, const Arg& q, std::int64_t axis = -1);
/// KL(N(mean, exp(log_variance)) || N(0, 1)) of each element, (mean^2 + variance - 1 -
/// log_variance) / 2; the sum over a code's axis is that of its joint distribution. Kingma and
/// Welling, "Auto-Encoding Variational Bayes", 2014, appendix B.
Expr gaussian_kl(const Arg& mean, const Arg& log_variance);

/// sum a b / (|a| |b|) along `axis`, which goes; value and gradient 0 where either is all zeros.
Expr cosine_similarity(const Arg& a, const Arg& b, std::int64_t axis = -1);

}  // namespace cinch
