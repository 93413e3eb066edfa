// A convolutional autoencoder: convolution, pooling, upsampling and the transpose in one cost, and
// a contractive penalty on its code.
#include <doctest/doctest.h>

#include "cinch/cinch.hpp"
#include "cinch/core/run/interpret.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

constexpr std::int64_t batch = 3, side = 6;

Tensor random_filters(const Shape& shape, std::uint32_t seed) {
  std::mt19937 random(seed);
  return random_tensor(DType::float64, shape, random, -0.7, 0.7);
}

/// Encoder: convolution, maxima, convolution; decoder: repetition, transposed convolution.
struct Convolutional {
  Shared W1{random_filters({2, 1, 3, 3}, 1), "W1"};
  Shared b1{random_filters({2}, 2), "b1"};
  Shared W2{random_filters({3, 2, 2, 2}, 3), "W2"};
  Shared W3{random_filters({3, 1, 3, 3}, 4), "W3"};

  /// (batch, 1, 6, 6) -> (batch, 3, 2, 2)
  Expr encode(const Expr& x) const {
    const Expr maps = tanh(conv2d(x, W1, {.padding = Pad::same}) + dimshuffle(b1, {0, -1, -1}));
    return sigmoid(conv2d(max_pool2d(maps, 2), W2));
  }
  /// (batch, 3, 2, 2) -> (batch, 1, 6, 6)
  Expr decode(const Expr& h) const { return sigmoid(conv_transpose2d(upsample2d(h, 2), W3)); }
  std::vector<Expr> params() const { return {W1, b1, W2, W3}; }
};

Expr reconstruction_cost(const Convolutional& model, const Expr& x) {
  const Expr z = model.decode(model.encode(x));
  return mean(cross_entropy(flatten(x, 1), flatten(z, 1)));
}

/// ||dh/dx||^2_F, the mean over examples.
Expr contractive_penalty(const Convolutional& model, const Expr& x) {
  const Expr J = jacobian(model.encode(x), x);
  return sum(square(J)) / size(x, 0);
}

Tensor images() {
  std::mt19937 random(7);
  return random_tensor(DType::float64, {batch, 1, side, side}, random, 0, 1);
}

}  // namespace

TEST_CASE("a convolutional autoencoder: the cost's derivatives are right to second order") {
  const Convolutional model;
  const Expr x = tensor4("x", DType::float64);
  const Expr cost = reconstruction_cost(model, x);
  const GradCheck check = check_grad(cost, model.params(), {{x, images()}}, {.order = 2});
  CHECK_MESSAGE(check.ok, check.report);
  CHECK(model.decode(model.encode(x)).dims()[0] == x.dims()[0]);
}

TEST_CASE("a convolutional autoencoder: the Jacobian of its code is that of differences") {
  const Convolutional model;
  const Expr x = tensor4("x", DType::float64);
  const Expr h = flatten(model.encode(x), 1);
  const Tensor here = images(), J = evaluate(jacobian(h, x), {{x, here}});
  REQUIRE(J.shape() == Shape{batch, 12, 1, side, side});
  const Function code = function({.inputs = {x}, .outputs = {h}});
  constexpr double step = 1e-5;
  constexpr std::int64_t pixels = side * side, units = 12;
  double worst = 0;
  for (std::int64_t pixel = 0; pixel < pixels; ++pixel) {
    // The same pixel of every example at once: examples do not mix.
    Tensor up = here, down = here;
    for (std::int64_t n = 0; n < batch; ++n) {
      up.data<double>()[static_cast<std::size_t>(n * pixels + pixel)] += step;
      down.data<double>()[static_cast<std::size_t>(n * pixels + pixel)] -= step;
    }
    const Tensor above = code({up})[0], below = code({down})[0];
    for (std::int64_t k = 0; k < batch * units; ++k) {
      const double difference = (above.at(k) - below.at(k)) / (2 * step);
      worst = std::max(worst, std::abs(difference - J.at(k * pixels + pixel)));
    }
  }
  CHECK(worst < 1e-9);  // Third derivatives times the square of the step, and rounding over it.
}

TEST_CASE("a convolutional autoencoder: a contractive penalty on its code can be trained") {
  Convolutional model;
  const Expr x = tensor4("x", DType::float64);
  const Expr cost = reconstruction_cost(model, x) + 0.1 * contractive_penalty(model, x);
  const GradCheck check = check_grad(cost, std::vector<Expr>{model.W1, model.b1, model.W2},
                                     {{x, images()}}, {.order = 2});
  CHECK_MESSAGE(check.ok, check.report);

  const std::vector<Shared> params{model.W1, model.b1, model.W2, model.W3};
  const std::vector<Expr> gradients = grad(cost, params);
  const Tensor fast = evaluate(gradients[0], {{x, images()}}),
               checked = cinch::running::interpret(std::span(gradients).first(1),
                                                   std::vector<Binding>{{x, images()}},
                                                   /*watch=*/true)[0];
  CHECK(distance(fast, checked) < 1e-12);

  const Function train =
      function({.inputs = {x}, .outputs = {cost}, .updates = sgd(cost, params, /*rate=*/0.05)});
  const double first = train({images()})[0].item();
  double last = first;
  for (int step = 0; step < 30; ++step) {
    const double next = train({images()})[0].item();
    CHECK(next < last);
    last = next;
  }
  CHECK(last < 0.95 * first);
}
