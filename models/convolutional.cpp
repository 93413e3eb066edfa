#include "cinch/models/convolutional.hpp"

#include <cmath>

#include "cinch/core/refusal.hpp"
#include "cinch/ops/convolution.hpp"

namespace cinch {

Expr ConvolutionalLayer::operator()(const Arg& x) const {
  const Attribution as(x.where(), /*force=*/false, "ConvolutionalLayer");
  const Expr maps =
      transposed ? conv_transpose2d(
                       x, W, {.stride = stride, .padding = Pad::same, .output_padding = stride - 1})
                 : conv2d(x, W, {.stride = stride, .padding = Pad::same});
  return activation(maps + dimshuffle(b, {0, -1, -1}));
}

Expr ConvolutionalAutoencoder::encode(const Arg& x) const {
  const Attribution as(x.where());
  std::int64_t shrinks = 1;
  Expr h = x;
  for (const ConvolutionalLayer& layer : encoder) {
    shrinks *= layer.stride;
    h = layer(h);
  }
  for (const std::size_t axis : {2u, 3u}) {
    const Dim size = x->dims()[axis];
    if (!size.known() || size.size() % shrinks == 0) continue;
    refuse("encode",
           text("an encoder with strides of ", shrinks,
                " together needs a height and width divisible by that: pad the images"),
           x);
  }
  return h;
}

Expr ConvolutionalAutoencoder::decode(const Arg& h) const {
  const Attribution as(h.where());
  Expr z = h;
  for (const ConvolutionalLayer& layer : decoder) z = layer(z);
  return z;
}

Expr ConvolutionalAutoencoder::reconstruct(const Arg& x) const {
  const Attribution as(x.where());
  return decode(encode(x));
}

std::vector<Shared> ConvolutionalAutoencoder::params() const {
  std::vector<Expr> all;
  for (const ConvolutionalLayer& layer : encoder) all.insert(all.end(), {layer.W, layer.b});
  for (const ConvolutionalLayer& layer : decoder) all.insert(all.end(), {layer.W, layer.b});
  return shared_variables(all);
}

ConvolutionalAutoencoder convolutional_autoencoder(const std::vector<std::int64_t>& channels,
                                                   RandomState& random,
                                                   const ConvolutionalOptions& options,
                                                   Source where) {
  require_sizes("convolutional_autoencoder", channels, where);
  if (options.width < 1 || options.stride < 1) {
    refuse<ValueError>(
        "convolutional_autoencoder",
        text("width and stride must be positive, got ", options.width, " and ", options.stride),
        where);
  }
  const auto filters = [&](std::size_t k, const Activation& activation, const char* name) -> Expr {
    const double gain = options.gain.value_or(activation == sigmoid ? 4 : 1);
    const auto fan =
        static_cast<double>((channels[k - 1] + channels[k]) * options.width * options.width);
    const double bound = gain * std::sqrt(6 / fan);
    return Shared(
        random.uniform(-bound, bound, {channels[k], channels[k - 1], options.width, options.width},
                       options.dtype),
        text(options.label, name, k), where);
  };
  const auto bias = [&](std::int64_t count, const char* name, std::size_t k) {
    return Shared(Tensor(options.dtype, {count}), text(options.label, name, k), where);
  };
  ConvolutionalAutoencoder model;
  const std::size_t depth = channels.size() - 1;
  for (std::size_t k = 1; k <= depth; ++k) {
    const Activation activation = k == depth && options.code ? options.code : options.hidden;
    model.encoder.push_back(
        {filters(k, activation, "W"), bias(channels[k], "b", k), activation, options.stride});
  }
  for (std::size_t k = depth; k > 0; --k) {
    const Activation activation = k == 1 ? options.output : options.hidden;
    const Expr W = options.tied ? model.encoder[k - 1].W : filters(k, activation, "V");
    model.decoder.push_back({W, bias(channels[k - 1], "c", k), activation, options.stride,
                             /*transposed=*/true});
  }
  return model;
}

}  // namespace cinch
