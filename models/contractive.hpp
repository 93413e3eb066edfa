// The contractive autoencoder: Rifai, Vincent, Muller, Glorot, Bengio, "Contractive Auto-Encoders:
// Explicit Invariance During Feature Extraction", ICML 2011.
#pragma once

#include <string>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/core/visibility.hpp"
#include "cinch/models/layer.hpp"

namespace CINCH_PUBLIC cinch {

/// One sigmoid layer with tied weights: h = s(x W + b), z = s(h W' + c). Any member may be another
/// model's variable. The same of any depth and with other activations: jacobian_norm2
/// (penalties.hpp) of an autoencoder().
struct ContractiveAutoencoder {
  Shared W;  ///< (visible, hidden)
  Shared b;  ///< (hidden)
  Shared c;  ///< (visible)

  /// The two as layers, to be stacked.
  Layer encoder() const { return {W, b, sigmoid}; }
  Layer decoder() const;
  /// The code of each example: (batch, visible) -> (batch, hidden).
  Expr encode(const Arg& x) const { return encoder()(x); }
  /// The reconstruction from a code: (batch, hidden) -> (batch, visible).
  Expr decode(const Arg& h) const;
  Expr reconstruct(const Arg& x) const { return decode(encode(x)); }
  std::vector<Shared> params() const { return {W, b, c}; }
};

/// W uniform on +-4 sqrt(6 / (visible + hidden)), drawn from `random` in row-major order; b and c
/// zero. Throws TypeError unless both sizes are positive and `dtype` is a float.
ContractiveAutoencoder contractive_autoencoder(std::int64_t visible, std::int64_t hidden,
                                               RandomState& random, DType dtype = DType::float32,
                                               Source where = Source::here());

/// dh/dx written out, J_nij = h_nj (1 - h_nj) W_ij: (batch, visible, hidden).
Expr literal_jacobian(const ContractiveAutoencoder& model, const Arg& x);

/// How the contractive penalty is written. All three are the same number.
enum class Penalty {
  closed,    ///< sum_j (h_j (1 - h_j))^2 sum_i W_ij^2
  literal,   ///< the sum of the squares of literal_jacobian()
  jacobian,  ///< the sum of the squares of jacobian(h, x), by automatic differentiation
};

/// ||dh/dx||^2_F of each example: (batch, visible) -> (batch).
Expr jacobian_norm2(const ContractiveAutoencoder& model, const Arg& x,
                    Penalty penalty = Penalty::closed);

/// The two terms of the cost, each a mean over the examples of x, and the cost
/// reconstruction + lambda * contraction.
struct ContractiveCost {
  Expr reconstruction;  ///< Cross-entropy of x and its reconstruction.
  Expr contraction;     ///< ||dh/dx||^2_F
  Expr total;
};
ContractiveCost contractive_cost(const ContractiveAutoencoder& model, const Arg& x,
                                 const Arg& lambda, Penalty penalty = Penalty::closed);

}  // namespace cinch
