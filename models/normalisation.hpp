// Layers that bring activations to one mean and variance, and dropout.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/function.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/core/visibility.hpp"
#include "cinch/ops/random.hpp"
#include "cinch/ops/reduce.hpp"

namespace CINCH_PUBLIC cinch {

struct NormalisationOptions {
  Axes axes = {-1};       ///< Whose elements are brought to one mean and variance together.
  double epsilon = 1e-5;  ///< Beside the variance: PyTorch's.
};

/// (x - mean) / sqrt(variance + epsilon) * gain + bias, over the last axis of each example or the
/// axes asked for: Ba, Kiros, Hinton, "Layer Normalization", 2016. gain and bias are numbers or
/// broadcast against x, which keeps its shape. Throws TypeError where they would not, ValueError
/// unless epsilon >= 0.
Expr layer_norm(const Arg& x, const Arg& gain = 1.0, const Arg& bias = 0.0,
                const NormalisationOptions& options = {});

/// x / sqrt(mean of x^2 + epsilon) * gain, over the last axis or the axes asked for: Zhang,
/// Sennrich, "Root Mean Square Layer Normalization", 2019. Errors as layer_norm().
Expr rms_norm(const Arg& x, const Arg& gain = 1.0, const NormalisationOptions& options = {});

/// A minibatch as a layer of batch normalisation trains on it.
struct NormalisedBatch {
  Expr value;
  Updates updates;  ///< Of the running mean and variance: for function(), beside the optimizer's.
};

/// Normalisation of each feature, or channel, over the examples of a minibatch: Ioffe, Szegedy,
/// "Batch Normalization", 2015.
struct BatchNorm {
  Shared gain, bias;      ///< (features), trained.
  Shared mean, variance;  ///< (features), running ones, for examples one by one.
  double momentum = 0.1;  ///< How much of a running statistic each minibatch replaces.
  double epsilon = 1e-5;

  /// By the running statistics, as when training is over: (batch, features, ...) -> the same.
  Expr operator()(const Arg& x) const;
  /// By the minibatch's own mean and variance over all axes but the second. As in PyTorch, x is
  /// divided by the variance over n, the running one takes that over n - 1; over a single value it
  /// is 0. Examples influence each other: there is no Jacobian for each.
  NormalisedBatch training(const Arg& x) const;
  /// gain and bias.
  std::vector<Shared> params() const { return {gain, bias}; }
};

struct BatchNormOptions {
  double momentum = 0.1;
  double epsilon = 1e-5;
  DType dtype = DType::float32;
  std::string label = "norm";  ///< Of the variables: "norm.gain".
};

/// A layer of so many features, which begins as x / sqrt(1 + epsilon). Throws ValueError unless
/// features >= 1, 0 <= momentum <= 1 and epsilon >= 0.
BatchNorm batch_norm(std::int64_t features, const BatchNormOptions& options = {},
                     Source where = Source::here());

/// Each element becomes 0 with probability p, the others x / (1 - p), so that the mean stays:
/// Srivastava et al., "Dropout", JMLR 2014. When training is over, x itself is meant. Throws
/// ValueError unless 0 <= p < 1.
Expr dropout(const Arg& x, double p, RandomStreams& random);

}  // namespace cinch
