#include "cinch/ops/quantile_functions.hpp"

#include <cmath>
#include <limits>
#include <memory>

#include "cinch/core/rewrite/rewrite.hpp"
#include "cinch/core/run/cost.hpp"
#include "cinch/core/run/team.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/special.hpp"

namespace cinch {

namespace {

template <class Real>
constexpr Real inf = std::numeric_limits<Real>::infinity();
template <class Real>
constexpr Real quiet_nan = std::numeric_limits<Real>::quiet_NaN();
constexpr double half_root_pi = 0.88622692545275801365, root_two_pi = 2.5066282746310005024;

/// The z >= 0 of erf(z) = size, or erfc(z) = rest, for size + rest = 1: whichever is smaller is
/// exact. An approximation (Giles, "Approximating the erfinv function", 2011; in the far tail the
/// asymptotic one) and Halley's steps.
double inverse_erf(double size, double rest) {
  const double w = -std::log(rest * (2 - rest));
  double z = 0;
  if (w < 5) {
    const double t = w - 2.5;
    for (const double c : {2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06,
                           0.00021858087, -0.00125372503, -0.00417768164, 0.246640727, 1.50140941})
      z = z * t + c;
    z *= size;
  } else if (w < 20) {
    const double t = std::sqrt(w) - 3;
    for (const double c : {-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844,
                           0.00573950773, -0.0076224613, 0.00943887047, 1.00167406, 2.83297682})
      z = z * t + c;
    z *= size;
  } else {  // erfc(z) is about exp(-z^2) / (z sqrt(pi)).
    const double l = -std::log(rest);
    z = std::sqrt(l - 0.5 * std::log(3.14159265358979323846 * l));
  }
  for (int step = 0; step < 3; ++step) {
    const double excess = size < 0.5 ? std::erf(z) - size : rest - std::erfc(z);
    const double newton = excess * (half_root_pi * std::exp(z * z));
    z -= newton / (1 + z * newton);
  }
  return z;
}

// The functions on numbers, in double also for floats: their tails need exponentials that a float
// cannot hold.

double erfinv_of(double y) {
  const double size = std::abs(y);
  if (!(size < 1)) return size > 1 || std::isnan(y) ? quiet_nan<double> : y * inf<double>;
  return y == 0 ? y : std::copysign(inverse_erf(size, 1 - size), y);
}

double ndtri_of(double p) {
  if (!(p > 0 && p < 1)) return p == 0 ? -inf<double> : p == 1 ? inf<double> : quiet_nan<double>;
  const double tail = p < 0.5 ? p : 1 - p;
  const double z = 1.41421356237309504880 * inverse_erf(1 - 2 * tail, 2 * tail);
  return p < 0.5 ? -z : z;
}

double logit_of(double p) {
  if (std::abs(p - 0.5) < 0.25) return 2 * std::atanh(2 * p - 1);
  return std::log(p) - std::log1p(-p);
}

// By their definitions, in long double: by Newton's steps in the middle, where erf is nearly a
// line, and by bisection in the tails.

long double erfinv_exact(long double y) {
  if (!(std::abs(y) < 1)) return std::abs(y) == 1 ? y * inf<long double> : quiet_nan<long double>;
  const long double size = std::abs(y), rest = 1 - size;
  if (size < 0.5L) {
    const long double slope = 0.886226925452758013649083741670572591L;
    long double z = slope * y;
    for (int step = 0; step < 12; ++step) z -= (std::erf(z) - y) * slope * std::exp(z * z);
    return z;
  }
  long double low = 0, high = 8;
  for (int step = 0; step < 100; ++step) {
    const long double z = (low + high) / 2;
    (std::erfc(z) > rest ? low : high) = z;
  }
  return std::copysign((low + high) / 2, y);
}

long double ndtri_exact(long double p) {
  if (!(p > 0 && p < 1)) {
    return p == 0 ? -inf<long double> : p == 1 ? inf<long double> : quiet_nan<long double>;
  }
  constexpr long double root_half = 0.70710678118654752440084436210484904L;
  if (std::abs(p - 0.5L) < 0.25L) return erfinv_exact(2 * p - 1) / root_half;
  const long double tail = p < 0.5L ? p : 1 - p;
  long double low = 0, high = 40;
  for (int step = 0; step < 100; ++step) {
    const long double x = (low + high) / 2;
    (std::erfc(x * root_half) > 2 * tail ? low : high) = x;
  }
  return std::copysign((low + high) / 2, p - 0.5L);
}

long double logit_exact(long double p) {
  if (std::abs(p - 0.5L) < 0.25L) return std::log1p((2 * p - 1) / (1 - p));
  return std::log(p / (1 - p));
}

Type same_type(Args x, const Attrs&) { return {x[0].dtype(), x[0].dims()}; }

template <double (*F)(double)>
void kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  dispatch_float(out.dtype, [&]<class T> {
    const std::int64_t parts = running::parts_for(
        running::cost::special_function * static_cast<double>(out.size()), out.size());
    running::share_work(parts, [&](std::int64_t part) {
      const running::Span own = running::part_of(out.size(), 1, parts, part);
      for (std::int64_t k = own.begin; k < own.end; ++k)
        out.as<T>()[k] = static_cast<T>(F(static_cast<double>(in[0].as<T>()[k])));
    });
  });
}

template <long double (*F)(long double)>
Tensor reference(Values in, const Attrs&) {
  Tensor result = *in[0];
  dispatch_float(result.dtype(), [&]<class T> {
    for (T& x : result.data<T>()) x = static_cast<T>(F(static_cast<long double>(x)));
  });
  return result;
}

/// `op`, which says its name, gradient and rules, completed: elementwise, but not made of formulas
/// that loops can fuse.
template <double (*F)(double), long double (*Exact)(long double)>
constexpr Op of_each_element(Op op) {
  op.type = same_type;
  op.reference = reference<Exact>;
  op.operands = Operands::real;
  op.batch = [](Args x, const std::vector<bool>&, const Expr& y) { return apply(y.op(), {x[0]}); };
  op.follow = [](Args, std::span<const std::int64_t> axes, const Expr&) { return axes[0]; };
  std::construct_at(&op.runs, Kernel{.run = kernel<F>});  // As in elementwise().
  return op;
}

Rules logit_rules() {
  static const Expr x = rewriting::wildcard("x");
  static const Rule rules[] = {{"logit sigmoid", logit(sigmoid(x)), x}};
  return rules;
}

/// x in (-2, 2) as a probability.
Expr probability(const Expr& x) { return 0.5 + 0.23 * x; }

template <Expr (*F)(const Arg&)>
std::vector<Example> examples() {
  return {{{Type{DType::float64, {3, 5}}}, [](Args x) { return F(probability(x[0])); }},
          {{Type{DType::float64, {0, 2}}}, [](Args x) { return F(x[0]); }},
          {{Type{DType::float64, {}}}, [](Args x) { return F(probability(x[0])); }}};
}

}  // namespace

constinit const Op erfinv_op = of_each_element<erfinv_of, erfinv_exact>({
    .name = "erfinv",
    .grad = [](Args, const Expr& y, const Expr& gy) -> Grads {
      return {half_root_pi * gy * exp(square(y))};
    },
    .examples = examples<erfinv>,
});
constinit const Op ndtri_op = of_each_element<ndtri_of, ndtri_exact>({
    .name = "ndtri",
    .grad = [](Args, const Expr& y, const Expr& gy) -> Grads {
      return {root_two_pi * gy * exp(0.5 * square(y))};
    },
    .examples = examples<ndtri>,
});
constinit const Op logit_op = of_each_element<logit_of, logit_exact>({
    .name = "logit",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads { return {gy / (x[0] * (1 - x[0]))}; },
    .rules = logit_rules,
    .examples = examples<logit>,
});

Expr erfinv(const Arg& y) { return apply(erfinv_op, {y}, {}, y.where()); }
Expr ndtri(const Arg& p) { return apply(ndtri_op, {p}, {}, p.where()); }
Expr logit(const Arg& p) { return apply(logit_op, {p}, {}, p.where()); }

Expr ndtr(const Arg& x) {
  const Attribution as(x.where());
  constexpr double root_half = 0.70710678118654752440;
  return 0.5 * erfc(-root_half * x);
}

}  // namespace cinch
