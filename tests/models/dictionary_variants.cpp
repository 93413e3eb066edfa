// The variants of sparse dictionaries.
#include "variants.hpp"

namespace cinch::testing {

namespace {

Dictionary small(Setting& s, std::int64_t targets = 0) {
  return dictionary(6, 9, s.initial, {.targets = targets, .dtype = DType::float64});
}

Expr every_third(std::int64_t latents) {
  Tensor result(DType::bool_, {latents});
  for (std::int64_t k = 0; k < latents; k += 3)
    result.data<bool>()[static_cast<std::size_t>(k)] = true;
  return constant(result);
}

Shared thresholds() { return Shared(Tensor::full(DType::float64, {9}, 0.05), "threshold"); }

std::vector<Shared> with(std::vector<Shared> params, const Shared& one) {
  params.push_back(one);
  return params;
}

Trained jacobian_variant(Setting& s, const Activation& layer) {
  const JacobianPair pair{small(s), dictionary(5, 8, s.initial, {.dtype = DType::float64}), 3};
  return {jacobian_cost(pair, layer, s.x, 2).total, pair.params()};
}

}  // namespace

std::vector<Variant> dictionary_variants() {
  return {
      {"dictionary, TopK with the auxiliary error",
       [](Setting& s) {
         const Dictionary d = small(s);
         const Expr p = d.pre_activations(s.x), z = d.decode(topk_code(p, 3));
         return Trained{
             normalized_error(s.x, z) + auxiliary_error(d, p, s.x - z, every_third(9), 2) / 32,
             d.params()};
       }},
      {"dictionary, multi-TopK",
       [](Setting& s) {
         const Dictionary d = small(s);
         return Trained{multi_topk_error(d, s.x, 2, 5), d.params()};
       }},
      {"dictionary, BatchTopK",
       [](Setting& s) {
         const Dictionary d = small(s);
         const Expr f = batch_topk_code(d.pre_activations(s.x), 3);
         return Trained{normalized_error(s.x, d.decode(f)), d.params()};
       }},
      {"dictionary, JumpReLU",
       [](Setting& s) {
         const Dictionary d = small(s);
         const Shared t = thresholds();
         const Expr p = d.pre_activations(s.x), f = jumprelu(p, t, 1e-9);
         return Trained{normalized_error(s.x, d.decode(f)) + 0.1 * mean(jumprelu_l0(p, t, 1e-9)) +
                            0.1 * l0_target_error(jumprelu_l0(p, t, 1e-9), 3),
                        with(d.params(), t)};
       }},
      {"dictionary, JumpReLU, smooth",
       [](Setting& s) {
         const Dictionary d = small(s);
         const Shared t = thresholds();
         const Expr p = d.pre_activations(s.x), f = jumprelu(p, t, 1e-9);
         return Trained{normalized_error(s.x, d.decode(f)) + 0.1 * mean(tanh_sparsity(f, d.W_dec)) +
                            0.1 * mean(pre_activation_loss(p, t, d.W_dec)),
                        with(d.params(), t)};
       }},
      {"dictionary, gated",
       [](Setting& s) {
         const GatedDictionary d = gated_dictionary(6, 9, s.initial, {.dtype = DType::float64});
         return Trained{gated_cost(d, s.x, 0.1).total, d.params()};
       }},
      {"dictionary, L1 weighted by norms",
       [](Setting& s) {
         const Dictionary d = small(s);
         const Expr f = relu(d.pre_activations(s.x));
         return Trained{mean(squared_error(s.x, d.decode(f))) + 0.1 * mean(weighted_l1(f, d.W_dec)),
                        d.params()};
       }},
      {"dictionary, Matryoshka",
       [](Setting& s) {
         const Dictionary d = small(s);
         const Expr f = batch_topk_code(d.pre_activations(s.x), 4);
         return Trained{mean(matryoshka_error(d, s.x, f, {2, 5, 9})), d.params()};
       }},
      {"transcoder",
       [](Setting& s) {
         const Dictionary d = small(s, /*targets=*/3);
         const Expr f = relu(d.pre_activations(s.x));
         return Trained{normalized_error(tanh(slice(s.x, 1, 4, 1)), d.decode(f)) +
                            0.1 * mean(weighted_l1(f, d.W_dec)),
                        d.params()};
       }},
      {"crosscoder",
       [](Setting& s) {
         const Crosscoder c = crosscoder({6, 3}, 9, s.initial, {.dtype = DType::float64});
         const std::vector<Expr> xs{s.x, tanh(slice(s.x, 1, 4, 1))};
         const Expr f = relu(c.pre_activations(xs));
         return Trained{mean(crosscoder_error(c, xs, f)) + 0.1 * mean(crosscoder_l1(c, f)),
                        c.params()};
       }},
      {"Jacobian pair",
       [](Setting& s) {
         const Expr in = constant(s.initial.normal(0, 0.7, {6, 4})),
                    out = constant(s.initial.normal(0, 0.7, {4, 5}));
         return jacobian_variant(s, [=](const Arg& v) { return dot(tanh(dot(v, in)), out); });
       }},
      {"Jacobian pair around a gated layer",
       [](Setting& s) {
         const Expr in = constant(s.initial.normal(0, 0.7, {6, 4})),
                    gate = constant(s.initial.normal(0, 0.7, {6, 4})),
                    out = constant(s.initial.normal(0, 0.7, {4, 5}));
         return jacobian_variant(
             s, [=](const Arg& v) { return dot(silu(dot(v, gate)) * dot(v, in), out); });
       }},
  };
}

}  // namespace cinch::testing
