#include "cinch/models/crosscoder.hpp"

#include "cinch/core/grad.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/models/losses.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/norm.hpp"
#include "cinch/ops/order.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

void require_layers(const char* function, const Crosscoder& c, std::size_t given, Source where) {
  if (given == c.W_enc.size() && given > 0) return;
  refuse(function, text("a crosscoder of ", c.W_enc.size(), " layers got activations of ", given),
         where);
}

}  // namespace

Expr Crosscoder::pre_activations(const std::vector<Expr>& xs, Source where) const {
  const Attribution as(where, /*force=*/false, "Crosscoder");
  require_layers("Crosscoder", *this, xs.size(), where);
  Expr p = b_enc;
  for (std::size_t l = 0; l < xs.size(); ++l) p = dot(xs[l], W_enc[l]) + p;
  return p;
}

std::vector<Expr> Crosscoder::decode(const Arg& f) const {
  const Attribution as(f.where(), /*force=*/false, "Crosscoder");
  std::vector<Expr> zs;
  for (std::size_t l = 0; l < W_dec.size(); ++l) zs.push_back(dot(f, W_dec[l]) + b_dec[l]);
  return zs;
}

std::vector<Shared> Crosscoder::params() const {
  std::vector<Shared> all = W_enc;
  all.push_back(b_enc);
  all.insert(all.end(), W_dec.begin(), W_dec.end());
  all.insert(all.end(), b_dec.begin(), b_dec.end());
  return all;
}

Crosscoder crosscoder(const std::vector<std::int64_t>& layers, std::int64_t latents,
                      RandomState& random, const DictionaryOptions& options, Source where) {
  if (layers.empty()) refuse<ValueError>("crosscoder", "there must be a layer", where);
  if (latents < 1)
    refuse<ValueError>("crosscoder", text("latents must be positive, got ", latents), where);
  Crosscoder result;
  result.b_enc = Shared(Tensor(options.dtype, {latents}), options.label + "b_enc", where);
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const Dictionary d = dictionary(layers[l], latents, random, {0, options.dtype, ""}, where);
    const auto labelled = [&](const Shared& p) {
      return Shared(p.get(), text(options.label, p.label(), l), where);
    };
    result.W_enc.push_back(labelled(d.W_enc));
    result.W_dec.push_back(labelled(d.W_dec));
    result.b_dec.push_back(labelled(d.b_dec));
  }
  return result;
}

Expr crosscoder_error(const Crosscoder& c, const std::vector<Expr>& xs, const Arg& f) {
  const Attribution as(f.where());
  require_layers("crosscoder_error", c, xs.size(), f.where());
  const std::vector<Expr> zs = c.decode(f);
  Expr total;
  for (std::size_t l = 0; l < xs.size(); ++l) {
    const Expr error = squared_error(xs[l], zs[l]);
    total = total.has_value() ? total + error : error;
  }
  return total;
}

Expr crosscoder_l1(const Crosscoder& c, const Arg& f) {
  const Attribution as(f.where());
  require_layers("crosscoder_l1", c, c.W_dec.size(), f.where());
  Expr total;
  for (const Shared& W : c.W_dec) {
    const Expr part = weighted_l1(f, W);
    total = total.has_value() ? total + part : part;
  }
  return total;
}

std::vector<Shared> JacobianPair::params() const {
  std::vector<Shared> all = before.params();
  for (const Shared& p : after.params()) all.push_back(p);
  return all;
}

Expr latent_jacobian(const JacobianPair& pair, const Activation& layer, const Arg& x) {
  const Attribution as(x.where());
  const Expr p = pair.before.pre_activations(x);
  require_count("latent_jacobian", Arg(p, x.where()), pair.k);
  const TopK active = topk(p, pair.k, 1);
  const Expr f = relu(active.values);
  // Only rows of active latents take part: (batch, k, inputs), instead of a Jacobian between all.
  const Expr rows = take(pair.before.W_dec, active.indices);
  const Expr input = squeeze(batched_dot(expand_dims(f, 1), rows), 1) + pair.before.b_dec;
  const Expr y = layer(input);
  const Expr all = pair.after.pre_activations(y);
  require_count("latent_jacobian", Arg(all, x.where()), pair.k);
  const Expr chosen = topk(all, pair.k, 1).indices;
  const Expr columns = take(transpose(pair.after.W_enc), chosen);
  const Expr centred = pair.after.centred ? y - pair.after.b_dec : y;
  const Expr after =
      squeeze(batched_dot(columns, expand_dims(centred, 2)), 2) + take(pair.after.b_enc, chosen);
  return jacobian(relu(after), f);
}

JacobianCost jacobian_cost(const JacobianPair& pair, const Activation& layer, const Arg& x,
                           const Arg& c) {
  const Attribution as(x.where());
  const auto error = [&](const Dictionary& d, const Expr& target) {
    return normalized_error(target, d.decode(topk_code(d.pre_activations(target), pair.k)));
  };
  const Expr before = error(pair.before, x), after = error(pair.after, layer(x));
  // A mean over examples of a sum, so that its weight does not hide in a mean over entries.
  const auto entries = static_cast<double>(pair.k) * static_cast<double>(pair.k);
  const Expr jacobian = mean(sum(abs(latent_jacobian(pair, layer, x)), {1, 2})) / entries;
  return {before, after, jacobian, before + after + c * jacobian};
}

}  // namespace cinch
