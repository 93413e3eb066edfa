// The variational autoencoder: its two terms, and what beta does.
#include "cinch/models/variational.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"
#include "support/training.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

Expr of(const Shape& shape, std::initializer_list<double> values) {
  return constant(Tensor::from<double>(shape, values));
}

constexpr auto options = [] {
  NetworkOptions result{.hidden = tanh, .output = sigmoid};
  result.dtype = DType::float64;
  return result;
};

}  // namespace

TEST_CASE("the divergence in closed form is the mean of log q - log p over draws") {
  RandomStreams random(1);
  const Posterior code{of({1, 3}, {0.5, -1, 2}), of({1, 3}, {0.3, -2, 1})};
  const double exact = evaluate(prior_divergence(code)).at(0);
  const Expr many = constant(Tensor(200000)),
             mean_ = broadcast_to(code.mean, {many, size(code.mean, 1)}),
             log_variance = broadcast_to(code.log_variance, {many, size(code.mean, 1)});
  const Expr h = sample({mean_, log_variance}, random);
  const Expr log_q = -(square(h - mean_) / exp(log_variance) + log_variance) / 2,
             log_p = -square(h) / 2;
  const Expr value = example_sum(log_q - log_p);
  const auto v = function({.outputs = {mean(value), var(value)}})();
  CHECK(std::abs(v[0].item() - exact) < 4 * std::sqrt(v[1].item() / 200000));
  CHECK(evaluate(prior_divergence({of({1, 2}, {0, 0}), of({1, 2}, {0, 0})})).at(0) == 0);
  CHECK(exact > 0);
}

TEST_CASE("with no variance and beta 0 the variational autoencoder is a plain one") {
  RandomState initial(1);
  RandomStreams random(2);
  const auto m = variational_autoencoder({5, 4, 2}, initial, options());
  as_shared(m.log_variance.W).set(Tensor(DType::float64, {4, 2}));
  as_shared(m.log_variance.b).set(Tensor::full(DType::float64, {2}, -80));
  const Autoencoder plain{chain(m.body, {{m.mean}}), m.decoder};
  const Expr x = constant(initial.uniform(0, 1, {6, 5}));
  const auto cost = variational_cost(m, x, random, cross_entropy, 0);
  CHECK(evaluate(cost.total).item() ==
        doctest::Approx(evaluate(reconstruction_cost(plain, x, cross_entropy)).item())
            .epsilon(1e-13));
}

TEST_CASE("the terms add up, draws repeat from the seed and differ from call to call") {
  RandomState initial(1);
  const auto m = variational_autoencoder({5, 4, 2}, initial, options());
  const Expr x = constant(initial.uniform(0, 1, {6, 5}));
  const auto run = [&](std::int64_t seed) {
    RandomStreams random(seed);
    const auto cost = variational_cost(m, x, random, cross_entropy, 2.5);
    const Function f = function({.outputs = {cost.total, cost.reconstruction, cost.divergence}});
    const auto first = f(), second = f();
    CHECK(first[0].item() == doctest::Approx(first[1].item() + 2.5 * first[2].item()));
    CHECK(first[1].item() != second[1].item());
    CHECK(first[2] == second[2]);
    return first[0].item();
  };
  CHECK(run(1) == run(1));
  CHECK(run(1) != run(2));
}

TEST_CASE("a larger beta keeps codes nearer to the prior and pays in reconstruction") {
  const Tensor data = RandomState(1).uniform(0, 1, {30, 6});
  const Expr x = dmatrix("x");
  double divergence[2], reconstruction[2];
  for (const int k : {0, 1}) {
    RandomState initial(2);
    RandomStreams random(3);
    const auto m = variational_autoencoder({6, 2}, initial, options());
    const auto cost = variational_cost(m, x, random, squared_error, k == 0 ? 0.01 : 1.0);
    train(cost.total, m.params(), x, data, 0.02, 1500);
    divergence[k] = evaluate(cost.divergence, {{x, data}}).item();
    reconstruction[k] = evaluate(cost.reconstruction, {{x, data}}).item();
  }
  CHECK(divergence[1] < 0.5 * divergence[0]);
  CHECK(reconstruction[1] > 1.1 * reconstruction[0]);
}
