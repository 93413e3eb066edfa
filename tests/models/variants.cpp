#include "variants.hpp"

#include <algorithm>

#include "cinch/core/graph.hpp"

namespace cinch::testing {

Setting::Setting(std::int64_t examples, std::int64_t number)
    : x_value(RandomState(number).uniform(0.1, 0.9, {examples, 6})),
      maps_value(RandomState(number + 1000).uniform(0.1, 0.9, {examples, 1, 4, 4})),
      labels(lvector("labels")),
      labels_value(DType::int64, {examples}),
      initial(number + 2000),
      random(number + 3000),
      seed(number) {
  for (std::int64_t k = 0; k < examples; ++k)
    labels_value.data<std::int64_t>()[static_cast<std::size_t>(k)] = (k * k + number) % 3;
}

std::vector<Binding> Setting::values(const Expr& cost) const {
  const std::vector<Expr> nodes = topological(std::span(&cost, 1));
  std::vector<Binding> result;
  std::vector<Binding> all = more;
  all.insert(all.end(), {{x, x_value}, {maps, maps_value}, {labels, labels_value}});
  for (const Binding& binding : all) {
    if (is_variable(binding.first) && std::ranges::find(nodes, binding.first) != nodes.end())
      result.push_back(binding);
  }
  return result;
}

namespace {

std::vector<Variant> autoencoder_variants() {
  return {
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
      {"dropout, layer norm",
       [](Setting& s) {
         const auto m = s.smooth({6, 4});
         const Expr h = layer_norm(m.encode(dropout(s.x, 0.3, s.random)));
         return Trained{mean(squared_error(s.x, m.decode(h))), m.params()};
       }},
      {"root-mean-square norm",
       [](Setting& s) {
         const auto m = s.smooth({6, 4});
         return Trained{mean(squared_error(s.x, m.decode(rms_norm(m.encode(s.x))))), m.params()};
       }},
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
}

}  // namespace

const std::vector<Variant>& variants() {
  static const std::vector<Variant> all = [] {
    std::vector<Variant> result = autoencoder_variants();
    for (Variant& v : dictionary_variants()) result.push_back(std::move(v));
    for (Variant& v : geometry_variants()) result.push_back(std::move(v));
    return result;
  }();
  return all;
}

Trained moved(const Variant& variant, Setting& s) {
  const Trained trained = variant.make(s);
  for (Shared p : trained.params) {
    if (p.rank() == 1) p.set(s.initial.uniform(-0.3, 0.3, p.value().shape()).cast(p.dtype()));
  }
  return trained;
}

}  // namespace cinch::testing
