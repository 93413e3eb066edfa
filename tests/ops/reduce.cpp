// Reductions over every subset of axes, and argmax, against plain loops; what they do with NaN and
// with nothing.
#include "cinch/ops/reduce.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "cinch/cinch.hpp"
#include "cinch/core/run/interpret.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// Position of the result that element `i` of a tensor of this shape is reduced into.
std::int64_t reduced_position(std::int64_t i, const Shape& shape,
                              const std::vector<std::int64_t>& axes) {
  std::vector<std::int64_t> index(shape.size());
  for (std::size_t k = shape.size(); k-- > 0; i /= shape[k]) index[k] = i % shape[k];
  std::int64_t position = 0;
  for (std::size_t k = 0; k < shape.size(); ++k) {
    if (std::ranges::find(axes, static_cast<std::int64_t>(k)) == axes.end())
      position = position * shape[k] + index[k];
  }
  return position;
}

std::vector<Tensor> in_both_modes(const Expr& y, const std::vector<Binding>& bindings) {
  return {evaluate(y, bindings), cinch::running::interpret(std::span(&y, 1), bindings, false)[0]};
}

}  // namespace

TEST_CASE("sums and maxima over every subset of axes, of every layout, are those of plain loops") {
  std::mt19937 random(3);
  for (const Shape& shape : {Shape{2, 3, 4, 5}, Shape{1, 7, 1, 2}, Shape{3, 1, 600, 2},
                             Shape{2, 700, 3, 1}, Shape{4, 2, 1, 1100}}) {
    const Tensor value = random_tensor(DType::float64, shape, random);
    const Expr x = variable("x", DType::float64, Shape(4, -1));
    const Expr reversed = transpose(x);  // The same elements, lying the other way round.
    for (int subset = 0; subset < 16; ++subset) {
      std::vector<std::int64_t> axes, reversed_axes;
      for (std::int64_t axis = 0; axis < 4; ++axis) {
        if (subset >> axis & 1) axes.push_back(axis), reversed_axes.push_back(3 - axis);
      }
      const Tensor total = evaluate(sum(x, axes), {{x, value}});
      std::vector<double> sums(static_cast<std::size_t>(total.size())), most(sums.size(), -1e300),
          size(sums.size());
      for (std::int64_t i = 0; i < value.size(); ++i) {
        const auto p = static_cast<std::size_t>(reduced_position(i, shape, axes));
        sums[p] += value.at(i);
        size[p] += std::abs(value.at(i));
        most[p] = std::max(most[p], value.at(i));
      }
      CAPTURE(text(shape));
      CAPTURE(subset);
      for (const Expr& y :
           {sum(x, axes), sum(x, axes, true), transpose(sum(reversed, reversed_axes)),
            sum(exp(log(x * 1)) * 0 + x, axes)}) {
        for (const Tensor& got : in_both_modes(y, {{x, value}})) {
          REQUIRE(got.size() == total.size());
          for (std::int64_t p = 0; p < got.size(); ++p) {
            if (std::isnan(got.at(p)))
              continue;  // The log of a negative number, where it is not rewritten.
            CHECK(std::abs(got.at(p) - sums[static_cast<std::size_t>(p)]) <=
                  1e-14 * size[static_cast<std::size_t>(p)] + 1e-300);
          }
        }
      }
      for (const Expr& y :
           {max(x, axes), transpose(max(reversed, reversed_axes)), -min(-x, axes)}) {
        for (const Tensor& got : in_both_modes(y, {{x, value}})) {
          REQUIRE(got.size() == total.size());
          for (std::int64_t p = 0; p < got.size(); ++p)
            CHECK(got.at(p) == most[static_cast<std::size_t>(p)]);
        }
      }
    }
  }
}

TEST_CASE("rows and columns of any length are folded whole, in every dtype") {
  std::mt19937 random(4);
  for (const DType dtype : {DType::float32, DType::float64, DType::int64}) {
    for (const Shape& shape : {Shape{1, 1},
                               {5, 1},
                               {1, 7},
                               {37, 3},
                               {40, 8},
                               {17, 16},
                               {50, 17},
                               {19, 31},
                               {33, 32},
                               {21, 33},
                               {70, 63},
                               {35, 64},
                               {18, 65},
                               {3, 127},
                               {131, 200},
                               {9, 1030},
                               {2000, 5}}) {
      Tensor value(DType::float64, shape);
      for (double& x : value.data<double>()) x = static_cast<double>(random() % 65) / 8 - 4;
      const Tensor given = value.cast(dtype);
      const Expr x = variable("x", dtype, shape);
      for (const std::int64_t axis : {0, 1}) {
        // Eighths add up exactly, in any order.
        const std::vector<Expr> results{sum(x, axis), max(x, axis), min(x, axis),
                                        sum(square(x) + x, axis), sum(x)};
        const std::vector<Tensor> fast = function({.inputs = {x}, .outputs = results})({given});
        const std::vector<Tensor> plain =
            function({.inputs = {x}, .outputs = results, .mode = Mode::checked})({given});
        for (std::size_t k = 0; k < results.size(); ++k) {
          CAPTURE(text(shape));
          CAPTURE(name(dtype));
          CAPTURE(axis);
          CAPTURE(k);
          CHECK(fast[k] == plain[k]);
        }
      }
    }
  }
}

TEST_CASE("argmax is the first largest, along any axis of any rank, in both modes") {
  std::mt19937 random(4);
  for (const Shape& shape : {Shape{7}, Shape{1}, Shape{3, 4}, Shape{1, 5}, Shape{5, 1},
                             Shape{2, 3, 4}, Shape{2, 3, 4, 2}}) {
    for (const DType dtype : {DType::float64, DType::float32, DType::int64}) {
      const Expr x = variable("x", dtype, Shape(shape.size(), -1));
      const Tensor value = random_tensor(dtype, shape, random, -2, 2, 3);
      for (std::int64_t axis = 0; axis < static_cast<std::int64_t>(shape.size()); ++axis) {
        std::vector<double> most, at;
        std::vector<std::int64_t> axes{axis};
        const Expr y = argmax(x, axis);
        for (const Tensor& got : in_both_modes(y, {{x, value}})) {
          CAPTURE(text(shape));
          CAPTURE(axis);
          most.assign(static_cast<std::size_t>(got.size()), -1e300);
          at.assign(most.size(), -1);
          std::int64_t inner = 1;
          for (std::size_t k = static_cast<std::size_t>(axis) + 1; k < shape.size(); ++k)
            inner *= shape[k];
          for (std::int64_t i = 0; i < value.size(); ++i) {
            const auto p = static_cast<std::size_t>(reduced_position(i, shape, axes));
            if (value.at(i) > most[p])
              most[p] = value.at(i),
              at[p] = static_cast<double>(i / inner % shape[static_cast<std::size_t>(axis)]);
          }
          for (std::size_t p = 0; p < at.size(); ++p)
            CHECK(got.at(static_cast<std::int64_t>(p)) == at[p]);
        }
      }
    }
  }
}

TEST_CASE(
    "float32 sums go on growing beyond 2^24 elements, whatever they are under, in both modes") {
  const std::int64_t n = (1 << 24) + (1 << 20);
  const auto count = static_cast<double>(n);
  const Expr x = vector("x");
  const std::vector<Binding> ones{{x, Tensor::full(DType::float32, {n}, 1)}};
  struct Row {
    const char* name;
    Expr y;
    double expected;
  };
  for (const Row& row :
       {Row{"sum", sum(x), count}, Row{"mean", mean(x), 1}, Row{"norm", norm(x), std::sqrt(count)},
        Row{"mean of squares", mean(square(x)), 1}, Row{"dot", dot(x, x), count},
        Row{"logsumexp", logsumexp(x), std::log(count) + 1},
        Row{"log(sum(exp))", log(sum(exp(x))), std::log(count) + 1},
        Row{"log(mean(exp))", log(mean(exp(x))), 1}, Row{"softmax", count * at(softmax(x), 3), 1},
        Row{"log_softmax", at(log_softmax(x), 3), -std::log(count)},
        Row{"cumsum", at(cumsum(x, 0), -1), count},
        Row{"cumsum from behind", at(cumsum(x, 0, Direction::backward), 0), count}}) {
    CAPTURE(std::string(row.name));
    for (const Tensor& got : in_both_modes(row.y, ones))
      CHECK(got.item() == doctest::Approx(row.expected).epsilon(1e-5));
  }
}

TEST_CASE("NaN wins maxima and sums, wherever it stands, and argmax does the same in both modes") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const std::int64_t n : {1, 2, 5, 64, 700}) {
    for (const std::int64_t at : {std::int64_t{0}, n / 2, n - 1}) {
      const Expr x = dmatrix("x");
      Tensor value = Tensor::full(DType::float64, {2, n}, 1);
      value.data<double>()[static_cast<std::size_t>(n + at)] = nan;
      CAPTURE(n);
      CAPTURE(at);
      for (const Expr& y : {max(x, 1), min(x, 1), sum(x, 1), mean(x, 1), max(transpose(x), 0)}) {
        for (const Tensor& got : in_both_modes(y, {{x, value}})) {
          CHECK(!std::isnan(got.at(0)));
          CHECK(std::isnan(got.at(1)));
        }
      }
      const auto both = in_both_modes(argmax(x, 1), {{x, value}});
      CHECK(both[0] == both[1]);
    }
  }
}

TEST_CASE("largest and smallest elements may be infinite, or the least integer") {
  const double inf = std::numeric_limits<double>::infinity();
  const std::int64_t least = std::numeric_limits<std::int64_t>::min(),
                     most = std::numeric_limits<std::int64_t>::max();
  const Expr x = dvector("x"), i = lvector("i");
  struct Row {
    std::vector<double> x;
    double most, least;
  };
  for (const Row& row :
       {Row{{1, inf, 2}, inf, 1}, Row{{-inf, 3}, 3, -inf}, Row{{inf, -inf}, inf, -inf},
        Row{{inf}, inf, inf}, Row{{-inf, -inf}, -inf, -inf}}) {
    const Tensor v = Tensor::from<double>({static_cast<std::int64_t>(row.x.size())}, row.x);
    for (const Tensor& got : in_both_modes(max(x), {{x, v}})) CHECK(got.item() == row.most);
    for (const Tensor& got : in_both_modes(min(x), {{x, v}})) CHECK(got.item() == row.least);
  }
  const Tensor v = Tensor::from<std::int64_t>({3}, {0, least, most});
  for (const Tensor& got : in_both_modes(min(i), {{i, v}}))
    CHECK(got.data<std::int64_t>()[0] == least);
  for (const Tensor& got : in_both_modes(max(i), {{i, v}}))
    CHECK(got.data<std::int64_t>()[0] == most);
  for (const Tensor& got : in_both_modes(argmin(i, 0), {{i, v}})) CHECK(got.item() == 1);
}

TEST_CASE("argmax and argmin: the first of equals, the first NaN, any axis") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  struct Row {
    std::vector<double> x;
    std::int64_t most, least;
  };
  const Expr x = dvector("x"), m = dmatrix("m");
  for (const Row& row : {Row{{3, 1, 3, 1}, 0, 1}, Row{{1, nan, 3, 0}, 1, 1}, Row{{nan, nan}, 0, 0},
                         Row{{2, 1, nan}, 2, 2}, Row{{5}, 0, 0}, Row{{0, -0.0}, 0, 0}}) {
    const Tensor v = Tensor::from<double>({static_cast<std::int64_t>(row.x.size())}, row.x);
    for (const Tensor& got : in_both_modes(argmax(x, 0), {{x, v}}))
      CHECK(got.data<std::int64_t>()[0] == row.most);
    for (const Tensor& got : in_both_modes(argmin(x, 0), {{x, v}}))
      CHECK(got.data<std::int64_t>()[0] == row.least);
  }
  const Tensor v = Tensor::from<double>({2, 3}, {4, 1, 5, 0, 2, 5});
  CHECK(evaluate(argmin(m, 0), {{m, v}}) == Tensor::from<std::int64_t>({3}, {1, 0, 0}));
  CHECK(evaluate(argmin(m, -1), {{m, v}}) == Tensor::from<std::int64_t>({2}, {1, 0}));
  CHECK_THROWS_WITH_AS(evaluate(argmin(x, 0), {{x, Tensor(DType::float64, {0})}}),
                       doctest::Contains("the smallest of no elements"), TypeError);
}

TEST_CASE("equal largest, or smallest, elements over several axes share the gradient") {
  const Expr x = tensor3("x", DType::float64);
  const Tensor v = Tensor::from<double>({2, 2, 2}, {1, 7, 3, 7, 7, 0, 1, 0});
  const Tensor by_max = Tensor::from<double>({2, 2, 2}, {0, 0.5, 0, 0.5, 1, 0, 0, 0}),
               by_min = Tensor::from<double>({2, 2, 2}, {0.5, 0, 0, 0, 0, 0.5, 0.5, 0.5});
  for (const Tensor& got : in_both_modes(grad(sum(max(x, {0, 1})), x), {{x, v}}))
    CHECK(got == Tensor::from<double>({2, 2, 2}, {0, 0.5, 0, 0.5, 1, 0, 0, 0}));
  for (const Tensor& got : in_both_modes(grad(sum(min(x, {0, 1})), x), {{x, v}}))
    CHECK(got == by_min);
  CHECK(evaluate(grad(sum(max(x, {0, 1})), x), {{x, v}}) == by_max);
}

TEST_CASE("any and all take numbers: true where they are not 0") {
  const Expr x = dmatrix("x");
  const Tensor v = Tensor::from<double>({2, 3}, {0, 2, 0, -1, 0.5, 3});
  CHECK(evaluate(all(x, 1), {{x, v}}) == Tensor::from<bool>({2}, {false, true}));
  CHECK(evaluate(any(x, 0), {{x, v}}) == Tensor::from<bool>({3}, {true, true, true}));
  CHECK(evaluate(any(equal(x, 7), {}, true), {{x, v}}) == Tensor::from<bool>({1, 1}, {false}));
}

TEST_CASE("reductions of nothing: sums are 0, maxima are errors") {
  const Expr x = dmatrix("x");
  const Tensor none(DType::float64, {0, 3}), flat(DType::float64, {3, 0});
  CHECK(evaluate(sum(x), {{x, none}}).item() == 0);
  CHECK(evaluate(sum(x, 0), {{x, none}}) == Tensor(DType::float64, {3}));
  CHECK(evaluate(sum(x, 1), {{x, none}}).size() == 0);
  CHECK(evaluate(max(x, 1), {{x, none}}).size() == 0);
  CHECK_THROWS_WITH_AS(evaluate(max(x, 0), {{x, none}}), doctest::Contains("no elements"),
                       TypeError);
  CHECK_THROWS_AS(evaluate(max(x), {{x, flat}}), TypeError);
  CHECK_THROWS_AS(evaluate(argmax(x, 1), {{x, flat}}), TypeError);
  CHECK_THROWS_AS(evaluate(softmax(x, 0) + max(x, 0), {{x, none}}), TypeError);
  for (const auto& [f, name] : {std::pair(median(x, 0), "median: "),
                                {median(x), "median: "},
                                {quantile(x, 0.25, 0), "quantile: "}}) {
    CHECK_THROWS_WITH_AS(evaluate(f, {{x, none}}), doctest::Contains(name), TypeError);
    CHECK_THROWS_WITH_AS(in_both_modes(f, {{x, none}}), doctest::Contains("no elements"),
                         TypeError);
  }
  CHECK(evaluate(median(x, 1), {{x, none}}).size() == 0);
  CHECK(std::isnan(evaluate(mean(x), {{x, none}}).item()));
  CHECK(evaluate(softmax(x), {{x, none}}).shape() == Shape{0, 3});
}

TEST_CASE("integers and bools: sums count, means are float64, largest and smallest at the limits") {
  const Expr i = lvector("i"), b = variable("b", DType::bool_, {-1});
  const std::int64_t least = std::numeric_limits<std::int64_t>::min();
  const Tensor v = Tensor::from<std::int64_t>({3}, {least, least, least});
  for (const Tensor& got : in_both_modes(max(i), {{i, v}}))
    CHECK(got.data<std::int64_t>()[0] == least);
  const Tensor bools = Tensor::from<bool>({4}, {true, false, true, true});
  CHECK(evaluate(sum(b), {{b, bools}}) == Tensor(3));
  CHECK(evaluate(mean(b), {{b, bools}}) == Tensor(0.75));
  CHECK(evaluate(all(b), {{b, bools}}) == Tensor(false));
  CHECK(evaluate(any(b), {{b, bools}}) == Tensor(true));
  CHECK(evaluate(all(b), {{b, Tensor(DType::bool_, {0})}}) == Tensor(true));
  CHECK(evaluate(any(b), {{b, Tensor(DType::bool_, {0})}}) == Tensor(false));
  CHECK(evaluate(var(i), {{i, Tensor::from<std::int64_t>({4}, {1, 2, 3, 4})}}) == Tensor(1.25));
}

TEST_CASE("sums of bools to a shape count, however much is known of the sizes") {
  const Shape known{2, 3}, half{-1, 3}, unknown{-1, -1};
  const Tensor value = Tensor::from<bool>({2, 3}, {true, false, true, true, true, false});
  for (const Shape& shape : {known, half, unknown}) {
    for (const Shape& like :
         {Shape{2, 3}, Shape{1, 3}, Shape{3}, Shape{}, Shape{-1, -1}, Shape{-1}}) {
      const Expr b = variable("b", DType::bool_, shape), l = variable("l", DType::float64, like);
      Shape given = like;
      for (std::int64_t& n : given) n = n < 0 ? 3 : n;
      if (given.size() == 2) given[0] = like[0] == 2 ? 2 : 1;
      const Expr y = sum_like(b, l);
      CAPTURE(text(shape));
      CAPTURE(text(like));
      CHECK(y.dtype() == DType::int64);
      const std::vector<Binding> at{{b, value}, {l, Tensor(DType::float64, given)}};
      const Tensor fast = evaluate(y, at);
      CHECK(fast.dtype() == DType::int64);
      CHECK(fast == cinch::running::interpret(std::span(&y, 1), at, false)[0]);
    }
  }
}

TEST_CASE("an axis that does not exist, or comes twice, is refused by what was called") {
  struct Row {
    const char* name;
    Expr (*call)(const Expr&, const Axes&);
  };
  const std::vector<Row> rows{
      {"sum", [](const Expr& x, const Axes& a) { return sum(x, a); }},
      {"mean", [](const Expr& x, const Axes& a) { return mean(x, a); }},
      {"max", [](const Expr& x, const Axes& a) { return max(x, a); }},
      {"min", [](const Expr& x, const Axes& a) { return min(x, a); }},
      {"prod", [](const Expr& x, const Axes& a) { return prod(x, a); }},
      {"var", [](const Expr& x, const Axes& a) { return var(x, a); }},
      {"std_", [](const Expr& x, const Axes& a) { return std_(x, a); }},
      {"norm", [](const Expr& x, const Axes& a) { return norm(x, 2, a); }},
      {"logsumexp", [](const Expr& x, const Axes& a) { return logsumexp(x, a); }},
      {"median", [](const Expr& x, const Axes& a) { return median(x, a); }},
      {"quantile", [](const Expr& x, const Axes& a) { return quantile(x, 0.5, a); }},
      {"flip", [](const Expr& x, const Axes& a) { return flip(x, a); }},
      {"nanmean", [](const Expr& x, const Axes& a) { return nanmean(x, a); }},
  };
  for (const Row& row : rows) {
    for (const std::int64_t rank : {0, 1, 2, 3}) {
      const Expr x = variable("x", DType::float64, Shape(static_cast<std::size_t>(rank), -1));
      for (const Axes& axes : {Axes(rank), Axes(-rank - 1), Axes{0, 0}}) {
        CAPTURE(row.name);
        CAPTURE(rank);
        std::string said;
        try {
          row.call(x, axes);
        } catch (const TypeError& error) {
          said = error.what();
        }
        CAPTURE(said);
        CHECK(said.find(row.name) != std::string::npos);
        CHECK(said.find("axis") != std::string::npos);
      }
    }
  }
}

TEST_CASE("a slice between positions that are no whole numbers is refused as such") {
  const Expr x = dmatrix("x"), half = dscalar("half");
  for (const auto& [start, stop] : std::vector<std::pair<Expr, Expr>>{
           {0.5, 1}, {0, 1.5}, {half, 2}, {0, half}, {lvector("i"), 2}}) {
    CHECK_THROWS_WITH_AS(slice(x, start, stop), doctest::Contains("slice: "), TypeError);
  }
}
