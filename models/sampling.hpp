// Hybrid (Hamiltonian) Monte Carlo. Samples of p(x) ~ exp(-E(x)): Duane, Kennedy, Pendleton,
// Roweth, "Hybrid Monte Carlo", 1987; Neal, "MCMC using Hamiltonian dynamics", 2011.
#pragma once

#include <cstdint>
#include <functional>

#include "cinch/core/expr.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/core/visibility.hpp"
#include "cinch/ops/random.hpp"

namespace CINCH_PUBLIC cinch {

/// E(x) of each row of (chains, n): (chains), up to a constant.
using Energy = std::function<Expr(const Expr&)>;

struct HmcOptions {
  std::int64_t leapfrog_steps = 20;
  double target_acceptance = 0.9;
  double growth = 1.02, decay = 0.98;  ///< Of the step size, above and below the target.
  double least_step = 1e-3, largest_step = 0.25;
  double memory = 0.9;  ///< Share of the old value in the average acceptance.
};

/// What a sampler goes on from.
struct HmcState {
  Expr position;    ///< (chains, n)
  Expr step;        ///< Of the leapfrog, a scalar.
  Expr acceptance;  ///< Its moving average over moves, a scalar.
};

/// One move of each chain: momenta drawn anew, so many leapfrog steps, and the Metropolis test.
/// Then the step size grows where more than the target is accepted, and shrinks where less is, as
/// in the Theano tutorial. Gradients of the energy are taken by grad(). Throws ValueError for
/// options out of their ranges.
HmcState hmc_move(const HmcState& state, const Energy& energy, RandomStreams& random,
                  const HmcOptions& options = {}, Source where = Source::here());

/// `moves` of them in one loop.
struct HmcSamples {
  Expr positions;  ///< (moves, chains, n), after each move.
  HmcState last;
};
HmcSamples hmc_samples(const HmcState& state, const Energy& energy, const Arg& moves,
                       RandomStreams& random, const HmcOptions& options = {});

}  // namespace cinch
