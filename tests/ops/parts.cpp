#include "cinch/ops/rules/parts.hpp"

#include <doctest/doctest.h>

#include <random>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// A cost of parts of x along `axis`, each in a way of its own.
Expr cost_of(const Expr& x, const std::vector<std::pair<int, int>>& parts, std::int64_t axis) {
  Expr cost = 0.0;
  for (std::size_t k = 0; k < parts.size(); ++k) {
    const Expr part = slice(x, parts[k].first, parts[k].second, axis);
    const double weight = 1 + 0.3 * static_cast<double>(k);
    cost = cost + (k % 2 ? sum(tanh(weight * part)) : weight * sum(square(sin(part))));
  }
  return cost;
}

int count(const Function& f, const std::string& op) {
  int result = 0;
  const std::string text = "\n" + f.plan_text();
  for (auto at = text.find("\n" + op + " "); at != std::string::npos;
       at = text.find("\n" + op + " ", at + 1))
    ++result;
  return result;
}

}  // namespace

TEST_CASE("the gradient by what is cut into parts is put together from them, in any order") {
  const std::vector<std::vector<std::pair<int, int>>> cuts{
      {{0, 3}, {3, 6}, {6, 9}, {9, 12}},  {{6, 9}, {0, 3}, {9, 12}, {3, 6}}, {{0, 1}, {1, 12}},
      {{0, 6}, {6, 12}, {0, 6}, {6, 12}}, {{9, 12}, {3, 6}, {0, 3}, {6, 9}},
  };
  std::mt19937 random(4);
  for (const std::int64_t axis : {0, 1}) {
    const Shape shape = axis == 0 ? Shape{12, 5} : Shape{5, 12};
    const Expr x = variable("x", DType::float64, shape);
    const Tensor at = random_tensor(DType::float64, shape, random, -1, 1);
    for (const auto& parts : cuts) {
      const Expr g = grad(cost_of(x, parts, axis), x);
      const Function fast = function({x}, {g});
      CHECK(distance(fast({at})[0], function({x}, {g}, {}, {}, Mode::checked)({at})[0]) < 1e-14);
      CAPTURE(fast.plan_text());
      CHECK(count(fast, "embed") == 0);
      CHECK(count(fast, "concatenate") == 1);
    }
  }
}

TEST_CASE("parts that overlap or leave gaps are added up as they lie") {
  std::mt19937 random(6);
  const auto number = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  for (int round = 0; round < 200; ++round) {
    std::vector<std::pair<int, int>> parts;
    const int amount = 2 + number(5);
    for (int k = 0; k < amount; ++k) {
      const int begin = number(10);
      parts.emplace_back(begin, begin + number(11 - begin));
    }
    const std::int64_t axis = number(2);
    const Shape shape = axis == 0 ? Shape{10, 3} : Shape{3, 10};
    const Expr x = round % 2 ? dmatrix("x") : variable("x", DType::float64, shape);
    const Tensor at = random_tensor(DType::float64, shape, random, -1, 1);
    const Expr g = grad(cost_of(x, parts, axis) + 0.1 * sum(square(x)), x);
    const Expr h = grad(sum(sin(g)), x);
    const std::vector<Tensor> fast = function({x}, {g, h})({at}),
                              checked = function({x}, {g, h}, {}, {}, Mode::checked)({at});
    CHECK(distance(fast[0], checked[0]) < 1e-14);
    CHECK(distance(fast[1], checked[1]) < 1e-13);
  }
}
