#include "cinch/models/sampling.hpp"

#include "cinch/core/grad.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/scan.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

void require_sense(const HmcOptions& o, Source where) {
  const auto refuse_it = [&](const std::string& what) {
    refuse<ValueError>("hmc_move", what, where);
  };
  if (o.leapfrog_steps < 1) refuse_it("a move has at least one leapfrog step");
  if (!(o.target_acceptance > 0 && o.target_acceptance < 1))
    refuse_it("the target acceptance is between 0 and 1");
  if (!(o.growth >= 1 && o.decay > 0 && o.decay <= 1))
    refuse_it("growth is at least 1, decay above 0 and at most 1");
  if (!(o.least_step > 0 && o.least_step <= o.largest_step))
    refuse_it("the step sizes' bounds are above 0, the least one first");
  if (!(o.memory >= 0 && o.memory < 1)) refuse_it("memory is in [0, 1)");
}

}  // namespace

HmcState hmc_move(const HmcState& state, const Energy& energy, RandomStreams& random,
                  const HmcOptions& options, Source where) {
  const Attribution as(where);
  require_sense(options, where);
  const Expr &start = state.position, &step = state.step;
  const DType dtype = start.dtype();
  const auto slope = [&](const Expr& x) { return grad(sum(energy(x)), x); };
  const Expr momentum = random.normal(sizes(start), 0.0, 1.0, dtype);
  // Half a step of the momentum, whole steps of both in turn, half a step of the momentum.
  const Expr half = momentum - 0.5 * step * slope(start), first = start + step * half;
  const Scan whole = scan(
      [&](Expr x, Expr p) {
        const Expr next = p - step * slope(x);
        return std::vector<Expr>{x + step * next, next};
      },
      {.initial = {first, half}, .steps = options.leapfrog_steps - 1});
  const Expr end = whole.last(0), last = whole.last(1) - 0.5 * step * slope(end);
  const auto hamiltonian = [&](const Expr& x, const Expr& p) {
    return energy(x) + 0.5 * sum(square(p), 1);
  };
  const Expr lost = hamiltonian(start, momentum) - hamiltonian(end, last);
  const Expr accepted = random.uniform({size(start, 0)}, 0.0, 1.0, dtype) < exp(lost);
  const Expr share = mean(cast(accepted, dtype));
  const Expr average = options.memory * state.acceptance + (1 - options.memory) * share;
  const Expr scaled =
      step * switch_(average > options.target_acceptance, options.growth, options.decay);
  return {switch_(dimshuffle(accepted, {0, -1}), end, start),
          clip(scaled, options.least_step, options.largest_step), average};
}

HmcSamples hmc_samples(const HmcState& state, const Energy& energy, const Arg& moves,
                       RandomStreams& random, const HmcOptions& options) {
  const Attribution as(moves.where());
  const Scan loop = scan(
      [&](Expr position, Expr step, Expr acceptance) {
        const HmcState next =
            hmc_move({position, step, acceptance}, energy, random, options, moves.where());
        return std::vector<Expr>{next.position, next.step, next.acceptance};
      },
      {.initial = {state.position, state.step, state.acceptance}, .steps = moves.expr()});
  return {loop[0], {loop.last(0), loop.last(1), loop.last(2)}};
}

}  // namespace cinch
