// Autoencoders of any depth, and what reconstruction costs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cinch/core/visibility.hpp"
#include "cinch/models/layer.hpp"
#include "cinch/models/losses.hpp"

namespace CINCH_PUBLIC cinch {

/// z = decoder(encoder(x)). Any two chains of layers will do; autoencoder() makes mirrored ones.
struct Autoencoder {
  Network encoder, decoder;

  Expr encode(const Arg& x) const { return encoder(x); }
  Expr decode(const Arg& h) const { return decoder(h); }
  Expr reconstruct(const Arg& x) const;
  /// The shared variables of both, each once: tied weights are the encoder's.
  std::vector<Shared> params() const { return chain(encoder, decoder).params(); }
};

struct AutoencoderOptions {
  bool tied = true;  ///< The decoder's weights are the encoder's, transposed.
  Activation hidden = sigmoid;
  Activation code = nullptr;  ///< Of the innermost layer; null: as `hidden`.
  Activation output = sigmoid;
  std::optional<double> gain = {};  ///< As of a layer.
  DType dtype = DType::float32;
  /// In front of the labels: W1, b1, W2, ... of the encoder, V1, c1, V2, ... of the decoder, where
  /// 1 is next to the input.
  std::string label = {};
};

/// Layers from sizes[0] visible units to a code of sizes.back(), and back. Weights as by dense(),
/// the encoder's drawn first, then the decoder's from the code outwards. Throws TypeError for fewer
/// than two sizes or one that is not positive.
Autoencoder autoencoder(const std::vector<std::int64_t>& sizes, RandomState& random,
                        const AutoencoderOptions& options = {}, Source where = Source::here());

/// The mean over examples of what their reconstructions cost. Throws TypeError where the output's
/// activation does not fit the loss.
Expr reconstruction_cost(const Autoencoder& model, const Arg& x, const Loss& loss);

/// The same where the model sees `corrupted` (corruption.hpp) in place of x: Vincent, Larochelle,
/// Bengio, Manzagol, "Extracting and Composing Robust Features with Denoising Autoencoders", ICML
/// 2008.
Expr denoising_cost(const Autoencoder& model, const Arg& x, const Arg& corrupted, const Loss& loss);

}  // namespace cinch
