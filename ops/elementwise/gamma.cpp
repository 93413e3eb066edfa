#include "cinch/ops/gamma.hpp"

#include <array>
#include <cmath>
#include <limits>

#include "cinch/core/op.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/run/cost.hpp"
#include "cinch/core/run/team.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"

namespace cinch {

namespace {

// The op's integer is the order of the derivative of log |Gamma|: 0, or n + 1 for polygamma(n).

constexpr std::int64_t most_order = 100;
constexpr long double pi = 3.14159265358979323846264338327950288L;

/// B_2, B_4, ... of Bernoulli.
constexpr long double bernoulli[] = {1.0L / 6,         -1.0L / 30,      1.0L / 42,
                                     -1.0L / 30,       5.0L / 66,       -691.0L / 2730,
                                     7.0L / 6,         -3617.0L / 510,  43867.0L / 798,
                                     -174611.0L / 330, 854513.0L / 138, -236364091.0L / 2730};

/// polygamma(n, x) for x > 0: by its recurrence to where its asymptotic series (Abramowitz and
/// Stegun, 6.3.18 and 6.4.11) has converged, `terms` of it.
template <class Real>
Real of_positive(std::int64_t n, Real x, Real start, std::size_t terms) {
  const Real sign = n % 2 ? 1 : -1;
  Real factorial = 1;  // (n - 1)!
  for (std::int64_t k = 2; k < n; ++k) factorial *= static_cast<Real>(k);
  const Real whole = n > 0 ? factorial * static_cast<Real>(n) : 1;  // n!
  const auto power = static_cast<Real>(-n);
  Real below = 0;  // The sum of n! / (x + k)^(n + 1).
  for (; x < start; x += 1) below += whole * std::pow(x, power - 1);
  const Real reciprocal = 1 / (x * x);
  // What (2 k + n - 1)! / (2 k)! / x^(2 k + n) is for k = 1, and then for each next one.
  Real series = 0, term = n == 0 ? reciprocal / 2
                                 : whole * static_cast<Real>(n + 1) / 2 * std::pow(x, power - 2);
  for (std::size_t k = 1; k <= terms; ++k) {
    series += static_cast<Real>(bernoulli[k - 1]) * term;
    const auto m = static_cast<Real>(2 * k), order = static_cast<Real>(n);
    term *= (m + order) * (m + order + 1) / ((m + 1) * (m + 2)) * reciprocal;
  }
  if (n == 0) return std::log(x) - 1 / (2 * x) - series - below;
  const Real first = factorial * std::pow(x, power) + whole * std::pow(x, power - 1) / 2;
  return sign * (first + series + below);
}

/// The n-th derivative of cot(pi x), as a polynomial in cot(pi x), times pi.
template <class Real>
Real cotangent(std::int64_t n, Real x) {
  const Real c = 1 / std::tan(static_cast<Real>(pi) * (x - std::nearbyint(x)));
  std::array<Real, most_order + 3> p{0, 1};  // Nothing is allocated when a plan runs.
  std::size_t degree = 1;
  for (; n > 0; --n, ++degree) {  // d/dx c^k = -pi k (c^(k - 1) + c^(k + 1))
    std::array<Real, most_order + 3> next{};
    for (std::size_t k = 1; k <= degree; ++k) {
      const Real slope = -static_cast<Real>(pi) * static_cast<Real>(k) * p[k];
      next[k - 1] += slope;
      next[k + 1] += slope;
    }
    p = next;
  }
  Real value = 0;
  for (std::size_t k = degree + 1; k-- > 0;) value = value * c + p[k];
  return static_cast<Real>(pi) * value;
}

/// polygamma(n, x). `start` is where the series begins: further away for higher orders.
template <class Real>
Real polygamma_of(std::int64_t n, Real x, Real start, std::size_t terms) {
  constexpr Real inf = std::numeric_limits<Real>::infinity();
  constexpr Real quiet_nan = std::numeric_limits<Real>::quiet_NaN();
  if (std::isnan(x)) return x;
  if (std::isinf(x)) return x < 0 ? quiet_nan : n == 0 ? inf : Real(0);
  if (x > 0) return of_positive(n, x, start + static_cast<Real>(n), terms);
  if (x == 0 && n == 0) return std::copysign(inf, -x);
  if (x == std::floor(x)) return n % 2 ? inf : quiet_nan;
  const Real reflected = of_positive(n, 1 - x, start + static_cast<Real>(n), terms);
  return (n % 2 ? -reflected : reflected) - cotangent(n, x);
}

/// Both without the global sign that lgamma writes.
double log_gamma(double x) {
  int sign = 0;
  return std::isinf(x) ? std::numeric_limits<double>::infinity() : lgamma_r(x, &sign);
}
long double log_gamma(long double x) {
  int sign = 0;
  return std::isinf(x) ? std::numeric_limits<long double>::infinity() : lgammal_r(x, &sign);
}

/// Which derivative of log Gamma: 0 is the function itself.
struct Derivative {
  std::int64_t order;

  static Derivative of(const Attrs& a) { return {a.ints[0]}; }
  Attrs attrs() const { return {.ints = {order}}; }
};

/// In the next wider type, where zeros of these functions and reflections lose digits.
template <class T>
T value_of(std::int64_t order, T x) {
  using Real = std::conditional_t<std::is_same_v<T, float>, double, long double>;
  if (order == 0) return static_cast<T>(log_gamma(static_cast<double>(x)));
  return static_cast<T>(polygamma_of(order - 1, static_cast<Real>(x), Real(16), 12));
}

void polygamma_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs) {
  const std::int64_t order = Derivative::of(attrs).order;
  dispatch_float(out.dtype, [&]<class T> {
    const std::int64_t parts = running::parts_for(
        running::cost::special_function * static_cast<double>(out.size()), out.size());
    running::share_work(parts, [&](std::int64_t part) {
      const running::Span own = running::part_of(out.size(), 1, parts, part);
      for (std::int64_t k = own.begin; k < own.end; ++k)
        out.as<T>()[k] = value_of(order, in[0].as<T>()[k]);
    });
  });
}

/// In long double, from a start so far away that few terms are enough, and to there also from below
/// 0, where the kernel reflects.
Tensor polygamma_reference(Values in, const Attrs& attrs) {
  const std::int64_t order = Derivative::of(attrs).order, n = order - 1;
  Tensor result = *in[0];
  dispatch_float(result.dtype(), [&]<class T> {
    for (T& x : result.data<T>()) {
      auto at = static_cast<long double>(x);
      const bool pole = at <= 0 && at == std::floor(at);
      if (order == 0) {
        x = static_cast<T>(log_gamma(at));
      } else if (!(std::abs(at) < 1000) || pole) {
        x = static_cast<T>(polygamma_of(n, at, 16.0L, 12));
      } else {
        long double below = 0, whole = n % 2 ? 1 : -1;
        for (std::int64_t k = 2; k <= n; ++k) whole *= static_cast<long double>(k);
        const auto power = -static_cast<long double>(order);
        for (; at < 0; at += 1) below += whole * std::pow(at, power);
        x = static_cast<T>(below + polygamma_of(n, at, 200.0L, 6));
      }
    }
  });
  return result;
}

std::vector<Example> polygamma_examples() {
  const Type positive{DType::float64, {3, 4}};
  std::vector<Example> result{
      {{positive}, [](Args x) { return gammaln(square(x[0]) + 0.2); }},
      {{positive}, [](Args x) { return gammaln(0.4 * sign(x[0]) + 0.1 * x[0] - 3); }},
      {{Type{DType::float64, {0}}}, [](Args x) { return digamma(x[0]); }}};
  for (const std::int64_t n : {0, 1, 2, 5}) {
    result.push_back({{positive}, [n](Args x) { return polygamma(n, square(x[0]) + 0.5); }});
    result.push_back({{positive}, [n](Args x) { return polygamma(n, 0.1 * x[0] - 2.5); }});
  }
  return result;
}

}  // namespace

constinit const Op polygamma_op{
    .name = "polygamma",
    .type = [](Args x, const Attrs&) -> Type {
      return {x[0].dtype(), x[0].dims()};
    },
    .reference = polygamma_reference,
    .operands = Operands::real,
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      return {gy * polygamma(Derivative::of(y.attrs()).order, x[0])};
    },
    .batch = [](Args x, const std::vector<bool>&,
                const Expr& y) { return apply(polygamma_op, {x[0]}, y.attrs()); },
    .follow = [](Args, std::span<const std::int64_t> axes, const Expr&) { return axes[0]; },
    .runs = Kernel{.run = polygamma_kernel},
    .examples = polygamma_examples,
};

Expr gammaln(const Arg& x) { return apply(polygamma_op, {x}, Derivative{0}.attrs(), x.where()); }

Expr digamma(const Arg& x) { return polygamma(0, x); }

Expr polygamma(std::int64_t n, const Arg& x) {
  if (n < 0 || n > most_order) {
    refuse<ValueError>("polygamma", text("the order must be in [0, ", most_order, "], it is ", n),
                       x);
  }
  return apply(polygamma_op, {x}, Derivative{n + 1}.attrs(), x.where());
}

namespace {

constexpr double large = 15;  // From here on stirling_rest() is exact but for rounding.

/// log Gamma(x) without (x - 1/2) log(x) - x + log(2 pi) / 2.
Expr stirling_rest(const Expr& x) {
  const Expr r = 1 / x, q = square(r);
  return r * (1.0 / 12 + q * (-1.0 / 360 + q * (1.0 / 1260 + q * (-1.0 / 1680 + q / 1188))));
}

/// log Gamma(x) - log Gamma(x + y) for a large x and y > 0. The two agree in nearly all their
/// digits where y is small beside x.
Expr gammaln_difference(const Expr& x, const Expr& y) {
  const Expr both = x + y;
  return y - (x - 0.5) * log1p(y / x) - y * log(both) + stirling_rest(x) - stirling_rest(both);
}

}  // namespace

Expr betaln(const Arg& a, const Arg& b) {
  const Attribution as(a.where());
  const Expr less = a < b, x = switch_(less, b, a), y = switch_(less, a, b);
  const Expr apart = logical_and(x > large, y > 0);
  const Expr difference = gammaln_difference(switch_(apart, x, large), switch_(apart, y, 1));
  return gammaln(y) + switch_(apart, difference, gammaln(x) - gammaln(a + b));
}

}  // namespace cinch
