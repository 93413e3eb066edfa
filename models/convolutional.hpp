// Convolutional autoencoders: Masci, Meier, Ciresan, Schmidhuber, "Stacked Convolutional
// Auto-Encoders for Hierarchical Feature Extraction", ICANN 2011; with strides in place of pooling.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cinch/core/visibility.hpp"
#include "cinch/models/layer.hpp"

namespace CINCH_PUBLIC cinch {

/// activation(x * W + b) over maps, or its transpose.
struct ConvolutionalLayer {
  Expr W;  ///< (filters, channels, width, width), in both directions.
  Expr b;  ///< One for each map of the result.
  Activation activation = linear;
  std::int64_t stride = 1;
  bool transposed = false;

  /// (batch, channels, rows, columns) -> (batch, filters, rows / stride, columns / stride), rounded
  /// up, or the other way round where transposed.
  Expr operator()(const Arg& x) const;
};

/// Chains of convolutions down to a code of maps and of their transposes back up.
struct ConvolutionalAutoencoder {
  std::vector<ConvolutionalLayer> encoder, decoder;

  /// Throws TypeError where the height or width of x is known and not divisible by the strides'
  /// product: the way back would end at another size.
  Expr encode(const Arg& x) const;
  Expr decode(const Arg& h) const;
  Expr reconstruct(const Arg& x) const;
  /// Each once, the encoder's first.
  std::vector<Shared> params() const;
};

struct ConvolutionalOptions {
  /// Of the filters, both ways. Of a width that the stride divides, as many weights meet in each
  /// pixel on the way back; other widths draw a checkerboard over all pictures (Odena, Dumoulin and
  /// Olah, "Deconvolution and Checkerboard Artifacts", Distill 2016).
  std::int64_t width = 4;
  std::int64_t stride = 2;  ///< Of every layer.
  bool tied = true;         ///< The decoder's filters are the encoder's.
  Activation hidden = relu;
  Activation code = nullptr;  ///< Of the innermost layer; null: as `hidden`.
  Activation output = sigmoid;
  std::optional<double> gain = {};  ///< As of a dense layer.
  DType dtype = DType::float32;
  std::string label = {};  ///< In front of the labels, which are those of autoencoder().
};

/// From channels[0] channels of an image to channels.back() maps, and back. Filters uniform on
/// +-gain sqrt(6 / ((channels + filters) width^2)), drawn in row-major order, the encoder's first;
/// biases zero. Throws TypeError for fewer than two numbers of channels, or where one, the width or
/// the stride is not positive.
ConvolutionalAutoencoder convolutional_autoencoder(const std::vector<std::int64_t>& channels,
                                                   RandomState& random,
                                                   const ConvolutionalOptions& options = {},
                                                   Source where = Source::here());

}  // namespace cinch
