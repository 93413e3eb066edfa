#include "models/losses.hpp"

#include "ops/activation.hpp"
#include "ops/arithmetic.hpp"
#include "ops/reduce.hpp"

namespace cinch {

Expr cross_entropy(const Arg& x, const Arg& z) {
  const Attribution as(x.where());
  return -sum(x * log(z) + (1 - x) * log(1 - z), 1);
}

Expr squared_error(const Arg& x, const Arg& z) {
  const Attribution as(x.where());
  return sum(square(x - z), 1);
}

Expr absolute_error(const Arg& x, const Arg& z) {
  const Attribution as(x.where());
  return sum(abs(x - z), 1);
}

}  // namespace cinch
