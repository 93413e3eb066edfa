#include <doctest/doctest.h>

#include <functional>
#include <random>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"
#include "support/settings.hpp"

using namespace cinch;
using namespace cinch::testing;

TEST_CASE("sums of products are read through reshapes that join and split axes") {
  const std::int64_t programs = number_from("CINCH_RANDOM_PROGRAMS", 300),
                     first = number_from("CINCH_RANDOM_SEED", 1);
  for (std::int64_t seed = first; seed < first + programs; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(static_cast<unsigned>(seed));
    const auto pick = [&](std::size_t n) { return random() % n; };
    const std::vector<Shape> groupings{{24},   {2, 12},   {12, 2},   {4, 6},       {3, 8},
                                       {8, 3}, {2, 3, 4}, {4, 3, 2}, {2, 2, 2, 3}, {3, 4, 2}};
    std::vector<Expr> inputs;
    std::vector<Tensor> at;
    const auto input = [&](const Shape& shape) {
      inputs.push_back(variable("v" + std::to_string(inputs.size()), DType::float64, shape));
      at.push_back(random_tensor(DType::float64, shape, random, -1, 1));
      return inputs.back();
    };
    Shape now{24};
    const auto with_rows = [](Shape shape, std::int64_t rows) {
      shape.insert(shape.begin(), rows);
      return shape;
    };
    Expr e = input({5, 24});
    for (std::size_t steps = 2 + pick(4); steps-- > 0;) {
      switch (pick(4)) {
        case 0: {  // A product over all, in one grouping or another.
          e = dot(reshape(e, {5, 24}), input({24, 24}));
          now = {24};
          break;
        }
        case 1:
          if (now.size() > 1 && pick(2)) {  // Over one axis.
            const std::int64_t n = now.back();
            e = dot(e, input({n, n}));
            break;
          }
          [[fallthrough]];
        case 2: {
          now = groupings[pick(groupings.size())];
          e = reshape(e, with_rows(now, 5));
          break;
        }
        default: {
          Shape some = with_rows(now, 5);
          for (std::int64_t& n : some) n = pick(2) ? n : 1;
          e = e * input(some);
        }
      }
    }
    const Expr J = pick(3) ? e : jacobian(reshape(tanh(e), {5, 24}), inputs[0]);
    const Expr cost = pick(2) ? sum(square(J)) : sum(square(sum(J, J.rank() - 1)));
    std::vector<Expr> outputs{cost};
    for (const Expr& g : grad(cost, inputs, {.disconnected = Disconnected::zero}))
      outputs.push_back(g);
    const Function fast = function({.inputs = inputs, .outputs = outputs}),
                   exact = function({.inputs = inputs, .outputs = outputs, .mode = Mode::checked});
    const std::vector<Tensor> got = fast(at), wanted = exact(at);
    for (std::size_t k = 0; k < got.size(); ++k) CHECK(distance(got[k], wanted[k]) < 1e-9);
  }
}

TEST_CASE("Jacobians of images and of lists take what those of vectors do") {
  RandomState random(1);
  const auto weights = [&](std::int64_t rows, std::int64_t columns) {
    return Shared(random.uniform(-.1, .1, {rows, columns}, DType::float32), "W");
  };
  const auto bytes = [](const Expr& x, const Tensor& data, const Expr& cost, const Shared& W) {
    const Function step =
        function({.inputs = {x}, .outputs = {cost}, .updates = sgd(cost, {W}, .1)});
    step({data});
    return step.arena_bytes();
  };
  const Tensor images = random.uniform(0, 1, {16, 1, 12, 12}, DType::float32),
               codes = random.uniform(0, 1, {16, 10}, DType::float32);
  const Shared W = weights(144, 40), D = weights(10, 144);
  const Expr x = variable("x", DType::float32, {16, 1, 12, 12}), v = fmatrix("v"), c = fmatrix("c");
  const auto cost = [](const Expr& J) {
    Expr all = square(J);
    while (all.rank() > 0) all = sum(all, -1);
    return all;
  };
  CHECK(bytes(x, images, cost(jacobian(sigmoid(dot(flatten(x, 1), W)), x)), W) <
        4 * bytes(v, images.reshaped({16, 144}), cost(jacobian(sigmoid(dot(v, W)), v)), W));
  const Expr shown = sigmoid(dot(c, D)), n = size(c, 0);
  CHECK(bytes(c, codes, cost(jacobian(reshape(shown, {n, 1, 12, 12}), c)), D) <
        4 * bytes(c, codes, cost(jacobian(shown, c)), D));
  CHECK(bytes(c, codes, cost(jacobian(reshape(jacobian(shown, c), {n, 1440}), c)), D) <
        4 * bytes(c, codes, cost(jacobian(jacobian(shown, c), c)), D));
}
