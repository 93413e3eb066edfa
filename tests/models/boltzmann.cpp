#include "cinch/models/boltzmann.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

constexpr std::int64_t visible = 4, hidden = 3;

/// A machine with weights that make its distribution uneven.
Rbm small_machine() {
  RandomState random(5);
  Rbm machine = rbm(visible, hidden, random, DType::float64);
  machine.b.set(random.uniform(-1, 1, {hidden}));
  machine.c.set(random.uniform(-1, 1, {visible}));
  return machine;
}

/// All 2^n rows of zeros and ones.
Tensor all_rows(std::int64_t n) {
  Tensor result(DType::float64, {std::int64_t{1} << n, n});
  for (std::int64_t row = 0; row < result.shape()[0]; ++row) {
    for (std::int64_t i = 0; i < n; ++i)
      result.data<double>()[static_cast<std::size_t>(row * n + i)] =
          static_cast<double>(row >> i & 1);
  }
  return result;
}

/// p(v) of every v, by summing over every h.
std::vector<double> exact(const Rbm& machine) {
  const Tensor v = all_rows(visible), h = all_rows(hidden);
  const Tensor W = machine.W.get(), b = machine.b.get(), c = machine.c.get();
  std::vector<double> result;
  double total = 0;
  for (std::int64_t k = 0; k < v.shape()[0]; ++k) {
    double p = 0;
    for (std::int64_t l = 0; l < h.shape()[0]; ++l) {
      double exponent = 0;
      for (std::int64_t i = 0; i < visible; ++i) {
        exponent += c.at(i) * v.at(k * visible + i);
        for (std::int64_t j = 0; j < hidden; ++j)
          exponent += v.at(k * visible + i) * W.at(i * hidden + j) * h.at(l * hidden + j);
      }
      for (std::int64_t j = 0; j < hidden; ++j) exponent += b.at(j) * h.at(l * hidden + j);
      p += std::exp(exponent);
    }
    result.push_back(p);
    total += p;
  }
  for (double& p : result) p /= total;
  return result;
}

}  // namespace

TEST_CASE("the free energy and the pseudo-likelihood are those of the enumerated distribution") {
  const Rbm machine = small_machine();
  const std::vector<double> p = exact(machine);
  const Expr v = dmatrix("v"), unit = lscalar("unit");
  const Tensor rows = all_rows(visible);
  const Tensor energy = evaluate(free_energy(machine, v), {{v, rows}});
  for (std::size_t k = 1; k < p.size(); ++k) {
    const double difference = energy.at(0) - energy.at(static_cast<std::int64_t>(k));
    CHECK(std::exp(difference) == doctest::Approx(p[k] / p[0]));
  }
  const Function estimate = function({v, unit}, {pseudo_log_likelihood(machine, v, unit)});
  for (std::int64_t i = 0; i < visible; ++i) {
    double expected = 0;  // 4 log p(v_i | the others), over all v.
    for (std::size_t k = 0; k < p.size(); ++k)
      expected += visible * std::log(p[k] / (p[k] + p[k ^ (std::size_t{1} << i)]));
    CHECK(estimate({rows, i})[0].item() ==
          doctest::Approx(expected / static_cast<double>(p.size())));
  }
}

TEST_CASE("a long Gibbs chain visits states as often as they are probable") {
  const Rbm machine = small_machine();
  const std::vector<double> p = exact(machine);
  RandomStreams random(2);
  const std::int64_t chains = 20000;
  const Expr start = zeros({chains, hidden}, DType::float64);
  const GibbsChain gibbs = gibbs_chain(machine, start, 30, random);
  const Tensor samples = evaluate(gibbs.visible);
  std::vector<double> seen(p.size(), 0);
  for (std::int64_t k = 0; k < chains; ++k) {
    std::size_t state = 0;
    for (std::int64_t i = 0; i < visible; ++i)
      state |= static_cast<std::size_t>(samples.at(k * visible + i)) << i;
    seen[state] += 1.0 / static_cast<double>(chains);
  }
  for (std::size_t k = 0; k < p.size(); ++k)
    CHECK(std::abs(seen[k] - p[k]) < 5 * std::sqrt(p[k] / static_cast<double>(chains)) + 1e-4);
}

TEST_CASE("contrastive divergence has the likelihood's gradient where its chain is the model") {
  const Rbm machine = small_machine();
  const Tensor rows = all_rows(visible),
               data = Tensor::from<double>({3, 4}, {1, 0, 1, 1, 0, 0, 1, 0, 1, 1, 1, 0});
  const Expr v = dmatrix("v"), weights = dvector("weights"), all = dmatrix("all");
  // -log p(data) by the sum over all states, and the surrogate with exact expectations.
  const Expr likelihood = mean(free_energy(machine, v)) + logsumexp(-free_energy(machine, all));
  const Expr surrogate =
      mean(free_energy(machine, v)) - sum(stop_gradient(weights) * free_energy(machine, all));
  const Tensor p = Tensor::from(exact(machine));
  for (const Shared& parameter : machine.params()) {
    const Tensor a = evaluate(grad(likelihood, parameter), {{v, data}, {all, rows}});
    const Tensor b = evaluate(grad(surrogate, parameter), {{v, data}, {all, rows}, {weights, p}});
    CHECK(distance(a, b) < 1e-12);
  }
  // The cost itself: samples are constant, also where they are made of the parameters.
  RandomStreams random(4);
  const GibbsChain gibbs =
      gibbs_chain(machine, bernoulli(machine.hidden_mean(v), random), 3, random);
  const Expr cost = contrastive_divergence(machine, v, gibbs.visible);
  const Function f = function({v}, {grad(cost, machine.W), gibbs.visible});
  const std::vector<Tensor> values = f({data});
  const Expr samples = dmatrix("samples");
  const Tensor expected =
      evaluate(grad(mean(free_energy(machine, v)) - mean(free_energy(machine, samples)), machine.W),
               {{v, data}, {samples, values[1]}});
  CHECK(distance(values[0], expected) < 1e-14);
}

TEST_CASE("a machine learns four patterns, by CD-1 and by a persistent chain") {
  for (const bool persistent : {false, true}) {
    CAPTURE(persistent);
    RandomState random(1);
    RandomStreams streams(1);
    const Rbm machine = rbm(6, 8, random, DType::float64);
    const Tensor data = Tensor::from<double>(
        {4, 6}, {1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1});
    const Expr v = dmatrix("v"), unit = lscalar("unit");
    Shared chain(Tensor(DType::float64, {4, 8}), "chain");
    const Expr start = persistent ? Expr(chain) : bernoulli(machine.hidden_mean(v), streams);
    const GibbsChain gibbs = gibbs_chain(machine, start, persistent ? 15 : 1, streams);
    Updates updates = sgd(contrastive_divergence(machine, v, gibbs.visible), machine.params(), 0.1);
    if (persistent) updates.push_back({chain, gibbs.hidden});
    const Function step = function({v}, {}, updates);
    const Function watch = function({v, unit}, {pseudo_log_likelihood(machine, v, unit)});
    const auto of_all = [&] {
      double total = 0;
      for (std::int64_t i = 0; i < 6; ++i) total += watch({data, i})[0].item() / 6;
      return total;
    };
    const double before = of_all();
    for (int k = 0; k < 1500; ++k) step({data});
    CHECK(of_all() > before);
    CHECK(of_all() > -0.9);  // Uniform: 6 log(1/2) = -4.16.
  }
}

TEST_CASE("a machine without units and a chain without steps are refused") {
  RandomState random(1);
  RandomStreams streams(1);
  CHECK_THROWS_AS(rbm(0, 3, random), TypeError);
  const Rbm machine = rbm(3, 2, random);
  CHECK_THROWS_AS(gibbs_chain(machine, zeros({1, 2}), 0, streams), ValueError);
}
