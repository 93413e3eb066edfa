// Penalties on the derivatives of a layer h = f(x W + b), for every elementwise f that there is:
// the derivative by x W + b is one number a unit, so that no Jacobian has to be made.
#include <doctest/doctest.h>

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "cinch/cinch.hpp"
#include "cinch/ops/catalog.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

struct UnitFunction {
  std::string name;
  std::function<Expr(const Expr&)> f;
  Interval domain = {-2, 2};
};

/// The catalog's ops of one float, and what people write instead of one.
std::vector<UnitFunction> functions() {
  std::vector<UnitFunction> result{
      {"silu", [](const Expr& a) { return silu(a); }},
      {"mish", [](const Expr& a) { return mish(a); }},
      {"gelu", [](const Expr& a) { return gelu(a); }},
      {"gelu_tanh", [](const Expr& a) { return gelu_tanh(a); }},
      {"elu", [](const Expr& a) { return elu(a); }},
      {"selu", [](const Expr& a) { return selu(a); }},
      {"celu", [](const Expr& a) { return celu(a); }},
      {"leaky_relu", [](const Expr& a) { return leaky_relu(a); }},
      {"relu6", [](const Expr& a) { return relu6(a); }},
      {"hard_sigmoid", [](const Expr& a) { return hard_sigmoid(a); }},
      {"hard_swish", [](const Expr& a) { return hard_swish(a); }},
      {"softshrink", [](const Expr& a) { return softshrink(a); }},
      {"softsign", [](const Expr& a) { return softsign(a); }},
      {"maximum", [](const Expr& a) { return maximum(a, 0.1); }},
      {"clip", [](const Expr& a) { return clip(a, -1.0, 1.0); }},
      {"where", [](const Expr& a) { return where(a > 0, a, 0.1 * a); }},
      {"where of three",
       [](const Expr& a) { return where(a < -1, exp(a), where(a > 1, sqrt(a), a * a)); }},
      {"x / (1 + |x|)", [](const Expr& a) { return a / (1 + abs(a)); }},
      {"x sigmoid(1.7 x)", [](const Expr& a) { return a * sigmoid(1.7 * a); }},
      {"tanh(x) - x / 2", [](const Expr& a) { return tanh(a) - a / 2; }},
      {"exp(-x^2)", [](const Expr& a) { return exp(-square(a)); }},
      {"x / sqrt(1 + x^2)", [](const Expr& a) { return a / sqrt(1 + square(a)); }},
      {"log(1 + exp(sin(x)))", [](const Expr& a) { return log(1 + exp(sin(a))); }},
  };
  for (const Op* op : all_ops()) {
    if (!op->elementwise() || op->arity != 1 || op->operands == Operands::boolean) continue;
    result.push_back(
        {std::string(op->name), [op](const Expr& a) { return apply(*op, {a}); }, op->probe});
  }
  return result;
}

}  // namespace

TEST_CASE("the penalty on a layer's Jacobian makes none, whatever its activation") {
  constexpr std::int64_t batch = 8, visible = 200, hidden = 30;
  constexpr std::size_t whole = batch * visible * hidden * sizeof(double);
  std::mt19937 random(1);
  const Shared W(random_tensor(DType::float64, {visible, hidden}, random, -0.1, 0.1), "W"),
      b(random_tensor(DType::float64, {hidden}, random), "b");
  const Expr x = dmatrix("x");
  const Tensor value = random_tensor(DType::float64, {batch, visible}, random);
  int smooth = 0;
  for (const UnitFunction& e : functions()) {
    CAPTURE(e.name);
    const Expr a = dot(x, W) + b;
    const Expr h = e.f(e.domain.low + (e.domain.high - e.domain.low) * sigmoid(a));
    if (!is_float(h.dtype())) continue;
    Expr penalty;
    try {
      penalty = mean(jacobian_norm2(h, x));
    } catch (const GradError&) {
      continue;  // A step, a comparison.
    }
    ++smooth;
    const auto with = [&](Mode mode) {
      return function(
          {.inputs = {x}, .outputs = {penalty, grad(penalty, W), grad(penalty, b)}, .mode = mode});
    };
    const Function f = with(Mode::fast);
    const std::vector<Tensor> fast = f({value}), exact = with(Mode::checked)({value});
    for (std::size_t k = 0; k < fast.size(); ++k) CHECK(distance(fast[k], exact[k]) < 1e-9);
    CHECK(f.arena_bytes() < whole);
  }
  CHECK(smooth > 50);
}

TEST_CASE("the penalty on a layer's Hessian is less than the Hessian, whatever its activation") {
  constexpr std::int64_t batch = 4, visible = 40, hidden = 10;
  constexpr std::size_t whole = batch * hidden * visible * visible * sizeof(double);
  std::mt19937 random(2);
  const Shared W(random_tensor(DType::float64, {visible, hidden}, random, -0.3, 0.3), "W"),
      b(random_tensor(DType::float64, {hidden}, random), "b");
  const Expr x = dmatrix("x");
  const Tensor value = random_tensor(DType::float64, {batch, visible}, random);
  const std::function<Expr(const Expr&)> activations[] = {
      [](const Expr& a) { return sigmoid(a); }, [](const Expr& a) { return softplus(a); },
      [](const Expr& a) { return gelu(a); }, [](const Expr& a) { return elu(a); },
      [](const Expr& a) { return a / (1 + abs(a)); }};
  for (const auto& activation : activations) {
    const Expr h = activation(dot(x, W) + b), penalty = mean(hessian_norm2(h, x));
    CAPTURE(describe(h));
    const Function f = function({x}, {penalty});
    // H_kij = h''_k W_ik W_jk.
    const Expr a = dmatrix("a");
    const Expr curvature = grad(sum(grad(sum(activation(a)), a)), a);
    const Expr closed = mean(sum(square(curvature) * square(sum(square(W), 0)), 1));
    CHECK(f({value})[0].item() ==
          doctest::Approx(evaluate(closed, {{a, evaluate(dot(x, W) + b, {{x, value}})}}).item())
              .epsilon(1e-10));
    CHECK(f.arena_bytes() < whole);
  }
}
