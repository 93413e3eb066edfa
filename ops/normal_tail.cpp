#include "ops/normal_tail.hpp"

#include "ops/arithmetic.hpp"
#include "ops/expansion.hpp"
#include "ops/slopes.hpp"
#include "ops/special.hpp"

namespace cinch::exponentials {

namespace {

/// log(1 - t + 3 t^2 - 15 t^3 ...), which the tails of a normal distribution have besides their
/// exponential: to 1e-8 for t up to 1/50, to 1e-16 up to 1/288.
Expr log_of_tail(const Expr& t) {
  Expr rest = 1 - 19 * t;
  for (int k = 17; k > 1; k -= 2) rest = 1 - k * t * rest;
  return log1p(-(t * rest));
}

}  // namespace

Expr log_normal_cdf(const Expr& x) {
  constexpr double log_root_two_pi = 0.91893853320467274178;
  // Powers of the probability there, in derivatives, are still numbers.
  const double edge = x.dtype() == DType::float32 ? -7.1 : -17;
  const Expr below = x < edge, far = switch_(below, x, edge);
  const Expr tail =
      -(0.5 * square(far) + (final_log(-far) + log_root_two_pi)) + log_of_tail(1 / square(far));
  return switch_(below, tail, final_log(normal_cdf(switch_(below, edge, x))));
}

Expr log_erfc(const Expr& x) {
  constexpr double log_root_pi = 0.57236494292470008707;
  const double edge = x.dtype() == DType::float32 ? 5 : 12;
  const Expr above = x > edge, far = switch_(above, x, edge);
  const Expr tail =
      -(square(far) + (final_log(far) + log_root_pi)) + log_of_tail(0.5 / square(far));
  return switch_(above, tail, final_log(erfc(switch_(above, edge, x))));
}

}  // namespace cinch::exponentials
