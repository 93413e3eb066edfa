#include "cinch/ops/rules/normal_tail.hpp"

#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/rules/expansion.hpp"
#include "cinch/ops/rules/slopes.hpp"
#include "cinch/ops/special.hpp"

namespace cinch::exponentials {

namespace {

// What is final here is known not to vanish, and no rule looks at it again.

/// log(1 - t + 3 t^2 - 15 t^3 ...), which the tails of a normal distribution have besides their
/// exponential: to 1e-8 for t up to 1/50, to 1e-16 up to 1/288.
Expr log_of_series(const Expr& t) {
  Expr rest = 1 - 19 * t;
  for (int k = 17; k > 1; k -= 2) rest = 1 - k * t * rest;
  return log1p(-(t * rest));
}

}  // namespace

Tail normal_cdf_tail(const Expr& x) {
  constexpr double log_root_two_pi = 0.91893853320467274178;
  // Powers of the probability there, in derivatives, are still numbers.
  const double edge = x.dtype() == DType::float32 ? -7.1 : -17;
  const Expr below = x < edge, far = switch_(below, x, edge);
  const Expr rest = log_of_series(1 / square(far)) - (rules::final_log(-far) + log_root_two_pi);
  return {x, below, -0.5,
          switch_(below, rest,
                  rules::final_log(apply(rules::normal_cdf_op, {switch_(below, edge, x)},
                                         rules::Final::attrs())))};
}

Tail erfc_tail(const Expr& x) {
  constexpr double log_root_pi = 0.57236494292470008707;
  const double edge = x.dtype() == DType::float32 ? 5 : 12;
  const Expr above = x > edge, far = switch_(above, x, edge);
  const Expr rest = log_of_series(0.5 / square(far)) - (rules::final_log(far) + log_root_pi);
  return {
      x, above, -1,
      switch_(above, rest,
              rules::final_log(apply(erfc_op, {switch_(above, edge, x)}, rules::Final::attrs())))};
}

Expr log_of_tail(const Tail& tail) {
  return switch_(tail.far, tail.coefficient * square(tail.x), 0) + tail.rest;
}

}  // namespace cinch::exponentials
