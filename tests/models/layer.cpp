// Layers, networks and what they refuse.
#include "cinch/models/layer.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

std::vector<std::string> labels(const std::vector<Shared>& params) {
  std::vector<std::string> result;
  for (const Shared& p : params) result.push_back(p.label());
  return result;
}

}  // namespace

TEST_CASE("a layer is activation(x W + b)") {
  RandomState random(1);
  const Layer layer = dense(3, 2, random, {.activation = tanh, .dtype = DType::float64});
  as_shared(layer.b).set(Tensor::from<double>({2}, {0.1, -0.2}));
  const Tensor x = random.uniform(-1, 1, {4, 3}), W = as_shared(layer.W).get();
  const Tensor h = evaluate(layer(constant(x)));
  REQUIRE(h.shape() == Shape{4, 2});
  for (std::int64_t n = 0; n < 4; ++n) {
    for (std::int64_t j = 0; j < 2; ++j) {
      double a = j == 0 ? 0.1 : -0.2;
      for (std::int64_t i = 0; i < 3; ++i) a += x.at(n * 3 + i) * W.at(i * 2 + j);
      CHECK(h.at(n * 2 + j) == doctest::Approx(std::tanh(a)).epsilon(1e-14));
    }
  }
}

TEST_CASE("initial weights are drawn row by row, layer by layer, four times wider for sigmoid") {
  RandomState random(5), same(5);
  const Network net =
      network({4, 3, 2}, random, {.hidden = sigmoid, .output = linear, .dtype = DType::float64});
  const double wide = 4 * std::sqrt(6.0 / 7), narrow = std::sqrt(6.0 / 5);
  CHECK(as_shared(net.layers[0].W).get() == same.uniform(-wide, wide, {4, 3}));
  CHECK(as_shared(net.layers[1].W).get() == same.uniform(-narrow, narrow, {3, 2}));
  CHECK(as_shared(net.layers[1].b).get() == Tensor(DType::float64, {2}));
  const Layer plain = dense(4, 3, random, {.activation = sigmoid, .gain = 1});
  const Tensor W = as_shared(plain.W).get();
  for (std::int64_t i = 0; i < W.size(); ++i) CHECK(std::abs(W.at(i)) <= wide / 4);
  CHECK(W.dtype() == DType::float32);
}

TEST_CASE("a one-layer autoencoder starts where contractive_autoencoder does") {
  RandomState random(123), same(123);
  const auto a = autoencoder({7, 5}, random, {.dtype = DType::float64});
  const auto b = contractive_autoencoder(7, 5, same, DType::float64);
  CHECK(as_shared(a.encoder.layers[0].W).get() == b.W.get());
  const Expr x = constant(random.uniform(0, 1, {3, 7}));
  CHECK(evaluate(a.reconstruct(x)) == evaluate(b.reconstruct(x)));
  CHECK(evaluate(jacobian_norm2(b.encoder(), x)) ==
        evaluate(jacobian_norm2(a.encoder.layers[0], x)));
}

TEST_CASE("parameters come layer by layer and tied ones once, with labels of their own") {
  RandomState random(1);
  CHECK(labels(network({4, 3, 2}, random, {.label = "net."}).params()) ==
        std::vector<std::string>{"net.W1", "net.b1", "net.W2", "net.b2"});
  CHECK(labels(autoencoder({4, 3, 2}, random).params()) ==
        std::vector<std::string>{"W1", "b1", "W2", "b2", "c2", "c1"});
  CHECK(labels(autoencoder({4, 3, 2}, random, {.tied = false}).params()) ==
        std::vector<std::string>{"W1", "b1", "W2", "b2", "V2", "c2", "V1", "c1"});
  CHECK(labels(variational_autoencoder({4, 3, 2}, random).params()) ==
        std::vector<std::string>{"W1", "b1", "W_mean", "b_mean", "W_log_variance", "b_log_variance",
                                 "V2", "c2", "V1", "c1"});
  CHECK(labels(convolutional_autoencoder({1, 2}, random).params()) ==
        std::vector<std::string>{"W1", "b1", "c1"});
  CHECK(labels(stacked_encoder(autoencoder_stack({4, 3, 2}, random)).params()) ==
        std::vector<std::string>{"1.W1", "1.b1", "2.W1", "2.b1"});
  CHECK(labels(mlp({4, 3, 2}, random).params()) ==
        std::vector<std::string>{"W1", "b1", "top.W", "top.b"});
}

TEST_CASE("sizes that make no layer are refused with the user's line") {
  RandomState random(1);
  const auto refused = [](auto make, const char* what) {
    CAPTURE(what);
    CHECK_THROWS_WITH_AS(make(), doctest::Contains(what), ValueError);
    CHECK_THROWS_WITH_AS(make(), doctest::Contains("written at layer.cpp:"), ValueError);
  };
  refused([&] { dense(0, 3, random); }, "dense: sizes of layers must be positive, got (0, 3)");
  refused([&] { network({4}, random); }, "network: 1 sizes make no layer");
  refused([&] { network({4, -1}, random); }, "got (4, -1)");
  refused([&] { autoencoder({}, random); }, "autoencoder: 0 sizes make no layer");
  refused([&] { autoencoder({4, 0}, random); }, "got (4, 0)");
  refused([&] { variational_autoencoder({4}, random); }, "variational_autoencoder: 1 sizes");
  refused([&] { autoencoder_stack({4}, random); }, "autoencoder_stack: 1 sizes");
  refused([&] { mlp({4}, random); }, "mlp: 1 sizes");
  refused(
      [&] {
        mlp({4, 1}, random);
      },
      "logistic_regression: needs inputs and at least two classes");
  CHECK_THROWS_WITH_AS(logistic_regression(4, 3, DType::int64),
                       doctest::Contains("needs a float dtype, got int64"), TypeError);
  refused([&] { convolutional_autoencoder({1}, random); }, "convolutional_autoencoder: 1 sizes");
  refused(
      [&] {
        convolutional_autoencoder({1, 2}, random, {.stride = 0});
      },
      "width and stride must be positive, got 4 and 0");
  CHECK_THROWS_AS(dense(2, 3, random, {.dtype = DType::int64}), TypeError);
}

TEST_CASE("an output outside (0, 1) is refused with cross-entropy") {
  RandomState random(1);
  RandomStreams streams(1);
  const Expr x = matrix("x");
  const char* what = "cross_entropy: needs reconstructions in (0, 1)";
  for (const Activation output : {&linear, &tanh, &relu, &softplus}) {
    const auto m = autoencoder({4, 3}, random, {.output = output});
    CHECK_THROWS_WITH_AS(reconstruction_cost(m, x, cross_entropy), doctest::Contains(what),
                         TypeError);
    CHECK_THROWS_WITH_AS(denoising_cost(m, x, x, cross_entropy),
                         doctest::Contains("written at layer.cpp:"), TypeError);
    CHECK_NOTHROW(reconstruction_cost(m, x, squared_error));
    const auto v = variational_autoencoder({4, 3}, random, {.output = output});
    CHECK_THROWS_WITH_AS(variational_cost(v, x, streams, cross_entropy), doctest::Contains(what),
                         TypeError);
  }
}

TEST_CASE("inputs of another width are refused at the user's line") {
  RandomState random(1);
  const Network net = network({4, 3, 2}, random);
  CHECK_THROWS_WITH_AS(net(constant(Tensor(DType::float32, {2, 5}))),
                       doctest::Contains("layer.cpp:"), TypeError);
  CHECK_THROWS_WITH_AS(squared_error(vector("v"), vector("w")),
                       doctest::Contains("first axis of examples"), TypeError);
}
