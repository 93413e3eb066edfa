// Classifiers: what they learn, and which weights learn.
#include "cinch/models/classifier.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"
#include "support/training.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// Points on two circles, one inside the other: no line separates them.
struct Circles {
  Tensor points{DType::float64, {40, 2}};
  Tensor labels{DType::int64, {40}};

  Circles() {
    for (std::int64_t n = 0; n < 40; ++n) {
      const double angle = static_cast<double>(n) * 0.7, radius = n % 2 ? 1.0 : 0.4;
      points.data<double>()[static_cast<std::size_t>(2 * n)] = radius * std::cos(angle);
      points.data<double>()[static_cast<std::size_t>(2 * n + 1)] = radius * std::sin(angle);
      labels.data<std::int64_t>()[static_cast<std::size_t>(n)] = n % 2;
    }
  }
};

}  // namespace

TEST_CASE("logistic regression starts undecided and learns what a line separates") {
  const Circles data;
  const Expr x = dmatrix("x");
  const Layer m = logistic_regression(2, 2, DType::float64);
  Tensor side = data.labels;
  for (std::int64_t n = 0; n < 40; ++n) {
    side.data<std::int64_t>()[static_cast<std::size_t>(n)] = data.points.at(2 * n) > 0.05;
  }
  const Expr labels = constant(side);
  CHECK(evaluate(classification_cost(labels, m(x)), {{x, data.points}}).item() ==
        doctest::Approx(std::log(2)));
  train(classification_cost(labels, m(x)), m.params(), x, data.points, 0.3, 2000);
  CHECK(evaluate(error_rate(labels, m(x)), {{x, data.points}}).item() == 0);
}

TEST_CASE("an MLP learns what logistic regression cannot") {
  const Circles data;
  const Expr x = dmatrix("x"), labels = constant(data.labels);
  RandomState random(1);
  double errors[2];
  for (const bool deep : {false, true}) {
    const Network net = deep ? mlp({2, 10, 2}, random, {.dtype = DType::float64})
                             : Network{{logistic_regression(2, 2, DType::float64)}};
    train(classification_cost(labels, net(x)), net.params(), x, data.points, 0.05, 500);
    errors[deep] = evaluate(error_rate(labels, net(x)), {{x, data.points}}).item();
  }
  CHECK(errors[0] > 0.2);
  CHECK(errors[1] == 0);
}

TEST_CASE("fine-tuning trains the top alone, or everything, in the autoencoder's own weights") {
  const Circles data;
  const Expr x = dmatrix("x"), labels = constant(data.labels);
  RandomState random(1);
  const auto stack =
      autoencoder_stack({2, 6, 5}, random, {.hidden = tanh, .dtype = DType::float64});
  const Network net = classifier(stacked_encoder(stack), logistic_regression(5, 2, DType::float64));
  const Expr cost = classification_cost(labels, net(x));
  const auto first = [&] { return as_shared(stack[0].encoder.layers[0].W).get(); };
  const Tensor start = first();
  const double top = train(cost, net.layers.back().params(), x, data.points, 0.05, 300);
  CHECK(first() == start);
  CHECK(top < std::log(2));
  const double all = train(cost, net.params(), x, data.points, 0.05, 300);
  CHECK_FALSE(first() == start);
  CHECK(all < top);
}

TEST_CASE("predictions, error rates and costs are those of the definition") {
  const Expr logits = constant(Tensor::from<double>({3, 2}, {2, 1, 0, 3, 5, -1}));
  const Expr labels = constant(Tensor::from<std::int64_t>({3}, {0, 0, 1}));
  CHECK(evaluate(predict(logits)) == Tensor::from<std::int64_t>({3}, {0, 1, 0}));
  CHECK(evaluate(error_rate(labels, logits)).item() == doctest::Approx(2.0 / 3));
  const double expected =
      (std::log(1 + std::exp(-1)) + std::log(1 + std::exp(3)) + std::log(1 + std::exp(6))) / 3;
  CHECK(evaluate(classification_cost(labels, logits)).item() == doctest::Approx(expected));
  CHECK_THROWS_WITH_AS(error_rate(dvector("t"), logits),
                       doctest::Contains("error_rate: labels must be int64 (batch)"), TypeError);
}
