// Constraints with any optimizer, and moving averages.
#include "cinch/optim/constraint.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "cinch/cinch.hpp"

using namespace cinch;

namespace {

Shared some(const Shape& shape) { return Shared(RandomState(1).normal(0, 1, shape), "W"); }

}  // namespace

TEST_CASE(
    "rows keep the length 1 under every optimizer, and the gradient's part along them is gone") {
  using Optimizer = std::function<Updates(const std::vector<Shared>&, const std::vector<Expr>&)>;
  const std::vector<Optimizer> all{
      [](const auto& p, const auto& g) { return sgd(p, g, 0.1); },
      [](const auto& p, const auto& g) { return adam(p, g, 0.1); },
      [](const auto& p, const auto& g) { return nesterov(p, g, 0.1); }};
  for (const Optimizer& optimizer : all) {
    for (const std::int64_t axis : {0, 1, -1}) {
      Shared W = some({4, 3}), b(Tensor::from({0.0, 1.0, 2.0}), "b");
      const Expr length = norm(W, 2, axis);
      W.set(evaluate(W / norm(W, 2, axis, true)));
      const Expr target = constant(RandomState(2).normal(0, 1, {4, 3}));
      const Expr cost = sum(square(W - target)) + sum(square(b));
      const Function step =
          function({.outputs = {cost},
                    .updates = constrained(cost, {W, b}, {unit_norm(W, axis)}, optimizer)});
      const double before = step()[0].item();
      for (int k = 0; k < 200; ++k) step();
      CHECK(step()[0].item() < before);
      const Tensor lengths = evaluate(length);
      for (std::int64_t k = 0; k < lengths.size(); ++k) CHECK(lengths.at(k) == doctest::Approx(1));
      const Expr g = tangential({W}, {grad(cost, W)}, {unit_norm(W, axis)})[0];
      const Tensor along = evaluate(sum(g * W, axis));
      for (std::int64_t k = 0; k < along.size(); ++k) CHECK(std::abs(along.at(k)) < 1e-12);
    }
  }
}

TEST_CASE("balls and half spaces") {
  Shared W(Tensor::from({{3.0, 4.0}, {0.3, -0.4}}), "W");
  const Expr zero = zeros_like(W);
  const auto stepped = [&](const Constraint& c) {
    Shared copy = W;
    const Tensor before = W.get();
    function({.updates = constrained(sgd(std::vector<Shared>{W}, {zero}, 1), {c})})();
    const Tensor after = W.get();
    copy.set(before);
    return after;
  };
  const Tensor inside = stepped(norm_at_most(W, 1, 1));
  CHECK(inside(0, 0) == doctest::Approx(0.6));
  CHECK(inside(0, 1) == doctest::Approx(0.8));
  CHECK(inside(1, 1) == doctest::Approx(-0.4));
  CHECK(stepped(not_negative(W)) == Tensor::from({{3.0, 4.0}, {0.3, 0.0}}));
}

TEST_CASE("constraints that cannot hold are refused before training") {
  Shared W = some({3, 2}), other = some({3, 2});
  const Updates updates = sgd(std::vector<Shared>{other}, {other}, 0.1);
  CHECK_THROWS_WITH_AS(constrained(updates, {unit_norm(W, 1)}),
                       doctest::Contains("no update changes W"), ValueError);
  CHECK_THROWS_WITH_AS(tangential({other}, {other}, {unit_norm(W, 1)}),
                       doctest::Contains("not among the parameters"), ValueError);
  CHECK_THROWS_WITH_AS(constrained(updates, {{other, nullptr}}),
                       doctest::Contains("has no projection"), TypeError);
  CHECK_THROWS_WITH_AS(constrained(updates, {{other, [](const Expr& p) { return sum(p); }}}),
                       doctest::Contains("gives float64 ()"), TypeError);
  W.set(Tensor::from({{1.0, 2.0}, {0.0, 0.0}, {1.0, 1.0}}));
  CHECK_THROWS_WITH_AS(unit_norm(W, 1), doctest::Contains("row 1 of W has the length 0"),
                       ValueError);
  W.set(Tensor::from({{1.0, 0.0}, {0.0, 0.0}, {1.0, 0.0}}));
  CHECK_THROWS_WITH_AS(unit_norm(W, 0), doctest::Contains("column 1 of W has the length 0"),
                       ValueError);
  W.set(Tensor::from({{1.0, 0.0}, {std::nan(""), 0.0}, {1.0, 0.0}}));
  CHECK_THROWS_WITH_AS(unit_norm(W, 1), doctest::Contains("row 1 of W has the length nan"),
                       ValueError);
  CHECK_THROWS_WITH_AS(norm_at_most(W, 0, 1), doctest::Contains("bound must be positive"),
                       ValueError);
  CHECK_THROWS_AS(unit_norm(W, 2), TypeError);
}

TEST_CASE("averages follow the new parameters, and stand in for them") {
  Shared p(Tensor(1.0), "p");
  const Averages a =
      moving_averages(sgd(std::vector<Shared>{p}, {constant(Tensor(1.0))}, 0.5), {p}, 0.9);
  const Function step = function({.updates = a.updates});
  double average = 1, value = 1;
  for (int k = 0; k < 5; ++k) {
    step();
    value -= 0.5;
    average = 0.9 * average + 0.1 * value;
    CHECK(p.get().item() == doctest::Approx(value));
    CHECK(a.values[0].get().item() == doctest::Approx(average));
  }
  CHECK(a.values[0].label() == "average/p");
  CHECK(function({.outputs = {p * 2}, .givens = a.givens()})()[0].item() ==
        doctest::Approx(2 * average));
  CHECK_THROWS_WITH_AS(moving_averages({}, {p}), doctest::Contains("no update changes p"),
                       ValueError);
  CHECK_THROWS_WITH_AS(moving_averages(a.updates, {p}, 1),
                       doctest::Contains("decay must be in [0, 1)"), ValueError);
}
