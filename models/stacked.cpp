#include "cinch/models/stacked.hpp"

#include <algorithm>

#include "cinch/core/function.hpp"
#include "cinch/core/variables.hpp"
#include "cinch/ops/index.hpp"

namespace cinch {

std::vector<Autoencoder> autoencoder_stack(const std::vector<std::int64_t>& sizes,
                                           RandomState& random, const AutoencoderOptions& options,
                                           Source where) {
  require_sizes("autoencoder_stack", sizes, where);
  std::vector<Autoencoder> stack;
  for (std::size_t k = 1; k < sizes.size(); ++k) {
    AutoencoderOptions own = options;
    own.label = text(options.label, k, ".");
    stack.push_back(autoencoder({sizes[k - 1], sizes[k]}, random, own, where));
  }
  return stack;
}

Network stacked_encoder(const std::vector<Autoencoder>& stack) {
  Network result;
  for (const Autoencoder& one : stack) result = chain(result, one.encoder);
  return result;
}

Autoencoder unrolled(const std::vector<Autoencoder>& stack) {
  Autoencoder result{stacked_encoder(stack), {}};
  for (const Autoencoder& one : stack) result.decoder = chain(one.decoder, result.decoder);
  return result;
}

namespace {

/// Of `data`, which is stored, or an input whose value is `given`.
Tensor codes_of(const Network& encoder, const Expr& data, const Tensor* given, const Shape& shape,
                std::int64_t batch) {
  if (batch < 1) throw ValueError(text("codes: the batch must be positive, got ", batch));
  const Expr start = lscalar("start"), count = lscalar("count");
  const Expr h = encoder(rows(data, start, count));
  if (h.rank() != 2 || !h.dims()[1].known()) {
    throw TypeError(
        text("codes: they must be (batch, units) with a known number of units, they are ",
             text(h.type())));
  }
  std::vector<Expr> inputs{start, count};
  if (given) inputs.push_back(data);
  const Function run = function({.inputs = inputs, .outputs = {h}, .name = "codes"});
  const std::int64_t examples = shape[0], units = h.dims()[1].size();
  Tensor result(h.dtype(), {examples, units});
  std::vector<Tensor> part;
  for (std::int64_t begin = 0; begin < examples; begin += batch) {
    const Tensor from(begin), number(std::min(batch, examples - begin));
    std::vector<const Tensor*> arguments{&from, &number};
    if (given) arguments.push_back(given);
    run.call(arguments, part);
    dispatch_float(h.dtype(), [&]<class T> {
      std::ranges::copy(part[0].data<T>(), result.data<T>().begin() + begin * units);
    });
  }
  return result;
}

}  // namespace

Tensor codes(const Network& encoder, const Shared& data, std::int64_t batch) {
  return codes_of(encoder, data, nullptr, data.value().shape(), batch);
}

Tensor codes(const Network& encoder, const Tensor& data, std::int64_t batch) {
  const Expr x = variable("data", data.dtype(), Shape(data.shape().size(), -1));
  return codes_of(encoder, x, &data, data.shape(), batch);
}

}  // namespace cinch
