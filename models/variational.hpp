// The variational autoencoder: Kingma and Welling, "Auto-Encoding Variational Bayes", ICLR 2014.
#pragma once

#include <vector>

#include "cinch/core/visibility.hpp"
#include "cinch/models/layer.hpp"
#include "cinch/models/losses.hpp"
#include "cinch/ops/random.hpp"

namespace CINCH_PUBLIC cinch {

/// What is known of a code: independent normal distributions, (batch, units) each.
struct Posterior {
  Expr mean, log_variance;
};

/// A draw from it, mean + exp(log_variance / 2) e for standard normal e, so that gradients reach
/// both. It is the same draw wherever one function uses the result.
Expr sample(const Posterior& code, RandomStreams& random, Source where = Source::here());
/// KL(code || N(0, I)) of each example, in closed form: (batch).
Expr prior_divergence(const Posterior& code, Source where = Source::here());

struct VariationalAutoencoder {
  Network body;              ///< Shared by the two that follow.
  Layer mean, log_variance;  ///< Linear.
  Network decoder;

  Posterior encode(const Arg& x) const;
  Expr decode(const Arg& h) const { return decoder(h); }
  std::vector<Shared> params() const;
};

/// Layers from sizes[0] visible units to a code of sizes.back(), which takes a layer for the means
/// and one for the logarithms of the variances, and mirrored back with weights of their own. Drawn
/// in the order of the members. Throws TypeError for fewer than two sizes or one that is not
/// positive.
VariationalAutoencoder variational_autoencoder(const std::vector<std::int64_t>& sizes,
                                               RandomState& random,
                                               const NetworkOptions& options = {.hidden = tanh,
                                                                                .output = sigmoid},
                                               Source where = Source::here());

/// The two terms of the cost, each a mean over examples, and reconstruction + beta * divergence.
/// With beta = 1 and cross_entropy the total is the bound on -log p(x) that the paper minimises;
/// other beta: Higgins et al., "beta-VAE", ICLR 2017.
struct VariationalCost {
  Expr reconstruction;  ///< Of x from one draw of its code.
  Expr divergence;      ///< prior_divergence()
  Expr total;
};
/// Throws TypeError where the output's activation does not fit the loss.
VariationalCost variational_cost(const VariationalAutoencoder& model, const Arg& x,
                                 RandomStreams& random, const Loss& loss, const Arg& beta = 1.0);

}  // namespace cinch
