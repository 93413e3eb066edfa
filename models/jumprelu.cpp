#include "cinch/models/jumprelu.hpp"

#include "cinch/core/refusal.hpp"
#include "cinch/models/losses.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/norm.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/with_gradient.hpp"

namespace cinch {

namespace {

/// The threshold at each of p's elements; what its repetition adds up is the engine's business.
Expr beside(const char* function, const Arg& p, const Arg& threshold, double width) {
  if (!(width > 0))
    refuse<ValueError>(function, text("the window's width must be positive, got ", width), p);
  if (p->rank() != 2) refuse(function, "pre-activations must be (batch, latents)", p);
  if (threshold->rank() > 1 || !is_float(threshold->dtype()))
    refuse(function, "the threshold must be (latents) or a number", threshold, {p});
  return broadcast_like(cast(threshold, p->dtype()), p);
}

/// rect((p - t) / width) / width
Expr window(const Expr& p, const Expr& t, double width) {
  return switch_(abs(p - t) < width / 2, 1 / width, zeros_like(p));
}

}  // namespace

Expr jumprelu(const Arg& p, const Arg& threshold, double width) {
  const Attribution as(p.where());
  const Expr t = beside("jumprelu", p, threshold, width);
  return with_gradient(switch_(p > t, p, 0), {p, t}, [=, pre = p.expr()](const Expr& g) {
    return std::vector<Expr>{switch_(pre > t, g, 0), -g * t * window(pre, t, width)};
  });
}

Expr jumprelu_l0(const Arg& p, const Arg& threshold, double width) {
  const Attribution as(p.where());
  const Expr t = beside("jumprelu_l0", p, threshold, width);
  const Expr pre = p.expr();
  const Expr on = with_gradient(cast(pre > t, p->dtype()), t,
                                [=](const Expr& g) { return Expr(-g * window(pre, t, width)); });
  return sum(on, 1);
}

Expr l0_target_error(const Arg& l0, double target) {
  const Attribution as(l0.where());
  if (!(target > 0))
    refuse<ValueError>("l0_target_error", text("the target must be positive, got ", target), l0);
  return square(mean(l0) / target - 1);
}

Expr tanh_sparsity(const Arg& f, const Arg& W_dec, double scale) {
  const Attribution as(f.where());
  if (f->rank() != 2 || W_dec->rank() != 2)
    refuse("tanh_sparsity", "codes are (batch, latents), the dictionary (latents, n)", f, {W_dec});
  return sum(tanh(scale * f * norm(W_dec, 2, 1)), 1);
}

Expr pre_activation_loss(const Arg& p, const Arg& threshold, const Arg& W_dec) {
  const Attribution as(p.where());
  if (p->rank() != 2 || W_dec->rank() != 2) {
    refuse("pre_activation_loss",
           "pre-activations are (batch, latents), the dictionary (latents, n)", p, {W_dec});
  }
  return dot(relu(threshold - p), norm(W_dec, 2, 1));
}

Expr GatedDictionary::gates(const Arg& x) const {
  const Attribution as(x.where(), /*force=*/false, "GatedDictionary");
  return dot(x - b_dec, W_gate) + b_gate;
}

Expr GatedDictionary::encode(const Arg& x) const {
  const Attribution as(x.where(), /*force=*/false, "GatedDictionary");
  const Expr g = dot(x - b_dec, W_gate);
  return switch_(g + b_gate > 0, relu(exp(r_mag) * g + b_mag), 0);
}

Expr GatedDictionary::decode(const Arg& f) const {
  const Attribution as(f.where(), /*force=*/false, "GatedDictionary");
  return dot(f, W_dec) + b_dec;
}

GatedDictionary gated_dictionary(std::int64_t inputs, std::int64_t latents, RandomState& random,
                                 const DictionaryOptions& options, Source where) {
  if (options.targets != 0 && options.targets != inputs) {
    refuse<ValueError>(
        "gated_dictionary",
        text("inputs and targets are the same, got ", inputs, " and ", options.targets), where);
  }
  const Dictionary d =
      dictionary(inputs, latents, random, {0, options.dtype, options.label}, where);
  const auto zeros = [&](const char* label) {
    return Shared(Tensor(options.dtype, {latents}), options.label + label, where);
  };
  return {Shared(d.W_enc.get(), options.label + "W_gate", where),
          zeros("b_gate"),
          zeros("r_mag"),
          zeros("b_mag"),
          d.W_dec,
          d.b_dec};
}

GatedCost gated_cost(const GatedDictionary& d, const Arg& x, const Arg& lambda) {
  const Attribution as(x.where());
  const Expr open = relu(d.gates(x));
  const Expr reconstruction = mean(squared_error(x, d.decode(d.encode(x))));
  const Expr sparsity = mean(weighted_l1(open, d.W_dec));
  const Expr frozen = dot(open, stop_gradient(d.W_dec)) + stop_gradient(d.b_dec);
  const Expr auxiliary = mean(squared_error(x, frozen));
  return {reconstruction, sparsity, auxiliary, reconstruction + lambda * sparsity + auxiliary};
}

}  // namespace cinch
