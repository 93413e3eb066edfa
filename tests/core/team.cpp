#include "cinch/core/run/team.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <random>
#include <stdexcept>
#include <thread>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"
#include "support/settings.hpp"

using namespace cinch;
using namespace cinch::testing;

TEST_CASE("every part of shared work runs once, on any number of threads") {
  for (const int n : {1, 2, 3, 8}) {
    const Threads use(n);
    CHECK(threads() == n);
    for (const std::int64_t parts : {0, 1, 2, 7, 100}) {
      std::vector<std::atomic<int>> runs(static_cast<std::size_t>(parts));
      for (int round = 0; round < 50; ++round)
        cinch::running::share_work(
            parts, [&](std::int64_t part) { ++runs[static_cast<std::size_t>(part)]; });
      for (const auto& count : runs) CHECK(count == 50);
    }
  }
}

TEST_CASE("shared work may share work again, and other callers do not wait for the team") {
  const Threads use(3);
  std::atomic<int> done = 0;
  const auto nested = [&] {
    for (int k = 0; k < 200; ++k) {
      cinch::running::share_work(
          8, [&](std::int64_t) { cinch::running::share_work(4, [&](std::int64_t) { ++done; }); });
    }
  };
  std::thread other(nested);
  nested();
  other.join();
  CHECK(done == 2 * 200 * 8 * 4);
}

TEST_CASE("the first exception of a part is thrown again when all parts have ended") {
  const Threads use(3);
  std::atomic<int> ended = 0;
  const auto work = [&](std::int64_t part) {
    ++ended;
    if (part % 5 == 3) throw std::runtime_error("part failed");
  };
  for (int k = 0; k < 20; ++k) {
    ended = 0;
    CHECK_THROWS_WITH_AS(cinch::running::share_work(20, work), "part failed", std::runtime_error);
    CHECK(ended == 20);
  }
  CHECK_THROWS_WITH_AS(set_threads(-1), doctest::Contains("set_threads: -1"), ValueError);
  CHECK_THROWS_AS(set_threads(257), ValueError);
}

TEST_CASE("part_of deals out whole units and all of them") {
  for (const std::int64_t n : {0, 1, 15, 16, 17, 500, 784}) {
    for (const std::int64_t unit : {1, 16, 40}) {
      for (const std::int64_t parts : {1, 2, 8}) {
        std::int64_t next = 0;
        for (std::int64_t part = 0; part < parts; ++part) {
          const running::Span span = cinch::running::part_of(n, unit, parts, part);
          CHECK(span.begin == next);
          CHECK((span.begin % unit == 0 || span.begin == n));
          next = span.end;
        }
        CHECK(next == n);
      }
    }
  }
  CHECK(cinch::running::parts_for(0, 100) == 1);
  CHECK(cinch::running::parts_for(1e9, 3) == 2);
  CHECK(cinch::running::parts_for(1e9, 0) == 1);
}

TEST_CASE("results are the same bits for any number of threads") {
  // Sizes for which products and loops are divided, and reductions over both axes combined.
  std::mt19937 random(3);
  for (const DType dtype : {DType::float32, DType::float64}) {
    for (const std::int64_t batch : {10, 100, 300}) {
      const Tensor first = random_tensor(dtype, {784, 500}, random, -0.1, 0.1);
      const Tensor data = random_tensor(dtype, {batch, 784}, random, 0, 1);
      std::vector<Tensor> results;
      for (const int n : {1, 2, 3, 5}) {
        const Threads use(n);
        const Shared W(first, "W"), b(Tensor(dtype, {500}), "b"), c(Tensor(dtype, {784}), "c");
        const Expr x = variable("x", dtype, {-1, 784});
        const Expr h = sigmoid(dot(x, W) + b), z = sigmoid(dot(h, transpose(W)) + c);
        const Expr loss = -sum(x * log(z) + (1 - x) * log(1 - z), {1});
        const Expr cost = mean(loss) + 0.1 * sum(square(jacobian(h, x))) / cast(size(x, 0), dtype);
        const auto g = grad(cost, std::vector<Shared>{W, b, c});
        const Function step =
            function({x}, {cost, exp(-square(W)), sum(abs(W)), max(W)},
                     {{W, W - 0.01 * g[0]}, {b, b - 0.01 * g[1]}, {c, c - 0.01 * g[2]}});
        std::vector<Tensor> all;
        for (int k = 0; k < 3; ++k) all = step({data});
        all.push_back(W.value());
        all.push_back(b.value());
        all.push_back(c.value());
        if (results.empty()) results = all;
        for (std::size_t k = 0; k < all.size(); ++k) CHECK(all[k] == results[k]);
      }
    }
  }
}

TEST_CASE("a small product of great depth is right, and the same bits for any number of threads") {
  std::mt19937 random(3);
  for (const DType dtype : {DType::float32, DType::float64}) {
    const Tensor left = random_tensor(dtype, {6401, 50}, random, -1, 1),
                 right = random_tensor(dtype, {6401, 60}, random, -1, 1),
                 before = random_tensor(dtype, {50, 60}, random, -1, 1);
    const Expr a = variable("a", dtype, {-1, 50}), b = variable("b", dtype, {-1, 60});
    std::vector<Tensor> results;
    for (const int n : {1, 2, 3, 5}) {
      const Threads use(n);
      const Shared W(before, "W");  // Added to in place.
      const Function f = function({a, b}, {dot(transpose(a), b)}, {{W, W + dot(transpose(a), b)}});
      results.push_back(f({left, right})[0]);
      results.push_back(W.value());
      CHECK(results[results.size() - 2] == results[0]);
      CHECK(results.back() == results[1]);
    }
    const Function exact =
        function({a, b}, {dot(transpose(cast(a, DType::float64)), b)}, {}, {}, Mode::checked);
    const Tensor expected = exact({left, right})[0];
    const double tolerance = dtype == DType::float64 ? 1e-12 : 1e-3;
    for (std::int64_t i = 0; i < expected.size(); ++i) {
      CHECK(std::abs(results[0].at(i) - expected.at(i)) <= tolerance);
      CHECK(std::abs(results[1].at(i) - before.at(i) - expected.at(i)) <= tolerance);
    }
  }
}
