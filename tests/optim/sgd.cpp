#include "cinch/optim/sgd.hpp"

#include <doctest/doctest.h>

#include "bowl.hpp"
#include "cinch/cinch.hpp"

using namespace cinch;
using namespace cinch::testing;

TEST_CASE("sgd makes the steps of its rule") {
  for (const DType dtype : {DType::float32, DType::float64}) {
    CAPTURE(name(dtype));
    const Bowl bowl(dtype);
    const Function step =
        function({.outputs = {bowl.cost}, .updates = sgd(bowl.cost, {bowl.p}, 0.05)});
    std::vector<double> p = bowl.start;
    for (int t = 1; t <= 20; ++t) {
      CAPTURE(t);
      CHECK(step()[0].item() == doctest::Approx(bowl.cost_at(p)).epsilon(bowl.tolerance));
      const auto g = bowl.gradient_at(p);
      for (std::size_t i = 0; i < p.size(); ++i) p[i] -= 0.05 * g[i];
      CHECK(bowl.distance_to(p) < bowl.tolerance);
    }
  }
}

TEST_CASE("sgd reaches a known minimum") {
  for (const DType dtype : {DType::float32, DType::float64}) {
    CAPTURE(name(dtype));
    const Bowl bowl(dtype);
    const Function step = function({.updates = sgd(bowl.cost, {bowl.p}, 0.1)});
    for (int t = 0; t < 400; ++t) step();
    CHECK(bowl.distance_to(bowl.minimum) < bowl.tolerance);
  }
}

TEST_CASE("the rate of sgd may be an input, of another dtype than the parameter") {
  const Bowl bowl(DType::float32);
  const Expr rate = dscalar("rate");
  const Function step = function({.inputs = {rate}, .updates = sgd(bowl.cost, {bowl.p}, rate)});
  std::vector<double> p = bowl.start;
  for (const double r : {0.1, 0.0, 0.025}) {
    CAPTURE(r);
    step({r});
    const auto g = bowl.gradient_at(p);
    for (std::size_t i = 0; i < p.size(); ++i) p[i] -= r * g[i];
    CHECK(bowl.distance_to(p) < bowl.tolerance);
  }
}
