// Losses and divergences. The target comes first, as in -sum t log p and KL(p || q). Elementwise
// where no axis is named: take sum() or mean() of them as the model asks. One number for each
// example: models/losses.hpp.
//
// Operands of one shape, or one of them is repeated to the shape of the other as NumPy repeats: a
// scalar, leading axes that are missing, sizes of 1. Never are both, as (n, 1) and (n) would be to
// (n, n), and never along an `axis` that is summed, which is counted in the operand with more axes.
// Anything else throws TypeError: when the formula is written if the sizes are known, else when it
// runs.
#pragma once

#include <optional>

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// e^2 / 2 for |e| <= delta, delta (|e| - delta / 2) above, for a residual e = x - z: Huber,
/// "Robust Estimation of a Location Parameter", 1964. (log_cosh(e), ops/special.hpp, is alike and
/// smooth; square(e) and abs(e) need no name.)
Expr huber(const Arg& e, const Arg& delta = 1.0);

/// The same divided by `beta`, which is where it bends: PyTorch's smooth_l1_loss.
Expr smooth_l1(const Arg& e, const Arg& beta = 1.0);

/// max(0, 1 - t y) for targets t = -1 or 1 and scores y.
Expr hinge(const Arg& t, const Arg& y);

/// -(t log p + (1 - t) log(1 - p)) for targets and probabilities in [0, 1]; a certain prediction
/// that is right costs 0, one that is wrong infinity. Where p is a sigmoid, the rewritten form is
/// exact at any logit.
Expr binary_cross_entropy(const Arg& t, const Arg& p);
/// The same for p = sigmoid(a): exact and finite for any logit a.
Expr binary_cross_entropy_from_logits(const Arg& t, const Arg& a);

/// How the classes of a cross-entropy count.
struct ClassOptions {
  /// This share of each target is spread over all classes evenly: Szegedy et al., "Rethinking the
  /// Inception Architecture for Computer Vision", 2016. In [0, 1).
  double smoothing = 0;
  /// (classes): each class' term is multiplied by its weight. For the weighted mean divide the sum
  /// of the costs by sum(take(weights, labels)).
  std::optional<Expr> weights = {};
  /// Examples with this label, which need not be a class, cost 0. Divide the sum of the costs by
  /// sum(not_equal(labels, ignore)) to have the mean of the others.
  std::optional<std::int64_t> ignore = {};
};

/// -sum t log p along `axis`, which goes, for probabilities p. Either t has p's axes and is a
/// distribution of floats, or it is int64, has p's sizes without `axis` and says which class is
/// right: -log p[t]. What has t = 0 costs nothing. Where p is a softmax along `axis`, the rewritten
/// form is exact at any logits. Throws TypeError where t is neither; a label outside [0, classes)
/// is a ValueError at run time.
Expr categorical_cross_entropy(const Arg& t, const Arg& p, std::int64_t axis = -1,
                               const ClassOptions& options = {});
/// The same for p = softmax(a) along `axis`.
Expr categorical_cross_entropy_from_logits(const Arg& t, const Arg& a, std::int64_t axis = -1,
                                           const ClassOptions& options = {});
/// The same for log_p = log(p).
Expr negative_log_likelihood(const Arg& t, const Arg& log_p, std::int64_t axis = -1,
                             const ClassOptions& options = {});

/// rate - t log(rate) for counts t and a = log(rate), which is -log of the Poisson probability but
/// for log(t!), gammaln(t + 1).
Expr poisson_nll(const Arg& t, const Arg& a);
/// -log of the normal density, ((t - mean)^2 / variance + log_variance + log(2 pi)) / 2 for
/// variance = exp(log_variance).
Expr gaussian_nll(const Arg& t, const Arg& mean, const Arg& log_variance);

/// max(0, |a - p| - |a - n| + margin), lengths along `axis`, which goes: Schroff, Kalenichenko,
/// Philbin, "FaceNet", CVPR 2015 has squared lengths. No gradient flows through a length of 0.
Expr triplet_loss(const Arg& anchor, const Arg& positive, const Arg& negative,
                  const Arg& margin = 1.0, std::int64_t axis = -1);
/// d^2 where `same` (bool) holds, else max(0, margin - d)^2: Hadsell, Chopra, LeCun,
/// "Dimensionality Reduction by Learning an Invariant Mapping", CVPR 2006, but for the factor 1/2.
Expr contrastive_loss(const Arg& same, const Arg& d, const Arg& margin = 1.0);

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
