// Thresholds of latents that are learnt: the codes and penalties of JumpReLU and of gated
// dictionaries.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/core/visibility.hpp"
#include "cinch/models/dictionary.hpp"

namespace CINCH_PUBLIC cinch {

// In what follows p is (batch, latents), the threshold t (latents) or a scalar, not negative, and
// rect(u) is 1 for |u| < 1/2, else 0. Rajamanoharan et al., "Jumping Ahead: Improving
// Reconstruction Fidelity with JumpReLU Sparse Autoencoders", 2024. Of t = exp(log t) steps are
// relative: a rate that is good for weights hardly moves it, so let t itself be the parameter, or
// raise its rate. Throws ValueError unless width > 0.

/// f = p where p > t, else 0. The gradient by p is that of f; by t it is -(t / width) rect((p - t)
/// / width), the slope of the mean of f over a window.
Expr jumprelu(const Arg& p, const Arg& threshold, double width = 0.001);
/// How many latents of each example are above their thresholds: (batch). The gradient by t is
/// -(1 / width) rect((p - t) / width), and none flows to p.
Expr jumprelu_l0(const Arg& p, const Arg& threshold, double width = 0.001);
/// (mean of l0 / target - 1)^2, for a number of active latents that is wanted: (batch) -> ().
/// Throws ValueError unless target > 0.
Expr l0_target_error(const Arg& l0, double target);

/// sum_i tanh(scale f_i |W_dec,i|): (batch). Smooth in how large f_i is, and nearly l0. Anthropic,
/// "January Update", transformer-circuits.pub, 2025; SAELens.
Expr tanh_sparsity(const Arg& f, const Arg& W_dec, double scale = 4);
/// sum_i relu(t_i - p_i) |W_dec,i|, which wakes latents that are never above their threshold:
/// (batch). In the same form its weight is 3e-6.
Expr pre_activation_loss(const Arg& p, const Arg& threshold, const Arg& W_dec);

/// A dictionary in which one product decides which latents are active and, scaled, how much. With
/// g = (x - b_dec) W_gate: f = 1[g + b_gate > 0] relu(exp(r_mag) g + b_mag). Rajamanoharan et al.,
/// "Improving Dictionary Learning with Gated Sparse Autoencoders", 2024.
struct GatedDictionary {
  Shared W_gate;  ///< (n, latents)
  Shared b_gate;  ///< (latents)
  Shared r_mag;   ///< (latents)
  Shared b_mag;   ///< (latents)
  Shared W_dec;   ///< (latents, n)
  Shared b_dec;   ///< (n)

  /// g + b_gate: (batch, latents).
  Expr gates(const Arg& x) const;
  Expr encode(const Arg& x) const;
  Expr decode(const Arg& f) const;
  std::vector<Shared> params() const { return {W_gate, b_gate, r_mag, b_mag, W_dec, b_dec}; }
};

/// Weights as dictionary(), all else 0. Throws as that does.
GatedDictionary gated_dictionary(std::int64_t inputs, std::int64_t latents, RandomState& random,
                                 const DictionaryOptions& options = {},
                                 Source where = Source::here());

/// The terms of the paper's loss, each a mean over examples, and reconstruction + lambda sparsity +
/// auxiliary.
struct GatedCost {
  Expr reconstruction;  ///< |x - z|^2
  Expr sparsity;        ///< weighted_l1() of relu(gates), the only way to the gates besides
  Expr auxiliary;       ///< |x - relu(gates) W_dec - b_dec|^2, through a decoder held constant.
  Expr total;
};
GatedCost gated_cost(const GatedDictionary& d, const Arg& x, const Arg& lambda);

}  // namespace cinch
