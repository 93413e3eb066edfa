// Products: values, and derivatives with zeros among the factors; recurrences.
#include "cinch/ops/prod.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "cinch/cinch.hpp"
#include "cinch/core/run/interpret.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

std::vector<Tensor> in_both_modes(const Expr& y, const std::vector<Binding>& bindings) {
  return {evaluate(y, bindings), cinch::running::interpret(std::span(&y, 1), bindings, true)[0]};
}

double product_without(const std::vector<double>& x, const std::vector<std::size_t>& left_out) {
  double result = 1;
  for (std::size_t k = 0; k < x.size(); ++k) {
    if (std::ranges::find(left_out, k) == left_out.end()) result *= x[k];
  }
  return result;
}

}  // namespace

TEST_CASE("prod: three orders of derivatives are products of the other factors, whatever is zero") {
  const std::vector<double> cases[] = {{2, -3, 0.5, 4}, {2, 0, 0.5, 4}, {0, 3, 5, 7},
                                       {2, 3, 5, 0},    {2, 0, 5, 0},   {0, 0, 3, 2},
                                       {0, 0, 0, 2},    {0, 0, 0, 0},   {-0.0, 1e-300, 1e-300, 2}};
  const Expr x = dvector("x");
  for (const std::vector<double>& v : cases) {
    const std::vector<Binding> at{{x, Tensor::from<double>({4}, v)}};
    const Expr slopes = grad(prod(x), x);
    for (const Tensor& got : in_both_modes(prod(x), at))
      CHECK(got.item() == product_without(v, {}));
    for (const Tensor& got : in_both_modes(slopes, at)) {
      for (std::size_t i = 0; i < 4; ++i)
        CHECK(got.at(static_cast<std::int64_t>(i)) == product_without(v, {i}));
    }
    for (std::int64_t i = 0; i < 4; ++i) {
      const Expr second = grad(cinch::at(slopes, i), x);
      const auto a = static_cast<std::size_t>(i);
      for (const Tensor& got : in_both_modes(second, at)) {
        for (std::size_t j = 0; j < 4; ++j) {
          CAPTURE(i);
          CAPTURE(j);
          const double expected = a == j ? 0 : product_without(v, {a, j});
          CHECK(got.at(static_cast<std::int64_t>(j)) == doctest::Approx(expected).epsilon(1e-15));
        }
      }
      const Tensor third =
          evaluate(grad(cinch::at(grad(cinch::at(slopes, i), x), (i + 1) % 4), x), at);
      for (std::size_t k = 0; k < 4; ++k) {
        const std::size_t b = (a + 1) % 4;
        const double expected = k == a || k == b ? 0 : product_without(v, {a, b, k});
        CHECK(third.at(static_cast<std::int64_t>(k)) == doctest::Approx(expected).epsilon(1e-15));
      }
    }
  }
}

TEST_CASE("prod over every subset of axes is that of plain loops, and so is its gradient") {
  std::mt19937 random(6);
  const Shape shape{2, 3, 4};
  Tensor value = random_tensor(DType::float64, shape, random, 0.5, 1.5);
  value.data<double>()[5] = 0;
  value.data<double>()[17] = 0;
  const Expr x = variable("x", DType::float64, Shape(3, -1));
  for (int subset = 0; subset < 8; ++subset) {
    std::vector<std::int64_t> axes;
    for (std::int64_t axis = 0; axis < 3; ++axis) {
      if (subset >> axis & 1) axes.push_back(axis);
    }
    const auto together = [&](std::int64_t i, std::int64_t j) {
      const std::int64_t strides[] = {12, 4, 1};
      for (std::size_t axis = 0; axis < 3; ++axis) {
        const bool goes = subset >> axis & 1;
        if (!goes && i / strides[axis] % shape[axis] != j / strides[axis] % shape[axis])
          return false;
      }
      return true;
    };
    CAPTURE(subset);
    for (const Tensor& got : in_both_modes(broadcast_like(prod(x, axes, true), x), {{x, value}})) {
      for (std::int64_t i = 0; i < 24; ++i) {
        double expected = 1;
        for (std::int64_t j = 0; j < 24; ++j) expected *= together(i, j) ? value.at(j) : 1;
        CHECK(got.at(i) == doctest::Approx(expected).epsilon(1e-14));
      }
    }
    for (const Tensor& got : in_both_modes(grad(sum(prod(x, axes)), x), {{x, value}})) {
      for (std::int64_t i = 0; i < 24; ++i) {
        double expected = 1;
        for (std::int64_t j = 0; j < 24; ++j)
          expected *= together(i, j) && i != j ? value.at(j) : 1;
        CHECK(got.at(i) == doctest::Approx(expected).epsilon(1e-14));
      }
    }
    const std::vector<Expr> wrt{x};
    const GradCheck check = check_grad(sum(square(prod(x, axes))), wrt, {{x, value}}, {.order = 3});
    CHECK_MESSAGE(check.ok, check.report);
  }
}

TEST_CASE("prod of nothing is 1, of integers exact, of bools an integer") {
  const Expr x = dmatrix("x"), i = lvector("i"), b = variable("b", DType::bool_, {-1});
  CHECK(evaluate(prod(x), {{x, Tensor(DType::float64, {0, 3})}}).item() == 1);
  CHECK(evaluate(prod(x, 0), {{x, Tensor(DType::float64, {0, 3})}}) ==
        Tensor::full(DType::float64, {3}, 1));
  const Tensor v = Tensor::from<std::int64_t>({3}, {3037000500, 3037000500, -2});
  for (const Tensor& got : in_both_modes(prod(i), {{i, v}}))
    CHECK(got.data<std::int64_t>()[0] ==
          static_cast<std::int64_t>(-2 * std::uint64_t{3037000500} * std::uint64_t{3037000500}));
  CHECK(evaluate(prod(b), {{b, Tensor::from<bool>({2}, {true, false})}}) == Tensor(0));
  CHECK_THROWS_WITH_AS(prod(x, 2), doctest::Contains("prod"), TypeError);
}

TEST_CASE("recurrence goes along its axis in either direction") {
  const Expr a = dvector("a"), b = dvector("b");
  const Tensor va = Tensor::from<double>({4}, {2, 3, 5, 7}),
               vb = Tensor::from<double>({4}, {1, 10, 100, 1000});
  struct Row {
    Direction direction;
    int start;
    std::vector<double> y;
  };
  const Row rows[] = {{Direction::forward, 0, {0, 1, 13, 165}},
                      {Direction::forward, 1, {1, 3, 19, 195}},
                      {Direction::backward, 0, {15310, 5100, 1000, 0}},
                      {Direction::backward, 1, {15415, 5135, 1007, 1}}};
  for (const Row& row : rows) {
    for (const Tensor& got :
         in_both_modes(recurrence(a, b, 0, row.direction, row.start), {{a, va}, {b, vb}}))
      CHECK(got == Tensor::from<double>({4}, row.y));
  }
  CHECK_THROWS_WITH_AS(recurrence(a, dmatrix("m")), doctest::Contains("the same shape"), TypeError);
  CHECK_THROWS_WITH_AS(recurrence(dscalar("s"), dscalar("t")), doctest::Contains("recurrence"),
                       TypeError);
  CHECK_THROWS_WITH_AS(recurrence(a, b, 0, Direction::forward, 2),
                       doctest::Contains("starts at 0 or 1"), TypeError);
}

TEST_CASE("recurrence over many lines gives the same on any number of threads") {
  std::mt19937 random(8);
  const Expr a = tensor3("a", DType::float64), b = tensor3("b", DType::float64);
  for (const std::int64_t axis : {0, 1, 2}) {
    const Tensor va = random_tensor(DType::float64, {70, 50, 60}, random, -1, 1),
                 vb = random_tensor(DType::float64, {70, 50, 60}, random, -1, 1);
    const Expr y = recurrence(a, b, axis, Direction::backward);
    const std::vector<Tensor> both = in_both_modes(y, {{a, va}, {b, vb}});
    CHECK(distance(both[0], both[1]) < 1e-13);
  }
}
