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
#include "support/unit_functions.hpp"

using namespace cinch;
using namespace cinch::testing;

TEST_CASE("the penalty on a layer's Jacobian makes none, whatever its activation") {
  constexpr std::int64_t batch = 8, visible = 200, hidden = 30;
  constexpr std::size_t whole = batch * visible * hidden * sizeof(double);
  std::mt19937 random(1);
  const Shared W(random_tensor(DType::float64, {visible, hidden}, random, -0.1, 0.1), "W"),
      b(random_tensor(DType::float64, {hidden}, random), "b");
  const Expr x = dmatrix("x");
  const Tensor value = random_tensor(DType::float64, {batch, visible}, random);
  int smooth = 0;
  for (const UnitFunction& e : unit_functions()) {
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

TEST_CASE("magnitudes and signs of a layer's Jacobian make none, and are what they are") {
  constexpr std::int64_t batch = 8, visible = 120, hidden = 30;
  constexpr std::size_t whole = batch * visible * hidden * sizeof(double);
  std::mt19937 random(5);
  Tensor weights = random_tensor(DType::float64, {visible, hidden}, random, -0.3, 0.3);
  weights.data<double>()[7] = 0;  // A kink, and rows of a unit that is 0.
  const Shared W(weights, "W");
  const Expr x = dmatrix("x");
  const Tensor value = random_tensor(DType::float64, {batch, visible}, random);
  struct Row {
    std::string name;
    std::function<Expr(const Expr& J)> cost;
    bool takes_none = true;
  };
  const Row rows[] = {
      {"sum |J|",
       [](const Expr& J) {
         return mean(sum(abs(J), {1, 2}));
       }},
      {"squares of 1-norms", [](const Expr& J) { return mean(sum(square(sum(abs(J), 2)), 1)); }},
      {"signs",
       [](const Expr& J) {
         return mean(sum(J * sign(3 * J), {1, 2}));
       }},
      {"of transposed ones",
       [](const Expr& J) {
         return mean(sum(abs(-2 * transpose(J, {0, 2, 1})), {1, 2}));
       }},
      // Their gradients by the Jacobian are sums.
      {"sum |J|^2 |J|",
       [](const Expr& J) {
         return mean(sum(square(J) * abs(J), {1, 2}));
       },
       false},
      {"shares",
       [](const Expr& J) {
         return mean(sum(square(J / (0.1 + sum(square(J), 2, true))), {1, 2}));
       },
       false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    for (const bool relus : {false, true}) {
      const Expr a = dot(x, W), h = relus ? relu(a) : tanh(a);
      const Expr cost = row.cost(jacobian(h, x)), g = grad(cost, W);
      const auto with = [&](Mode mode) {
        return function({.inputs = {x}, .outputs = {cost, g}, .mode = mode});
      };
      const Function f = with(Mode::fast);
      const std::vector<Tensor> fast = f({value}), exact = with(Mode::checked)({value});
      for (std::size_t k = 0; k < fast.size(); ++k) CHECK(distance(fast[k], exact[k]) < 1e-12);
      if (row.takes_none) CHECK(f.arena_bytes() < whole);
    }
  }
}
