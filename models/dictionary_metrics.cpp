#include "cinch/models/dictionary_metrics.hpp"

#include <cmath>

#include "cinch/core/refusal.hpp"
#include "cinch/models/dictionary.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/norm.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

Expr unit_rows(const Expr& W) {
  const Expr lengths = norm(W, 2, 1, /*keepdims=*/true);
  return W / switch_(lengths > 0, lengths, 1);
}

}  // namespace

Expr l0(const Arg& f) {
  const Attribution as(f.where());
  if (f->rank() != 2) refuse("l0", "codes must be (batch, latents)", f);
  return sum(cast(not_equal(f, 0), f->dtype()), 1);
}

Expr dead_share(const Arg& dead) {
  const Attribution as(dead.where());
  if (dead->rank() != 1 || dead->dtype() != DType::bool_)
    refuse("dead_share", "the dead latents are a bool of each: (latents)", dead);
  return mean(cast(dead, DType::float64));
}

Expr explained_variance(const Arg& x, const Arg& z) {
  const Attribution as(x.where());
  return 1 - normalized_error(x, z);
}

Expr recovered_loss(const Arg& clean, const Arg& reconstructed, const Arg& ablated) {
  const Attribution as(clean.where());
  return (ablated - reconstructed) / (ablated - clean);
}

Expr max_cosines(const Arg& truth, const Arg& learned) {
  const Attribution as(truth.where());
  if (truth->rank() != 2 || learned->rank() != 2)
    refuse("max_cosines", "dictionaries are (rows, n)", truth, {learned});
  return max(dot(unit_rows(truth), transpose(unit_rows(learned))), 1);
}

Expr Superposition::amounts(std::int64_t batch, RandomStreams& random, double least,
                            Source where) const {
  const Attribution as(where, /*force=*/false, "Superposition");
  if (batch < 1 || !(least >= 0)) {
    refuse<ValueError>(
        "Superposition",
        text("a batch is positive and magnitudes are not negative, got ", batch, " and ", least),
        where);
  }
  const DType dtype = features.dtype();
  const Shape shape{batch, features.shape()[0]};
  const Expr active = random.uniform(shape, 0.0, 1.0, dtype) < constant(rates.cast(dtype));
  return switch_(active, abs(random.normal(shape, 0.0, 1.0, dtype)) + least, 0);
}

Expr Superposition::sample(std::int64_t batch, RandomStreams& random, double least,
                           Source where) const {
  const Attribution as(where, /*force=*/false, "Superposition");
  const Expr x = dot(amounts(batch, random, least, where), constant(features));
  if (noise == 0) return x;
  return x + random.normal({batch, features.shape()[1]}, 0.0, noise, features.dtype());
}

Superposition superposition(std::int64_t count, std::int64_t n, RandomState& random,
                            const SuperpositionOptions& options, Source where) {
  const auto& [active, power, noise, dtype] = options;
  if (count < 1 || !(active > 0 && active <= static_cast<double>(count)) || !(power >= 0) ||
      !(noise >= 0)) {
    refuse<ValueError>("superposition",
                       text("of ", count, " features ", active, " cannot be active, with power ",
                            power, " and noise ", noise),
                       where);
  }
  Superposition result;
  result.features = dictionary(n, count, random, {.dtype = dtype}, where).W_dec.get();
  result.noise = noise;
  std::vector<double> rates(static_cast<std::size_t>(count));
  double total = 0;
  for (std::size_t k = 0; k < rates.size(); ++k)
    total += rates[k] = std::pow(static_cast<double>(k + 1), -power);
  for (double& rate : rates) rate *= active / total;
  if (rates.front() > 1) {
    refuse<ValueError>("superposition",
                       text("the most frequent feature would be active with probability ",
                            rates.front(), ": take fewer, or a smaller power"),
                       where);
  }
  result.rates = Tensor::from(rates);
  return result;
}

}  // namespace cinch
