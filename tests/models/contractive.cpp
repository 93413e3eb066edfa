#include "cinch/models/contractive.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "cinch/cinch.hpp"
#include "support/mnist.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

constexpr Penalty all_penalties[] = {Penalty::closed, Penalty::literal, Penalty::jacobian};

struct Setting {
  ContractiveAutoencoder model;
  Expr x = dmatrix("x");
  Tensor value;

  Setting(std::int64_t batch, std::int64_t visible, std::int64_t hidden, std::int64_t seed = 1)
      : model([&] {
          RandomState random(seed);
          return contractive_autoencoder(visible, hidden, random, DType::float64);
        }()),
        value(RandomState(seed + 1).uniform(0, 1, {batch, visible})) {}
};

/// Trains on MNIST's first 50,000 images as the tutorial does.
struct TutorialRun {
  Shared images;
  ContractiveAutoencoder model;
  Function step;

  TutorialRun(const std::string& folder, Penalty penalty)
      : images(load_training(folder, DType::float64, 256, {0, 50000}).images, "images") {
    RandomState random(123);
    model = contractive_autoencoder(784, 500, random, DType::float64);
    const Expr x = dmatrix("x"), i = lscalar("i");
    const auto cost = contractive_cost(model, x, 0.1, penalty);
    step = function({.inputs = {i},
                     .outputs = {cost.reconstruction, cost.contraction},
                     .updates = sgd(cost.total, model.params(), 0.01),
                     .givens = {{x, slice(images, i * 10, (i + 1) * 10)}}});
  }
};

}  // namespace

TEST_CASE("the contractive penalty is the same number in its three ways, for any batch size") {
  for (const std::int64_t batch : {1, 3, 10}) {
    Setting s(batch, 7, 5);
    // Known entry by entry: sum_ij (h_j (1 - h_j) W_ij)^2.
    const Tensor h = evaluate(s.model.encode(s.x), {{s.x, s.value}}), W = s.model.W.get();
    for (const Penalty penalty : all_penalties) {
      const Tensor norm2 = evaluate(jacobian_norm2(s.model, s.x, penalty), {{s.x, s.value}});
      REQUIRE(norm2.shape() == Shape{batch});
      for (std::int64_t n = 0; n < batch; ++n) {
        double expected = 0;
        for (std::int64_t i = 0; i < 7; ++i) {
          for (std::int64_t j = 0; j < 5; ++j) {
            const double u = h.at(n * 5 + j);
            expected += std::pow(u * (1 - u) * W.at(i * 5 + j), 2);
          }
        }
        CHECK(norm2.at(n) == doctest::Approx(expected).epsilon(1e-12));
      }
    }
  }
}

TEST_CASE("the literal Jacobian is (batch, visible, hidden) and the transpose of jacobian(h, x)") {
  Setting s(4, 6, 3);
  const Expr literal = literal_jacobian(s.model, s.x),
             automatic = jacobian(s.model.encode(s.x), s.x);
  const Tensor a = evaluate(literal, {{s.x, s.value}}),
               b = evaluate(dimshuffle(automatic, {0, 2, 1}), {{s.x, s.value}});
  CHECK(a.shape() == Shape{4, 6, 3});
  CHECK(distance(a, b) < 1e-14);
}

TEST_CASE("the cost's gradient agrees with finite differences to second order, in each way") {
  for (const Penalty penalty : all_penalties) {
    Setting s(3, 6, 4);
    const auto cost = contractive_cost(s.model, s.x, 0.7, penalty);
    const std::vector<Expr> wrt{s.model.W, s.model.b, s.model.c, s.x};
    const GradCheck check = check_grad(cost.total, wrt, {{s.x, s.value}}, {.order = 2});
    CHECK_MESSAGE(check.ok, check.report);
  }
}

TEST_CASE("the penalty's gradient goes through the live weights") {
  Setting s(3, 6, 4);
  const auto cost = contractive_cost(s.model, s.x, 1);
  const Tensor g = evaluate(grad(cost.contraction, s.model.W), {{s.x, s.value}});
  CHECK(distance(g, Tensor(DType::float64, {6, 4})) > 1e-3);
  CHECK_THROWS_WITH_AS(grad(cost.contraction, s.model.c), doctest::Contains("does not depend on c"),
                       GradError);
}

TEST_CASE("checked and fast mode train to the same parameters") {
  for (const Penalty penalty : all_penalties) {
    std::vector<Tensor> results;
    for (const Mode mode : {Mode::fast, Mode::checked}) {
      Setting s(5, 8, 6);
      const auto cost = contractive_cost(s.model, s.x, 0.1, penalty);
      const Function step = function({.inputs = {s.x},
                                      .outputs = {cost.total},
                                      .updates = sgd(cost.total, s.model.params(), 0.1),
                                      .mode = mode});
      for (int k = 0; k < 5; ++k) step({s.value});
      results.push_back(s.model.W.get());
    }
    CHECK(distance(results[0], results[1]) < 1e-13);
  }
}

TEST_CASE("the cross-entropy is finite and exact for a saturated autoencoder") {
  Setting s(2, 3, 2);
  s.model.c.set(Tensor::from<double>({3}, {800, -800, 1000}));
  const Tensor value = Tensor::from<double>({2, 3}, {1, 0, 1, 0, 1, 0});
  const Expr loss = cross_entropy(s.x, s.model.reconstruct(s.x));
  const Tensor losses = evaluate(loss, {{s.x, value}});
  const double last =
      evaluate(dot(s.model.encode(s.x), transpose(s.model.W)), {{s.x, value}}).at(3);
  CHECK(losses.at(0) == doctest::Approx(0));
  CHECK(losses.at(1) > 2590);
  CHECK(std::isfinite(losses.at(1)));
  CHECK(std::isfinite(last));
  for (const Tensor& g : {evaluate(grad(sum(loss), s.model.W), {{s.x, value}}),
                          evaluate(grad(sum(loss), s.model.c), {{s.x, value}})}) {
    for (std::int64_t i = 0; i < g.size(); ++i) CHECK(std::isfinite(g.at(i)));
  }
}

TEST_CASE("models share weights and chain") {
  RandomState random(3);
  const auto first = contractive_autoencoder(6, 4, random, DType::float64);
  const ContractiveAutoencoder twin{first.W, first.b, Shared(Tensor(DType::float64, {6}), "c2")};
  const auto second = contractive_autoencoder(4, 2, random, DType::float64);
  const Expr x = dmatrix("x");
  const auto cost = contractive_cost(second, twin.encode(x), 0.1);
  const Function step = function({.inputs = {x},
                                  .outputs = {cost.total},
                                  .updates = sgd(cost.total, {first.W, second.W}, 0.5)});
  const Tensor before = first.W.get();
  step({random.uniform(0, 1, {3, 6})});
  CHECK_FALSE(before == twin.W.get());
}

TEST_CASE("sizes that make no sense are refused") {
  RandomState random(1);
  CHECK_THROWS_WITH_AS(contractive_autoencoder(0, 5, random), doctest::Contains("0 visible"),
                       ValueError);
  const auto model = contractive_autoencoder(6, 4, random, DType::float64);
  CHECK_THROWS_WITH_AS(model.encode(constant(Tensor(DType::float64, {2, 7}))),
                       doctest::Contains("7 columns"), TypeError);
}

TEST_CASE("on MNIST: two epochs of the tutorial give its published log") {
  const auto folder = mnist_folder();
  if (!folder) {
    MESSAGE("skipped: no MNIST; name its folder in CINCH_MNIST");
    return;
  }
  const TutorialRun run(*folder, Penalty::closed);
  for (int epoch = 0; epoch < 2; ++epoch) {
    for (std::int64_t k = 0; k < 5000; ++k) {
      const auto terms = run.step({k});
      const double l = terms[0].item(), j = terms[1].item();
      if (k == 0)
        CHECK((l + j) / 2 == doctest::Approx(published_log[epoch].cost).epsilon(1e-10).scale(0));
      if (k == 1)
        CHECK((std::sqrt(l) + std::sqrt(j)) / 2 ==
              doctest::Approx(published_log[epoch].norm).epsilon(1e-10).scale(0));
    }
  }
}

TEST_CASE("on MNIST: a hundred steps agree in the penalty's three ways") {
  const auto folder = mnist_folder();
  if (!folder) {
    MESSAGE("skipped: no MNIST; name its folder in CINCH_MNIST");
    return;
  }
  std::vector<Tensor> weights;
  std::vector<double> costs;
  for (const Penalty penalty : all_penalties) {
    const TutorialRun run(*folder, penalty);
    double total = 0;
    for (std::int64_t k = 0; k < 100; ++k) {
      const auto terms = run.step({k});
      total += terms[0].item() + terms[1].item();
    }
    weights.push_back(run.model.W.get());
    costs.push_back(total);
  }
  for (std::size_t k = 1; k < 3; ++k) {
    CHECK(costs[k] == doctest::Approx(costs[0]).epsilon(1e-12));
    CHECK(distance(weights[k], weights[0]) < 1e-11);
  }
}
