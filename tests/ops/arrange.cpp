// Elements moved, repeated, split and padded, against what NumPy gives.
#include "cinch/ops/arrange.hpp"

#include <doctest/doctest.h>

#include <limits>

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
Tensor numbered(const Shape& shape) {
  Tensor result(DType::int64, shape);
  for (std::int64_t k = 0; k < result.size(); ++k)
    result.data<std::int64_t>()[static_cast<std::size_t>(k)] = k;
  return result;
}
doctest::Contains says(const char* text) { return doctest::Contains(text); }

const Type v{DType::float64, {5}}, m{DType::float64, {4, 3}}, cube{DType::float64, {2, 4, 3}},
    i{DType::int64, {}};

std::vector<PadMode> pad_modes() {
  return {PadMode::constant, PadMode::edge, PadMode::reflect, PadMode::symmetric, PadMode::wrap};
}

}  // namespace

TEST_CASE("moving, repeating, splitting and padding hold in every way that ops do") {
  std::vector<Composed> all{
      {"swapaxes", {cube}, [](Args x) { return swapaxes(x[0], -1, 1); }, {}, true},
      {"moveaxis", {cube}, [](Args x) { return moveaxis(x[0], 1, -1); }, {}, true},
      {"flip", {cube}, [](Args x) { return flip(x[0]); }},
      {"flip of examples",
       {cube},
       [](Args x) {
         return flip(x[0], {-1, 1});
       },
       {},
       true},
      {"roll", {cube}, [](Args x) { return roll(x[0], 3, 1); }, {}, true},
      {"roll by an input", {m, i}, [](Args x) { return roll(x[0], x[1] - 7, 0); }, {0, 15}},
      {"a sum with what is rolled", {m}, [](Args x) { return x[0] * roll(x[0], -1, 1); }, {}, true},
      {"tile",
       {m},
       [](Args x) {
         return tile(x[0], {2, 3});
       }},
      {"tile of examples",
       {cube},
       [](Args x) {
         return tile(x[0], {2, 1});
       },
       {},
       true},
      {"tile in more axes",
       {v, i},
       [](Args x) {
         return tile(x[0], {x[1], 1, 2});
       },
       {0, 4}},
      {"repeat", {cube}, [](Args x) { return repeat(x[0], 3, 1); }, {}, true},
      {"repeat by an input", {m, i}, [](Args x) { return repeat(x[0], x[1], -1); }, {0, 4}, true},
      {"split", {cube}, [](Args x) { return split(x[0], 2, 1)[1]; }, {}, true},
      {"split and put together", {cube}, [](Args x) { return concatenate(split(x[0], 3, 2), 0); }},
      {"split in sizes",
       {cube},
       [](Args x) {
         return split_sizes(x[0], {1, 0, 3}, 1)[2];
       },
       {},
       true},
      {"stack",
       {m, m},
       [](Args x) {
         return stack({x[0], x[1] * 2}, 1);
       }},
  };
  for (const PadMode mode : pad_modes()) {
    all.push_back({"pad",
                   {cube},
                   [mode](Args x) {
                     return pad(x[0], {0, {3, 1}, 2}, mode, 0.5);
                   },
                   {},
                   true});
    all.push_back({"pad all", {m}, [mode](Args x) { return pad(x[0], {{5, 6}}, mode); }});
  }
  all.push_back({"pad with an input", {m, Type{DType::float64, {}}}, [](Args x) {
                   return pad(x[0], {{0, 2}, {1, 0}}, PadMode::constant, x[1]);
                 }});
  check_composed(all);
}

TEST_CASE("elements move as NumPy moves them") {
  const Expr x = lmatrix("x"), k = lscalar("k");
  const Tensor value = numbered({2, 3});
  struct Row {
    Expr y;
    Tensor expected;
  };
  for (const Row& r :
       {Row{flip(x), ints({2, 3}, {5, 4, 3, 2, 1, 0})},
        Row{flip(x, 1), ints({2, 3}, {2, 1, 0, 5, 4, 3})},
        Row{roll(x, 1, 1), ints({2, 3}, {2, 0, 1, 5, 3, 4})},
        Row{roll(x, -4, 1), ints({2, 3}, {1, 2, 0, 4, 5, 3})},
        Row{roll(x, k, 0), ints({2, 3}, {3, 4, 5, 0, 1, 2})}, Row{roll(x, 0, 0), value},
        Row{swapaxes(x, 0, 1), ints({3, 2}, {0, 3, 1, 4, 2, 5})},
        Row{tile(x, {2}), ints({2, 6}, {0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5})},
        Row{tile(x, {2, 1}), ints({4, 3}, {0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5})},
        Row{tile(x, {k, 1, 1}),
            ints({3, 2, 3}, {0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5})},
        Row{repeat(x, 2, 0), ints({4, 3}, {0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5})},
        Row{repeat(x, 2, 1), ints({2, 6}, {0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5})},
        Row{split(x, 3, 1)[1], ints({2, 1}, {1, 4})}, Row{split(x, 2)[1], ints({1, 3}, {3, 4, 5})},
        Row{split_sizes(x, {1, 2}, 1)[1], ints({2, 2}, {1, 2, 4, 5})}}) {
    CAPTURE(describe(r.y));
    CHECK(function({.inputs = {x, k}, .outputs = {r.y}, .allow_unused_inputs = true})(
              {value, Tensor(std::int64_t{3})})[0] == r.expected);
  }
  const Expr large = variable("c", DType::int64, {2, 3, 4, 5});
  CHECK(moveaxis(large, {0, 1}, {-1, -2}).dims() == Dims{4, 5, 3, 2});
  CHECK(moveaxis(large, 2, 0).dims() == Dims{4, 2, 3, 5});
  CHECK(unstack(large, 1).size() == 3);
  CHECK(evaluate(unstack(large, 1)[2], {{large, numbered({2, 3, 4, 5})}}) ==
        evaluate(at(large, 2, 1), {{large, numbered({2, 3, 4, 5})}}));
  CHECK(evaluate(roll(x, 1, 0), {{x, numbered({0, 3})}}) == numbered({0, 3}));
}

TEST_CASE("padding continues as its mode says, also beyond the size of the axis") {
  const Expr x = lvector("x");
  struct Row {
    PadMode mode;
    std::int64_t n;
    Ints expected;
  };
  // By numpy.pad(arange(n), (4, 5), mode).
  for (const Row& r : {Row{PadMode::constant, 3, {9, 9, 9, 9, 0, 1, 2, 9, 9, 9, 9, 9}},
                       Row{PadMode::edge, 3, {0, 0, 0, 0, 0, 1, 2, 2, 2, 2, 2, 2}},
                       Row{PadMode::reflect, 3, {0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1}},
                       Row{PadMode::symmetric, 3, {2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1}},
                       Row{PadMode::wrap, 3, {2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1}},
                       Row{PadMode::reflect, 1, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
                       Row{PadMode::symmetric, 1, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
                       Row{PadMode::reflect, 2, {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0}}}) {
    CAPTURE(static_cast<int>(r.mode));
    const Tensor expected = ints({r.n + 9}, r.expected), value = numbered({r.n});
    CHECK(evaluate(pad(x, {{4, 5}}, r.mode, 9), {{x, value}}) == expected);
    const Expr known = variable("k", DType::int64, {r.n});
    CHECK(evaluate(pad(known, {{4, 5}}, r.mode, 9), {{known, value}}) == expected);
    CHECK(pad(known, {{4, 5}}, r.mode, 9).dims() == Dims{r.n + 9});
  }
  CHECK_THROWS_WITH_AS(evaluate(pad(x, {1}, PadMode::edge), {{x, numbered({0})}}),
                       says("out of range for an axis of size 0"), ValueError);
  CHECK(evaluate(pad(x, {1}), {{x, numbered({0})}}) == ints({2}, {0, 0}));
}

TEST_CASE("mistakes in moving, splitting and padding are explained") {
  const Expr x = variable("x", DType::float64, {6, 4}), u = dmatrix("u");
  CHECK_THROWS_WITH_AS(swapaxes(x, 0, 2), says("swapaxes"), TypeError);
  CHECK_THROWS_WITH_AS(moveaxis(x, {0, 0}, {0, 1}), says("an axis or a place comes twice"),
                       TypeError);
  CHECK_THROWS_WITH_AS(moveaxis(x, {0}, {0, 1}), says("1 axes cannot go to 2 places"), TypeError);
  CHECK_THROWS_WITH_AS(roll(x, 0.5, 0),
                       says("roll: takes a number or an int64 scalar, got float64"), TypeError);
  CHECK_THROWS_WITH_AS(tile(x, {-1}), says("tile: a count cannot be negative"), ValueError);
  CHECK_THROWS_WITH_AS(
      split(x, 4), says("axis 0 of size 6 does not make 4 equal parts: split_sizes()"), TypeError);
  CHECK_THROWS_WITH_AS(split(x, 0), says("cannot make 0 parts"), TypeError);
  CHECK_THROWS_WITH_AS(split_sizes(x, {2, 3}), says("has size 6, the parts make up 5"), TypeError);
  CHECK_THROWS_WITH_AS(split_sizes(x, {7, -1}), says("negative size"), ValueError);
  CHECK_THROWS_WITH_AS(unstack(u), says("must be known when the expression is built"), TypeError);
  CHECK_THROWS_WITH_AS(pad(x, {1, 1, 1}), says("one for each of the 2 axes, got 3"), TypeError);
  CHECK_THROWS_WITH_AS(pad(x, {{-1, 0}}), says("a width cannot be negative"), ValueError);
  CHECK_THROWS_WITH_AS(pad(x, {1}, PadMode::constant, x), says("must be a scalar"), TypeError);
  CHECK_THROWS_WITH_AS(pad(x, {{-1, 0}}), says("arrange.cpp:"), ValueError);
  const std::vector<Binding> given{{u, Tensor(DType::float64, {5, 2})}};
  for (const Expr& y : {split(u, 2)[0], split_sizes(u, {2, 2})[0]}) {
    CHECK_THROWS_WITH_AS(evaluate(y, given), says("reshape"), Error);
    CHECK_THROWS_WITH_AS(evaluate(y, given), says("arrange.cpp:"), Error);
  }
}

TEST_CASE(
    "-1 in a reshape is right where other sizes are 0, and refused where it could be anything") {
  const auto says = [](const char* what) { return doctest::Contains(what); };
  // Sizes of the operand, known or not, beside -1.
  for (const Shape& shape : {Shape{0, 3}, Shape{2, 3}, Shape{0, 0}, Shape{4, 0}}) {
    for (const bool known : {false, true}) {
      const Expr u = variable("u", DType::float64, known ? shape : Shape{-1, -1});
      const std::vector<Binding> at{{u, Tensor(DType::float64, shape)}};
      CAPTURE(text(shape));
      CAPTURE(known);
      CHECK(evaluate(reshape(u, {size(u, 0), -1}), at).shape() == shape);
      CHECK(evaluate(reshape(u, {-1, size(u, 1)}), at).shape() == shape);
      CHECK(evaluate(reshape(u, {size(u, 1), -1}), at).shape() == Shape{shape[1], shape[0]});
      CHECK(evaluate(reshape(u, {size(u, 0), 1, -1, 1}), at).shape() ==
            Shape{shape[0], 1, shape[1], 1});
      CHECK_THROWS_WITH_AS(reshape(u, {0, -1}), says("-1 could be any size beside a size of 0"),
                           TypeError);
      CHECK_THROWS_WITH_AS(reshape(u, Shape{-1, 0}), says("arrange.cpp"), TypeError);
      if (shape[0] * shape[1] == 0) CHECK(evaluate(reshape(u, {-1, 7}), at).shape() == Shape{0, 7});
    }
  }
  const Expr u = dmatrix("u"), k = lscalar("k");
  CHECK_THROWS_AS(evaluate(reshape(u, {k, -1}),
                           {{u, Tensor(DType::float64, {0, 3})}, {k, Tensor(std::int64_t{0})}}),
                  Error);
  CHECK(evaluate(reshape(u, {k, -1}),
                 {{u, Tensor(DType::float64, {2, 3})}, {k, Tensor(std::int64_t{3})}})
            .shape() == Shape{3, 2});
}

TEST_CASE("counts and lengths beyond all sizes are errors that take no memory") {
  const auto says = [](const char* what) { return doctest::Contains(what); };
  const Expr u = dmatrix("u"), k = lscalar("k"), n = lscalar("n"),
             s = variable("s", DType::float64, {7, 3});
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  for (const std::int64_t parts : {most, std::int64_t{1} << 40, std::int64_t{2'000'000}}) {
    CHECK_THROWS_WITH_AS(split(u, parts), says("split: cannot make"), TypeError);
    CHECK_THROWS_WITH_AS(split(s, parts), says("split: cannot make"), TypeError);
  }
  CHECK_THROWS_WITH_AS(split_sizes(u, {most, most}), says("larger than any axis"), TypeError);
  const Tensor value(DType::float64, {7, 3});
  for (const std::int64_t length :
       {std::int64_t{8}, std::int64_t{1} << 40, std::int64_t{1} << 60, most}) {
    CHECK_THROWS_WITH_AS(narrow(s, 0, 0, length), says("narrow"), ValueError);
    for (const std::int64_t step : {std::int64_t{1}, std::int64_t{-1}, std::int64_t{5}, most}) {
      const Expr y = narrow(u, 0, k, n, step);
      const std::vector<Binding> at{{u, value}, {k, Tensor(std::int64_t{0})}, {n, Tensor(length)}};
      CAPTURE(length);
      CAPTURE(step);
      CHECK_THROWS_WITH_AS(evaluate(y, at), says("axis of size 7"), Error);
      CHECK_THROWS_WITH_AS(cinch::running::interpret(std::span(&y, 1), at, false),
                           says("axis of size 7"), Error);
    }
  }
}
