// Every variant of models/README.md: its gradient, and fast against checked mode.
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"
#include "variants.hpp"

using namespace cinch;
using namespace cinch::testing;

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
