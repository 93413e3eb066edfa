#include "cinch/models/contractive.hpp"

#include <cmath>

#include "cinch/core/grad.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/models/losses.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

Layer ContractiveAutoencoder::decoder() const { return {transpose(W), c, sigmoid}; }

Expr ContractiveAutoencoder::decode(const Arg& h) const {
  const Attribution as(h.where());
  return decoder()(h);
}

ContractiveAutoencoder contractive_autoencoder(std::int64_t visible, std::int64_t hidden,
                                               RandomState& random, DType dtype, Source where) {
  if (visible < 1 || hidden < 1) {
    refuse<ValueError>(
        "contractive_autoencoder",
        text("sizes must be positive, got ", visible, " visible and ", hidden, " hidden units"),
        where);
  }
  const double bound = 4 * std::sqrt(6.0 / static_cast<double>(visible + hidden));
  return {Shared(random.uniform(-bound, bound, {visible, hidden}, dtype), "W", where),
          Shared(Tensor(dtype, {hidden}), "b", where),
          Shared(Tensor(dtype, {visible}), "c", where)};
}

Expr literal_jacobian(const ContractiveAutoencoder& model, const Arg& x) {
  const Attribution as(x.where());
  const Expr h = model.encode(x);
  const Expr slope = reshape(h * (1 - h), {size(h, 0), 1, size(h, 1)});
  return slope * reshape(model.W, {1, size(model.W, 0), size(model.W, 1)});
}

Expr jacobian_norm2(const ContractiveAutoencoder& model, const Arg& x, Penalty penalty) {
  const Attribution as(x.where());
  if (penalty == Penalty::literal) return sum(square(literal_jacobian(model, x)), {1, 2});
  const Expr h = model.encode(x);
  if (penalty == Penalty::jacobian) return sum(square(jacobian(h, x)), {1, 2});
  return dot(square(h * (1 - h)), sum(square(model.W), 0));
}

ContractiveCost contractive_cost(const ContractiveAutoencoder& model, const Arg& x,
                                 const Arg& lambda, Penalty penalty) {
  const Attribution as(x.where());
  const Expr reconstruction = mean(cross_entropy(x, model.reconstruct(x)));
  const Expr contraction = mean(jacobian_norm2(model, x, penalty));
  return {reconstruction, contraction, reconstruction + lambda * contraction};
}

}  // namespace cinch
