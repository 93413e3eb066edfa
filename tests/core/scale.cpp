// Graphs of a million nodes, on a small stack, at a cost that grows with the number of nodes.
#include <doctest/doctest.h>
#include <pthread.h>

#include <functional>

#include "cinch/cinch.hpp"
#include "cinch/core/contract/reuse.hpp"
#include "cinch/core/rewrite/rewrite.hpp"
#include "cinch/core/run/interpret.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// Runs `f` on a stack of 256 KB: recursion over ten thousand nodes would not survive.
void on_small_stack(const std::function<void()>& f) {
  std::exception_ptr failure;
  std::function<void()> guarded = [&] {
    try {
      f();
    } catch (...) {
      failure = std::current_exception();
    }
  };
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  REQUIRE(pthread_attr_setstacksize(&attributes, 256 * 1024) == 0);
  pthread_t thread{};
  const auto enter = [](void* task) -> void* {
    (*static_cast<std::function<void()>*>(task))();
    return nullptr;
  };
  REQUIRE(pthread_create(&thread, &attributes, enter, &guarded) == 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  if (failure) std::rethrow_exception(failure);
}

struct Chain {
  const char* name;
  std::function<Expr(const Expr&)> step;
  int steps = 10000;  ///< Fewer where a step is several nodes.
};

const Chain chains[] = {
    {"x * 0.999 + 0.001", [](const Expr& x) { return x * 0.999 + 0.001; }},
    {"tanh", [](const Expr& x) { return tanh(x); }},
    {"switch", [](const Expr& x) { return switch_(x > 0.5, x * 0.5, x + 0.1); }, 3000},
    {"reverse", [](const Expr& x) { return reverse(x) + 0.1; }},
    {"x - mean(x)", [](const Expr& x) { return x - 0.5 * sum(x * 0.25); }, 4000},
    {"-(-x)", [](const Expr& x) { return -x; }},
};

Expr chain(Expr x, const Chain& c, int steps) {
  for (int k = 0; k < steps; ++k) x = c.step(x);
  return x;
}

}  // namespace

TEST_CASE("a chain of a million nodes is built, walked, printed in short and destroyed") {
  on_small_stack([] {
    const Expr x = dvector("x");
    Expr y = chain(x, chains[1], 1000000);
    CHECK(topological(std::span(&y, 1)).size() == 1000001);
    CHECK(describe(y).size() < 100);
    CHECK(substitute(std::span(&y, 1), {{x, dvector("z")}})[0].rank() == 1);
    y = Expr();
  });
}

TEST_CASE("a long chain of known sizes is differentiated and run in both modes on a small stack") {
  for (const Chain& c : chains) {
    CAPTURE(std::string(c.name));
    on_small_stack([&] {
      const Expr x = variable("x", DType::float64, {4});
      const Expr cost = sum(chain(x, c, c.steps)), slope = grad(cost, x);
      const Tensor value = Tensor::from<double>({4}, {0.1, 0.7, -0.3, 0.9});
      const auto fast = function({x}, {cost, slope})({value});
      const auto exact = cinch::running::interpret(std::vector{cost, slope},
                                                   std::vector<Binding>{{x, value}}, false);
      CHECK(distance(fast[0], exact[0]) < 1e-10);
      CHECK(distance(fast[1], exact[1]) < 1e-10);
    });
  }
}

TEST_CASE(
    "a long chain of unknown sizes is differentiated and run in both modes on a small stack") {
  for (const Chain& c : chains) {
    CAPTURE(std::string(c.name));
    on_small_stack([&] {
      const Expr x = dvector("x");
      const Expr cost = mean(chain(x, c, c.steps)), slope = grad(cost, x);
      const Tensor value = Tensor::from<double>({4}, {0.1, 0.7, -0.3, 0.9});
      const auto fast = function({x}, {cost, slope})({value});
      const auto exact = cinch::running::interpret(std::vector{cost, slope},
                                                   std::vector<Binding>{{x, value}}, false);
      CHECK(distance(fast[0], exact[0]) < 1e-10);
      CHECK(distance(fast[1], exact[1]) < 1e-10);
    });
  }
}

TEST_CASE("products are taken from others below long chains on a small stack") {
  on_small_stack([] {
    const Expr h = variable("h", DType::float32, {64, 64}),
               W = variable("W", DType::float32, {64, 64}),
               x = variable("x", DType::float32, {64, 1});
    Expr s = x;
    for (int k = 0; k < 100000; ++k) s = sin(s);
    const std::vector<Expr> roots{dot(h, W), dot(h * s, W)};
    const std::vector<Expr> taken = contraction::with_known_products(roots);
    CHECK(taken[0] == roots[0]);
    CHECK(taken[1] != roots[1]);
  });
}

TEST_CASE("the size of the end of a long chain of unknown sizes is found on a small stack") {
  on_small_stack([] {
    const Expr x = dvector("x"), b = dvector("b");
    Expr y = x, z = x;
    for (int k = 0; k < 20000; ++k) {
      y = tanh(y);
      z = z + b;  // Each a size of its own.
    }
    CHECK(function({x}, {size(y, 0)})({Tensor(DType::float64, {5})})[0].item() == 5);
    CHECK(function({x, b},
                   {size(z, 0)})({Tensor(DType::float64, {1}), Tensor(DType::float64, {6})})[0]
              .item() == 6);
  });
}

TEST_CASE("rewrites that follow each other do not nest") {
  on_small_stack([] {
    const Expr x = dvector("x");
    Expr y = x;
    for (int k = 0; k < 20000; ++k) y = k % 2 ? -y : reshape(y, std::vector<Expr>{size(y, 0)});
    for (int k = 0; k < 20000; ++k) y = transpose(expand_dims(y, 0)) * 1, y = squeeze(y, 1);
    const Expr r = cinch::rewriting::rewrite(std::span(&y, 1))[0];
    CHECK(topological(std::span(&r, 1)).size() < 100);
  });
}

TEST_CASE("gradient and plan grow in proportion to the graph") {
  const auto counts = [](int steps) {
    const Expr x = variable("x", DType::float64, {4});
    const Expr cost = sum(square(chain(x, chains[0], steps))) + sum(chain(x, chains[1], steps));
    const Expr slope = grad(cost, x);
    const Function f = function({x}, {cost, slope});
    f({Tensor(DType::float64, {4})});
    const std::string plan = f.plan_text();
    return std::vector<std::size_t>{topological(std::span(&slope, 1)).size(),
                                    topological(f.graph()).size(), plan.size(), f.arena_bytes()};
  };
  const auto one = counts(300), four = counts(1200);
  for (std::size_t k = 0; k < one.size(); ++k) {
    CAPTURE(k);
    CHECK(four[k] < 5 * one[k]);
  }
}

TEST_CASE("ten thousand parameters: one gradient pass, one function, right numbers") {
  constexpr int count = 10000;
  std::vector<Shared> parameters;
  const Expr x = dvector("x");
  Expr cost = sum(x);
  for (int k = 0; k < count; ++k) {
    parameters.emplace_back(Tensor::full(DType::float64, {2}, k), text("w", k));
    cost = cost + sum(square(parameters.back() - x));
  }
  const std::vector<Expr> gradients = grad(cost, parameters);
  CHECK(topological(gradients).size() < 12 * count);
  Updates updates;
  for (int k = 0; k < count; ++k)
    updates.push_back(
        {parameters[static_cast<std::size_t>(k)],
         parameters[static_cast<std::size_t>(k)] - 0.25 * gradients[static_cast<std::size_t>(k)]});
  const Function step = function({x}, {cost}, updates);
  step({Tensor::full(DType::float64, {2}, 10)});
  for (const int k : {0, 1, 4999, count - 1})
    CHECK(parameters[static_cast<std::size_t>(k)].get().at(1) == k - 0.5 * (k - 10));
}
