// Running sums and products, against plain loops.
#include "cinch/ops/cumulative.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "cinch/cinch.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/run/interpret.hpp"
#include "support/composed.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

TEST_CASE("running sums and products and differences hold in every way that ops do") {
  const Type m{DType::float64, {4, 3}}, cube{DType::float64, {2, 4, 3}};
  check_composed({
      {"cumsum", {cube}, [](Args x) { return cumsum(x[0], 1); }, {}, true},
      {"cumsum of a product",
       {m, m},
       [](Args x) { return cumsum(dot(x[0], transpose(x[1])), -1); },
       {},
       true},
      {"cumprod", {cube}, [](Args x) { return cumprod(x[0], 1); }, {}, true},
      {"cumprod backward", {m}, [](Args x) { return cumprod(x[0], 0, Direction::backward); }},
      {"cumprod with zeros", {m}, [](Args x) { return cumprod(x[0] * (x[0] > 0), 1); }, {}, true},
      {"diff", {cube}, [](Args x) { return diff(x[0], 1); }, {}, true},
      {"diff of sums", {m}, [](Args x) { return diff(cumsum(x[0], 0), 0); }},
  });
}

TEST_CASE("running sums and products go along the axis in both directions") {
  const Expr x = dmatrix("x");
  const Tensor value = Tensor::from<double>({2, 3}, {1, 2, 3, 4, 0, 6});
  struct Row {
    Expr y;
    std::vector<double> expected;
  };
  for (const Row& r :
       {Row{cumsum(x, 1), {1, 3, 6, 4, 4, 10}}, Row{cumsum(x, 0), {1, 2, 3, 5, 2, 9}},
        Row{cumsum(x, -1, Direction::backward), {6, 5, 3, 10, 6, 6}},
        Row{cumprod(x, 1), {1, 2, 6, 4, 0, 0}}, Row{cumprod(x, 0), {1, 2, 3, 4, 0, 18}},
        Row{cumprod(x, 1, Direction::backward), {6, 6, 3, 0, 0, 6}}}) {
    CAPTURE(describe(r.y));
    CHECK(evaluate(r.y, {{x, value}}) ==
          Tensor::from<double>({2, 3}, std::span<const double>(r.expected)));
  }
  CHECK(evaluate(diff(x), {{x, value}}) == Tensor::from<double>({2, 2}, {1, 1, -4, 6}));
  const Expr b = variable("b", DType::bool_, {-1});
  CHECK(evaluate(cumsum(b, 0), {{b, Tensor::from<bool>({3}, {true, false, true})}}) ==
        Tensor::from<std::int64_t>({3}, {1, 1, 2}));
}

TEST_CASE("running products keep the dtype as NumPy does: integers wrap around, bools count") {
  for (const DType dtype : {DType::int64, DType::bool_, DType::float32, DType::float64}) {
    const Expr x = variable("x", dtype, {-1, -1});
    const Expr y = cumprod(x, 1), back = cumprod(x, 0, Direction::backward);
    const DType expected = dtype == DType::bool_ ? DType::int64 : dtype;
    CHECK(y.dtype() == expected);
    CHECK(y.dtype() == prod(x, 1).dtype());
    const Tensor value = Tensor::from<std::int64_t>({2, 3}, {3, 1, 2, 0, 5, 1}).cast(dtype);
    for (const Expr& e : {y, back}) {
      const Tensor fast = evaluate(e, {{x, value}});
      CHECK(fast == cinch::running::interpret(std::span(&e, 1), std::vector<Binding>{{x, value}},
                                              false)[0]);
      CHECK(fast.dtype() == expected);
    }
    if (dtype == DType::bool_) continue;
    CHECK(evaluate(y, {{x, value}}) ==
          Tensor::from<std::int64_t>({2, 3}, {3, 3, 6, 0, 0, 0}).cast(dtype));
  }
  const Expr i = lvector("i");
  const std::int64_t large = std::int64_t{1} << 62;
  CHECK(evaluate(cumprod(i, 0), {{i, Tensor::from<std::int64_t>({3}, {large, 2, 3})}}) ==
        Tensor::from<std::int64_t>({3}, {large, std::numeric_limits<std::int64_t>::min(),
                                         std::numeric_limits<std::int64_t>::min()}));
}

TEST_CASE("a long running sum is the same for any number of threads") {
  std::mt19937 random(3);
  const Expr x = dmatrix("x");
  const Tensor value = random_tensor(DType::float64, {64, 5000}, random);
  const Function f = function({.inputs = {x}, .outputs = {cumsum(x, 1), cumsum(x, 0)}});
  const int before = threads();
  set_threads(1);
  const auto alone = f({value});
  set_threads(4);
  const auto together = f({value});
  set_threads(before);
  CHECK(alone[0] == together[0]);
  CHECK(alone[1] == together[1]);
  double sum = 0;
  for (std::int64_t k = 0; k < 5000; ++k) {
    sum += value.at(5000 * 7 + k);
    REQUIRE(alone[0].at(5000 * 7 + k) == sum);
  }
}

TEST_CASE("running sums need an axis") {
  const Expr x = dmatrix("x"), s = dscalar("s");
  CHECK_THROWS_WITH_AS(cumsum(x, 2), doctest::Contains("cumsum"), TypeError);
  CHECK_THROWS_WITH_AS(cumsum(s, 0), doctest::Contains("cumsum"), TypeError);
  CHECK_THROWS_WITH_AS(cumprod(x, -3), doctest::Contains("cumprod"), TypeError);
  CHECK_THROWS_WITH_AS(diff(s), doctest::Contains("diff"), TypeError);
}
