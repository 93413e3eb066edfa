#include "cinch/models/dictionary_rules.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "cinch/core/refusal.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/norm.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

/// `t` with 0 where the latent along `axis` is dead.
Expr cleared(const Shared& t, const Expr& dead, std::int64_t axis) {
  const Expr mask = t.rank() == 2 ? expand_dims(dead, axis == 0 ? 1 : 0) : dead;
  return switch_(mask, zeros_like(t), t);
}

}  // namespace

Shared idle_counter(const Dictionary& d, Source where) {
  return Shared(Tensor(DType::int64, {d.b_enc.value(where).size()}), "idle", where);
}

Updates count_idle(const Shared& idle, const Arg& f) {
  const Attribution as(f.where());
  if (f->rank() != 2) refuse("count_idle", "codes must be (batch, latents)", f);
  if (idle.rank() != 1 || idle.dtype() != DType::int64 ||
      (f->dims()[1].known() && f->dims()[1] != idle.dims()[0]))
    refuse("count_idle", "the counter is int64, one for each latent", f, {idle});
  return {{idle, switch_(any(not_equal(f, 0), 0), std::int64_t{0}, idle + size(f, 0))}};
}

Expr dead_latents(const Shared& idle, std::int64_t examples, Source where) {
  const Attribution as(where);
  if (examples < 1) {
    refuse<ValueError>("dead_latents",
                       text("latents are dead after an example at least, got ", examples), where);
  }
  return idle >= examples;
}

Shared inference_threshold(DType dtype, Source where) {
  return Shared(Tensor::full(dtype, {}, -1), "threshold", where);
}

Updates average_threshold(const Shared& threshold, const Arg& f, double decay) {
  const Attribution as(f.where());
  if (!(decay >= 0 && decay < 1)) {
    refuse<ValueError>("average_threshold", text("decay must be in [0, 1), got ", decay), f);
  }
  if (threshold.rank() != 0 || threshold.dtype() != f->dtype())
    refuse("average_threshold", "the threshold is a scalar of the code's dtype", f, {threshold});
  const Expr least = min(switch_(f > 0, f, std::numeric_limits<double>::infinity()));
  const Expr next = switch_(threshold < 0, least, decay * threshold + (1 - decay) * least);
  return {{threshold, switch_(any(f > 0), next, threshold)}};
}

Tensor geometric_median(const Tensor& x, double tolerance, std::int64_t most_steps, Source where) {
  if (x.rank() != 2 || !is_float(x.dtype())) {
    refuse("geometric_median",
           text("examples are floats (examples, n), got ", name(x.dtype()), " ", text(x.shape())),
           where);
  }
  const std::int64_t examples = x.shape()[0], n = x.shape()[1];
  if (examples < 1) refuse<ValueError>("geometric_median", "there is no example", where);
  const auto columns = static_cast<std::size_t>(n);
  std::vector<double> point(columns), next(columns);
  const Tensor wide = x.cast(DType::float64);
  const auto values = wide.data<double>();
  const auto row = [&](std::int64_t i) {
    return values.subspan(static_cast<std::size_t>(i) * columns, columns);
  };
  for (std::int64_t i = 0; i < examples; ++i) {
    for (std::size_t j = 0; j < columns; ++j) {
      const double value = row(i)[j];
      if (!std::isfinite(value)) {
        refuse<ValueError>("geometric_median",
                           text("row ", i, " of the examples has ", value, " in column ", j),
                           where);
      }
      point[j] += value / static_cast<double>(examples);
    }
  }
  for (std::int64_t step = 0; step < most_steps; ++step) {
    std::ranges::fill(next, 0);
    double weights = 0, distances = 0;
    for (std::int64_t i = 0; i < examples; ++i) {
      double squares = 0;
      for (std::size_t j = 0; j < columns; ++j)
        squares += (row(i)[j] - point[j]) * (row(i)[j] - point[j]);
      const double distance = std::sqrt(squares);
      distances += distance / static_cast<double>(examples);
      if (distance == 0) continue;
      weights += 1 / distance;
      for (std::size_t j = 0; j < columns; ++j) next[j] += row(i)[j] / distance;
    }
    if (weights == 0) break;
    double moved = 0;
    for (std::size_t j = 0; j < columns; ++j) {
      next[j] /= weights;
      moved += (next[j] - point[j]) * (next[j] - point[j]);
    }
    point.swap(next);
    if (std::sqrt(moved) <= tolerance * distances) break;
  }
  return Tensor::from<double>({n}, point).cast(x.dtype());
}

void centre(const Dictionary& d, const Tensor& targets, Source where) {
  if (targets.rank() != 2 || targets.shape()[1] != d.b_dec.value(where).size()) {
    refuse("centre",
           text("examples ", text(targets.shape()), " do not have the ",
                d.b_dec.value(where).size(), " columns that the dictionary reconstructs"),
           where);
  }
  Shared b_dec = d.b_dec;
  b_dec.set(geometric_median(targets, 1e-7, 1000, where).cast(b_dec.dtype()), where);
}

Updates resample(const Dictionary& d, const Arg& dead, const Arg& x, const Arg& z,
                 RandomStreams& random, const Updates& optimizer) {
  const Attribution as(x.where());
  if (!d.centred) refuse("resample", "a transcoder's targets give its encoder no direction", x);
  if (dead->rank() != 1 || dead->dtype() != DType::bool_)
    refuse("resample", "the dead latents are a bool of each: (latents)", dead, {x});
  if (x->rank() != 2 || z->rank() != 2)
    refuse("resample", "examples and reconstructions are (batch, n)", x, {z});
  const Expr residual = x - z;
  const Expr weights = square(sum(square(residual), 1));
  // Some weight for all: examples that are reconstructed exactly have no other order than chance.
  const Expr probable = weights + 1e-6 * mean(weights) + 1e-30;
  const Expr latents = size(d.b_enc, 0);
  const Expr chosen =
      random.categorical(broadcast_to(expand_dims(probable, 0), {latents, size(x, 0)}));
  const Expr away = take(x - d.b_dec, chosen);
  const Expr lengths = norm(away, 2, 1, /*keepdims=*/true);
  // An example at b_dec itself has no direction; its latent waits for the next time.
  const Expr renewed = dead && squeeze(lengths, 1) > 0;
  const Expr directions = away / switch_(lengths > 0, lengths, 1);
  const Expr alive = cast(!dead, d.W_enc.dtype());
  const Expr scale = 0.2 * sum(alive * norm(d.W_enc, 2, 0)) / maximum(sum(alive), 1);
  Updates result{
      {d.W_dec, switch_(expand_dims(renewed, 1), directions, d.W_dec)},
      {d.W_enc, switch_(expand_dims(renewed, 0), transpose(scale * directions), d.W_enc)},
      {d.b_enc, switch_(renewed, zeros_like(d.b_enc), d.b_enc)}};
  const std::vector<std::pair<Shared, std::int64_t>> moments{
      {d.W_dec, 0}, {d.W_enc, 1}, {d.b_enc, 0}};
  for (const Update& update : optimizer) {
    for (const auto& [p, axis] : moments) {
      const Shared& t = update.target;
      if (t == p || !t.label().ends_with("/" + p.label()) || t.type().shape() != p.type().shape())
        continue;
      result.push_back({t, cleared(t, renewed, axis)});
    }
  }
  return result;
}

}  // namespace cinch
