// Every variant of models/README.md, small, to be looked at in several ways.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cinch/cinch.hpp"

namespace cinch::testing {

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
  Tensor labels_value = Tensor(DType::int64, {0});
  RandomState initial{3};
  RandomStreams random{4};
  std::int64_t seed = 0;
  std::vector<Binding> more = {};  ///< Inputs of a variant's own.

  Setting() = default;
  /// Other examples, so many, with labels that are an input; other parameters and draws.
  Setting(std::int64_t examples, std::int64_t number);
  /// Values of x, the maps, and the labels where they are an input, for what `cost` needs.
  std::vector<Binding> values(const Expr& cost) const;

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

const std::vector<Variant>& variants();
/// Those of them that are sparse dictionaries.
std::vector<Variant> dictionary_variants();
/// Those that are penalties on geometry, neighbourhoods and scores.
std::vector<Variant> geometry_variants();

/// The variant with biases other than 0, at which relu has its kink.
Trained moved(const Variant& variant, Setting& s);

}  // namespace cinch::testing
