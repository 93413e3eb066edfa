#include "cinch/models/layer.hpp"

#include <cmath>

#include "cinch/core/refusal.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/linalg.hpp"

namespace cinch {

Expr linear(const Arg& x) { return x; }

Expr Layer::operator()(const Arg& x) const {
  const Attribution as(x.where(), /*force=*/false, "Layer");
  return activation(dot(x, W) + b);
}

std::vector<Shared> Layer::params() const { return shared_variables(std::vector{W, b}); }

Expr Network::operator()(const Arg& x) const {
  const Attribution as(x.where(), /*force=*/false, "Network");
  Expr y = x;
  for (const Layer& layer : layers) y = layer(y);
  return y;
}

std::vector<Shared> Network::params() const {
  std::vector<Expr> all;
  for (const Layer& layer : layers) all.insert(all.end(), {layer.W, layer.b});
  return shared_variables(all);
}

Layer dense(std::int64_t inputs, std::int64_t outputs, RandomState& random,
            const LayerOptions& options, Source where) {
  require_sizes("dense", {inputs, outputs}, where);
  const double gain = options.gain.value_or(options.activation == sigmoid ? 4 : 1);
  const double bound = gain * std::sqrt(6.0 / static_cast<double>(inputs + outputs));
  return {Shared(random.uniform(-bound, bound, {inputs, outputs}, options.dtype), options.W, where),
          Shared(Tensor(options.dtype, {outputs}), options.b, where), options.activation};
}

Network network(const std::vector<std::int64_t>& sizes, RandomState& random,
                const NetworkOptions& options, Source where) {
  require_sizes("network", sizes, where);
  Network result;
  for (std::size_t k = 1; k < sizes.size(); ++k) {
    result.layers.push_back(
        dense(sizes[k - 1], sizes[k], random,
              {k + 1 < sizes.size() ? options.hidden : options.output, options.gain, options.dtype,
               text(options.label, "W", k), text(options.label, "b", k)},
              where));
  }
  return result;
}

Network chain(const Network& first, const Network& second) {
  Network result = first;
  result.layers.insert(result.layers.end(), second.layers.begin(), second.layers.end());
  return result;
}

void require_sizes(const char* function, const std::vector<std::int64_t>& sizes, Source where) {
  if (sizes.size() < 2) {
    refuse<ValueError>(
        function,
        text(sizes.size(), " sizes make no layer: name the inputs and the outputs, as {784, 500}"),
        where);
  }
  for (const std::int64_t size : sizes) {
    if (size > 0) continue;
    refuse<ValueError>(function, text("sizes of layers must be positive, got ", text(Shape(sizes))),
                       where);
  }
}

}  // namespace cinch
