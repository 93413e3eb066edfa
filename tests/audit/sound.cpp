// Costs that are right, though a part of them looks like a mistake: audit() accuses none.
#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// An encoder and a decoder, and examples for them.
struct Model {
  Model(DType dtype, std::int64_t n, unsigned seed)
      : random(seed),
        x(variable("x", dtype, {-1, 6})),
        W(random_tensor(dtype, {6, 4}, random, -.5, .5), "W"),
        b(random_tensor(dtype, {4}, random, -.1, .1), "b"),
        V(random_tensor(dtype, {4, 6}, random, -.5, .5), "V"),
        c(random_tensor(dtype, {6}, random, -.1, .1), "c"),
        examples(random_tensor(dtype, {n, 6}, random, .05, .95)),
        h(sigmoid(dot(x, W) + b)),
        error(mean(squared_error(x, decoded(h)))) {}

  Expr decoded(const Expr& code) const { return dot(code, V) + c; }

  std::mt19937 random;
  Expr x;
  Shared W, b, V, c;
  Tensor examples;
  Expr h, error;
};

/// Gradients that go straight through: Bengio, Léonard, Courville, "Estimating or propagating
/// gradients through stochastic neurons", 2013; van den Oord et al., "Neural discrete
/// representation learning", 2017.
std::vector<std::pair<std::string, std::function<Expr(const Model&)>>> sound_costs() {
  using M = const Model&;
  std::vector<std::pair<std::string, std::function<Expr(M)>>> all;
  const std::vector<std::pair<std::string, std::function<Expr(const Expr&)>>> steps{
      {"round", [](const Expr& e) { return round(e); }},
      {"sign", [](const Expr& e) { return sign(e - 0.5); }},
      {"floor", [](const Expr& e) { return floor(4 * e) / 4; }},
      {"above", [](const Expr& e) { return cast(e > 0.5, e.dtype()); }},
      {"one_hot", [](const Expr& e) { return one_hot(argmax(e, 1), 4, e.dtype()); }},
  };
  for (const auto& [name, step] : steps) {
    all.emplace_back("straight through " + name, [step = step](M m) {
      return mean(squared_error(m.x, m.decoded(m.h + stop_gradient(step(m.h) - m.h))));
    });
    all.emplace_back("committed to " + name, [step = step](M m) {
      return m.error + 0.25 * mean(squared_error(m.h, stop_gradient(step(m.h))));
    });
  }
  all.emplace_back("sparsity", [](M m) { return m.error + bernoulli_kl(0.05, mean(m.h)); });
  all.emplace_back("sparsity of units",
                   [](M m) { return m.error + sum(bernoulli_kl(0.05, mean(m.h, 0))); });
  all.emplace_back("a density", [](M m) { return 0.5 * log(2 * 3.14159265358979) + m.error / 2; });
  all.emplace_back("a divergence as printed", [](M m) {
    const Expr z = sigmoid(m.decoded(m.h));
    return mean(m.x * log(m.x) - m.x * log(z) + (1 - m.x) * log((1 - m.x) / (1 - z)));
  });
  all.emplace_back("a norm that is small enough", [](M m) {
    return m.error + relu(norm(m.W) - 100) + maximum(sum(square(m.V)) - 50, 0) +
           max(maximum(abs(m.b), 10.0));
  });
  all.emplace_back("weights of examples", [](M m) {
    const Expr w = softmax(stop_gradient(sum(square(m.x), 1)), 0);
    return sum(w * squared_error(m.x, m.decoded(m.h)));
  });
  return all;
}

}  // namespace

TEST_CASE("no cost that is right is accused: straight-through, sparsity, bounds, densities") {
  for (const auto& [cost_name, cost] : sound_costs()) {
    const std::string& name = cost_name;
    for (const std::int64_t n : {1, 2, 3, 4, 20}) {
      for (const DType dtype : {DType::float32, DType::float64}) {
        const Model m(dtype, n, static_cast<unsigned>(n));
        const AuditReport report = audit(cost(m), {m.W, m.b, m.V, m.c}, {{m.x, m.examples}});
        CAPTURE(name);
        CAPTURE(n);
        CAPTURE(report.text());
        CHECK(report.findings.empty());
      }
    }
  }
}
