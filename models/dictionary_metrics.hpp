// How sparse a dictionary's codes are, what they explain, and whether it is the right one; and
// activations of which the right one is known.
#pragma once

#include <cstdint>

#include "cinch/core/expr.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/core/visibility.hpp"
#include "cinch/ops/random.hpp"
#include "cinch/ops/random_state.hpp"

namespace CINCH_PUBLIC cinch {

/// How many latents of each example are not 0: (batch, latents) -> (batch), of f's dtype.
Expr l0(const Arg& f);
/// The share of `dead`, (latents), bool, that are true, as float64.
Expr dead_share(const Arg& dead);
/// 1 - mean |x - z|^2 / total_variance(x): 1 where z is x, 0 where it explains no more than a
/// constant. (batch, n), (batch, n) -> ().
Expr explained_variance(const Arg& x, const Arg& z);
/// How much of a model's loss survives with reconstructed activations: (ablated - reconstructed) /
/// (ablated - clean), for its loss with activations as they are, reconstructed, and replaced by
/// zeros or their mean. 1 where nothing is lost. Scalars.
Expr recovered_loss(const Arg& clean, const Arg& reconstructed, const Arg& ablated);
/// For each row of `truth`, (true, n), the largest cosine with a row of `learned`, (latents, n):
/// (true). Its mean is the usual score, mean(max_cosines(...) > 0.9) the share that was found. A
/// row of zeros is like nothing: its cosines are 0.
Expr max_cosines(const Arg& truth, const Arg& learned);

/// Activations made of features in superposition: x = sum of a_i v_i + noise for more unit vectors
/// v_i than dimensions, of which few are active in an example.
struct Superposition {
  Tensor features;  ///< (count, n), rows of length 1: the true dictionary.
  Tensor rates;     ///< (count): how probable it is that a feature is active.
  double noise = 0;

  /// The a_i of `batch` examples, (batch, count), new at each call. Each feature is active by
  /// itself with its rate; magnitudes are half-normal, |N(0, 1)|, plus `least`, others 0. Throws
  /// ValueError unless batch is positive and `least` not negative.
  Expr amounts(std::int64_t batch, RandomStreams& random, double least = 0.5,
               Source where = Source::here()) const;
  /// `batch` examples, (batch, n), new at each call, of such amounts. Throws as amounts().
  Expr sample(std::int64_t batch, RandomStreams& random, double least = 0.5,
              Source where = Source::here()) const;
};

struct SuperpositionOptions {
  double active = 8;  ///< Features of an example, on average.
  /// Rates fall as rank^-power: 0 makes all features alike.
  double power = 0;
  double noise = 0;  ///< Standard deviation of each element's noise.
  DType dtype = DType::float32;
};

/// Features uniform on the sphere. Throws ValueError unless sizes are positive, 0 < active <=
/// count, power and noise are not negative, and no rate is above 1.
Superposition superposition(std::int64_t count, std::int64_t n, RandomState& random,
                            const SuperpositionOptions& options = {},
                            Source where = Source::here());

}  // namespace cinch
