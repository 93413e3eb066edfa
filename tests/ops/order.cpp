// Sorting: values, ties, NaN, and gradients to where elements came from.
#include "cinch/ops/order.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "cinch/cinch.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/run/interpret.hpp"
#include "support/composed.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

using Ints = std::vector<std::int64_t>;

Tensor ints(const Shape& shape, const Ints& values) {
  return Tensor::from<std::int64_t>(shape, std::span<const std::int64_t>(values));
}

}  // namespace

TEST_CASE("sorting and the largest elements hold in every way that ops do") {
  const Type m{DType::float64, {4, 5}}, cube{DType::float64, {2, 6, 3}};
  check_composed({
      {"sort", {m}, [](Args x) { return sort(x[0]); }, {}, true},
      {"sort columns", {m}, [](Args x) { return sort(x[0], 0, true); }},
      {"sort an inner axis", {cube}, [](Args x) { return sort(x[0], 1); }, {}, true},
      {"topk", {m}, [](Args x) { return topk(x[0], 2).values; }, {}, true},
      {"topk smallest", {cube}, [](Args x) { return topk(x[0], 4, 1, false).values; }, {}, true},
      {"none", {m}, [](Args x) { return topk(x[0], 0).values; }, {}, true},
      {"a k-sparse layer",
       {m, Type{DType::float64, {5, 6}}},
       [](Args x) {
         // Makhzani and Frey, k-sparse autoencoders, 2013: all but the k largest are 0.
         const Expr h = dot(x[0], x[1]);
         const TopK top = topk(h, 2);
         return put_along_axis(zeros_like(h), top.indices, top.values, 1);
       },
       {},
       true,
       true,
       true},
  });
}

TEST_CASE("equal elements stay in order and NaN is the largest") {
  const double nan = std::numeric_limits<double>::quiet_NaN(),
               inf = std::numeric_limits<double>::infinity();
  const Expr x = dvector("x");
  const Tensor value = Tensor::from<double>({8}, {2, nan, -1, 2, inf, -0.0, nan, 0.0});
  const std::vector<Binding> given{{x, value}};
  struct Row {
    Expr y;
    Ints expected;
  };
  for (const Row& r :
       {Row{argsort(x), {2, 5, 7, 0, 3, 4, 1, 6}},
        Row{argsort(x, 0, true), {1, 6, 4, 0, 3, 5, 7, 2}}, Row{topk(x, 4).indices, {1, 6, 4, 0}},
        Row{topk(x, 3, 0, false).indices, {2, 5, 7}}}) {
    const auto n = static_cast<std::int64_t>(r.expected.size());
    CHECK(evaluate(r.y, given) == ints({n}, r.expected));
    CHECK(cinch::running::interpret(std::span(&r.y, 1), given, false)[0] == ints({n}, r.expected));
  }
  const Tensor sorted = evaluate(sort(x), given);
  CHECK(sorted.at(0) == -1);
  CHECK(std::signbit(sorted.at(1)));
  CHECK(sorted.at(5) == inf);
  CHECK(std::isnan(sorted.at(6)));
  CHECK(std::isnan(sorted.at(7)));
}

TEST_CASE("long lanes are sorted as the standard library sorts them") {
  std::mt19937 random(5);
  const Expr x = lmatrix("x");
  const Tensor value = random_tensor(DType::int64, {40, 3000}, random, 0, 0, 500);
  const Function f =
      function({.inputs = {x}, .outputs = {argsort(x, 1), topk(x, 100).values, sort(x, 0, true)}});
  const auto got = f({value});
  for (const std::int64_t row : {0, 17, 39}) {
    Ints order(3000);
    std::iota(order.begin(), order.end(), 0);
    const auto element = [&](std::int64_t k) { return value.at(row * 3000 + k); };
    std::ranges::stable_sort(order, [&](auto a, auto b) { return element(a) < element(b); });
    for (std::int64_t k = 0; k < 3000; ++k)
      REQUIRE(got[0].at(row * 3000 + k) == static_cast<double>(order[static_cast<std::size_t>(k)]));
    for (std::int64_t k = 0; k < 100; ++k)
      REQUIRE(got[1].at(row * 100 + k) == element(order[static_cast<std::size_t>(2999 - k)]));
  }
  for (std::int64_t k = 3000; k < got[2].size(); ++k) REQUIRE(got[2].at(k) <= got[2].at(k - 3000));
}

TEST_CASE(
    "lanes of any length, with equal elements, NaN and both zeros, are in the order of plain "
    "counting") {
  std::mt19937 random(8);
  const double special[] = {std::numeric_limits<double>::quiet_NaN(),
                            std::numeric_limits<double>::infinity(),
                            -std::numeric_limits<double>::infinity(), 0.0, -0.0};
  for (const DType dtype : {DType::float32, DType::float64, DType::int64}) {
    for (const std::int64_t n : {2, 63, 64, 65, 200, 1111}) {
      Tensor value(DType::float64, {3, n});
      for (double& x : value.data<double>()) {
        const auto drawn = random() % 1000;
        x = drawn < 5 && dtype != DType::int64 ? special[drawn]
            : drawn < 100                      ? static_cast<double>(drawn % 7) - 3
                          : std::ldexp(static_cast<double>(random() % 2001) - 1000,
                                       static_cast<int>(random() % 40));
      }
      const Tensor given = value.cast(dtype);
      const Expr x = variable("x", dtype, {3, n});
      for (const bool descending : {false, true}) {
        for (const std::int64_t axis : {0, 1}) {
          CAPTURE(n);
          CAPTURE(name(dtype));
          CAPTURE(descending);
          CAPTURE(axis);
          const Expr y = argsort(x, axis, descending);
          CHECK(evaluate(y, {{x, given}}) ==
                cinch::running::interpret(std::span(&y, 1), std::vector<Binding>{{x, given}},
                                          false)[0]);
        }
      }
    }
  }
}

TEST_CASE("the gradient of sorted elements goes to where they came from") {
  const Expr x = dvector("x");
  const std::vector<Binding> given{{x, Tensor::from<double>({4}, {3, 1, 4, 1.5})}};
  const Expr weights = constant(Tensor::from<double>({4}, {1, 10, 100, 1000}));
  CHECK(evaluate(grad(sum(sort(x) * weights), x), given) ==
        Tensor::from<double>({4}, {100, 1, 1000, 10}));
  CHECK(evaluate(grad(sum(square(topk(x, 2).values)), x), given) ==
        Tensor::from<double>({4}, {6, 0, 8, 0}));
  // Of equal elements the earlier one has it.
  CHECK(evaluate(grad(sum(topk(x, 1).values), x), {{x, Tensor::from<double>({4}, {1, 2, 2, 0})}}) ==
        Tensor::from<double>({4}, {0, 1, 0, 0}));
  CHECK_THROWS_AS(grad(sum(cast(argsort(x), DType::float64)), x), GradError);
}

TEST_CASE("more elements than there are is an error") {
  const Expr x = variable("x", DType::float64, {2, 3}), u = dmatrix("u");
  CHECK_THROWS_WITH_AS(topk(x, 4), doctest::Contains("there are 3 elements along the axis, not 4"),
                       TypeError);
  CHECK_THROWS_WITH_AS(topk(x, -1), doctest::Contains("topk: cannot give -1 elements"), ValueError);
  CHECK_THROWS_WITH_AS(sort(x, 2), doctest::Contains("sort"), TypeError);
  const Expr y = topk(u, 4).values;
  const std::vector<Binding> given{{u, Tensor(DType::float64, {2, 3})}};
  CHECK_THROWS_WITH_AS(evaluate(y, given), doctest::Contains("there are 3 elements"), Error);
  CHECK_THROWS_WITH_AS(evaluate(y, given), doctest::Contains("order.cpp:"), Error);
  CHECK_THROWS_WITH_AS(cinch::running::interpret(std::span(&y, 1), given, true),
                       doctest::Contains("there are 3 elements"), Error);
}

TEST_CASE("compress takes what a mask holds for, in its order, and fills up") {
  const Tensor x = Tensor::from<double>({4, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  const Expr v = dmatrix("x"), mask = variable("mask", DType::bool_, {-1});
  for (const Mode mode : {Mode::fast, Mode::checked}) {
    const Compressed two = compress(v, mask, 2, 0, -1);
    const Function f =
        function({.inputs = {v, mask},
                  .outputs = {two.values, two.chosen, grad(sum(square(two.values)), v)},
                  .mode = mode});
    const auto some = f({x, Tensor::from<bool>({4}, {false, true, false, true})});
    CHECK(some[0] == Tensor::from<double>({2, 2}, {3, 4, 7, 8}));
    CHECK(some[1].item() == 2);
    CHECK(some[2] == Tensor::from<double>({4, 2}, {0, 0, 6, 8, 0, 0, 14, 16}));
    const auto one = f({x, Tensor::from<bool>({4}, {false, false, true, false})});
    CHECK(one[0] == Tensor::from<double>({2, 2}, {5, 6, -1, -1}));
    CHECK(one[2] == Tensor::from<double>({4, 2}, {0, 0, 0, 0, 10, 12, 0, 0}));
    const auto all = f({x, Tensor::full(DType::bool_, {4}, 1)});
    CHECK(all[0] == Tensor::from<double>({2, 2}, {1, 2, 3, 4}));
    CHECK(all[1].item() == 4);
  }
  const Tensor columns = evaluate(
      compress(constant(x), constant(Tensor::from<bool>({2}, {false, true})), 1, -1).values);
  CHECK(columns == Tensor::from<double>({4, 1}, {2, 4, 6, 8}));
  CHECK(evaluate(compress(constant(x), constant(Tensor::full(DType::bool_, {4}, 1)), 0).values)
            .size() == 0);
  CHECK_THROWS_WITH_AS(compress(v, v, 2), doctest::Contains("the mask must be a bool"), TypeError);
  CHECK_THROWS_AS(compress(constant(x), constant(Tensor::full(DType::bool_, {3}, 1)), 2),
                  TypeError);
  CHECK_THROWS_AS(compress(v, mask, -1), ValueError);
  CHECK_THROWS_AS(
      evaluate(compress(constant(x), constant(Tensor::full(DType::bool_, {4}, 1)), 5).values),
      TypeError);
  CHECK_THROWS_AS(compress(v, mask, 1, 2), TypeError);
}
