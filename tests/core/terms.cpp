#include "cinch/core/contract/terms.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <random>

#include "cinch/cinch.hpp"
#include "cinch/core/run/interpret.hpp"
#include "support/samples.hpp"
#include "support/settings.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

using Penalty = std::pair<std::string, std::function<Expr(const Expr& J)>>;

/// Of Jacobians of each example, square ones.
const std::vector<Penalty>& penalties() {
  static const std::vector<Penalty> all{
      {"norm",
       [](const Expr& J) {
         return sum(square(J), {1, 2});
       }},
      {"trace", [](const Expr& J) { return trace(J, 0, 1, 2); }},
      {"squared trace", [](const Expr& J) { return square(trace(J, 0, 1, 2)); }},
      {"rows", [](const Expr& J) { return sum(sqrt(sum(square(J), 2) + 1e-3), 1); }},
      {"columns", [](const Expr& J) { return sum(log(1 + sum(square(J), 1)), 1); }},
      {"fourth powers",
       [](const Expr& J) {
         return sum(square(square(J)), {1, 2});
       }},
      {"hinge",
       [](const Expr& J) {
         return relu(sum(square(J), {1, 2}) - 1);
       }},
      {"total",
       [](const Expr& J) {
         return square(sum(J, {1, 2}));
       }},
  };
  return all;
}

}  // namespace

TEST_CASE("two penalties on one Jacobian take what both alone take") {
  std::mt19937 random(11);
  const Expr x = dmatrix("x"), W = dmatrix("W"), V = dmatrix("V");
  const std::vector<Tensor> at{random_tensor(DType::float64, {32, 120}, random),
                               random_tensor(DType::float64, {120, 40}, random, -.3, .3),
                               random_tensor(DType::float64, {40, 120}, random, -.3, .3)};
  const Expr J = jacobian(dot(tanh(dot(x, W)), V), x);
  const auto compiled = [&](const Expr& cost, Mode mode = Mode::fast) {
    return function(
        {.inputs = {x, W, V}, .outputs = {cost, grad(cost, W), grad(cost, V)}, .mode = mode});
  };
  const auto bytes = [&](const Expr& cost) {
    const Function f = compiled(cost);
    f(at);
    return static_cast<double>(f.arena_bytes());
  };
  std::vector<double> alone;
  for (const auto& [name, penalty] : penalties()) alone.push_back(bytes(mean(penalty(J))));
  for (std::size_t a = 0; a < penalties().size(); ++a) {
    for (std::size_t b = a + 1; b < penalties().size(); ++b) {
      CAPTURE(penalties()[a].first);
      CAPTURE(penalties()[b].first);
      const Expr cost = mean(penalties()[a].second(J) + penalties()[b].second(J));
      const Function fast = compiled(cost);
      const std::vector<Tensor> got = fast(at), wanted = compiled(cost, Mode::checked)(at);
      for (std::size_t k = 0; k < got.size(); ++k) CHECK(distance(got[k], wanted[k]) < 1e-10);
      CHECK(static_cast<double>(fast.arena_bytes()) < 1.7 * (alone[a] + alone[b]));
    }
  }
}

TEST_CASE("large sums taken apart have the values of the whole") {
  const std::int64_t programs = number_from("CINCH_RANDOM_PROGRAMS", 200),
                     first = number_from("CINCH_RANDOM_SEED", 1);
  std::int64_t changed = 0;
  for (std::int64_t seed = first; seed < first + programs; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(static_cast<unsigned>(seed));
    const auto pick = [&](std::size_t n) { return random() % n; };
    std::vector<Binding> at;
    const auto input = [&](const Shape& shape) {
      at.emplace_back(variable("v" + std::to_string(at.size()), DType::float64, shape),
                      random_tensor(DType::float64, shape, random, -1, 1));
      return at.back().first;
    };
    const Shape full{10, 42, 42};
    std::vector<Expr> pool{input(full), input(full), input(full)};
    for (int grown = 0; grown < 12; ++grown) {
      const Expr a = pool[pick(pool.size())], b = pool[pick(pool.size())];
      switch (pick(8)) {
        case 0:
        case 1:
        case 2:
          pool.push_back(a + b);
          break;
        case 3:
          pool.push_back(a * input({10, 1, 42}));
          break;
        case 4:
          pool.push_back(dot(a, input({42, 42})));
          break;
        case 5:
          pool.push_back(pick(2) ? transpose(a, {0, 2, 1}) : -a);
          break;
        case 6:
          pool.push_back(pick(2) ? a * b : tanh(a));
          break;
        default:
          pool.push_back(where(broadcast_to(input({10, 1, 1}) > 0, full), a, zeros_like(a)));
      }
    }
    std::vector<Expr> roots;
    for (int k = 0; k < 3; ++k) {
      const Expr e = pool[pool.size() - 1 - pick(5)];
      roots.push_back(pick(3) == 0 ? trace(e, 0, 1, 2) : pick(2) ? sum(e, {1, 2}) : sum(e, 0));
    }
    const std::vector<Expr> apart = contraction::with_terms_apart(roots);
    if (apart.empty()) continue;
    ++changed;
    const std::vector<Tensor> wanted = running::interpret(roots, at, /*watch=*/false),
                              got = running::interpret(apart, at, /*watch=*/false);
    for (std::size_t k = 0; k < roots.size(); ++k) {
      CHECK(apart[k].dims() == roots[k].dims());
      CHECK(distance(got[k], wanted[k]) < 1e-9);
    }
  }
  CHECK(changed > programs / 4);
}
