// Noise that a denoising autoencoder learns to take away: Vincent, Larochelle, Lajoie, Bengio,
// Manzagol, "Stacked Denoising Autoencoders", JMLR 2010. Draws are new at each call of a function
// and repeat from the seed of `random`.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"
#include "cinch/ops/random.hpp"

namespace CINCH_PUBLIC cinch {

/// A corrupted input, and which of its elements were chosen for it (bool).
struct Corrupted {
  Expr x, changed;
};

/// Each element becomes 0 with probability `level`. Throws ValueError unless 0 <= level <= 1.
Corrupted masking(const Arg& x, double level, RandomStreams& random);

/// `count` elements of each example, chosen at random, become 0: (batch, n). Throws TypeError
/// unless 0 <= count <= n.
Corrupted masking_count(const Arg& x, std::int64_t count, RandomStreams& random);

/// Each element becomes `low` or `high`, by the toss of a coin, with probability `level`. Throws
/// ValueError unless 0 <= level <= 1.
Corrupted salt_and_pepper(const Arg& x, double level, RandomStreams& random, double low = 0,
                          double high = 1);

/// x + sd e for standard normal e: all elements change. Throws ValueError unless sd >= 0.
Corrupted gaussian(const Arg& x, double sd, RandomStreams& random);

/// The sum of each example's element losses, `alpha` times where an element was changed and `beta`
/// times where not: emphasis on the corrupted entries, section 4.3 there. `losses` has the shape of
/// x, as binary_cross_entropy(x, z) or square(x - z): (batch, ...) -> (batch). TypeError for
/// another shape, or where a factor would be repeated together with it.
Expr emphasized(const Arg& losses, const Corrupted& corrupted, const Arg& alpha, const Arg& beta);

}  // namespace cinch
