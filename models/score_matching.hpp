// Costs for models of the score, grad log p(x), that need no density.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"
#include "cinch/ops/random.hpp"

namespace CINCH_PUBLIC cinch {

/// `count` levels of noise from `first` to `last`, each the same share of the one before. Throws
/// ValueError unless both are positive and count is.
std::vector<double> noise_levels(double first, double last, std::int64_t count,
                                 Source where = Source::here());

/// |sigma s(x + sigma e, sigma) + e|^2 / 2 for e ~ N(0, I) and sigma one of `levels` for each
/// example, drawn: (batch). It is sigma^2 times the error of s as the score of the data blurred by
/// sigma, up to a constant. `score` takes noisy x, (batch, n), and sigma, (batch, 1). Song and
/// Ermon, "Generative Modeling by Estimating Gradients of the Data Distribution", NeurIPS 2019.
/// Throws ValueError unless all levels are positive and there is one.
Expr denoising_score_error(const std::function<Expr(const Expr& x, const Expr& sigma)>& score,
                           const Arg& x, const std::vector<double>& levels, RandomStreams& random);

/// v' (ds/dx) v + |s|^2 / 2 for a normal v of each example: (batch), whose mean is least where s is
/// the score of the data, without noise. s is computed from x, both (batch, n). Song, Garg, Shi,
/// Ermon, "Sliced Score Matching", UAI 2019, the form of less variance.
Expr sliced_score_error(const Arg& s, const Expr& x, RandomStreams& random);

}  // namespace cinch
