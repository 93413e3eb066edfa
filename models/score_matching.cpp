#include "cinch/models/score_matching.hpp"

#include <cmath>

#include "cinch/core/derivatives.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

std::vector<double> noise_levels(double first, double last, std::int64_t count, Source where) {
  if (!(first > 0) || !(last > 0) || std::isinf(first) || std::isinf(last) || count < 1) {
    refuse<ValueError>(
        "noise_levels",
        text("levels and their number must be positive, got ", first, " to ", last, " in ", count),
        where);
  }
  std::vector<double> result(static_cast<std::size_t>(count), first);
  for (std::size_t k = 1; k < result.size(); ++k) {
    const double along = static_cast<double>(k) / static_cast<double>(count - 1);
    result[k] = first * std::pow(last / first, along);
  }
  return result;
}

Expr denoising_score_error(const std::function<Expr(const Expr& x, const Expr& sigma)>& score,
                           const Arg& x, const std::vector<double>& levels, RandomStreams& random) {
  const Attribution as(x.where());
  if (x->rank() != 2) refuse("denoising_score_error", "examples must be (batch, n)", x);
  if (!score) refuse("denoising_score_error", "the score is an empty function", x);
  if (levels.empty())
    refuse<ValueError>("denoising_score_error", "there must be a level of noise", x);
  for (const double level : levels) {
    if (level > 0 && std::isfinite(level)) continue;
    refuse<ValueError>("denoising_score_error",
                       text("levels of noise must be positive, got ", level), x);
  }
  const auto count = static_cast<std::int64_t>(levels.size());
  const Expr place = random.uniform({size(x, 0)}, 0.0, 1.0, DType::float64);
  const Expr which =
      minimum(cast(floor(place * static_cast<double>(count)), DType::int64), count - 1);
  const Expr sigma = expand_dims(take(constant(Tensor::from(levels).cast(x->dtype())), which), 1);
  const Expr e = random.normal(sizes(x), 0.0, 1.0, x->dtype());
  return sum(square(sigma * score(x + sigma * e, sigma) + e), 1) / 2;
}

Expr sliced_score_error(const Arg& s, const Expr& x, RandomStreams& random) {
  const Attribution as(s.where());
  if (s->rank() != 2 || x.rank() != 2)
    refuse("sliced_score_error", "both must be (batch, n)", s, {x});
  const Expr v = random.normal(sizes(x), 0.0, 1.0, x.dtype());
  return sum(v * Rop(s, x, v), 1) + sum(square(s), 1) / 2;
}

}  // namespace cinch
