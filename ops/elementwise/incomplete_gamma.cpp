#include "cinch/ops/incomplete_gamma.hpp"

#include <array>
#include <boost/math/distributions/poisson.hpp>
#include <boost/math/special_functions/digamma.hpp>
#include <boost/math/special_functions/gamma.hpp>
#include <boost/math/special_functions/polygamma.hpp>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/run/cost.hpp"
#include "cinch/core/run/team.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/gamma.hpp"
#include "cinch/ops/special.hpp"

namespace cinch {

namespace {

template <class Real>
constexpr Real inf = std::numeric_limits<Real>::infinity();
template <class Real>
constexpr Real quiet_nan = std::numeric_limits<Real>::quiet_NaN();

namespace policies = boost::math::policies;
using policies::ignore_error;
/// What cannot be computed is NaN or infinite; nothing is promoted but by us.
using Quiet = policies::policy<
    policies::domain_error<ignore_error>, policies::pole_error<ignore_error>,
    policies::overflow_error<ignore_error>, policies::underflow_error<ignore_error>,
    policies::denorm_error<ignore_error>, policies::rounding_error<ignore_error>,
    policies::evaluation_error<ignore_error>, policies::promote_float<false>,
    policies::promote_double<false>, policies::discrete_quantile<policies::integer_round_up>>;

template <class Real>
Real lower_tail(Real a, Real x) {
  if (!(a >= 0 && x >= 0) || (a == 0 && x == 0) || (std::isinf(a) && std::isinf(x)))
    return quiet_nan<Real>;
  if (a == 0 || std::isinf(x)) return 1;
  return std::isinf(a) || x == 0 ? 0 : boost::math::gamma_p(a, x, Quiet());
}

template <class Real>
Real upper_tail(Real a, Real x) {
  if (!(a >= 0 && x >= 0) || (a == 0 && x == 0) || (std::isinf(a) && std::isinf(x)))
    return quiet_nan<Real>;
  if (a == 0 || std::isinf(x)) return 0;
  return std::isinf(a) || x == 0 ? 1 : boost::math::gamma_q(a, x, Quiet());
}

template <class Real>
Real gamma_quantile(Real a, Real p) {
  if (!(a > 0 && a < inf<Real> && p >= 0 && p <= 1)) return quiet_nan<Real>;
  if (p == 0 || p == 1) return p == 0 ? 0 : inf<Real>;
  return boost::math::gamma_p_inv(a, p, Quiet());
}

template <class Real>
Real poisson_count(Real mean, Real p) {
  if (!(mean >= 0 && mean < inf<Real> && p >= 0 && p <= 1)) return quiet_nan<Real>;
  if (p == 1) return inf<Real>;
  if (mean == 0 || p == 0) return 0;
  using Poisson = boost::math::poisson_distribution<Real, Quiet>;
  return boost::math::quantile(Poisson(mean), p);
}

constexpr std::int64_t most_order = 8;

/// The k-th derivative by a of t^(a - 1) / Gamma(a), over that: B_k(f', f'', ...), the complete
/// Bell polynomial of the derivatives of its logarithm. Those of 1 / Gamma(a) = a / Gamma(a + 1)
/// are taken as of a product, since polygamma(n, a) grows as a^-(n + 1) and would cancel: `c` are
/// log t - digamma(a + 1) and -polygamma(i, a + 1).
template <class Real>
Real density_slope(std::int64_t k, Real a, const std::array<Real, most_order + 1>& c) {
  std::array<Real, most_order + 2> b{1};
  for (std::int64_t n = 0; n < k; ++n) {
    Real choose = 1;  // n over i.
    for (std::int64_t i = 0; i <= n; ++i) {
      b[n + 1] += choose * b[n - i] * c[i + 1];
      choose *= static_cast<Real>(n - i) / static_cast<Real>(i + 1);
    }
  }
  return b[k] + static_cast<Real>(k) / a * b[k - 1];
}

/// Points and weights of the trapezoidal rule for integrals over s > 0, with s = exp(v - exp(-v)),
/// which converges doubly exponentially (Takahasi and Mori, 1974): for integrands that fall off as
/// fast as exp(-s^2) to the last digit of `Real`.
template <class Real>
struct HalfLine {
  static constexpr int per_unit = std::is_same_v<Real, double> ? 8 : 10;
  static constexpr std::size_t count = 250 * per_unit;  // v from -4.2 on.
  std::vector<Real> at = std::vector<Real>(count), weight = at;

  HalfLine() {
    for (std::size_t j = 0; j < count; ++j) {
      const Real v = static_cast<Real>(j) / per_unit - Real(4.2), rest = std::exp(-v);
      at[j] = std::exp(v - rest);
      weight[j] = at[j] * (1 + rest) / per_unit;
    }
  }
};

/// gamma_slope(k, a, x): the integral of density_slope(k) at t, times the density at t over that at
/// x, over t < x, or where that has the larger terms, its negative over
/// t > x, as both together are constant. There log t = log x - s, here t = x + s.
template <class Real>
Real slope_of(std::int64_t k, Real a, Real x) {
  if (!(a > 0 && a < inf<Real> && x >= 0)) return quiet_nan<Real>;
  if (x == 0) return 0;
  if (std::isinf(x)) return -x;
  static const HalfLine<Real> rule;
  std::array<Real, most_order + 1> c{};
  for (std::int64_t i = 1; i < k; ++i)
    c[i + 1] = -boost::math::polygamma(static_cast<int>(i), a + 1, Quiet());
  const Real at_x = std::log(x) - boost::math::digamma(a + 1, Quiet());
  // Terms of one sign, for k = 1. Above the very smallest x there are more orders of magnitude than
  // the rule has points for.
  const bool below = at_x + 1 / a < 0 || x < Real(1e-100);
  const Real scale = below ? 1 / (std::max<Real>(a - x, 0) + std::sqrt(std::min(a, x)))
                           : 1 / (std::max<Real>(1 - a / x, 0) + 1 / std::min(x, std::sqrt(x)));
  constexpr Real negligible = std::is_same_v<Real, double> ? -45 : -60;
  Real sum = 0;
  for (std::size_t j = 0; j < rule.count; ++j) {
    const Real s = scale * rule.at[j];
    // The logarithm of the density at t over that at x, and of dt: parts of first order in s are
    // taken together where it is small.
    Real exponent = 0;
    if (below) {
      const Real growth = std::expm1(-s);
      exponent = s < 1 ? (x - a) * s - x * (growth + s) : -a * s - x * growth;
      c[1] = at_x - s;
    } else {
      const Real growth = std::log1p(s / x);
      exponent = s < x ? (a - 1) * (growth - s / x) - s * (x - a + 1) / x : (a - 1) * growth - s;
      c[1] = at_x + growth;
    }
    if (!(exponent > negligible)) break;
    sum += std::exp(exponent) * density_slope(k, a, c) * rule.weight[j];
  }
  return (below ? x : -1) * scale * sum;
}

/// The function `F::of(attrs, x, y)` on pairs of elements. In the next wider type.
template <class F>
void kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs) {
  dispatch_float(out.dtype, [&]<class T> {
    using Real = std::conditional_t<std::is_same_v<T, float>, double, long double>;
    const std::int64_t parts = running::parts_for(
        F::cost * running::cost::special_function * static_cast<double>(out.size()), out.size());
    running::share_work(parts, [&](std::int64_t part) {
      const running::Span own = running::part_of(out.size(), 1, parts, part);
      for (std::int64_t k = own.begin; k < own.end; ++k) {
        const T *x = in[0].as<T>(), *y = in[1].as<T>();
        out.as<T>()[k] =
            static_cast<T>(F::of(attrs, static_cast<Real>(x[k]), static_cast<Real>(y[k])));
      }
    });
  });
}

template <class F>
Tensor reference(Values in, const Attrs& attrs) {
  Tensor result = *in[0];
  dispatch_float(result.dtype(), [&]<class T> {
    for (std::size_t k = 0; k < result.data<T>().size(); ++k) {
      const auto x = static_cast<long double>(in[0]->data<T>()[k]);
      result.data<T>()[k] =
          static_cast<T>(F::of(attrs, x, static_cast<long double>(in[1]->data<T>()[k])));
    }
  });
  return result;
}

/// Both brought to one dtype and their common sizes, which the ops below want.
Expr of_pair(const Op& op, const Arg& a, const Arg& x, Attrs attrs) {
  Expr first = is_float(a->dtype()) ? a.expr() : cast(a, DType::float64);
  const Expr both = first + x;
  first = broadcast_like(cast(first, both.dtype()), both);
  return apply(op, {first, broadcast_like(cast(x, both.dtype()), both)}, std::move(attrs),
               a.where());
}

/// `op`, which says its name and gradient, completed with what follows from its function.
template <class F>
constexpr Op of_each_pair(Op op) {
  op.type = [](Args x, const Attrs&) -> Type {
    broadcast(x[0].dims(), x[1].dims());
    return {x[0].dtype(), x[0].dims()};
  };
  op.reference = reference<F>;
  op.operands = Operands::real;
  op.batch = [](Args x, const std::vector<bool>&, const Expr& y) {
    return of_pair(y.op(), x[0], x[1], y.attrs());
  };
  op.follow = [](Args, std::span<const std::int64_t> axes, const Expr&) -> std::int64_t {
    if (axes[0] < 0 || axes[1] < 0) return std::max(axes[0], axes[1]);
    return axes[0] == axes[1] ? axes[0] : -1;
  };
  std::construct_at(&op.runs, Kernel{.run = kernel<F>});  // As in records::elementwise().
  return op;
}

/// Whether P or Q.
struct Tail {
  bool upper;

  static Tail of(const Attrs& a) { return {a.ints[0] != 0}; }
  Attrs attrs() const { return {.ints = {upper}}; }
};
struct SlopeOrder {
  std::int64_t order;

  static SlopeOrder of(const Attrs& a) { return {a.ints[0]}; }
  Attrs attrs() const { return {.ints = {order}}; }
};

struct IncompleteGamma {
  static constexpr double cost = 5;
  template <class Real>
  static Real of(const Attrs& attrs, Real a, Real x) {
    return Tail::of(attrs).upper ? upper_tail(a, x) : lower_tail(a, x);
  }
};
struct GammaQuantile {
  static constexpr double cost = 20;
  template <class Real>
  static Real of(const Attrs&, Real a, Real p) {
    return gamma_quantile(a, p);
  }
};
struct GammaSlope {
  static constexpr double cost = 50;
  template <class Real>
  static Real of(const Attrs& attrs, Real a, Real x) {
    return slope_of(SlopeOrder::of(attrs).order, a, x);
  }
};
struct PoissonQuantile {
  static constexpr double cost = 20;
  template <class Real>
  static Real of(const Attrs&, Real mean, Real p) {
    return poisson_count(mean, p);
  }
};

/// d/dx P(a, x).
Expr density(const Expr& a, const Expr& x) { return exp(xlogy(a - 1, x) - x - gammaln(a)); }

/// How the logarithm of the density moves with a.
Expr score(const Expr& a, const Expr& x) { return log(x) - digamma(a); }

/// The k-th derivative of the density by a, over the density, as an expression.
Expr density_slope(std::int64_t k, const Expr& a, const Expr& x) {
  std::vector<Expr> c{score(a + 1, x)}, b{literal(1)};
  for (std::int64_t i = 1; i < k; ++i) c.push_back(-polygamma(i, a + 1));
  for (std::int64_t n = 0; n < k; ++n) {
    Expr next = b[n] * c[0];
    double choose = 1;
    for (std::int64_t i = 1; i <= n; ++i) {
      choose *= static_cast<double>(n - i + 1) / static_cast<double>(i);
      next = next + choose * b[n - i] * c[i];
    }
    b.push_back(next);
  }
  return b[k] + static_cast<double>(k) / a * b[k - 1];
}

/// f of a shape around 1.5 and a number around the middle of [low, high].
std::vector<Example> examples_of(Expr (*f)(const Expr&, const Expr&), double low, double high) {
  const auto build = [=](Args x) {
    return f(1.5 + 0.7 * x[0], (low + high) / 2 + (high - low) / 5 * x[1]);
  };
  const auto of = [](const Shape& sizes) { return Type{DType::float64, to_dims(sizes)}; };
  return {{{of({3, 4}), of({3, 4})}, build},
          {{of({3, 4}), of({4})}, build},
          {{of({}), of({3, 4})}, build},
          {{of({0, 2}), of({2})}, build},
          {{of({}), of({})}, build}};
}

/// Of two functions of one op.
std::vector<Example> both(std::vector<Example> first, const std::vector<Example>& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

}  // namespace

constinit const Op incomplete_gamma_op = of_each_pair<IncompleteGamma>({
    .name = "incomplete_gamma",
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      const Expr slope = density(x[0], x[1]) * (Tail::of(y.attrs()).upper ? -gy : gy);
      return {slope * gamma_slope(1, x[0], x[1]), slope};
    },
    .examples =
        [] {
          return both(
              examples_of([](const Expr& a, const Expr& x) { return gammainc(a, x); }, 0.2, 4.2),
              examples_of([](const Expr& a, const Expr& x) { return gammaincc(a, x); }, 0.2, 4.2));
        },
});

constinit const Op gammaincinv_op = of_each_pair<GammaQuantile>({
    .name = "gammaincinv",
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      return {-gy * gamma_slope(1, x[0], y), gy / density(x[0], y)};
    },
    .examples =
        [] {
          return examples_of([](const Expr& a, const Expr& p) { return gammaincinv(a, p); }, 0.05,
                             0.95);
        },
});

constinit const Op gamma_slope_op = of_each_pair<GammaSlope>({
    .name = "gamma_slope",
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      const std::int64_t k = SlopeOrder::of(y.attrs()).order;
      const Expr &a = x[0], &at = x[1];
      return {gy * (gamma_slope(k + 1, a, at) - score(a, at) * y),
              gy * (density_slope(k, a, at) - y * ((a - 1) / at - 1))};
    },
    .examples =
        [] {
          return both(examples_of([](const Expr& a, const Expr& x) { return gamma_slope(1, a, x); },
                                  0.2, 4.2),
                      examples_of([](const Expr& a, const Expr& x) { return gamma_slope(3, a, x); },
                                  0.2, 4.2));
        },
});

constinit const Op poisson_quantile_op = of_each_pair<PoissonQuantile>({
    .name = "poisson_quantile",
    .examples =
        [] {
          return examples_of([](const Expr& a, const Expr& p) { return poisson_quantile(a, p); },
                             0.05, 0.95);
        },
});

Expr gammainc(const Arg& a, const Arg& x) {
  const Attribution as(a.where());
  return of_pair(incomplete_gamma_op, a, x, Tail{false}.attrs());
}
Expr gammaincc(const Arg& a, const Arg& x) {
  const Attribution as(a.where());
  return of_pair(incomplete_gamma_op, a, x, Tail{true}.attrs());
}
Expr gammaincinv(const Arg& a, const Arg& p) {
  const Attribution as(a.where());
  return of_pair(gammaincinv_op, a, p, {});
}
Expr poisson_quantile(const Arg& mean, const Arg& p) {
  const Attribution as(mean.where());
  return of_pair(poisson_quantile_op, mean, p, {});
}

Expr gamma_slope(std::int64_t order, const Arg& a, const Arg& x) {
  const Attribution as(a.where());
  if (order < 1 || order > most_order) {
    refuse<ValueError>("gamma_slope",
                       text("the order must be in [1, ", most_order, "], it is ", order), a);
  }
  return of_pair(gamma_slope_op, a, x, SlopeOrder{order}.attrs());
}

}  // namespace cinch
