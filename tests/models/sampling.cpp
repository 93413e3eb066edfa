#include "cinch/models/sampling.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// As the Theano tutorial's test: ten dimensions, a random mean and covariance.
struct Gaussian {
  static constexpr std::int64_t n = 10;
  Tensor mean, covariance, precision;

  Gaussian() {
    RandomState random(123);
    mean = random.uniform(0, 10, {n});
    const Tensor root = random.uniform(0, 1, {n, n});
    const Expr R = dmatrix("R");
    const Expr C = (dot(transpose(R), R) + eye(Expr(n), DType::float64)) / static_cast<double>(n);
    covariance = evaluate(C, {{R, root}});
    precision = evaluate(inverse(C), {{R, root}});
  }
  Expr energy(const Expr& x) const {
    const Expr d = x - constant(mean);
    return 0.5 * sum(dot(d, constant(precision)) * d, 1);
  }
};

}  // namespace

TEST_CASE("hybrid Monte Carlo meets its acceptance and a Gaussian's moments") {
  const Gaussian target;
  RandomStreams streams(7);
  const std::int64_t chains = 400, moves = 1000;
  Shared position(Tensor(DType::float64, {chains, Gaussian::n}), "position"),
      step(Tensor(0.01), "step"), acceptance(Tensor(0.9), "acceptance");
  const Expr count = lscalar("moves");
  const HmcSamples samples = hmc_samples(
      {position, step, acceptance}, [&](const Expr& x) { return target.energy(x); }, count,
      streams);
  const Function run = function({.inputs = {count},
                                 .outputs = {samples.positions, samples.last.acceptance},
                                 .updates = {{position, samples.last.position},
                                             {step, samples.last.step},
                                             {acceptance, samples.last.acceptance}}});
  run({moves});  // Forgotten: the way from where the chains began.
  const std::vector<Tensor> made = run({moves});
  CHECK(made[1].item() == doctest::Approx(0.9).epsilon(0.05));
  const Tensor all = made[0].reshaped({moves * chains, Gaussian::n});
  const Expr x = dmatrix("x");
  const Tensor mean_of_all = evaluate(mean(x, 0), {{x, all}});
  const Expr centred = x - mean(x, 0);
  const Tensor covariance = evaluate(
      dot(transpose(centred), centred) / static_cast<double>(moves * chains - 1), {{x, all}});
  for (std::int64_t i = 0; i < Gaussian::n; ++i) {
    CHECK(mean_of_all.at(i) == doctest::Approx(target.mean.at(i)).epsilon(0.02));
    for (std::int64_t j = 0; j < Gaussian::n; ++j)
      CHECK(std::abs(covariance.at(i * Gaussian::n + j) -
                     target.covariance.at(i * Gaussian::n + j)) < 0.08);
  }
}

TEST_CASE("leapfrog keeps the energy, and small steps are always accepted") {
  const Gaussian target;
  RandomStreams streams(3);
  const Expr x = dmatrix("x");
  const HmcState next =
      hmc_move({x, constant(Tensor(1e-3)), constant(Tensor(0.0))},
               [&](const Expr& e) { return target.energy(e); }, streams, {.memory = 0});
  RandomState random(1);
  CHECK(evaluate(next.acceptance, {{x, random.uniform(-3, 3, {200, Gaussian::n})}}).item() > 0.98);
}

TEST_CASE("samplers refuse options that make no sense") {
  RandomStreams streams(3);
  const Expr x = dmatrix("x");
  const HmcState state{x, constant(Tensor(0.1)), constant(Tensor(0.9))};
  const auto move = [&](const HmcOptions& options) {
    hmc_move(
        state, [](const Expr& e) { return sum(square(e), 1); }, streams, options);
  };
  CHECK_THROWS_AS(move({.leapfrog_steps = 0}), ValueError);
  CHECK_THROWS_AS(move({.target_acceptance = 1}), ValueError);
  CHECK_THROWS_AS(move({.growth = 0.5}), ValueError);
  CHECK_THROWS_AS(move({.least_step = 1}), ValueError);
  CHECK_THROWS_AS(move({.memory = 1}), ValueError);
}
