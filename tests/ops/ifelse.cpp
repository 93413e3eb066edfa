#include "cinch/ops/ifelse.hpp"

#include <doctest/doctest.h>

#include <random>
#include <sstream>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// Kernels of a plan, by the name of their op, that are not made in all cases.
int guarded(const Function& f, const std::string& kernel, int& all) {
  std::istringstream lines(f.plan_text());
  int result = 0;
  all = 0;
  for (std::string line; std::getline(lines, line);) {
    const auto colon = line.rfind("if ", 0) == 0 ? line.find(": ") + 2 : 0;
    if (line.compare(colon, kernel.size() + 1, kernel + " ") != 0) continue;
    ++all;
    if (colon > 0) ++result;
  }
  return result;
}

}  // namespace

TEST_CASE("ifelse is the chosen side, in values and derivatives of every kind") {
  std::mt19937 random(3);
  const Expr x = dmatrix("x"), W = dmatrix("W"), c = scalar("c", DType::bool_);
  const auto side = [&](bool first) { return first ? tanh(dot(x, W)) : dot(sin(x) * x, W) + 0.5; };
  const Expr y = ifelse(c, side(true), side(false));
  const auto outputs_of = [&](const Expr& of) {
    const Expr cost = sum(square(of));
    const std::vector<Expr> first = grad(cost, {x, W});
    std::vector<Expr> result{of,
                             first[0],
                             first[1],
                             Rop(of, W, cos(W)),
                             hessian_vector(cost, W, sin(W)),
                             jacobian(of, x),
                             vectorize(of, W, stack({W, 2 * W}))};
    for (const Expr& g : grad(sum(sin(first[0])) + sum(sin(first[1])), {x, W})) result.push_back(g);
    return result;
  };
  const std::vector<Tensor> at{random_tensor(DType::float64, {2, 3}, random),
                               random_tensor(DType::float64, {3, 4}, random)};
  for (const bool condition : {true, false}) {
    CAPTURE(condition);
    const std::vector<Tensor> expected = function({x, W}, outputs_of(side(condition)))(at);
    for (const Mode mode : {Mode::fast, Mode::checked}) {
      const std::vector<Tensor> values =
          function({x, W, c}, outputs_of(y), {}, {}, mode)({at[0], at[1], condition});
      for (std::size_t k = 0; k < values.size(); ++k) {
        CAPTURE(k);
        CHECK(distance(values[k], expected[k]) < 1e-13);
      }
    }
  }
  // A condition for each example.
  const Expr v = dvector("v");
  const Expr each = vectorize(ifelse(sum(v) > 0, sum(v), square(sum(v))), v, x);
  const Tensor two = Tensor::from<double>({2, 2}, {1, 2, -3, 1});
  CHECK(evaluate(each, {{x, two}}).at(0) == 3);
  CHECK(evaluate(each, {{x, two}}).at(1) == 4);
}

TEST_CASE("only the chosen side is computed, in gradients too") {
  const Expr x = dvector("x"), i = lscalar("i"), c = scalar("c", DType::bool_);
  // An index beyond the end, which whoever computes it is told of.
  const Expr element = at(x, i), other = sum(square(x));
  const Expr y = ifelse(c, element * 2, other);
  for (const Mode mode : {Mode::fast, Mode::checked}) {
    const Function f = function({x, i, c}, {y, grad(y, x)}, {}, {}, mode);
    const Tensor three = Tensor::from({1., 2., 3.});
    CHECK(f({three, std::int64_t{9}, false})[0].item() == 14);
    CHECK(f({three, std::int64_t{9}, false})[1].at(2) == 6);
    CHECK(f({three, std::int64_t{1}, true})[0].item() == 4);
    CHECK(f({three, std::int64_t{1}, true})[1].at(1) == 2);
    CHECK(f({three, std::int64_t{1}, true})[1].at(2) == 0);
    CHECK_THROWS_AS(f({three, std::int64_t{9}, true}), ValueError);
  }
  // What both need, or an output, is computed in all cases.
  const Function both = function({x, i, c}, {y, element});
  CHECK_THROWS_AS(both({Tensor::from({1., 2., 3.}), std::int64_t{9}, false}), ValueError);

  // A step of training whose two costs share the encoder: products of the decoders are guarded.
  Shared W(Tensor(DType::float32, {50, 40}), "W"), A(Tensor(DType::float32, {40, 30}), "A"),
      B(Tensor(DType::float32, {40, 60}), "B");
  const Expr batch = fmatrix("batch");
  const Expr h = tanh(dot(batch, W));
  const Expr cost =
      ifelse(c, sum(square(tanh(dot(h, A)))), sum(square(dot(sin(dot(h, B)), transpose(B)))));
  const std::vector<Expr> g = grad(cost, {W, A, B});
  const Function step = function({batch, c}, {cost, g[0], g[1], g[2]});
  step({Tensor(DType::float32, {20, 50}), true});
  int all = 0;
  const int chosen = guarded(step, "dot", all);
  CAPTURE(step.plan_text());
  CHECK(all - chosen <= 2);  // The encoder, and the gradient by it.
  CHECK(chosen >= 7);
}

TEST_CASE("choices within choices, and in a loop") {
  const Expr x = dvector("x"), a = scalar("a", DType::bool_), b = scalar("b", DType::bool_),
             i = lscalar("i");
  const Expr inner = ifelse(b, at(x, i), sum(x)), y = ifelse(a, inner, 7.0);
  for (const Mode mode : {Mode::fast, Mode::checked}) {
    const Function f = function({x, a, b, i}, {y, grad(y, x)}, {}, {}, mode);
    const Tensor two = Tensor::from({1., 2.});
    CHECK(f({two, false, true, std::int64_t{5}})[0].item() == 7);
    CHECK(f({two, false, false, std::int64_t{5}})[0].item() == 7);
    CHECK(f({two, true, false, std::int64_t{5}})[0].item() == 3);
    CHECK(f({two, true, true, std::int64_t{1}})[0].item() == 2);
    CHECK_THROWS_AS(f({two, true, true, std::int64_t{5}}), ValueError);
  }
  const Scan loop = scan([](Expr row, Expr h) { return ifelse(row > 0, h * row, sin(h)); },
                         {.sequences = {x}, .initial = {1.0}});
  const Tensor rows = Tensor::from({2., -1., 3.});
  CHECK(evaluate(loop.last(), {{x, rows}}).item() == doctest::Approx(3 * std::sin(2.)));
  CHECK(check_grad(loop.last(), {x}, {{x, rows}}, {.order = 2}));
}

TEST_CASE("choices whose conditions are computed stand in each other's sides and conditions") {
  std::mt19937 random(9);
  const Expr x = dvector("x");
  for (int round = 0; round < 60; ++round) {
    CAPTURE(round);
    const auto seed = static_cast<unsigned>(random());
    // The same formula with ifelse() and with where(), which computes both sides.
    const auto formula = [&](bool lazy) {
      std::mt19937 choice(seed);
      std::vector<Expr> known{x, sin(x)};
      const auto pick = [&] { return known[choice() % known.size()]; };
      for (int k = 0; k < 7; ++k) {
        const Expr a = pick(), b = pick(), c = pick();
        const double bound = static_cast<double>(choice() % 5) * 0.3 - 0.6;
        const Expr condition = sum(c) > bound;
        known.push_back(choice() % 3 == 0 ? tanh(a + 0.7 * b)
                        : lazy            ? ifelse(condition, a, b)
                                          : where(condition, a, b));
      }
      const Expr last = known.back();
      return last + pick();
    };
    const Expr y = formula(true), plain = formula(false);
    const auto outputs = [&](const Expr& of) {
      const Expr g = grad(sum(square(of)), x);
      return std::vector<Expr>{of, g, grad(sum(sin(g)), x)};
    };
    const Tensor at = random_tensor(DType::float64, {3}, random, -1, 1);
    const std::vector<Tensor> expected = function({x}, outputs(plain))({at});
    for (const Mode mode : {Mode::fast, Mode::checked}) {
      const std::vector<Tensor> values = function({x}, outputs(y), {}, {}, mode)({at});
      for (std::size_t k = 0; k < values.size(); ++k)
        CHECK(distance(values[k], expected[k]) < 1e-13);
    }
  }
}

TEST_CASE("ifelse refuses what is no choice") {
  const Expr x = dmatrix("x"), c = scalar("c", DType::bool_);
  CHECK_THROWS_AS(ifelse(x > 0, x, x), TypeError);
  CHECK_THROWS_AS(ifelse(sum(x), x, x), TypeError);
  CHECK_THROWS_AS(ifelse(c, x, sum(x)), TypeError);
  CHECK_THROWS_AS(ifelse(c, variable("p", DType::float64, {2}), variable("q", DType::float64, {3})),
                  TypeError);
  const Expr y = dmatrix("y");
  const Function f = function({c, x, y}, {ifelse(c, x, y)});
  CHECK_THROWS_AS(f({true, Tensor(DType::float64, {2, 2}), Tensor(DType::float64, {2, 3})}),
                  TypeError);
}
