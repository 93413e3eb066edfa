// Every optimizer against its published rule, written out element by element in double.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "cinch/cinch.hpp"
#include "coupled.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

using Params = std::vector<Shared>;
using Gradients = std::vector<Expr>;
using Numbers = std::vector<double>;

/// The state of one element: what the rules below name.
struct Element {
  double v = 0, a = 0, m = 0, u = 0, w = 0;
};
/// The element's new value from its old one, its gradient, the rate, and the step, from 1.
using PlainStep = double (*)(double p, double g, double rate, int t, Element& e);

struct Case {
  std::string name;
  std::function<Updates(const Expr& cost, const Params&, const Arg& rate)> of_cost;
  std::function<Updates(const Params&, const Gradients&, const Arg& rate)> of_gradients;
  PlainStep plain;
  std::vector<std::string> state;  ///< Labels of W's state and of what all parameters share.
};

double adam_step(double p, double g, double rate, int t, Element& e, double beta1, double beta2,
                 double epsilon) {
  e.m = beta1 * e.m + (1 - beta1) * g;
  e.v = beta2 * e.v + (1 - beta2) * g * g;
  const double m = e.m / (1 - std::pow(beta1, t)), v = e.v / (1 - std::pow(beta2, t));
  return p - rate * m / (std::sqrt(v) + epsilon);
}

/// A case for `f(..., rate, settings...)`.
#define OPTIMIZER(f, ...)                                     \
  [](const Expr& c, const Params& p, const Arg& r) {          \
    return f(c, p, r __VA_OPT__(, ) __VA_ARGS__);             \
  },                                                          \
      [](const Params& p, const Gradients& g, const Arg& r) { \
        return f(p, g, r __VA_OPT__(, ) __VA_ARGS__);         \
      }

std::vector<Case> cases() {
  return {
      {"sgd",
       OPTIMIZER(sgd),
       [](double p, double g, double rate, int, Element&) { return p - rate * g; },
       {}},
      {"momentum",
       OPTIMIZER(momentum, 0.75),
       [](double p, double g, double rate, int, Element& e) {
         e.v = 0.75 * e.v - rate * g;
         return p + e.v;
       },
       {"momentum.v/W"}},
      {"nesterov",
       OPTIMIZER(nesterov, 0.75),
       [](double p, double g, double rate, int, Element& e) {
         e.v = 0.75 * e.v - rate * g;
         return p + 0.75 * e.v - rate * g;
       },
       {"nesterov.v/W"}},
      {"adagrad",
       OPTIMIZER(adagrad),
       [](double p, double g, double rate, int, Element& e) {
         e.a += g * g;
         return p - rate * g / (std::sqrt(e.a) + 1e-10);
       },
       {"adagrad.a/W"}},
      {"adagrad from 0.5",
       OPTIMIZER(adagrad, {.start = 0.5, .epsilon = 0.125}),
       [](double p, double g, double rate, int t, Element& e) {
         if (t == 1) e.a = 0.5;
         e.a += g * g;
         return p - rate * g / (std::sqrt(e.a) + 0.125);
       },
       {"adagrad.a/W"}},
      {"rmsprop",
       OPTIMIZER(rmsprop),
       [](double p, double g, double rate, int, Element& e) {
         e.a = 0.9 * e.a + 0.1 * g * g;
         return p - rate * g / (std::sqrt(e.a) + 1e-8);
       },
       {"rmsprop.a/W"}},
      {"rmsprop with momentum",
       OPTIMIZER(rmsprop, {.decay = 0.8, .momentum = 0.5}),
       [](double p, double g, double rate, int, Element& e) {
         e.a = 0.8 * e.a + 0.2 * g * g;
         e.v = 0.5 * e.v + rate * g / (std::sqrt(e.a) + 1e-8);
         return p - e.v;
       },
       {"rmsprop.a/W", "rmsprop.v/W"}},
      {"rmsprop centered, with momentum",
       OPTIMIZER(rmsprop, {.decay = 0.75, .momentum = 0.5, .centered = true, .epsilon = 0.125}),
       [](double p, double g, double rate, int, Element& e) {
         e.a = 0.75 * e.a + 0.25 * g * g;
         e.m = 0.75 * e.m + 0.25 * g;
         e.v = 0.5 * e.v + rate * g / (std::sqrt(e.a - e.m * e.m) + 0.125);
         return p - e.v;
       },
       {"rmsprop.a/W", "rmsprop.m/W", "rmsprop.v/W"}},
      {"adadelta",
       OPTIMIZER(adadelta),
       [](double p, double g, double rate, int, Element& e) {
         e.a = 0.95 * e.a + 0.05 * g * g;
         const double step = std::sqrt(e.u + 1e-6) / std::sqrt(e.a + 1e-6) * g;
         e.u = 0.95 * e.u + 0.05 * step * step;
         return p - rate * step;
       },
       {"adadelta.a/W", "adadelta.u/W"}},
      {"adam",
       OPTIMIZER(adam, {.epsilon = 0.125}),
       [](double p, double g, double rate, int t, Element& e) {
         return adam_step(p, g, rate, t, e, 0.9, 0.999, 0.125 / std::sqrt(1 - std::pow(0.999, t)));
       },
       {"adam.step", "adam.m/W", "adam.v/W"}},
      {"adam, epsilon as in Algorithm 1",
       OPTIMIZER(adam, {.epsilon = 0.125, .epsilon_added = Epsilon::to_corrected}),
       [](double p, double g, double rate, int t, Element& e) {
         return adam_step(p, g, rate, t, e, 0.9, 0.999, 0.125);
       },
       {"adam.step", "adam.m/W", "adam.v/W"}},
      {"adam without correction",
       OPTIMIZER(adam, {.epsilon = 0.125, .bias_correction = false}),
       [](double p, double g, double rate, int, Element& e) {
         e.m = 0.9 * e.m + 0.1 * g;
         e.v = 0.999 * e.v + 0.001 * g * g;
         return p - rate * e.m / (std::sqrt(e.v) + 0.125);
       },
       {"adam.m/W", "adam.v/W"}},
      {"adam with amsgrad",
       OPTIMIZER(adam, {.beta1 = 0.5, .beta2 = 0.5, .amsgrad = true}),
       [](double p, double g, double rate, int t, Element& e) {
         e.m = 0.5 * e.m + 0.5 * g;
         e.v = 0.5 * e.v + 0.5 * g * g;
         e.w = std::max(e.w, e.v);
         const double c1 = 1 - std::pow(0.5, t), c2 = c1;
         return p - rate * std::sqrt(c2) / c1 * e.m / (std::sqrt(e.w) + 1e-8);
       },
       {"adam.step", "adam.m/W", "adam.v/W", "adam.w/W"}},
      {"adamw",
       OPTIMIZER(adamw, 0.25, {.epsilon_added = Epsilon::to_corrected}),
       [](double p, double g, double rate, int t, Element& e) {
         return adam_step(p, g, rate, t, e, 0.9, 0.999, 1e-8) - rate * 0.25 * p;
       },
       {"adamw.step", "adamw.m/W", "adamw.v/W"}},
  };
}

constexpr double first_rate = 0.0625;

void check_steps(const Case& c, DType dtype, Mode mode, bool from_cost, bool scheduled) {
  CAPTURE(c.name);
  CAPTURE(name(dtype));
  CAPTURE(from_cost);
  CAPTURE(scheduled);
  const Coupled problem(dtype);
  const Shared t = step_counter();
  const Arg rate = scheduled ? Arg(schedule::exponential(t, first_rate, 0.75)) : Arg(first_rate);
  Updates updates = from_cost
                        ? c.of_cost(problem.cost, problem.params, rate)
                        : c.of_gradients(problem.params, grad(problem.cost, problem.params), rate);
  if (scheduled) updates.push_back(advance(t));
  const Function step = function({.outputs = {problem.cost}, .updates = updates, .mode = mode});

  // Rounding of some dozen operations a step; a gradient near zero makes the relative error of an
  // adaptive step larger.
  const double tolerance = dtype == DType::float32 ? 1e-4 : 1e-12;
  Numbers p = problem.start;
  std::vector<Element> elements(p.size());
  for (int k = 1; k <= 12; ++k) {
    CAPTURE(k);
    CHECK(step()[0].item() == doctest::Approx(problem.cost_at(p)).epsilon(tolerance));
    const Numbers g = problem.gradient_at(p);
    const double now = scheduled ? first_rate * std::pow(0.75, k - 1) : first_rate;
    for (std::size_t i = 0; i < p.size(); ++i) p[i] = c.plain(p[i], g[i], now, k, elements[i]);
    REQUIRE(distance(problem.values(), p) < tolerance);
  }
}

}  // namespace

TEST_CASE("every optimizer makes the steps of its rule, for parameters of every rank") {
  for (const Case& c : cases()) {
    for (const DType dtype : {DType::float64, DType::float32}) {
      for (const Mode mode : {Mode::fast, Mode::checked}) check_steps(c, dtype, mode, true, false);
    }
  }
}

TEST_CASE("every optimizer takes gradients instead of a cost, and a rate that changes") {
  for (const Case& c : cases()) {
    check_steps(c, DType::float64, Mode::fast, false, false);
    check_steps(c, DType::float64, Mode::fast, true, true);
    check_steps(c, DType::float32, Mode::fast, false, true);
  }
}

TEST_CASE("every optimizer's state is among its targets, by name, and zero at first") {
  for (const Case& c : cases()) {
    CAPTURE(c.name);
    const Coupled problem(DType::float64);
    const Updates updates = c.of_cost(problem.cost, problem.params, 0.1);
    std::vector<std::string> labels;
    for (const Shared& target : targets(updates)) {
      const std::string& label = target.label();
      const bool shared_by_all =
          label.find('/') == std::string::npos && label.find('.') != std::string::npos;
      if (label.ends_with("/W") || shared_by_all) {
        labels.push_back(label);
        const double start = c.name == "adagrad from 0.5" ? 0.5 : 0;
        for (std::int64_t i = 0; i < target.value().size(); ++i)
          CHECK(target.value().at(i) == start);
      }
    }
    CHECK(labels == c.state);
    // For W, b, s and T, besides the counter, which is int64.
    const std::size_t counters =
        c.state.empty() || c.state[0].find("step") == std::string::npos ? 0 : 1;
    CHECK(updates.size() == counters + 4 * (c.state.size() - counters + 1));
  }
}

TEST_CASE("every optimizer goes on to the last bit where it stopped") {
  for (const Case& c : cases()) {
    CAPTURE(c.name);
    const auto run = [&](const Coupled& problem, const Updates& updates, int steps) {
      const Function step = function({.outputs = {problem.cost}, .updates = updates});
      for (int k = 0; k < steps; ++k) step();
    };
    const Coupled whole(DType::float32), first(DType::float32), second(DType::float32);
    run(whole, c.of_cost(whole.cost, whole.params, 0.05), 9);
    const Updates before = c.of_cost(first.cost, first.params, 0.05);
    run(first, before, 4);
    const Updates after = c.of_cost(second.cost, second.params, 0.05);
    const auto saved = checkpoint(before);
    restore(after, {saved.begin(), saved.end()});
    run(second, after, 5);
    CHECK(second.values() == whole.values());
  }
}

TEST_CASE("every optimizer reaches the minimum of a bowl") {
  // Where the gradient is zero: (A + c 1 1') p = A q, by Sherman and Morrison.
  const Coupled reference(DType::float64);
  double sum_q = 0, sum_inverse = 0;
  for (std::size_t i = 0; i < reference.center.size(); ++i) {
    sum_q += reference.center[i];
    sum_inverse += 1 / reference.curvature[i];
  }
  const double all = sum_q / (1 + Coupled::coupling * sum_inverse);
  Numbers minimum;
  for (std::size_t i = 0; i < reference.center.size(); ++i)
    minimum.push_back(reference.center[i] - Coupled::coupling * all / reference.curvature[i]);
  REQUIRE(distance(reference.gradient_at(minimum), Numbers(minimum.size(), 0)) < 1e-14);

  for (const Case& c : cases()) {
    if (c.name == "adamw") continue;  // Its fixed point is another: decay pulls towards zero.
    for (const DType dtype : {DType::float64, DType::float32}) {
      CAPTURE(c.name);
      CAPTURE(name(dtype));
      const Coupled problem(dtype);
      const Shared t = step_counter();
      // Falling to zero: a constant rate leaves adaptive steps circling at its distance.
      Updates updates = c.of_cost(problem.cost, problem.params,
                                  schedule::cosine(t, c.name == "adadelta" ? 20 : 0.08, 3000));
      updates.push_back(advance(t));
      const Function step = function({.updates = updates});
      for (int k = 0; k < 3000; ++k) step();
      CHECK(distance(problem.values(), minimum) < 2e-3);
    }
  }
}
