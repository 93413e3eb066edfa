// Deep models made layer by layer: each autoencoder learns to reconstruct the codes of the one
// before, which no longer changes. Bengio, Lamblin, Popovici, Larochelle, "Greedy Layer-Wise
// Training of Deep Networks", NIPS 2006.
//
//     const auto stack = autoencoder_stack({784, 500, 250}, random);
//     Shared data = images;
//     for (const Autoencoder& layer : stack) {
//       ... train reconstruction_cost(layer, x, cross_entropy) on data ...
//       data = Shared(codes(layer.encoder, data));
//     }
//     const Network deep = stacked_encoder(stack);   // To fine-tune: classifier.hpp.
#pragma once

#include <vector>

#include "cinch/core/visibility.hpp"
#include "cinch/models/autoencoder.hpp"

namespace CINCH_PUBLIC cinch {

/// An autoencoder of one layer for each pair of neighbouring sizes, drawn one after the other, with
/// labels 1.W1, 2.W1 and so on. Throws TypeError as autoencoder() does.
std::vector<Autoencoder> autoencoder_stack(const std::vector<std::int64_t>& sizes,
                                           RandomState& random,
                                           const AutoencoderOptions& options = {},
                                           Source where = Source::here());

/// Their encoders in a row; the weights are the autoencoders' own.
Network stacked_encoder(const std::vector<Autoencoder>& stack);
/// One deep autoencoder: all encoders, then all decoders the other way round. The weights are the
/// autoencoders' own: Hinton and Salakhutdinov, "Reducing the Dimensionality of Data with Neural
/// Networks", Science 2006, fine-tune it as a whole.
Autoencoder unrolled(const std::vector<Autoencoder>& stack);

/// The codes of all rows of `data`, computed `batch` rows at a time: what the next layer is trained
/// on. (rows, inputs) -> (rows, units). Throws TypeError unless batch is positive.
Tensor codes(const Network& encoder, const Shared& data, std::int64_t batch = 1000);
Tensor codes(const Network& encoder, const Tensor& data, std::int64_t batch = 1000);

}  // namespace cinch
