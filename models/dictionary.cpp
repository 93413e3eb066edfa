#include "cinch/models/dictionary.hpp"

#include <cmath>
#include <limits>

#include "cinch/core/function.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/models/losses.hpp"
#include "cinch/models/sparse.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/norm.hpp"
#include "cinch/ops/order.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/subtensor.hpp"

namespace cinch {

namespace {

void require_codes(const char* function, const Arg& f, const Arg& W_dec) {
  if (f->rank() != 2) refuse(function, "codes must be (batch, latents)", f);
  if (W_dec->rank() != 2) refuse(function, "a dictionary must be (latents, n)", W_dec);
  const Dim a = f->dims()[1], b = W_dec->dims()[0];
  if (a.known() && b.known() && a != b)
    refuse(function, "the code's columns must match the dictionary's rows", f, {W_dec});
}

/// Rows of length 1, uniform on the sphere.
Tensor directions(std::int64_t count, std::int64_t n, RandomState& random, DType dtype) {
  Tensor result = random.normal(0, 1, {count, n});
  const auto values = result.data<double>();
  for (std::int64_t i = 0; i < count; ++i) {
    const auto row = values.subspan(static_cast<std::size_t>(i * n), static_cast<std::size_t>(n));
    double squares = 0;
    for (const double v : row) squares += v * v;
    for (double& v : row) v /= std::sqrt(squares);
  }
  return result.cast(dtype);
}

/// The latents that prefix k adds.
Expr added(const Expr& f, const std::vector<std::int64_t>& prefixes, std::size_t k) {
  return slice(f, k == 0 ? 0 : prefixes[k - 1], prefixes[k], 1);
}

}  // namespace

Expr Dictionary::pre_activations(const Arg& x) const {
  const Attribution as(x.where(), /*force=*/false, "Dictionary");
  return dot(centred ? x - b_dec : x.expr(), W_enc) + b_enc;
}

Expr Dictionary::decode(const Arg& f) const {
  const Attribution as(f.where(), /*force=*/false, "Dictionary");
  return dot(f, W_dec) + b_dec;
}

Dictionary dictionary(std::int64_t inputs, std::int64_t latents, RandomState& random,
                      const DictionaryOptions& options, Source where) {
  const bool same = options.targets == 0;
  const std::int64_t targets = same ? inputs : options.targets;
  if (inputs < 1 || latents < 1 || targets < 1) {
    refuse<ValueError>("dictionary",
                       text("sizes must be positive, got ", inputs, " inputs, ", latents,
                            " latents and ", targets, " targets"),
                       where);
  }
  if (!is_float(options.dtype))
    refuse("dictionary", text("parameters are float32 or float64, not ", name(options.dtype)),
           where);
  const auto shared = [&](Tensor value, const char* label) {
    return Shared(std::move(value), options.label + label, where);
  };
  const Tensor W_dec = directions(latents, targets, random, options.dtype);
  const Tensor back = same ? W_dec : directions(latents, inputs, random, options.dtype);
  return {shared(evaluate(transpose(constant(back))), "W_enc"),
          shared(Tensor(options.dtype, {latents}), "b_enc"), shared(W_dec, "W_dec"),
          shared(Tensor(options.dtype, {targets}), "b_dec"), same};
}

void require_count(const char* function, const Arg& p, std::int64_t k) {
  if (p->rank() != 2) refuse(function, "pre-activations must be (batch, latents)", p);
  const Dim latents = p->dims()[1];
  if (k >= 1 && (!latents.known() || k <= latents.size())) return;
  refuse<ValueError>(function, text("k must be between 1 and the number of latents, got ", k), p);
}

Expr topk_code(const Arg& p, std::int64_t k) {
  const Attribution as(p.where());
  require_count("topk_code", p, k);
  return relu(k_sparse(p, k));
}

Expr batch_topk_code(const Arg& p, std::int64_t k) {
  const Attribution as(p.where());
  require_count("batch_topk_code", p, k);
  // One stable order of all, of which the first k * batch are kept.
  const Expr flat = flatten(p);
  const Expr kept = slice(argsort(flat, 0, /*descending=*/true), 0, k * size(p, 0));
  const Expr mask = put(zeros_like(flat), kept, 1) > 0;
  return relu(switch_(reshape(mask, sizes(p)), p, 0));
}

Expr thresholded(const Arg& p, const Arg& threshold) {
  const Attribution as(p.where());
  return switch_(p > maximum(threshold, 0), p, 0);
}

Expr total_variance(const Arg& x) {
  const Attribution as(x.where());
  if (x->rank() != 2) refuse("total_variance", "activations must be (batch, n)", x);
  return mean(sum(square(x - mean(x, 0, /*keepdims=*/true)), 1));
}

Expr normalized_error(const Arg& x, const Arg& z) {
  const Attribution as(x.where());
  return mean(squared_error(x, z)) / stop_gradient(total_variance(x));
}

Expr auxiliary_error(const Dictionary& d, const Arg& p, const Arg& residual, const Arg& dead,
                     std::int64_t k) {
  const Attribution as(p.where());
  require_count("auxiliary_error", p, k);
  if (dead->rank() != 1 || dead->dtype() != DType::bool_)
    refuse("auxiliary_error", "the dead latents are a bool of each: (latents)", dead, {p});
  if (residual->rank() != 2) refuse("auxiliary_error", "residuals must be (batch, n)", residual);
  const Expr e = stop_gradient(residual);
  const Expr asleep = switch_(dead, p, -std::numeric_limits<double>::infinity());
  const Expr code = relu(switch_(largest(asleep, k, 1), asleep, 0));
  const Expr scale = minimum(cast(sum(dead), p->dtype()) / static_cast<double>(k), 1);
  // Where nothing varies, as where every example is reconstructed, there is nothing to divide by.
  const Expr variance = total_variance(e);
  return scale * mean(squared_error(e, dot(code, d.W_dec))) / switch_(variance > 0, variance, 1);
}

Expr multi_topk_error(const Dictionary& d, const Arg& x, std::int64_t k, std::int64_t more,
                      double weight) {
  const Attribution as(x.where());
  const Expr p = d.pre_activations(x);
  return normalized_error(x, d.decode(topk_code(p, k))) +
         weight * normalized_error(x, d.decode(topk_code(p, more)));
}

Expr matryoshka_error(const Dictionary& d, const Arg& x, const Arg& f,
                      const std::vector<std::int64_t>& prefixes) {
  const Attribution as(x.where());
  require_codes("matryoshka_error", f, d.W_dec);
  const std::int64_t latents = d.W_dec.dims()[0].size();
  std::int64_t last = 0;
  for (const std::int64_t m : prefixes) {
    if (m <= last || m > latents) {
      refuse<ValueError>("matryoshka_error",
                         text("prefixes are numbers of latents that ascend to ", latents,
                              " at most, got ", text(Shape(prefixes))),
                         x, {d.W_dec});
    }
    last = m;
  }
  if (prefixes.empty())
    refuse<ValueError>("matryoshka_error", "there must be a prefix", x, {d.W_dec});
  Expr z = d.b_dec, total;
  for (std::size_t k = 0; k < prefixes.size(); ++k) {
    const Expr rows = slice(d.W_dec, k == 0 ? 0 : prefixes[k - 1], prefixes[k]);
    z = dot(added(f, prefixes, k), rows) + z;
    const Expr error = squared_error(x, z);
    total = total.has_value() ? total + error : error;
  }
  return total;
}

Expr weighted_l1(const Arg& f, const Arg& W_dec) {
  const Attribution as(f.where());
  require_codes("weighted_l1", f, W_dec);
  return dot(abs(f), norm(W_dec, 2, 1));
}

}  // namespace cinch
