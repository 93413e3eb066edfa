#include "cinch/models/autoencoder.hpp"

#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

Expr Autoencoder::reconstruct(const Arg& x) const {
  const Attribution as(x.where());
  return decode(encode(x));
}

Autoencoder autoencoder(const std::vector<std::int64_t>& sizes, RandomState& random,
                        const AutoencoderOptions& options, Source where) {
  require_sizes("autoencoder", sizes, where);
  const Attribution as(where);
  const Activation code = options.code ? options.code : options.hidden;
  Autoencoder model{
      network(sizes, random, {options.hidden, code, options.gain, options.dtype, options.label},
              where),
      {}};
  for (std::size_t k = sizes.size() - 1; k > 0; --k) {
    const Activation activation = k == 1 ? options.output : options.hidden;
    const std::string W = text(options.label, "V", k), b = text(options.label, "c", k);
    model.decoder.layers.push_back(
        options.tied ? Layer{transpose(model.encoder.layers[k - 1].W),
                             Shared(Tensor(options.dtype, {sizes[k - 1]}), b, where), activation}
                     : dense(sizes[k], sizes[k - 1], random,
                             {activation, options.gain, options.dtype, W, b}, where));
  }
  return model;
}

Expr reconstruction_cost(const Autoencoder& model, const Arg& x, const Loss& loss) {
  const Attribution as(x.where());
  return denoising_cost(model, x, x, loss);
}

Expr denoising_cost(const Autoencoder& model, const Arg& x, const Arg& corrupted,
                    const Loss& loss) {
  const Attribution as(x.where());
  if (!model.decoder.layers.empty()) {
    require_fit(loss, model.decoder.layers.back().activation, x.where());
  }
  return mean(loss(x, model.reconstruct(corrupted)));
}

}  // namespace cinch
