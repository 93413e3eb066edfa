// What of a loop is computed where, as its plan says.
#include <doctest/doctest.h>

#include <random>
#include <string>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

int count(const std::string& text, const std::string& word) {
  int result = 0;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1))
    ++result;
  return result;
}

/// One step of an Elman network's training, of so many steps.
struct Elman {
  std::int64_t steps;
  std::mt19937 random{3};
  Expr X = tensor3("X"), h0 = matrix("h0"), W = matrix("W"), U = matrix("U"), b = vector("b");

  Function gradients() const {
    const Scan loop = scan([&](Expr x, Expr h) { return tanh(dot(x, W) + dot(h, U) + b); },
                           {.sequences = {X}, .initial = {h0}});
    return function({X, h0, W, U, b}, grad(sum(square(loop.last())), {W, U, b}));
  }
  std::vector<Tensor> arguments() {
    std::vector<Tensor> result;
    for (const Shape& shape : {Shape{steps, 4, 3}, {4, 5}, {3, 5}, {5, 5}, {5}})
      result.push_back(random_tensor(DType::float32, shape, random, -1, 1));
    return result;
  }
};

}  // namespace

TEST_CASE("what a loop's step gives a product is kept for gradients, not computed again") {
  Elman net{12};
  const Function f = net.gradients();
  f(net.arguments());
  const std::string plan = f.plan_text();
  CAPTURE(plan);
  CHECK(count(plan, "tanh") == 1);
  CHECK(count(plan, "sech") == 1);
}

TEST_CASE("products in a loop read transposed weights row by row, where there are enough steps") {
  for (const std::int64_t steps : {4, 12}) {
    CAPTURE(steps);
    Elman net{steps};
    const Function f = net.gradients();
    f(net.arguments());
    CHECK(count(f.plan_text(), "copy over (5, 5)") == (steps == 12));
  }
}
