// Dictionaries over several activations at once: one code of many layers, and two dictionaries
// around a layer whose Jacobian between codes is to be sparse.
#pragma once

#include <cstdint>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/core/visibility.hpp"
#include "cinch/models/dictionary.hpp"
#include "cinch/models/layer.hpp"

namespace CINCH_PUBLIC cinch {

/// One code of several activations, each with an encoder and a decoder of its own: p = sum_l x_l
/// W_enc,l + b_enc, z_l = f W_dec,l + b_dec,l. Lindsey et al., "Sparse Crosscoders for Cross-Layer
/// Features and Model Diffing", transformer-circuits.pub, 2024.
struct Crosscoder {
  std::vector<Shared> W_enc;  ///< (n_l, latents) each
  Shared b_enc;               ///< (latents)
  std::vector<Shared> W_dec;  ///< (latents, n_l) each
  std::vector<Shared> b_dec;  ///< (n_l) each

  /// One x for each layer, (batch, n_l) -> (batch, latents). Throws TypeError for another number.
  Expr pre_activations(const std::vector<Expr>& xs, Source where = Source::here()) const;
  /// (batch, latents) -> (batch, n_l) of each layer.
  std::vector<Expr> decode(const Arg& f) const;
  std::vector<Shared> params() const;
};

/// Weights of each layer as dictionary(), one after the other, labelled "W_enc0" and so on. Throws
/// ValueError unless there is a layer and all sizes are positive.
Crosscoder crosscoder(const std::vector<std::int64_t>& layers, std::int64_t latents,
                      RandomState& random, const DictionaryOptions& options = {},
                      Source where = Source::here());
/// sum_l |x_l - z_l|^2: (batch).
Expr crosscoder_error(const Crosscoder& c, const std::vector<Expr>& xs, const Arg& f);
/// sum_i |f_i| sum_l |W_dec,l,i|: (batch).
Expr crosscoder_l1(const Crosscoder& c, const Arg& f);

/// Dictionaries of what goes into a layer and of what comes out of it. Farnik, Lawson, Houghton,
/// Aitchison, "Jacobian Sparse Autoencoders: Sparsify Computations, Not Just Activations", 2025.
struct JacobianPair {
  Dictionary before, after;
  std::int64_t k = 32;  ///< Active latents of each example, in both.

  std::vector<Shared> params() const;
};

/// d f_after / d f_before of each example between its active latents, for f_after the code of
/// layer(before.decode(f_before)): (batch, k, k), where those of `after`, the rows, are the k
/// largest of that example and so are those of `before`, the columns. `layer` maps (batch, inputs)
/// to (batch, outputs), as Network or a lambda of any kind does, gated ones included. Latents of
/// `after` that are active at 0 or below have a row of zeros. Throws ValueError unless k is in both
/// between 1 and the number of latents.
Expr latent_jacobian(const JacobianPair& pair, const Activation& layer, const Arg& x);

/// The terms of the paper's loss, each a mean over examples, and before + after + c jacobian.
struct JacobianCost {
  Expr before;    ///< normalized_error() of x
  Expr after;     ///< normalized_error() of layer(x)
  Expr jacobian;  ///< mean |latent_jacobian()| over its entries
  Expr total;
};
/// `layer` is to be frozen: its parameters get gradients like all others.
JacobianCost jacobian_cost(const JacobianPair& pair, const Activation& layer, const Arg& x,
                           const Arg& c);

}  // namespace cinch
