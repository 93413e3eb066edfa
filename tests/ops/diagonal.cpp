// Diagonals and triangles against plain loops.
#include "cinch/ops/diagonal.hpp"

#include <doctest/doctest.h>

#include "cinch/cinch.hpp"
#include "cinch/core/op.hpp"
#include "support/composed.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

const Type matrix45{DType::float64, {4, 5}}, cube{DType::float64, {3, 4, 4}};

/// 10 i + j at row i and column j.
Tensor numbered(std::int64_t rows, std::int64_t columns) {
  Tensor result(DType::int64, {rows, columns});
  for (std::int64_t k = 0; k < result.size(); ++k)
    result.data<std::int64_t>()[static_cast<std::size_t>(k)] = 10 * (k / columns) + k % columns;
  return result;
}

}  // namespace

TEST_CASE("functions of diagonals and triangles hold in every way that ops do") {
  check_composed({
      {"trace", {cube}, [](Args x) { return trace(x[0], 0, 1, 2); }, {}, true},
      {"diagonal", {cube}, [](Args x) { return diagonal(x[0], -1, 2, 1); }, {}, true},
      {"diagonal first", {cube}, [](Args x) { return diagonal(x[0], 0, 0, 1); }},
      {"diag of a matrix", {matrix45}, [](Args x) { return diag(x[0], 1); }},
      {"diag of a vector", {Type{DType::float64, {3}}}, [](Args x) { return diag(x[0], -2); }},
      {"a covariance's scale",
       {Type{DType::float64, {3}}, Type{DType::float64, {3, 3}}},
       [](Args x) { return dot(dot(diag(x[0]), x[1]), diag(x[0])); }},
      {"embed_diagonal",
       {Type{DType::float64, {3, 4}}},
       [](Args x) {
         return embed_diagonal(x[0], expand_dims(x[0], 2) * expand_dims(x[0], 1), 0, 1, 2);
       },
       {},
       true},
      {"tril", {cube}, [](Args x) { return tril(x[0]); }, {}, true},
      {"triu", {matrix45}, [](Args x) { return triu(x[0], 1); }},
      {"fill_diagonal",
       {cube, Type{DType::float64, {4}}},
       [](Args x) { return fill_diagonal(x[0], x[1]); },
       {},
       true},
      {"empty", {Type{DType::float64, {0, 3}}}, [](Args x) { return trace(x[0]); }},
      {"tril of nothing", {Type{DType::float64, {0, 3}}}, [](Args x) { return tril(x[0]); }},
      {"one element", {Type{DType::float64, {1, 1}}}, [](Args x) { return diag(diag(x[0])); }},
  });
}

TEST_CASE("diagonals and triangles are those of plain loops, for every offset") {
  for (const auto& sizes : {std::pair{4, 4}, {3, 5}, {5, 3}, {1, 4}}) {
    const int rows = sizes.first, columns = sizes.second;
    const Tensor value = numbered(rows, columns);
    const Expr x = lmatrix("x");
    for (std::int64_t k = -6; k <= 6; ++k) {
      CAPTURE(rows);
      CAPTURE(columns);
      CAPTURE(k);
      std::vector<std::int64_t> d, lower, upper;
      for (std::int64_t i = 0; i < rows; ++i) {
        for (std::int64_t j = 0; j < columns; ++j) {
          if (j - i == k) d.push_back(10 * i + j);
          lower.push_back(j - i <= k ? 10 * i + j : 0);
          upper.push_back(j - i >= k ? 10 * i + j : 0);
        }
      }
      const auto length = static_cast<std::int64_t>(d.size());
      const Tensor expected =
          Tensor::from<std::int64_t>({length}, std::span<const std::int64_t>(d));
      CHECK(evaluate(diagonal(x, k), {{x, value}}) == expected);
      CHECK(evaluate(diag(transpose(x), -k), {{x, value}}) == expected);
      CHECK(evaluate(diagonal(reverse(reverse(x)), k), {{x, value}}) == expected);
      const std::span<const std::int64_t> low(lower), high(upper);
      CHECK(evaluate(tril(x, k), {{x, value}}) == Tensor::from<std::int64_t>({rows, columns}, low));
      CHECK(evaluate(triu(x, k), {{x, value}}) ==
            Tensor::from<std::int64_t>({rows, columns}, high));
      // A vector's matrix has it on that diagonal, and nothing else.
      const Expr v = lvector("v"), square = diag(v, k);
      CHECK(evaluate(diag(square, k), {{v, expected}}) == expected);
      CHECK(evaluate(sum(square), {{v, expected}}) == evaluate(sum(v), {{v, expected}}));
      CHECK(evaluate(square, {{v, expected}}).shape() == Shape(2, length + std::abs(k)));
    }
  }
}

TEST_CASE("a diagonal is filled with a number or a vector, in rectangles too") {
  const Expr x = dmatrix("x"), v = dvector("v");
  const Tensor tall = Tensor::full(DType::float64, {3, 2}, 1);
  CHECK(evaluate(fill_diagonal(x, 7), {{x, tall}}) ==
        Tensor::from<double>({3, 2}, {7, 1, 1, 7, 1, 1}));
  CHECK(evaluate(fill_diagonal(x, v), {{x, tall}, {v, Tensor::from<double>({2}, {5, 6})}}) ==
        Tensor::from<double>({3, 2}, {5, 1, 1, 6, 1, 1}));
}

TEST_CASE("infinities off a diagonal do not reach it") {
  const double inf = std::numeric_limits<double>::infinity();
  const Expr x = dmatrix("x"), v = dvector("v");
  CHECK(evaluate(trace(x), {{x, Tensor::from<double>({2, 2}, {1, inf, inf, 2})}}).item() == 3);
  CHECK(evaluate(tril(x), {{x, Tensor::from<double>({2, 2}, {1, inf, 3, 2})}}) ==
        Tensor::from<double>({2, 2}, {1, 0, 3, 2}));
  CHECK(evaluate(diag(v), {{v, Tensor::from<double>({2}, {inf, 1})}}) ==
        Tensor::from<double>({2, 2}, {inf, 0, 0, 1}));
}

TEST_CASE(
    "sizes of diagonals are known where their matrices' are, and symbols where these are equal") {
  const Expr known = variable("x", DType::float64, {4, 5}), v = variable("v", DType::float64, {3});
  CHECK(diagonal(known, 2).dims() == Dims{3});
  CHECK(diagonal(known, -9).dims() == Dims{0});
  CHECK(diag(v, -2).dims() == Dims{5, 5});
  const Expr w = dvector("w");
  CHECK(diag(diag(w)).dims() == w.dims());
  CHECK(evaluate(size(diagonal(dmatrix("m") + known, 1), 0), {}).item() == 4);
}

TEST_CASE("mistakes with diagonals are explained") {
  const Expr x = dmatrix("x"), v = dvector("v"), cube3 = tensor3("c");
  const auto says = [](const char* text) { return doctest::Contains(text); };
  CHECK_THROWS_WITH_AS(diagonal(x, 0, 1, -1), says("diagonal: the two axes are both axis 1"),
                       TypeError);
  CHECK_THROWS_WITH_AS(trace(v), says("trace"), TypeError);
  CHECK_THROWS_WITH_AS(diagonal(x, 0, 0, 2), says("axis 2"), TypeError);
  CHECK_THROWS_WITH_AS(diag(cube3), says("diag: takes a vector or a matrix"), TypeError);
  CHECK_THROWS_WITH_AS(tril(v), says("tril: needs two axes or more"), TypeError);
  CHECK_THROWS_WITH_AS(fill_diagonal(v, v), says("fill_diagonal: needs two axes or more"),
                       TypeError);
  const Expr small = variable("s", DType::float64, {3}), m = variable("m", DType::float64, {4, 4});
  CHECK_THROWS_WITH_AS(embed_diagonal(small, m),
                       says("the diagonals of the second operand have sizes (4,)"), TypeError);
  CHECK_THROWS_WITH_AS(embed_diagonal(m, m),
                       says("the diagonals of the second operand have 1 axes"), TypeError);
}

TEST_CASE("the diagonal of a sum with what turns out to be a column or a row") {
  const Expr x = dmatrix("x"), c = variable("c", DType::float64, {3}),
             like = variable("like", DType::float64, {3, 3});
  const Expr v = x - embed_diagonal(c, like, 0, 0, 1), g = grad(sum(sin(v)), c);
  for (const Shape& shape : {Shape{3, 1}, Shape{1, 3}, Shape{1, 1}, Shape{3, 3}}) {
    const Tensor at = RandomState(1).normal(0, 1, shape, DType::float64),
                 ones = Tensor::full(DType::float64, {3}, 1),
                 square = Tensor::full(DType::float64, {3, 3}, 1);
    const auto run = [&](Mode mode) {
      return function({.inputs = {x, c, like}, .outputs = {g}, .mode = mode})(
          {at, ones, square})[0];
    };
    const Tensor fast = run(Mode::fast), checked = run(Mode::checked);
    for (int k = 0; k < 3; ++k) CHECK(fast.at(k) == doctest::Approx(checked.at(k)).epsilon(1e-13));
  }
}
