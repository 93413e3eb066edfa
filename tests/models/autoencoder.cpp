// What plain, tied, denoising and stacked autoencoders do.
#include "cinch/models/autoencoder.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"
#include "support/training.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// 40 points of mean 0 in 6 dimensions, most of whose variance lies in 2.
Tensor cloud() {
  RandomState random(7);
  const Tensor spread = Tensor::from<double>({6}, {2, 1.5, 0.4, 0.3, 0.2, 0.1});
  const Expr turn = svd(constant(random.normal(0, 1, {6, 6}))).U;
  const Expr points = dot(constant(random.normal(0, 1, {40, 6})) * constant(spread), turn);
  return evaluate(points - mean(points, 0));
}

const AutoencoderOptions all_linear{
    .tied = false, .hidden = linear, .output = linear, .dtype = DType::float64};

/// Sine of the largest angle between the columns of `a` and the space of those of `b`, which are
/// orthonormal.
double sine_between(const Expr& a, const Expr& b) {
  const Expr basis = svd(a).U;
  return evaluate(spectral_norm(basis - dot(b, dot(transpose(b), basis)))).item();
}

}  // namespace

TEST_CASE("a linear autoencoder with squared error ends in the space of the principal components") {
  const Tensor data = cloud();
  const Expr x = dmatrix("x");
  const Expr components = slice(svd(constant(data)).V, 0, 2, 1);
  for (const bool tied : {false, true}) {
    CAPTURE(tied);
    AutoencoderOptions options = all_linear;
    options.tied = tied;
    RandomState random(3);
    const auto m = autoencoder({6, 2}, random, options);
    const Expr span = transpose(m.decoder.layers[0].W);
    CHECK(sine_between(span, components) > 0.1);
    const Expr cost = reconstruction_cost(m, x, squared_error);
    train(cost, m.params(), x, data, 0.01, 1500);
    const double last = train(cost, m.params(), x, data, 0.0003, 1500);
    CHECK(sine_between(span, components) < 1e-3);
    // What is lost is the variance of the other components.
    const Tensor s = evaluate(singular_values(constant(data)));
    double rest = 0;
    for (std::int64_t k = 2; k < 6; ++k) rest += s.at(k) * s.at(k) / 40;
    CHECK(last == doctest::Approx(rest).epsilon(1e-4));
  }
}

TEST_CASE("untied weights cheat the contractive penalty and tied ones cannot") {
  const Tensor data = cloud();
  const Expr x = dmatrix("x");
  double error[2], penalty[2];
  for (const bool tied : {false, true}) {
    AutoencoderOptions options = all_linear;
    options.tied = tied;
    RandomState random(3);
    const auto m = autoencoder({6, 2}, random, options);
    const Expr rec = reconstruction_cost(m, x, squared_error);
    const Expr contraction = mean(jacobian_norm2(m.encode(x), x));
    train(rec + 0.5 * contraction, m.params(), x, data, 0.01, 3000);
    error[tied] = evaluate(rec, {{x, data}}).item();
    penalty[tied] = evaluate(contraction, {{x, data}}).item();
    const auto norm2 = [](const Expr& W) { return evaluate(sum(square(W))).item(); };
    const double ratio = norm2(m.decoder.layers[0].W) / norm2(m.encoder.layers[0].W);
    // The encoder shrinks while the decoder grows.
    CHECK((tied ? std::abs(ratio - 1) < 1e-12 : ratio > 50));
  }
  CHECK(penalty[false] < 0.2 * penalty[true]);
  CHECK(error[false] < error[true]);
}

TEST_CASE("with small noise, denoising penalises the Jacobian of the reconstruction") {
  // At a fixed point r(x) = x: E ||r(x + e) - x||^2 = sd^2 ||dr/dx||^2 + O(sd^4).
  RandomState random(3);
  const auto m =
      autoencoder({4, 3}, random, {.output = linear, .gain = 1, .dtype = DType::float64});
  const Tensor point = Tensor::from<double>({1, 4}, {0.3, -0.2, 0.5, 0.1});
  const Expr here = constant(point);
  Shared c = as_shared(m.decoder.layers[0].b);
  c.set(evaluate(at(here - m.reconstruct(here), 0)));
  CHECK(distance(evaluate(m.reconstruct(here)), point) < 1e-14);

  constexpr double sd = 0.03;
  RandomStreams streams(5);
  const Expr x = broadcast_to(here, {constant(Tensor(20000)), constant(Tensor(4))});
  const double denoising =
      evaluate(denoising_cost(m, x, gaussian(x, sd, streams).x, squared_error)).item();
  const double penalty = evaluate(jacobian_norm2(m.reconstruct(here), here)).at(0);
  CHECK(denoising / (sd * sd) == doctest::Approx(penalty).epsilon(0.02));  // Of 20000 draws: 1 %.
}

TEST_CASE("a denoising autoencoder with no noise is a plain one") {
  RandomState random(1);
  RandomStreams streams(2);
  const auto m = autoencoder({4, 3}, random, {.dtype = DType::float64});
  const Expr x = constant(random.uniform(0, 1, {5, 4}));
  const Tensor plain = evaluate(reconstruction_cost(m, x, cross_entropy));
  for (const Expr& noisy : {masking(x, 0, streams).x, masking_count(x, 0, streams).x,
                            salt_and_pepper(x, 0, streams).x, gaussian(x, 0, streams).x}) {
    CHECK(evaluate(denoising_cost(m, x, noisy, cross_entropy)) == plain);
  }
}

TEST_CASE("a stack is trained layer by layer on cached codes, and unrolled with the same weights") {
  RandomState random(1);
  const auto stack = autoencoder_stack({6, 4, 3}, random, {.dtype = DType::float64});
  Shared data(random.uniform(0, 1, {25, 6}));
  const Shared images = data;
  for (const Autoencoder& layer : stack) {
    const Expr x = dmatrix("x"), cost = reconstruction_cost(layer, x, cross_entropy);
    const double before = evaluate(cost, {{x, data.get()}}).item();
    CHECK(train(cost, layer.params(), x, data.get(), 0.01, 200) < before);
    // In batches that do not divide the number of rows.
    data = Shared(codes(layer.encoder, data, 10));
  }
  REQUIRE(data.value().shape() == Shape{25, 3});
  CHECK(distance(data.get(), evaluate(stacked_encoder(stack)(images))) < 1e-14);

  const Autoencoder deep = unrolled(stack);
  const Tensor expected = evaluate(stack[0].decode(stack[1].decode(data)));
  CHECK(distance(evaluate(deep.reconstruct(images)), expected) < 1e-14);
  CHECK(deep.params().size() == 6);

  CHECK_THROWS_WITH_AS(codes(deep.encoder, images, 0),
                       doctest::Contains("the batch must be positive"), ValueError);
}
