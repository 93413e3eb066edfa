// Penalties: against closed forms, against each other, and what their papers say of them.
#include "cinch/models/penalties.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"
#include "support/training.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

struct Setting {
  RandomState random{1};
  Expr x = dmatrix("x");
  Tensor value = RandomState(2).uniform(-1, 1, {5, 4});

  Tensor of(const Expr& e) const { return evaluate(e, {{x, value}}); }
};

Expr leaky(const Arg& a) { return leaky_relu(a, 0.2); }
Expr soft(const Arg& a) { return softmax(a); }

}  // namespace

TEST_CASE("the closed forms for one layer are the derivatives of any activation") {
  Setting s;
  for (const Activation activation :
       {&sigmoid, &tanh, &relu, &softplus, &linear, &silu, &softsign, &leaky}) {
    const Layer layer = dense(4, 3, s.random, {.activation = activation, .dtype = DType::float64});
    as_shared(layer.b).set(s.random.uniform(-0.5, 0.5, {3}));
    const Expr h = layer(s.x);
    CHECK(distance(s.of(jacobian_norm2(layer, s.x)), s.of(jacobian_norm2(h, s.x))) < 1e-13);
    const Tensor curvature = s.of(hessian_norm2(layer, s.x));
    if (activation == relu || activation == linear || activation == leaky) {
      CHECK(curvature == Tensor(DType::float64, {5}));
    }
    CHECK(distance(curvature, s.of(hessian_norm2(h, s.x))) < 1e-13);
  }
}

TEST_CASE("a closed form refuses an activation that joins units") {
  Setting s;
  const Layer layer = dense(4, 3, s.random, {.activation = soft, .dtype = DType::float64});
  CHECK_THROWS_WITH_AS(jacobian_norm2(layer, s.x), doctest::Contains("softmax joins several"),
                       TypeError);
  CHECK_THROWS_WITH_AS(hessian_norm2(layer, s.x), doctest::Contains("written at penalties.cpp:"),
                       TypeError);
  CHECK_NOTHROW(s.of(jacobian_norm2(layer(s.x), s.x)));
}

TEST_CASE("with a linear encoder the contractive penalty is weight decay") {
  Setting s;
  const auto m = autoencoder({4, 3}, s.random, {.hidden = linear, .dtype = DType::float64});
  const double decay = evaluate(weight_decay(m.params())).item();
  for (const Expr& penalty :
       {jacobian_norm2(m.encode(s.x), s.x), jacobian_norm2(m.encoder.layers[0], s.x)}) {
    const Tensor norm2 = s.of(penalty);
    for (std::int64_t n = 0; n < 5; ++n)
      CHECK(norm2.at(n) == doctest::Approx(decay).epsilon(1e-14));
    const Expr& W = m.encoder.layers[0].W;
    CHECK(distance(s.of(grad(mean(penalty), W)), s.of(grad(weight_decay(m.params()), W))) < 1e-13);
  }
}

TEST_CASE("the contractive penalty goes through all layers, not the last one alone") {
  // Against differences of the code itself, which know nothing of layers.
  Setting s;
  const auto m = autoencoder({4, 5, 4, 3}, s.random,
                             {.hidden = relu, .output = linear, .dtype = DType::float64});
  for (const Shared& p : m.params()) {
    if (p.rank() == 1) Shared(p).set(s.random.uniform(0.1, 0.5, p.value().shape()));
  }
  const Expr h = m.encode(s.x);
  const Tensor penalty = s.of(jacobian_norm2(h, s.x));
  const Function code = function({.inputs = {s.x}, .outputs = {h}});
  std::vector<double> expected(5);
  constexpr double step = 1e-6;
  for (std::int64_t i = 0; i < 4; ++i) {
    Tensor up = s.value, down = s.value;
    for (std::int64_t n = 0; n < 5; ++n) {
      up.data<double>()[static_cast<std::size_t>(n * 4 + i)] += step;
      down.data<double>()[static_cast<std::size_t>(n * 4 + i)] -= step;
    }
    const Tensor above = code({up})[0], below = code({down})[0];
    for (std::int64_t k = 0; k < 15; ++k) {
      expected[static_cast<std::size_t>(k / 3)] +=
          std::pow((above.at(k) - below.at(k)) / (2 * step), 2);
    }
  }
  for (std::size_t n = 0; n < 5; ++n) {
    CHECK(penalty.at(static_cast<std::int64_t>(n)) == doctest::Approx(expected[n]).epsilon(1e-7));
  }
}

TEST_CASE("the stochastic CAE+H penalty is sd^2 times the exact one for small noise") {
  Setting s;
  RandomStreams streams(3);
  const auto m = network({4, 3}, s.random, {.output = sigmoid, .dtype = DType::float64});
  const Expr h = m(s.x);
  constexpr double sd = 0.02;
  const Tensor sampled = s.of(jacobian_change(h, s.x, sd, streams, 20000)),
               exact = s.of(hessian_norm2(m.layers[0], s.x));
  // The relative deviation of a mean of 20000 squares is at most sqrt(2 / 20000) = 1 %.
  for (std::int64_t n = 0; n < 5; ++n) {
    CHECK(sampled.at(n) / (sd * sd) == doctest::Approx(exact.at(n)).epsilon(0.04));
  }
  // The closed form of one layer, from the same draws.
  RandomStreams first(7), second(7);
  CHECK(distance(s.of(jacobian_change(h, s.x, 0.5, first, 3)),
                 s.of(jacobian_change(m.layers[0], s.x, 0.5, second, 3))) < 1e-13);
  CHECK_THROWS_WITH_AS(jacobian_change(m.layers[0], s.x, -1, streams),
                       doctest::Contains("written at penalties.cpp:"), ValueError);
  CHECK_THROWS_WITH_AS(jacobian_change(h, s.x, 0, streams), doctest::Contains("got 0 and 1"),
                       ValueError);
  CHECK_THROWS_WITH_AS(jacobian_change(h, s.x, 1, streams, 0), doctest::Contains("got 1 and 0"),
                       ValueError);
}

TEST_CASE("the contractive penalty from probes has the exact one as its mean") {
  Setting s;
  RandomStreams streams(3);
  const auto m = network({4, 6, 3}, s.random, {.output = sigmoid, .dtype = DType::float64});
  const Expr h = m(s.x);
  const auto estimate = jacobian_norm2_estimate(h, s.x, streams, {.probes = 2000});
  const auto values = function(
      {.inputs = {s.x},
       .outputs = {estimate.mean, estimate.standard_error, jacobian_norm2(h, s.x)}})({s.value});
  for (std::int64_t n = 0; n < 5; ++n) {
    CHECK(std::abs(values[0].at(n) - values[2].at(n)) < 4 * values[1].at(n));
  }
}

TEST_CASE("the nuclear norm's bound is reached by the balanced factors and by no others") {
  Setting s;
  const Expr M = constant(s.random.normal(0, 1, {4, 5}));
  const auto [U, sv, V] = svd(M);
  const double nuclear = evaluate(nuclear_norm(M)).item();
  const auto bound = [&](const Expr& W, const Expr& back) {
    const Expr zero4 = constant(Tensor(DType::float64, {4})),
               zero5 = constant(Tensor(DType::float64, {5}));
    const Layer f{W, zero4}, g{back, zero5};
    const Expr h = f(s.x);
    return s.of(nuclear_norm_bound(g(h), h, s.x)).at(0);
  };
  const Expr W = U * sqrt(sv), back = transpose(V * sqrt(sv));
  CHECK(distance(evaluate(dot(W, back)), evaluate(M)) < 1e-13);
  CHECK(bound(W, back) == doctest::Approx(nuclear).epsilon(1e-13));
  for (const double factor : {0.5, 0.9, 1.1, 3.0}) {
    CHECK(bound(W * factor, back / factor) > nuclear * (1 + 1e-3));
  }
  const Expr A = constant(s.random.normal(0, 1, {4, 4}));
  CHECK(bound(dot(W, A), solve(A, back)) > nuclear * (1 + 1e-3));
}

TEST_CASE("isometry is no error for orthonormal rows, and scaling by 2 stretches by 1") {
  Setting s;
  RandomStreams streams(3);
  const Expr Q = slice(svd(constant(s.random.normal(0, 1, {4, 4}))).U, 0, 2, 1);  // (4, 2)
  const Expr zero = constant(Tensor(DType::float64, {2}));
  for (const double scale : {1.0, 2.0}) {
    const Expr h = Layer{Q * scale, zero}(s.x);  // Orthonormal rows of J, scaled.
    const Expr z = Layer{transpose(Q) * scale, constant(Tensor(DType::float64, {4}))}(h);
    const double error = 2 * std::pow(scale * scale - 1, 2), stretch = std::pow(scale - 1, 2);
    const auto values = function({.inputs = {s.x},
                                  .outputs = {isometry_error(z, h), orthonormality_error(h, s.x),
                                              stretch_error(z, h, streams)}})({s.value});
    for (std::int64_t n = 0; n < 5; ++n) {
      CHECK(values[0].at(n) == doctest::Approx(error).epsilon(1e-13));
      CHECK(values[1].at(n) == doctest::Approx(error).epsilon(1e-13));
      CHECK(values[2].at(n) == doctest::Approx(stretch).epsilon(1e-13));
    }
  }
}

TEST_CASE("an isometric autoencoder keeps the distances between codes") {
  Setting s;
  const auto m = autoencoder({4, 6, 2}, s.random,
                             {.tied = false,
                              .hidden = tanh,
                              .code = linear,
                              .output = linear,
                              .gain = 1,
                              .dtype = DType::float64});
  const Expr h = m.encode(s.x), z = m.decode(h), error = mean(isometry_error(z, h));
  train(reconstruction_cost(m, s.x, squared_error) + error, m.params(), s.x, s.value, 0.01, 1500);
  const Tensor stretches = s.of(singular_values(jacobian(z, h)));
  for (std::int64_t k = 0; k < stretches.size(); ++k) {
    CHECK(stretches.at(k) == doctest::Approx(1).epsilon(0.05));
  }
}

TEST_CASE(
    "the KL penalty is 0 where units are as active as they should be, and brings them there") {
  Setting s;
  CHECK(evaluate(sparse_kl(constant(Tensor::from<double>({2, 2}, {0.1, 0.3, 0.3, 0.1})), 0.2))
            .item() == doctest::Approx(0).scale(1e-3));
  const double one = 0.2 * std::log(0.2 / 0.6) + 0.8 * std::log(0.8 / 0.4);
  CHECK(evaluate(sparse_kl(constant(Tensor::full(DType::float64, {3, 2}, 0.6)), 0.2)).item() ==
        doctest::Approx(2 * one).epsilon(1e-14));
  const auto m = autoencoder({4, 6}, s.random, {.output = linear, .dtype = DType::float64});
  const Expr h = m.encode(s.x);
  train(reconstruction_cost(m, s.x, squared_error) + 10 * sparse_kl(h, 0.05), m.params(), s.x,
        s.value, 0.02, 1500);
  const Tensor active = s.of(mean(h, 0));
  for (std::int64_t j = 0; j < 6; ++j) CHECK(active.at(j) == doctest::Approx(0.05).epsilon(0.2));
  for (const double rho : {0.0, 1.0, -0.3, 1.3}) {
    CHECK_THROWS_WITH_AS(sparse_kl(h, rho), doctest::Contains("in (0, 1), got"), ValueError);
  }
}

TEST_CASE("weight decay counts tied weights once and leaves biases out") {
  Setting s;
  const auto m = autoencoder({4, 3}, s.random, {.dtype = DType::float64});
  Shared W = as_shared(m.encoder.layers[0].W), b = as_shared(m.encoder.layers[0].b);
  b.set(Tensor::full(DType::float64, {3}, 7));
  CHECK(evaluate(weight_decay(m.params())) == evaluate(sum(square(W))));
  CHECK_THROWS_WITH_AS(weight_decay(std::vector{b}),
                       doctest::Contains("none of the 1 parameters has two axes or more"),
                       TypeError);
}

TEST_CASE("penalties of Jacobians refuse what is not (batch, n)") {
  Setting s;
  const Expr v = sum(s.x, 1);
  CHECK_THROWS_WITH_AS(isometry_error(v, s.x),
                       doctest::Contains("isometry_error: both must be (batch, n)"), TypeError);
  CHECK_THROWS_WITH_AS(orthonormality_error(v, s.x),
                       doctest::Contains("orthonormality_error: both"), TypeError);
  RandomStreams streams(1);
  CHECK_THROWS_WITH_AS(stretch_error(v, s.x, streams),
                       doctest::Contains("written at penalties.cpp:"), TypeError);
}
