// Formulas in messages.
#include "cinch/audit/search/formula.hpp"

#include <doctest/doctest.h>

#include "cinch/cinch.hpp"

using namespace cinch;

TEST_CASE("formulas read as they were written") {
  const Expr x = dmatrix("x"), y = dmatrix("y"), b = dvector("b"), n = lscalar("n");
  const Expr known = variable("known", DType::float64, {4, 8});
  struct Row {
    Expr e;
    const char* expected;
  };
  const Row rows[] = {
      {x + y * x, "x + y * x"},
      {(x + y) * x, "(x + y) * x"},
      {x - (y - x), "x - (y - x)"},
      {x - y - x, "x - y - x"},
      {x / (y * x), "x / (y * x)"},
      {-(x + y), "-(x + y)"},
      {x + b, "x + b"},
      {sigmoid(dot(x, y) + b), "sigmoid(dot(x, y) + b)"},
      {mean(square(x)), "mean(square(x))"},
      {mean(sum(square(x - y), 1)), "mean(sum(square(x - y), 1))"},
      {mean(x, {0}), "mean(x, 0)"},
      {mean(known), "mean(known)"},
      {mean(known, {1}), "mean(known, 1)"},
      {sum(known) / 8, "sum(known) / 8"},
      {sum(square(x)) / size(x, 0), "sum(square(x)) / size(x, 0)"},
      {dot(x, transpose(y)), "dot(x, transpose(y))"},
      {floor_div(x, n), "floor_div(x, n)"},
  };
  for (const Row& row : rows) CHECK(cinch::searching::formula_text(row.e) == row.expected);
}

TEST_CASE("formulas that are too long are cut in depth, not in the middle") {
  const Expr x = dmatrix("x");
  Expr deep = x;
  for (int k = 0; k < 40; ++k) deep = tanh(deep * 2);
  const std::string text = cinch::searching::formula_text(deep, 40);
  CHECK(text.size() <= 40);
  CHECK(text.find("...") != std::string::npos);
  CHECK(text.starts_with("tanh("));
  CHECK(std::ranges::count(text, '(') == std::ranges::count(text, ')'));
}
