// Nonlinearities against their definitions in long double, their derivatives to third order, and
// what they do far from 0.
#include "cinch/ops/nonlinearity.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "cinch/cinch.hpp"
#include "cinch/core/run/interpret.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

using Real = long double;

struct Nonlinearity {
  const char* name;
  Expr (*f)(const Expr&);
  Real (*definition)(Real);
  double cancels = 0;  ///< Size of terms that cancel in the formula itself.
};

Real logistic(Real x) { return 1 / (1 + std::exp(-x)); }

const Nonlinearity nonlinearities[] = {
    {"gelu", [](const Expr& x) { return gelu(x); },
     [](Real x) { return x / 2 * std::erfc(-x / std::sqrt(Real(2))); }},
    {"gelu_tanh", [](const Expr& x) { return gelu_tanh(x); },
     [](Real x) {
       const Real u = std::sqrt(2 / std::acos(Real(-1))) * (x + 0.044715L * x * x * x);
       return x / (1 + std::exp(-2 * u));
     }},
    {"elu", [](const Expr& x) { return elu(x); }, [](Real x) { return x > 0 ? x : std::expm1(x); }},
    {"elu 0.5", [](const Expr& x) { return elu(x, 0.5); },
     [](Real x) { return x > 0 ? x : std::expm1(x) / 2; }},
    {"selu", [](const Expr& x) { return selu(x); },
     [](Real x) {
       return 1.0507009873554804934193349852946L *
              (x > 0 ? x : 1.6732632423543772848170429916717L * std::expm1(x));
     }},
    {"leaky_relu", [](const Expr& x) { return leaky_relu(x); },
     [](Real x) { return x > 0 ? x : Real(0.01) * x; }},
    {"leaky_relu 0.3", [](const Expr& x) { return leaky_relu(x, 0.3); },
     [](Real x) { return x > 0 ? x : Real(0.3) * x; }},
    {"relu6", [](const Expr& x) { return relu6(x); },
     [](Real x) { return std::min(std::max(x, Real(0)), Real(6)); }},
    {"silu", [](const Expr& x) { return silu(x); }, [](Real x) { return x * logistic(x); }},
    {"swish 1.5", [](const Expr& x) { return swish(x, 1.5); },
     [](Real x) { return x * logistic(Real(1.5) * x); }},
    {"mish", [](const Expr& x) { return mish(x); },
     [](Real x) { return x * std::tanh(std::log1p(std::exp(x))); }},
    {"softsign", [](const Expr& x) { return softsign(x); },
     [](Real x) { return x / (1 + std::abs(x)); }},
    {"hard_sigmoid", [](const Expr& x) { return hard_sigmoid(x); },
     [](Real x) { return std::min(std::max(Real(0.2) * x + Real(0.5), Real(0)), Real(1)); }, 1},
};

}  // namespace

TEST_CASE(
    "nonlinearities are their definitions, far into the left tail, in both modes and precisions") {
  std::mt19937 random(21);
  for (const Nonlinearity& n : nonlinearities) {
    for (const DType dtype : {DType::float64, DType::float32}) {
      const Expr x = variable("x", dtype, {-1});
      const Expr y = n.f(x);
      CHECK(y.dtype() == dtype);
      const Tensor v = random_tensor(dtype, {2000}, random, -12, 9);
      const double unit = dtype == DType::float64 ? 2.3e-16 : 1.2e-7;
      for (const Tensor& got :
           {evaluate(y, {{x, v}}),
            cinch::running::interpret(std::span(&y, 1), std::vector<Binding>{{x, v}}, true)[0]}) {
        double worst = 0, at = 0;
        for (std::int64_t i = 0; i < v.size(); ++i) {
          const Real expected = n.definition(v.at(i));
          // The exponents are rounded, which costs as many digits as they are large: at most 12^3.
          const double argument = std::min(std::abs(v.at(i) * v.at(i) * v.at(i)), 150.0);
          const double allowed =
              unit * ((8 + argument) * static_cast<double>(std::abs(expected)) + n.cancels);
          const double error =
              static_cast<double>(std::abs(got.at(i) - expected)) / (allowed + 1e-44);
          if (error > worst) worst = error, at = v.at(i);
        }
        CAPTURE(std::string(n.name));
        CAPTURE(name(dtype));
        CAPTURE(at);
        CHECK(worst <= 1);
      }
    }
  }
}

TEST_CASE("nonlinearities: derivatives to third order agree with finite differences") {
  const Expr x = dvector("x");
  const std::vector<Expr> wrt{x};
  // Away from corners, on both sides.
  const Tensor v = Tensor::from<double>({6}, {-4.1, -1.3, -0.4, 0.6, 1.9, 3.7});
  for (const Nonlinearity& n : nonlinearities) {
    CAPTURE(std::string(n.name));
    const GradCheck check = check_grad(sum(n.f(x) * square(x)), wrt, {{x, v}}, {.order = 3});
    CHECK_MESSAGE(check.ok, check.report);
  }
}

TEST_CASE("nonlinearities at 1000 and -1000: values and four derivatives are finite and right") {
  const Expr x = dscalar("x");
  for (const Nonlinearity& n : nonlinearities) {
    for (const double at : {-1000.0, -40.0, 0.0, 40.0, 1000.0}) {
      CAPTURE(std::string(n.name));
      CAPTURE(at);
      Expr y = n.f(x);
      CHECK(evaluate(y, {{x, at}}).item() ==
            doctest::Approx(static_cast<double>(n.definition(at))).epsilon(1e-13));
      for (int order = 1; order <= 4; ++order) {
        y = grad(y, x, {.disconnected = Disconnected::zero});
        const double slope = evaluate(y, {{x, at}}).item();
        CAPTURE(order);
        CAPTURE(slope);
        CHECK(std::isfinite(slope));
        if (order > 1 && std::abs(at) == 1000) CHECK(std::abs(slope) <= 1e-8);
        if (order > 1 || at == 0) continue;
        const Real h = 1e-6L * std::abs(Real(at));
        const Real numeric = (n.definition(at + h) - n.definition(at - h)) / (2 * h);
        CHECK(slope == doctest::Approx(static_cast<double>(numeric)).epsilon(1e-7));
      }
    }
  }
}

TEST_CASE("nonlinearities: the slope at a corner is what the documentation says") {
  const Expr x = dscalar("x");
  struct Row {
    Expr y;
    double at, slope;
  };
  const Row rows[] = {
      {elu(x), 0, 1},
      {elu(x, 0.5), 0, 0.5},
      {leaky_relu(x), 0, 0.01},
      {relu6(x), 0, 0},
      {relu6(x), 6, 0.5},
      {relu6(x), 7, 0},
      {softsign(x), 0, 1},
      {hard_sigmoid(x), 5, 0},
      {hard_sigmoid(x), -2.5, 0.1},
      {hard_sigmoid(x), 0, 0.2},
      {gelu(x), 0, 0.5},
      {silu(x), 0, 0.5},
      {mish(x), 0, 0.6},
      {gelu_tanh(x), 0, 0.5},
      {softsign(x), 1e9, 1e-18},
  };
  for (const Row& row : rows) {
    CAPTURE(describe(row.y));
    CAPTURE(row.at);
    const double slope = evaluate(grad(row.y, x), {{x, row.at}}).item();
    CHECK(std::abs(slope - row.slope) <= 1e-8 * std::abs(row.slope));
  }
}
