#include <doctest/doctest.h>

#include <functional>
#include <random>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"
#include "support/settings.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// Costs of numbers for each example, for each of its units, or both with what chooses among them.
const std::vector<std::pair<std::string, std::function<Expr(const Expr&)>>>& choices() {
  static const std::vector<std::pair<std::string, std::function<Expr(const Expr&)>>> all{
      {"relu", [](const Expr& f) { return sum(relu(f - mean(f))); }},
      {"maximum", [](const Expr& f) { return sum(square(maximum(f, mean(f)))); }},
      {"minimum", [](const Expr& f) { return sum(minimum(f, 0.7 * mean(f))); }},
      {"clip", [](const Expr& f) { return sum(clip(f, .5, 2)); }},
      {"leaky relu", [](const Expr& f) { return sum(leaky_relu(f - mean(f))); }},
      {"where", [](const Expr& f) { return sum(where(f > mean(f), f, 0.0)); }},
      {"where not", [](const Expr& f) { return sum(where(f > mean(f), 0.0, square(f))); }},
      {"largest", [](const Expr& f) { return max(f); }},
      {"median", [](const Expr& f) { return median(flatten(f)); }},
  };
  return all;
}

}  // namespace

TEST_CASE("gradients that choices cut are products all the same, with the values as written") {
  std::mt19937 random(5);
  for (const auto& [name, choice] : choices()) {
    for (const bool units : {false, true}) {
      for (const Activation& hidden : {Activation(tanh), Activation(relu)}) {
        CAPTURE(name);
        CAPTURE(units);
        const Expr x = dmatrix("x"), W = dmatrix("W"), V = dmatrix("V");
        const Expr J = jacobian(tanh(dot(hidden(dot(x, W)), V)), x);
        const Expr f = units ? sum(square(J), 2) : sum(square(J), {1, 2});
        const Expr cost = choice(f);
        const std::vector<Expr> outputs{cost, grad(cost, W), grad(cost, V)};
        const Function fast = function({.inputs = {x, W, V}, .outputs = outputs}),
                       exact = function(
                           {.inputs = {x, W, V}, .outputs = outputs, .mode = Mode::checked});
        const std::vector<Tensor> at{random_tensor(DType::float64, {20, 30}, random),
                                     random_tensor(DType::float64, {30, 25}, random, -.3, .3),
                                     random_tensor(DType::float64, {25, 15}, random, -.3, .3)};
        const std::vector<Tensor> got = fast(at), wanted = exact(at);
        for (std::size_t k = 0; k < got.size(); ++k) CHECK(distance(got[k], wanted[k]) < 1e-10);
        // In the memory that the same takes without a choice.
        const Expr plain = sum(square(f));
        const Function smooth =
            function({.inputs = {x, W, V}, .outputs = {plain, grad(plain, W), grad(plain, V)}});
        smooth(at);
        CHECK(fast.arena_bytes() < 1.5 * static_cast<double>(smooth.arena_bytes()));
      }
    }
  }
}

TEST_CASE("what is not finite where it is not chosen does not get into sums of products") {
  const std::int64_t programs = number_from("CINCH_RANDOM_PROGRAMS", 400),
                     first = number_from("CINCH_RANDOM_SEED", 1);
  std::int64_t finite = 0;
  for (std::int64_t seed = first; seed < first + programs; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(static_cast<unsigned>(seed));
    const auto pick = [&](std::size_t n) { return random() % n; };
    const Shape full{6, 9, 10};
    std::vector<Expr> inputs;
    std::vector<Tensor> at;
    // A factor with some of the axes, negative at some places.
    const auto factor = [&] {
      Shape some = full;
      for (std::int64_t& n : some) n = pick(3) ? n : 1;
      inputs.push_back(variable("v" + std::to_string(inputs.size()), DType::float64, some));
      at.push_back(random_tensor(DType::float64, some, random, -.5, 2));
      return inputs.back();
    };
    const Expr chooser = factor();
    Expr product = pick(2) ? sqrt(chooser) : log(chooser);  // NaN where it is negative.
    for (std::size_t more = 1 + pick(3); more-- > 0;) product = product * factor();
    product = broadcast_to(product, full);
    const Expr zero = pick(2) ? Expr(zeros_like(product)) : broadcast_to(0.0, full);
    Expr chosen = pick(2) ? where(chooser > 0, product, zero) : where(chooser <= 0, zero, product);
    chosen = chosen * factor();
    std::vector<std::int64_t> over;
    for (std::int64_t axis = 0; axis < 3; ++axis) {
      if (pick(3)) over.push_back(axis);
    }
    if (over.empty()) over.push_back(2);
    const Expr cost = sum(square(sum(chosen, Axes(over))));
    std::vector<Expr> outputs{cost};
    for (const Expr& g : grad(cost, inputs)) outputs.push_back(g);
    const auto compiled = [&](Mode mode) {
      return function(
          {.inputs = inputs, .outputs = outputs, .mode = mode, .watch = Watch::nothing});
    };
    const std::vector<Tensor> got = compiled(Mode::fast)(at), wanted = compiled(Mode::checked)(at);
    for (std::size_t k = 0; k < got.size(); ++k) CHECK(distance(got[k], wanted[k]) < 1e-9);
    finite += std::isfinite(wanted[0].item()) ? 1 : 0;
  }
  CHECK(finite > programs / 2);
}
