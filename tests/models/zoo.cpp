// Every variant of models/README.md: its gradient, and fast against checked mode.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// A cost and what it trains.
struct Trained {
  Expr cost;
  std::vector<Shared> params;
};

/// What the variants are made with.
struct Setting {
  Expr x = dmatrix("x"), maps = tensor4("maps", DType::float64);
  Tensor x_value = RandomState(1).uniform(0.1, 0.9, {4, 6}),
         maps_value = RandomState(2).uniform(0.1, 0.9, {2, 1, 4, 4});
  Expr labels = constant(Tensor::from<std::int64_t>({4}, {0, 2, 1, 1}));
  RandomState initial{3};
  RandomStreams random{4};

  Autoencoder model(const std::vector<std::int64_t>& sizes, AutoencoderOptions options = {}) {
    options.dtype = DType::float64;
    return autoencoder(sizes, initial, options);
  }
  /// One that is neither saturated nor sigmoid.
  Autoencoder smooth(const std::vector<std::int64_t>& sizes) {
    return model(sizes, {.hidden = tanh, .output = linear});
  }
  Trained with_penalty(const Autoencoder& m, const Expr& penalty) const {
    return {reconstruction_cost(m, x, squared_error) + 0.3 * penalty, m.params()};
  }
  Trained denoising(const Corrupted& noisy) {
    const auto m = model({6, 4});
    return {denoising_cost(m, x, noisy.x, cross_entropy), m.params()};
  }
  Trained sparse(Expr (*code)(const Expr& h)) {
    const auto m = model({6, 4}, {.code = linear, .output = linear});
    return {mean(squared_error(x, m.decode(code(m.encode(x))))), m.params()};
  }
};

struct Variant {
  std::string name;
  std::function<Trained(Setting&)> make;
};

const std::vector<Variant>& variants() {
  static const std::vector<Variant> all{
      {"tied, cross-entropy",
       [](Setting& s) {
         const auto m = s.model({6, 4});
         return Trained{reconstruction_cost(m, s.x, cross_entropy), m.params()};
       }},
      {"untied, deep, squared error",
       [](Setting& s) {
         const auto m = s.model({6, 5, 3}, {.tied = false, .hidden = relu, .output = linear});
         return Trained{reconstruction_cost(m, s.x, squared_error), m.params()};
       }},
      {"tied, deep, absolute error",
       [](Setting& s) {
         const auto m = s.model({6, 5, 3}, {.hidden = tanh, .code = linear});
         return Trained{reconstruction_cost(m, s.x, absolute_error), m.params()};
       }},
      {"masking", [](Setting& s) { return s.denoising(masking(s.x, 0.3, s.random)); }},
      {"masking, a fixed count",
       [](Setting& s) { return s.denoising(masking_count(s.x, 2, s.random)); }},
      {"salt and pepper",
       [](Setting& s) { return s.denoising(salt_and_pepper(s.x, 0.3, s.random)); }},
      {"gaussian noise", [](Setting& s) { return s.denoising(gaussian(s.x, 0.3, s.random)); }},
      {"emphasis on what was corrupted",
       [](Setting& s) {
         const auto m = s.model({6, 4});
         const auto noisy = masking(s.x, 0.5, s.random);
         const Expr losses = binary_cross_entropy(s.x, m.reconstruct(noisy.x));
         return Trained{mean(emphasized(losses, noisy, 1, 0.5)), m.params()};
       }},
      {"weight decay",
       [](Setting& s) {
         const auto m = s.model({6, 4});
         return s.with_penalty(m, weight_decay(m.params()));
       }},
      {"sparse, KL",
       [](Setting& s) {
         const auto m = s.model({6, 4});
         return s.with_penalty(m, sparse_kl(m.encode(s.x), 0.1));
       }},
      {"sparse, L1",
       [](Setting& s) {
         const auto m = s.smooth({6, 4});
         return s.with_penalty(m, mean(l1(m.encode(s.x))));
       }},
      {"k-sparse",
       [](Setting& s) { return s.sparse([](const Expr& h) { return k_sparse(h, 2); }); }},
      {"winner take all",
       [](Setting& s) { return s.sparse([](const Expr& h) { return winner_take_all(h, 0.5); }); }},
      {"contractive, one layer, closed form",
       [](Setting& s) {
         const auto m = s.smooth({6, 4});
         return s.with_penalty(m, mean(jacobian_norm2(m.encoder.layers[0], s.x)));
       }},
      {"contractive, deep, exact",
       [](Setting& s) {
         const auto m = s.smooth({6, 5, 3});
         return s.with_penalty(m, mean(jacobian_norm2(m.encode(s.x), s.x)));
       }},
      {"contractive, deep, estimated",
       [](Setting& s) {
         const auto m = s.smooth({6, 5, 3});
         return s.with_penalty(
             m, mean(jacobian_norm2_estimate(m.encode(s.x), s.x, s.random, {.probes = 3}).mean));
       }},
      {"contractive reconstruction",
       [](Setting& s) {
         const auto m = s.smooth({6, 4});
         return s.with_penalty(m, mean(jacobian_norm2(m.reconstruct(s.x), s.x)));
       }},
      {"CAE+H, closed form",
       [](Setting& s) {
         const auto m = s.smooth({6, 4});
         return s.with_penalty(m, mean(hessian_norm2(m.encoder.layers[0], s.x)));
       }},
      {"CAE+H, deep, exact",
       [](Setting& s) {
         const auto m = s.smooth({6, 3, 2});
         return s.with_penalty(m, mean(hessian_norm2(m.encode(s.x), s.x)));
       }},
      {"CAE+H, stochastic",
       [](Setting& s) {
         const auto m = s.smooth({6, 4});
         return s.with_penalty(m, mean(jacobian_change(m.encode(s.x), s.x, 0.5, s.random, 3)));
       }},
      {"CAE+H, stochastic, closed form",
       [](Setting& s) {
         const auto m = s.smooth({6, 4});
         return s.with_penalty(m,
                               mean(jacobian_change(m.encoder.layers[0], s.x, 0.5, s.random, 3)));
       }},
      {"nuclear norm of the Jacobian",
       [](Setting& s) {
         const auto m = s.smooth({6, 4, 2});
         const Expr h = m.encode(s.x);
         return s.with_penalty(m, mean(nuclear_norm_bound(m.decode(h), h, s.x)));
       }},
      {"isometric",
       [](Setting& s) {
         const auto m = s.smooth({6, 4, 2});
         const Expr h = m.encode(s.x);
         return s.with_penalty(m,
                               mean(isometry_error(m.decode(h), h) + orthonormality_error(h, s.x)));
       }},
      {"isometric, along random directions",
       [](Setting& s) {
         const auto m = s.smooth({6, 4});
         const Expr h = m.encode(s.x);
         return s.with_penalty(m, mean(stretch_error(m.decode(h), h, s.random)));
       }},
      {"contraction ratio",
       [](Setting& s) {
         const auto m = s.smooth({6, 4});
         return s.with_penalty(m, mean(contraction_ratio(m.encode(s.x), s.x, 0.5, s.random)));
       }},
      {"variational",
       [](Setting& s) {
         const auto m = variational_autoencoder(
             {6, 5, 2}, s.initial, {.hidden = tanh, .output = sigmoid, .dtype = DType::float64});
         return Trained{variational_cost(m, s.x, s.random, cross_entropy).total, m.params()};
       }},
      {"beta-VAE",
       [](Setting& s) {
         const auto m = variational_autoencoder({6, 2}, s.initial, {.dtype = DType::float64});
         return Trained{variational_cost(m, s.x, s.random, squared_error, 4).total, m.params()};
       }},
      {"convolutional",
       [](Setting& s) {
         const auto m = convolutional_autoencoder({1, 2, 3}, s.initial,
                                                  {.hidden = tanh, .dtype = DType::float64});
         return Trained{mean(cross_entropy(s.maps, m.reconstruct(s.maps))), m.params()};
       }},
      {"convolutional, contractive, winners take all",
       [](Setting& s) {
         const auto m = convolutional_autoencoder(
             {1, 2}, s.initial,
             {.tied = false, .hidden = tanh, .output = linear, .dtype = DType::float64});
         const Expr h = m.encode(s.maps);
         return Trained{mean(squared_error(s.maps, m.decode(spatial_winners(h))) +
                             0.1 * jacobian_norm2(h, s.maps)),
                        m.params()};
       }},
      {"stacked, unrolled",
       [](Setting& s) {
         const auto m =
             unrolled(autoencoder_stack({6, 4, 3}, s.initial, {.dtype = DType::float64}));
         return Trained{reconstruction_cost(m, s.x, cross_entropy), m.params()};
       }},
      {"logistic regression",
       [](Setting& s) {
         const auto m = logistic_regression(6, 3, DType::float64);
         return Trained{classification_cost(s.labels, m(s.x)), m.params()};
       }},
      {"MLP with weight decay",
       [](Setting& s) {
         const auto m = mlp({6, 5, 3}, s.initial, {.dtype = DType::float64});
         return Trained{classification_cost(s.labels, m(s.x)) + 0.1 * weight_decay(m.params()),
                        m.params()};
       }},
      {"classifier on learned and raw features",
       [](Setting& s) {
         const auto m = s.model({6, 4});
         const auto top = dense(10, 3, s.initial, {.dtype = DType::float64});
         std::vector<Shared> params = m.encoder.params();
         for (const Shared& p : top.params()) params.push_back(p);
         return Trained{classification_cost(s.labels, top(concatenate({m.encode(s.x), s.x}, 1))),
                        params};
       }},
      {"manifold tangent classifier",
       [](Setting& s) {
         const auto m = s.model({6, 4});
         const auto net = mlp({6, 5, 3}, s.initial, {.dtype = DType::float64});
         const Expr o = softmax(net(s.x));
         return Trained{classification_cost(s.labels, net(s.x)) +
                            mean(tangent_penalty(o, s.x, tangents(m.encode(s.x), s.x, 2))),
                        net.params()};
       }},
  };
  return all;
}

/// The variant with biases other than 0, at which relu has its kink.
Trained moved(const Variant& variant, Setting& s) {
  const Trained trained = variant.make(s);
  for (Shared p : trained.params) {
    if (p.rank() == 1) p.set(s.initial.uniform(-0.3, 0.3, p.value().shape()));
  }
  return trained;
}

}  // namespace

TEST_CASE("every variant: derivatives of its cost agree with finite differences to second order") {
  for (const Variant& variant : variants()) {
    CAPTURE(variant.name);
    Setting s;
    const Trained trained = moved(variant, s);
    const std::vector<Expr> wrt(trained.params.begin(), trained.params.end());
    const bool maps = variant.name.starts_with("convolutional");
    const GradCheck check = check_grad(
        trained.cost, wrt, {{maps ? s.maps : s.x, maps ? s.maps_value : s.x_value}}, {.order = 2});
    CHECK_MESSAGE(check.ok, check.report);
  }
}

TEST_CASE("every variant: fast and checked mode train to the same parameters") {
  for (const Variant& variant : variants()) {
    CAPTURE(variant.name);
    const bool maps = variant.name.starts_with("convolutional");
    std::vector<std::vector<Tensor>> results;
    for (const Mode mode : {Mode::fast, Mode::checked}) {
      Setting s;
      const Trained trained = moved(variant, s);
      const Function step = function({.inputs = {maps ? s.maps : s.x},
                                      .outputs = {trained.cost},
                                      .updates = sgd(trained.cost, trained.params, 0.05),
                                      .mode = mode});
      auto& result = results.emplace_back();
      for (int k = 0; k < 4; ++k) result.push_back(step({maps ? s.maps_value : s.x_value})[0]);
      CHECK_FALSE(result.front() == result.back());
      for (const Shared& p : trained.params) result.push_back(p.get());
    }
    for (std::size_t k = 0; k < results[0].size(); ++k) {
      CAPTURE(k);
      CHECK(distance(results[0][k], results[1][k]) < 1e-11);
    }
  }
}

TEST_CASE("every variant takes a float32 model and any number of examples") {
  // That no expression brings float64 with it shows in the dtype of the cost.
  RandomState initial(1);
  RandomStreams random(2);
  const auto m = autoencoder({6, 4}, initial);
  const Expr x = matrix("x"), h = m.encode(x);
  const std::vector<Expr> all{
      reconstruction_cost(m, x, cross_entropy),
      denoising_cost(m, x, masking(x, 0.3, random).x, squared_error),
      denoising_cost(m, x, masking_count(x, 3, random).x, squared_error),
      denoising_cost(m, x, salt_and_pepper(x, 0.3, random).x, squared_error),
      denoising_cost(m, x, gaussian(x, 0.3, random).x, squared_error),
      mean(emphasized(square(x - m.decode(h)), masking(x, 0.3, random), 1, 0.5)),
      weight_decay(m.params()),
      sparse_kl(h, 0.1),
      mean(l1(h)),
      sum(k_sparse(h, 2)),
      sum(winner_take_all(h, 0.5)),
      mean(jacobian_norm2(m.encoder.layers[0], x)),
      mean(jacobian_norm2(h, x)),
      mean(hessian_norm2(m.encoder.layers[0], x)),
      mean(hessian_norm2(h, x)),
      mean(jacobian_change(h, x, 0.1, random, 2)),
      mean(nuclear_norm_bound(m.decode(h), h, x)),
      mean(isometry_error(m.decode(h), h)),
      mean(orthonormality_error(h, x)),
      mean(stretch_error(m.decode(h), h, random)),
      mean(contraction_ratio(h, x, 0.5, random)),
      mean(tangent_penalty(m.decode(h), x, tangents(h, x, 2))),
  };
  const Function run = function({.inputs = {x}, .outputs = all});
  for (const std::int64_t batch : {1, 2, 7}) {
    const auto values = run({RandomState(3).uniform(0, 1, {batch, 6}, DType::float32)});
    for (std::size_t k = 0; k < all.size(); ++k) {
      CAPTURE(k);
      CHECK(values[k].dtype() == DType::float32);
      CHECK(std::isfinite(values[k].item()));
    }
  }
}
