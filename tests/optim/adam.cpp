#include "cinch/optim/adam.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "bowl.hpp"
#include "cinch/cinch.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// The rule of adam.hpp, one parameter vector, in double.
struct PlainAdam {
  double rate = 0.001, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  std::vector<double> m, v;
  int t = 0;

  void step(std::vector<double>& p, const std::vector<double>& g) {
    m.resize(p.size());
    v.resize(p.size());
    ++t;
    for (std::size_t i = 0; i < p.size(); ++i) {
      m[i] = beta1 * m[i] + (1 - beta1) * g[i];
      v[i] = beta2 * v[i] + (1 - beta2) * g[i] * g[i];
      p[i] -= rate * std::sqrt(1 - std::pow(beta2, t)) / (1 - std::pow(beta1, t)) * m[i] /
              (std::sqrt(v[i]) + epsilon);
    }
  }
};

}  // namespace

TEST_CASE("adam makes the steps of its rule") {
  struct Row {
    double rate, beta1, beta2, epsilon;
  };
  for (const Row& row :
       {Row{0.001, 0.9, 0.999, 1e-8}, Row{0.1, 0.5, 0.9, 1e-3}, Row{0.1, 0, 0, 0.1}}) {
    for (const DType dtype : {DType::float32, DType::float64}) {
      for (const Mode mode : {Mode::fast, Mode::checked}) {
        CAPTURE(row.rate);
        CAPTURE(name(dtype));
        const Bowl bowl(dtype);
        const Function step = function(
            {.outputs = {bowl.cost},
             .updates = adam(bowl.cost, {bowl.p}, row.rate,
                             {.beta1 = row.beta1, .beta2 = row.beta2, .epsilon = row.epsilon}),
             .mode = mode});
        PlainAdam plain{row.rate, row.beta1, row.beta2, row.epsilon, {}, {}};
        std::vector<double> p = bowl.start;
        for (int t = 1; t <= 20; ++t) {
          CAPTURE(t);
          CHECK(step()[0].item() == doctest::Approx(bowl.cost_at(p)).epsilon(bowl.tolerance));
          plain.step(p, bowl.gradient_at(p));
          CHECK(bowl.distance_to(p) < bowl.tolerance);
        }
      }
    }
  }
}

TEST_CASE("adam's first step is the rate, whatever the size of the gradient") {
  for (const double scale : {1e-3, 1.0, 1e6}) {
    CAPTURE(scale);
    const Shared p(Tensor::from<double>({2}, {1, -1}), "p");
    function({.updates = adam(sum(square(p) * scale), {p}, 0.01)})();
    CHECK(p.value().at(0) == doctest::Approx(0.99).epsilon(1e-6));
    CHECK(p.value().at(1) == doctest::Approx(-0.99).epsilon(1e-6));
  }
}

TEST_CASE("adam reaches a known minimum") {
  for (const DType dtype : {DType::float32, DType::float64}) {
    CAPTURE(name(dtype));
    const Bowl bowl(dtype);
    const Expr rate = scalar("rate", dtype);
    const Function step = function({.inputs = {rate}, .updates = adam(bowl.cost, {bowl.p}, rate)});
    // Without a falling rate Adam circles the minimum at a distance of about the rate.
    for (int t = 0; t < 3000; ++t) step({0.1 * std::pow(0.995, t)});
    CHECK(bowl.distance_to(bowl.minimum) < std::max(1e-7, bowl.tolerance));  // Last rate: 3e-8.
  }
}

TEST_CASE("adam goes on where it stopped when its state is saved and set") {
  const Bowl whole(DType::float64), halves(DType::float64);
  const Function all = function({.updates = adam(whole.cost, {whole.p}, 0.05)});
  for (int t = 0; t < 10; ++t) all();

  const Updates first = adam(halves.cost, {halves.p}, 0.05);
  const Function before = function({.updates = first});
  for (int t = 0; t < 4; ++t) before();
  const Updates second = adam(halves.cost, {halves.p}, 0.05);
  REQUIRE(first.size() == second.size());
  for (std::size_t k = 0; k < first.size(); ++k) {
    Shared target = second[k].target;
    target.set(first[k].target.get());
  }
  const Function after = function({.updates = second});
  for (int t = 4; t < 10; ++t) after();
  CHECK(halves.p.value() == whole.p.value());
}
