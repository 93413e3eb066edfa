// Restricted Boltzmann machines. Units are binary, p(v, h) ~ exp(v'W h + b'h + c'v), and weights
// are learnt by contrastive divergence. A recipe, with the persistent chain of Tieleman, ICML 2008:
//
//     const Rbm machine = rbm(784, 500, random);
//     Shared chain(Tensor(DType::float32, {20, 500}), "chain");
//     const GibbsChain gibbs = gibbs_chain(machine, chain, 15, streams);
//     const Expr cost = contrastive_divergence(machine, v, gibbs.visible);
//     Updates updates = sgd(cost, machine.params(), rate);
//     updates.push_back({chain, gibbs.hidden});
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/core/visibility.hpp"
#include "cinch/ops/random.hpp"
#include "cinch/ops/random_state.hpp"

namespace CINCH_PUBLIC cinch {

/// Parameters of a restricted Boltzmann machine.
struct Rbm {
  Shared W;  ///< (visible, hidden)
  Shared b;  ///< (hidden)
  Shared c;  ///< (visible)

  /// p(h = 1 | v) of each hidden unit: (batch, hidden).
  Expr hidden_mean(const Arg& v) const;
  /// p(v = 1 | h) of each visible unit: (batch, visible).
  Expr visible_mean(const Arg& h) const;
  std::vector<Shared> params() const { return {W, b, c}; }
};

/// Weights drawn as the Theano tutorial does, uniform within 4 sqrt(6 / (visible + hidden)); biases
/// 0. Throws TypeError unless there are units of both kinds.
Rbm rbm(std::int64_t visible, std::int64_t hidden, RandomState& random,
        DType dtype = DType::float32, const std::string& label = {}, Source where = Source::here());

/// F(v) = -c'v - sum_j log(1 + exp(b_j + v'W_j)) of each row, (batch): p(v) ~ exp(-F(v)).
Expr free_energy(const Rbm& machine, const Arg& v);

/// The end of an alternating chain, and how probable each visible unit was in its last step.
struct GibbsChain {
  Expr hidden;        ///< (batch, hidden), zeros and ones.
  Expr visible;       ///< (batch, visible), zeros and ones.
  Expr visible_mean;  ///< (batch, visible), probabilities.
};
/// `steps` times: v given h, then h given v, each unit drawn from its distribution. `hidden` is
/// where the chain begins, (batch, hidden); its own sample for CD, the end of the last call's chain
/// for persistent CD. steps >= 1, a number or an int64 scalar. No gradient flows through the draws.
GibbsChain gibbs_chain(const Rbm& machine, const Arg& hidden, const Arg& steps,
                       RandomStreams& random);
/// Zeros and ones, each 1 with its own probability, of p's shape and dtype.
Expr bernoulli(const Arg& p, RandomStreams& random);

/// mean F(data) - mean F(samples), whose gradient is that of contrastive divergence: the samples
/// are constant (Hinton, "Training products of experts by minimizing contrastive divergence",
/// 2002). Its value means nothing by itself.
Expr contrastive_divergence(const Rbm& machine, const Arg& data, const Arg& samples);

/// An estimate of the mean over rows of log p(v), up to the approximation by conditionals, in nats:
/// n log p(v_i | all others), for one of the n visible units, an int64 scalar (Besag, 1975). `v` is
/// binary.
Expr pseudo_log_likelihood(const Rbm& machine, const Arg& v, const Arg& unit);
/// -sum_i v_i log m_i + (1 - v_i) log(1 - m_i), averaged over rows, for the chain's probabilities m
/// after it began at v: what is watched under CD-k.
Expr reconstruction_cross_entropy(const Arg& v, const Arg& mean_of_v);

}  // namespace cinch
