#include "cinch/ops/rules/powers.hpp"

#include <cmath>

#include "cinch/core/op.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/rules/signs.hpp"

namespace cinch::rules {

namespace {

/// x^k for a whole k > 0, by squares.
Expr whole_power(const Expr& x, int k) {
  Expr result, square_of = x;
  for (;; square_of = square(square_of)) {
    if (k % 2) result = result.has_value() ? result * square_of : square_of;
    if ((k /= 2) == 0) return result;
  }
}

}  // namespace

Expr as_products(const Expr& e) {
  constexpr double largest = 16;
  const Expr& x = e.inputs()[0];
  const Tensor* p = constant_value(e.inputs()[1]);
  if (!p || p->size() != 1 || !(x.dims() == e.dims()) || x.dtype() != e.dtype()) return e;
  const double exponent = p->item(), k = std::abs(exponent);
  const double whole = std::floor(k);
  const bool has_half = k - whole == 0.5;
  if (!(k >= 1 && k <= largest) || (k != whole && !has_half)) return e;
  if (has_half && !never_negative(x)) return e;
  Expr power = whole_power(x, static_cast<int>(whole));
  if (has_half) power = power * sqrt(x);
  return exponent < 0 ? 1 / power : power;
}

}  // namespace cinch::rules
