#include "cinch/models/variational.hpp"

#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/loss.hpp"
#include "cinch/ops/reduce.hpp"

namespace cinch {

Expr sample(const Posterior& code, RandomStreams& random, Source where) {
  const Attribution as(where);
  return random.normal(sizes(code.mean), code.mean, exp(code.log_variance / 2), code.mean.dtype());
}

Expr prior_divergence(const Posterior& code, Source where) {
  const Attribution as(where);
  return example_sum(gaussian_kl(code.mean, code.log_variance));
}

Posterior VariationalAutoencoder::encode(const Arg& x) const {
  const Attribution as(x.where());
  const Expr h = body(x);
  return {mean(h), log_variance(h)};
}

std::vector<Shared> VariationalAutoencoder::params() const {
  return chain(chain(body, {{mean, log_variance}}), decoder).params();
}

VariationalAutoencoder variational_autoencoder(const std::vector<std::int64_t>& sizes,
                                               RandomState& random, const NetworkOptions& options,
                                               Source where) {
  require_sizes("variational_autoencoder", sizes, where);
  const std::size_t inner = sizes.size() - 2;  // Hidden layers on each side.
  VariationalAutoencoder model;
  const auto add = [&](std::int64_t inputs, std::int64_t outputs, const Activation& activation,
                       const std::string& W, const std::string& b) {
    return dense(inputs, outputs, random,
                 {activation, options.gain, options.dtype, options.label + W, options.label + b},
                 where);
  };
  for (std::size_t k = 1; k <= inner; ++k) {
    model.body.layers.push_back(
        add(sizes[k - 1], sizes[k], options.hidden, text("W", k), text("b", k)));
  }
  model.mean = add(sizes[inner], sizes.back(), linear, "W_mean", "b_mean");
  model.log_variance = add(sizes[inner], sizes.back(), linear, "W_log_variance", "b_log_variance");
  for (std::size_t k = sizes.size() - 1; k > 0; --k) {
    model.decoder.layers.push_back(add(sizes[k], sizes[k - 1],
                                       k == 1 ? options.output : options.hidden, text("V", k),
                                       text("c", k)));
  }
  return model;
}

VariationalCost variational_cost(const VariationalAutoencoder& model, const Arg& x,
                                 RandomStreams& random, const Loss& loss, const Arg& beta) {
  const Attribution as(x.where());
  if (!model.decoder.layers.empty()) {
    require_fit(loss, model.decoder.layers.back().activation, x.where());
  }
  const Posterior code = model.encode(x);
  const Expr reconstruction = mean(loss(x, model.decode(sample(code, random))));
  const Expr divergence = mean(prior_divergence(code));
  return {reconstruction, divergence, reconstruction + beta * divergence};
}

}  // namespace cinch
