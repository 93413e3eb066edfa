#include "cinch/ops/fixed_point.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

struct Problem {
  std::mt19937 random{3};
  Expr A = dmatrix("A"), b = dmatrix("b");
  Tensor at_A, at_b = random_tensor(DType::float64, {2, 4}, random, -1, 1);

  /// With |A| of about `size`.
  explicit Problem(double size)
      : at_A(random_tensor(DType::float64, {4, 4}, random, -size / 4, size / 4)) {}

  std::vector<Tensor> values(const std::vector<Expr>& outputs, Mode mode = Mode::fast) const {
    return function({A, b}, outputs, {}, {}, mode)({at_A, at_b});
  }
};

std::vector<Expr> derivatives(const Expr& z, const Expr& A, const Expr& b) {
  const Expr cost = sum(sin(z));
  const std::vector<Expr> first = grad(cost, {A, b});
  std::vector<Expr> result{z,
                           first[0],
                           first[1],
                           Rop(z, A, cos(A)),
                           jacobian(z, b),
                           hessian_vector(cost, A, sin(A)),
                           vectorize(z, b, stack({b, 2 * b}))};
  for (const Expr& g : grad(sum(square(first[0])) + sum(sin(first[1])), {A, b}))
    result.push_back(g);
  return result;
}

}  // namespace

TEST_CASE("a linear fixed point is the solution of its equation, with all derivatives") {
  for (const std::int64_t memory : {0, 1, 5}) {
    CAPTURE(memory);
    const Problem p(1.5);
    const Expr found = fixed_point([&](const Expr& z) { return dot(z, p.A) + p.b; },
                                   zeros_like(p.b), {.tolerance = 1e-14, .memory = memory});
    const Expr I = eye(size(p.A, 0), DType::float64);
    const Expr exact = dot(p.b, inverse(I - p.A));
    for (const Mode mode : {Mode::fast, Mode::checked}) {
      const std::vector<Tensor> a = p.values(derivatives(found, p.A, p.b), mode),
                                e = p.values(derivatives(exact, p.A, p.b));
      for (std::size_t k = 0; k < a.size(); ++k) {
        CAPTURE(k);
        CHECK(distance(a[k], e[k]) < 1e-10);
      }
    }
  }
}

TEST_CASE("fixed points pass check_grad to the third order, from wherever they are sought") {
  const Problem p(2);
  for (const double begin : {0.0, 5.0}) {
    const Expr z = fixed_point(
        [&](const Expr& h) { return tanh(dot(h, p.A) + p.b) * sigmoid(sum(h, 1, true)); },
        full(sizes(p.b), Arg(begin)), {.tolerance = 1e-14});
    const GradCheck check = check_grad(sum(square(z)), {p.A, p.b}, {{p.A, p.at_A}, {p.b, p.at_b}},
                                       {.order = 3, .directions = 1});
    CAPTURE(check.report);
    CHECK(check.ok);
  }
}

TEST_CASE("with a memory fixed points are found where plain steps run away") {
  // z = -3 z + b: the solution is b / 4, every step trebles the distance.
  const Expr b = dvector("b");
  const auto found = [&](std::int64_t memory) {
    return fixed_point([&](const Expr& z) { return b - 3 * z; }, zeros_like(b),
                       {.tolerance = 1e-12, .memory = memory});
  };
  const Tensor at = Tensor::from({1.0, 2.0, -3.0});
  CHECK(distance(evaluate(found(5), {{b, at}}), Tensor::from({0.25, 0.5, -0.75})) < 1e-10);
  CHECK(distance(evaluate(grad(sum(found(5)), b), {{b, at}}), Tensor::from({0.25, 0.25, 0.25})) <
        1e-10);
  CHECK_THROWS_AS(evaluate(found(0), {{b, at}}), ValueError);
}

TEST_CASE("derivatives are as exact for small cotangents as for large ones, in both dtypes") {
  for (const DType dtype : {DType::float64, DType::float32}) {
    const Expr b = vector("b", dtype);
    const Expr y = fixed_point([&](const Expr& v) { return 0.5 * v + b; }, zeros_like(b));
    const Tensor at = Tensor::from({0.3, -0.2}).cast(dtype);
    for (const double s : {1e6, 1.0, 1e-5, 1e-6, 1e-9, 1e-20, 0.0}) {
      CAPTURE(s);
      const Expr c = cast(literal(s), dtype);
      CHECK(std::abs(evaluate(grad(c * sum(y), b), {{b, at}}).at(0) - 2 * s) <= 1e-4 * 2 * s);
      CHECK(std::abs(evaluate(Rop(y, b, c * ones_like(b)), {{b, at}}).at(0) - 2 * s) <=
            1e-4 * 2 * s);
      // c y^2 = 4 c b^2.
      CHECK(std::abs(evaluate(grad(sum(grad(c * sum(square(y)), b)), b), {{b, at}}).at(0) -
                     8 * s) <= 1e-3 * 8 * s);
    }
  }
}

TEST_CASE("an autoencoder with an equilibrium code is trained") {
  RandomState random(2);
  const Shared W(random.uniform(-0.5, 0.5, {6, 4}), "W"), U(random.uniform(-0.3, 0.3, {4, 4}), "U"),
      V(random.uniform(-0.5, 0.5, {4, 6}), "V");
  const Expr x = dmatrix("x");
  const Expr h = fixed_point([&](const Expr& z) { return tanh(dot(z, U) + dot(x, W)); },
                             zeros({size(x, 0), 4}, DType::float64), {.tolerance = 1e-10});
  const Expr cost = mean(squared_error(x, dot(h, V)) + 0.01 * sum(square(jacobian(h, x)), {1, 2}));
  const Tensor data = random.uniform(-1, 1, {5, 6});
  CHECK(check_grad(cost, {W, U, V}, {{x, data}}, {.order = 2}));
  const Function step = function({x}, {cost}, adam(cost, {W, U, V}, 0.02));
  const double first = step({data})[0].item();
  double last = first;
  for (int k = 0; k < 300; ++k) last = step({data})[0].item();
  CHECK(last < 0.3 * first);
}

TEST_CASE("fixed points that are not found, or of no equation, are refused") {
  const Expr b = dvector("b");
  Shared counter(Tensor(0.), "counter");
  const Expr z = fixed_point([&](const Expr& v) { return v + b; }, zeros_like(b),
                             {.most_steps = 7, .memory = 0});
  const Function f = function({b}, {z}, {{counter, counter + 1.0}});
  try {
    f({Tensor::from({1.0, 2.0})});
    FAIL("nothing was thrown");
  } catch (const ValueError& error) {
    const std::string what = error.what();
    CAPTURE(what);
    CHECK(what.find("after 7 steps the residual is") != std::string::npos);
    CHECK(what.find("fixed_point.cpp:") != std::string::npos);
  }
  CHECK(counter.get().item() == 0);
  f({Tensor::from({0.0, 0.0})});
  CHECK(counter.get().item() == 1);
  const auto same = [](const Expr& v) { return v; };
  CHECK_THROWS_AS(fixed_point(same, b, {.tolerance = 0}), ValueError);
  CHECK_THROWS_AS(fixed_point(same, b, {.most_steps = 0}), ValueError);
  CHECK_THROWS_AS(fixed_point(same, b, {.memory = -1}), ValueError);
  CHECK_THROWS_AS(fixed_point([](const Expr& v) { return sum(v); }, b), TypeError);
  CHECK_THROWS_AS(fixed_point([](const Expr& v) { return cast(v, DType::float32); }, b), TypeError);
  CHECK_THROWS_AS(fixed_point(same, lvector("n")), TypeError);
}
