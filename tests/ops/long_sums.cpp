// Sums of many float32 numbers keep their digits: over all elements, along each axis, as means and
// running sums, of what is stored and of what a loop computes, in both modes.
#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "cinch/cinch.hpp"
#include "cinch/core/run/interpret.hpp"

using namespace cinch;

namespace {

constexpr double eps = 1.1920929e-7;

Tensor numbers(const Shape& shape, bool same) {
  Tensor result = Tensor::full(DType::float32, shape, 0.1f);
  std::mt19937 random(3);
  std::uniform_real_distribution<float> draw(0, 1);
  if (!same) {
    for (float& v : result.data<float>()) v = draw(random);
  }
  return result;
}

/// The same computed in float64.
Tensor in_float64(const std::function<Expr(const Expr&)>& f, const Tensor& v) {
  const Expr x = variable("x", DType::float64, v.shape());
  return evaluate(f(x), {{x, v.cast(DType::float64)}});
}

}  // namespace

TEST_CASE("sums of many float32 numbers are right to their last digits") {
  struct Row {
    const char* name;
    std::function<Expr(const Expr&)> f;
  };
  const std::vector<Row> rows{
      {"sum", [](const Expr& x) { return sum(x); }},
      {"sum of squares", [](const Expr& x) { return sum(square(x)); }},
      {"sum of products", [](const Expr& x) { return sum(x * (1 - x)); }},
      {"mean", [](const Expr& x) { return mean(x); }},
      {"along axis 0", [](const Expr& x) { return sum(x, 0); }},
      {"along the last axis", [](const Expr& x) { return sum(x, -1); }},
      {"mean of exponentials", [](const Expr& x) { return mean(exp(x), 0); }},
      {"log of a sum of exponentials", [](const Expr& x) { return log(sum(exp(x), 0)); }},
  };
  for (const Shape& shape : {Shape{1500000}, Shape{400000, 3}, Shape{3, 400000}, Shape{1200, 1000},
                             Shape{2000, 3, 200}}) {
    for (const bool same : {true, false}) {
      const Tensor v = numbers(shape, same);
      const Expr x = variable("x", DType::float32, shape);
      for (const Row& row : rows) {
        CAPTURE(std::string(row.name));
        CAPTURE(text(shape));
        CAPTURE(same);
        const Expr y = row.f(x);
        const Tensor right = in_float64(row.f, v), fast = evaluate(y, {{x, v}}),
                     checked =
                         cinch::running::interpret(std::span(&y, 1), std::vector<Binding>{{x, v}},
                                                   /*watch=*/false)[0];
        double worst = 0, worst_checked = 0;
        for (std::int64_t i = 0; i < right.size(); ++i) {
          worst = std::max(worst, std::abs(fast.at(i) / right.at(i) - 1));
          worst_checked = std::max(worst_checked, std::abs(checked.at(i) / right.at(i) - 1));
        }
        CHECK(worst <= 10 * eps);
        set_threads(3);
        CHECK(evaluate(y, {{x, v}}) == fast);
        set_threads(0);
        CHECK(worst_checked <= 10 * eps);
      }
    }
  }
}

TEST_CASE("more ones than float32 can count one by one") {
  const std::int64_t n = 20000000;
  const Expr x = fvector("x"), total = sum(x), average = mean(x);
  const Tensor ones = Tensor::full(DType::float32, {n}, 1);
  const std::vector<Binding> given{{x, ones}};
  CHECK(evaluate(average, given).item() == 1);
  CHECK(cinch::running::interpret(std::vector{total, average}, given, /*watch=*/false)[0].item() ==
        static_cast<double>(n));
  CHECK(evaluate(at(cumsum(x, 0), n - 1), given).item() == static_cast<double>(n));
}

TEST_CASE("running sums of float32 keep their digits in every column and direction") {
  for (const Shape& shape : {Shape{300000}, Shape{100000, 3}, Shape{2, 2000, 130}}) {
    const Tensor v = numbers(shape, true);
    const std::int64_t axis = shape.size() == 3 ? 1 : 0;
    for (const Direction direction : {Direction::forward, Direction::backward}) {
      const auto f = [&](const Expr& x) { return cumsum(x, axis, direction); };
      const Expr x = variable("x", DType::float32, shape);
      const Tensor right = in_float64(f, v), got = evaluate(f(x), {{x, v}});
      double worst = 0;
      for (std::int64_t i = 0; i < right.size(); ++i)
        worst = std::max(worst, std::abs(got.at(i) / right.at(i) - 1));
      CAPTURE(text(shape));
      CHECK(worst <= eps);
    }
  }
  const Tensor few = numbers({3000}, true);
  const Expr x = fvector("x"), y = cumsum(x, 0);
  const Tensor checked =
      cinch::running::interpret(std::span(&y, 1), std::vector<Binding>{{x, few}}, false)[0];
  CHECK(checked.at(2999) == doctest::Approx(300).epsilon(2 * eps));
}
