#include "cinch/models/normalisation.hpp"

#include <algorithm>

#include "cinch/core/refusal.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

void require_epsilon(const char* function, double epsilon, Source where) {
  if (epsilon >= 0) return;
  refuse<ValueError>(function, text("epsilon must be at least 0, got ", epsilon), where);
}

/// What is made of x by gain or bias has x's shape, as far as that is known.
Expr like(const char* function, const Arg& x, const Expr& y) {
  const auto agree = [](Dim a, Dim b) { return a == b || !a.known() || !b.known(); };
  if (std::ranges::equal(y.dims(), x->dims(), agree) && y.dtype() == x->dtype()) return y;
  refuse(function,
         text("gain and bias must broadcast against x, ", x->type(), ", the result would be ",
              y.type()),
         x);
}

/// The running statistics and parameters, (features), against (batch, features, ...).
Expr along_features(const Expr& values, const Expr& x) {
  std::vector<std::int64_t> pattern(static_cast<std::size_t>(x.rank()), -1);
  pattern[1] = 0;
  return dimshuffle(values, pattern);
}

void require_features(const BatchNorm& layer, const Arg& x) {
  const Dim features = layer.gain.dims()[0];
  if (x->rank() >= 2 && x->dtype() == layer.gain.dtype() &&
      (!x->dims()[1].known() || x->dims()[1] == features))
    return;
  refuse("batch_norm",
         text("the layer takes ", layer.gain.dtype(), " (batch, ", features.size(), ", ...), x is ",
              x->type()),
         x);
}

Expr normalised(const BatchNorm& layer, const Expr& x, const Expr& mean, const Expr& variance) {
  const auto along = [&](const Expr& values) { return along_features(values, x); };
  return (x - along(mean)) / sqrt(along(variance) + layer.epsilon) * along(layer.gain) +
         along(layer.bias);
}

}  // namespace

Expr layer_norm(const Arg& x, const Arg& gain, const Arg& bias,
                const NormalisationOptions& options) {
  const Attribution as(x.where());
  require_epsilon("layer_norm", options.epsilon, x.where());
  const Expr centred = x - mean(x, options.axes, /*keepdims=*/true);
  const Expr variance = mean(square(centred), options.axes, /*keepdims=*/true);
  return like("layer_norm", x, centred / sqrt(variance + options.epsilon) * gain + bias);
}

Expr rms_norm(const Arg& x, const Arg& gain, const NormalisationOptions& options) {
  const Attribution as(x.where());
  require_epsilon("rms_norm", options.epsilon, x.where());
  const Expr square_mean = mean(square(x), options.axes, /*keepdims=*/true);
  return like("rms_norm", x, x / sqrt(square_mean + options.epsilon) * gain);
}

Expr BatchNorm::operator()(const Arg& x) const {
  const Attribution as(x.where());
  require_features(*this, x);
  return normalised(*this, x, mean, variance);
}

NormalisedBatch BatchNorm::training(const Arg& x) const {
  const Attribution as(x.where());
  require_features(*this, x);
  std::vector<std::int64_t> others{0};
  for (std::int64_t axis = 2; axis < x->rank(); ++axis) others.push_back(axis);
  Expr count = size(x, 0);
  for (std::int64_t axis = 2; axis < x->rank(); ++axis) count = count * size(x, axis);
  const Expr batch_mean = cinch::mean(x, others);
  const Expr batch_variance = cinch::mean(square(x - along_features(batch_mean, x)), others);
  const Expr n = cast(count, x->dtype());
  const Expr unbiased = batch_variance * (n / maximum(n - 1, 1));
  const auto moved = [&](const Shared& running, const Expr& now) {
    return Update{running, (1 - momentum) * running + momentum * now};
  };
  return {normalised(*this, x, batch_mean, batch_variance),
          {moved(mean, batch_mean), moved(variance, unbiased)}};
}

BatchNorm batch_norm(std::int64_t features, const BatchNormOptions& options, Source where) {
  const Attribution as(where);
  require_epsilon("batch_norm", options.epsilon, where);
  if (features < 1 || !(options.momentum >= 0 && options.momentum <= 1)) {
    refuse<ValueError>("batch_norm",
                       text("features must be at least 1 and the momentum in [0, 1], got ",
                            features, " and ", options.momentum),
                       where);
  }
  const auto variable = [&](const char* name, double value) {
    return Shared(Tensor::full(options.dtype, {features}, value), options.label + "." + name,
                  where);
  };
  return {.gain = variable("gain", 1),
          .bias = variable("bias", 0),
          .mean = variable("mean", 0),
          .variance = variable("variance", 1),
          .momentum = options.momentum,
          .epsilon = options.epsilon};
}

Expr dropout(const Arg& x, double p, RandomStreams& random) {
  const Attribution as(x.where());
  if (!(p >= 0 && p < 1))
    refuse<ValueError>("dropout", text("p is a probability below 1, got ", p), x.where());
  if (p == 0) return x;
  const Expr kept = random.binomial(sizes(x), 1, 1 - p, DType::bool_, x.where());
  return switch_(kept, x * (1 / (1 - p)), 0);
}

}  // namespace cinch
