// Convolutional autoencoders: sizes, tied filters, what they refuse.
#include "cinch/models/convolutional.hpp"

#include <doctest/doctest.h>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"
#include "support/training.hpp"

using namespace cinch;
using namespace cinch::testing;

TEST_CASE("a convolutional autoencoder shrinks by its stride and comes back to the same size") {
  RandomState random(1);
  struct Row {
    std::int64_t width, stride, height, code_height;
  };
  for (const Row& r :
       {Row{3, 2, 8, 2}, Row{5, 2, 12, 3}, Row{2, 2, 4, 1}, Row{4, 3, 9, 1}, Row{3, 1, 5, 5}}) {
    CAPTURE(r.width);
    const auto m =
        convolutional_autoencoder({2, 3, 4}, random, {.width = r.width, .stride = r.stride});
    const Expr x = constant(random.uniform(0, 1, {2, 2, r.height, 2 * r.height}, DType::float32));
    const Tensor h = evaluate(m.encode(x));
    CHECK(h.shape() == Shape{2, 4, r.code_height, 2 * r.code_height});
    CHECK(evaluate(m.reconstruct(x)).shape() == Shape{2, 2, r.height, 2 * r.height});
  }
}

TEST_CASE("without activations a tied decoder is the transpose of its encoder") {
  RandomState random(1);
  const auto m = convolutional_autoencoder(
      {1, 3, 2}, random, {.width = 3, .hidden = linear, .output = linear, .dtype = DType::float64});
  const Expr x = constant(random.normal(0, 1, {2, 1, 8, 8})),
             h = constant(random.normal(0, 1, {2, 2, 2, 2}));
  CHECK(evaluate(sum(m.encode(x) * h)).item() ==
        doctest::Approx(evaluate(sum(m.decode(h) * x)).item()).epsilon(1e-12));
}

TEST_CASE("a convolutional autoencoder moves its code along with the image") {
  RandomState random(1);
  const auto m =
      convolutional_autoencoder({1, 3}, random, {.hidden = tanh, .dtype = DType::float64});
  Tensor left(DType::float64, {1, 1, 8, 12}), right = left;
  const Tensor blob = random.uniform(0, 1, {9});
  for (std::int64_t k = 0; k < 9; ++k) {
    const std::int64_t place = (2 + k / 3) * 12 + 2 + k % 3;
    left.data<double>()[static_cast<std::size_t>(place)] = blob.at(k);
    right.data<double>()[static_cast<std::size_t>(place + 4)] = blob.at(k);
  }
  // Four columns of the image are two of the code.
  const Expr a = slice(m.encode(constant(left)), 0, 4, 3),
             b = slice(m.encode(constant(right)), 2, 6, 3);
  CHECK(distance(evaluate(a), evaluate(b)) < 1e-14);
}

TEST_CASE("by default a decoder draws no checkerboard, as it would with filters of width 3") {
  // What it makes of a code that is 1 everywhere, with weights of 1: away from the border, one
  // number.
  const auto spread = [](const ConvolutionalOptions& options) {
    RandomState random(1);
    const auto m = convolutional_autoencoder({1, 2, 3}, random, options);
    for (Shared p : m.params()) p.set(Tensor::full(p.dtype(), p.value().shape(), 0.01));
    const Expr z = m.decode(constant(Tensor::full(DType::float64, {1, 3, 8, 8}, 1)));
    const Expr inner = slice(slice(z, 8, 24, 2), 8, 24, 3);
    return evaluate(max(inner) - min(inner)).item() / evaluate(mean(inner)).item();
  };
  ConvolutionalOptions usual{.output = linear, .dtype = DType::float64};
  CHECK(spread(usual) < 1e-12);
  usual.width = 3;
  CHECK(spread(usual) > 0.3);
}

TEST_CASE("a convolutional autoencoder learns to reconstruct") {
  RandomState random(1);
  const auto m = convolutional_autoencoder({1, 4}, random, {.dtype = DType::float64});
  const Tensor images = random.uniform(0, 1, {6, 1, 6, 6});
  const Expr x = tensor4("x", DType::float64);
  const Expr cost = mean(squared_error(x, m.reconstruct(x)));
  const double before = evaluate(cost, {{x, images}}).item();
  CHECK(train(cost, m.params(), x, images, 0.01, 300) < 0.7 * before);
}

TEST_CASE("images that strides do not divide are refused") {
  RandomState random(1);
  const auto m = convolutional_autoencoder({1, 2, 2}, random);
  CHECK_THROWS_WITH_AS(
      m.encode(constant(Tensor(DType::float32, {2, 1, 8, 10}))),
      doctest::Contains("strides of 4 together needs a height and width divisible"), TypeError);
  CHECK_THROWS_WITH_AS(m.reconstruct(constant(Tensor(DType::float32, {2, 1, 6, 8}))),
                       doctest::Contains("written at convolutional.cpp:"), TypeError);
  CHECK_THROWS_AS(m.encode(constant(Tensor(DType::float32, {2, 3, 8, 8}))), TypeError);
}
