// Building expressions: dtypes, broadcasting, identity, and errors that name the user's line.
#include "cinch/core/expr.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>

#include "cinch/cinch.hpp"
#include "cinch/core/rewrite/rewrite.hpp"

using namespace cinch;

namespace {

constexpr DType all_dtypes[] = {DType::bool_, DType::int64, DType::float32, DType::float64};

std::string message(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

std::string here(int line) { return "expr.cpp:" + std::to_string(line); }

Dims unknown(std::size_t rank) {
  Dims dims;
  for (std::size_t k = 0; k < rank; ++k) dims.push_back(Dim::unknown());
  return dims;
}

}  // namespace

TEST_CASE("operands meet at the later of bool, int64, float32, float64") {
  for (const DType a : all_dtypes) {
    for (const DType b : all_dtypes) {
      const Expr x = scalar("x", a), y = scalar("y", b);
      const DType meet = std::max(a, b);
      CAPTURE(name(a));
      CAPTURE(name(b));
      CHECK(promote(a, b) == meet);
      const DType number = std::max(meet, DType::int64),
                  real = is_float(meet) ? meet : DType::float64;
      CHECK((x + y).dtype() == number);
      CHECK((x * y).dtype() == number);
      CHECK(maximum(x, y).dtype() == number);
      CHECK(floor_div(x, y).dtype() == number);
      CHECK((x / y).dtype() == real);
      CHECK(pow(x, y).dtype() == real);
      CHECK((x < y).dtype() == DType::bool_);
      CHECK(equal(x, y).dtype() == DType::bool_);
      CHECK(switch_(x < y, x, y).dtype() == meet);
    }
  }
}

TEST_CASE("a literal takes the dtype of what it meets, on either side, and never loses its kind") {
  const Expr b = scalar("b", DType::bool_), i = lscalar("i"), f = fscalar("f"), d = dscalar("d");
  struct Row {
    Expr expr;
    DType dtype;
  };
  const Row rows[] = {
      {f + 1, DType::float32},
      {f + 1.0, DType::float32},
      {f * 1.f, DType::float32},
      {1 - f, DType::float32},
      {0.5 * f, DType::float32},
      {d * 1.f, DType::float64},
      {i + 1, DType::int64},
      {1 - i, DType::int64},
      {i + 0.5, DType::float64},
      {0.5f * i, DType::float64},
      {i / 2, DType::float64},
      {2 / i, DType::float64},
      {b + 1, DType::int64},
      {b * 0.5, DType::float64},
      {exp(i), DType::float64},
      {exp(f), DType::float32},
      {exp(b), DType::float64},
      {f + true, DType::float32},
      {maximum(f, 0), DType::float32},
      {pow(f, 2), DType::float32},
      {clip(f, 0, 1.0), DType::float32},
      {f * (1 / Arg(3)), DType::float32},
      {f + (Arg(1) + 2.5), DType::float32},
      {switch_(f > 0, f, 0.0), DType::float32},
      {switch_(f > 0, 1, 0) * f, DType::float32},
  };
  for (std::size_t k = 0; k < std::size(rows); ++k) {
    CAPTURE(k);
    CAPTURE(describe(rows[k].expr));
    CHECK(rows[k].expr.dtype() == rows[k].dtype);
  }
  CHECK(evaluate(Arg(7) / 2).item() == 3.5);
  CHECK(evaluate(i / 2, {{i, 7}}).item() == 3.5);
}

TEST_CASE("a choice between two literals stays a literal: it takes the dtype of what it meets") {
  const Expr x = fvector("x");
  CHECK((switch_(x > 0, 1.0, -1.0) * x).dtype() == DType::float32);
}

TEST_CASE("variables are float32 unless their names say otherwise, as in Theano") {
  CHECK(scalar("x").type().dtype == DType::float32);
  CHECK(text(matrix("x").type()) == "float32 (?, ?)");
  CHECK(text(tensor3("x").type()) == "float32 (?, ?, ?)");
  CHECK(text(dmatrix("x").type()) == "float64 (?, ?)");
  CHECK(text(ivector("x").type()) == "int64 (?,)");
  CHECK(text(bmatrix("x").type()) == "bool (?, ?)");
  CHECK(text(variable("x", DType::float64, {3, -1}).type()) == "float64 (3, ?)");
}

TEST_CASE("known sizes broadcast when an expression is built") {
  struct Row {
    Shape a, b;
    std::string result;  // Empty: an error.
  };
  const Row rows[] = {
      {{}, {}, "()"},
      {{3}, {}, "(3,)"},
      {{3, 4}, {4}, "(3, 4)"},
      {{3, 1}, {1, 4}, "(3, 4)"},
      {{2, 1, 4}, {3, 1}, "(2, 3, 4)"},
      {{0}, {1}, "(0,)"},
      {{3, -1}, {4}, "(3, 4)"},
      {{-1}, {1}, "(?,)"},
      {{-1, 3}, {-1, 1}, "(?, 3)"},
      {{3, 4}, {3}, ""},
      {{2}, {3}, ""},
      {{0}, {2}, ""},
      {{-1, 2}, {-1, 3}, ""},
  };
  for (const Row& row : rows) {
    const Expr a = variable("a", DType::float64, row.a), b = variable("b", DType::float64, row.b);
    CAPTURE(text(a.type()));
    CAPTURE(text(b.type()));
    if (row.result.empty()) {
      CHECK_THROWS_AS(a + b, TypeError);
      CHECK_THROWS_AS(b + a, TypeError);
    } else {
      CHECK(text((a + b).dims()) == row.result);
      CHECK(text((b + a).dims()) == row.result);
    }
  }
}

TEST_CASE("equal symbols stay one size, different ones become a new one") {
  const Expr x = dvector("x"), y = dvector("y");
  CHECK((x + x).dims() == x.dims());
  CHECK((x * 2 + exp(x)).dims() == x.dims());
  CHECK_FALSE((x + y).dims() == x.dims());
  CHECK(broadcast(unknown(1), {}).size() == 1);
  CHECK(size(variable("z", DType::float64, {-1, 5}), -1).dtype() == DType::int64);
  CHECK(constant_value(size(variable("z", DType::float64, {-1, 5}), -1))->item() == 5);
  CHECK_THROWS_AS(size(x, 1), TypeError);
}

TEST_CASE("== between expressions asks for the same node") {
  const Expr x = dscalar("x"), same = x;
  CHECK(x == same);
  CHECK_FALSE(x == dscalar("x"));
  CHECK_FALSE(x + 1 == x + 1);
  CHECK(equal(x, x).dtype() == DType::bool_);
  CHECK_FALSE(Expr().has_value());
  CHECK(x.has_value());
  const Shared w(Tensor(1.0), "w"), copy = w;
  CHECK(w == copy);
}

// `if (x < y)` would be a question that a formula cannot answer; it must not compile.
static_assert(!std::is_constructible_v<bool, Expr>);

TEST_CASE("&&, || and ! of comparisons are formulas") {
  const Expr x = dscalar("x");
  const auto of = [&](const Expr& e) {
    std::string result;
    for (const double value : {0.0, 0.5, 1.0})
      result += evaluate(cast(e, DType::int64), {{x, Tensor(value)}}).item() != 0 ? '1' : '0';
    return result;
  };
  CHECK(of(x < 0.1 || x > 0.9) == "101");
  CHECK(of(x > 0.1 && x < 0.9) == "010");
  CHECK(of(!(x < 0.1)) == "011");
  CHECK(of(!(x < 0.1) && true) == "011");
}

TEST_CASE("a type error names the op, both operands with their types, and the line") {
  const Expr x = variable("x", DType::float64, {20, 784});
  const Shared W(Tensor(DType::float64, {500, 784}), "W");
  struct Row {
    std::function<void()> build;
    int line;
    std::vector<std::string> parts;
  };
  // A row must stay on its line.
  // clang-format off
  const Row rows[] = {
{[&] { x + W; }, __LINE__, {"add", "float64 (20, 784)  x", "float64 (500, 784)  W"}},
      {[&] { square(x) * W; }, __LINE__, {"mul", "square(x)", "(500, 784)  W"}},
      {[&] { dot(square(x), W); }, __LINE__, {"dot", "columns", "square(x)", "(500, 784)  W"}},
      {[&] { (void)(W < x); }, __LINE__, {"less", "(500, 784)  W"}},
      {[&] { x / W; }, __LINE__, {"div", "(500, 784)  W"}},
      {[&] { maximum(x, W); }, __LINE__, {"maximum", "(500, 784)  W"}},
      {[&] { logical_and(x, W); }, __LINE__, {"logical_and", "bool", "x > 0"}},
      {[&] { switch_(x, 1, 0); }, __LINE__, {"switch", "bool", "x > 0"}},
      {[&] { reshape(x, Shape{3, 3}); }, __LINE__, {"reshape", "elements", "(20, 784)  x"}},
      {[&] { dimshuffle(x, {0, 0}); }, __LINE__, {"dimshuffle", "axis 0", "(20, 784)  x"}},
      {[&] { dimshuffle(x, {0}); }, __LINE__, {"dimshuffle", "784", "(20, 784)  x"}},
      {[&] { concatenate({x, W, sum(x)}, 0); }, __LINE__, {"concatenate", "(500, 784)  W"}},
      {[&] { sum(x, 2); }, __LINE__, {"sum", "axis 2", "(20, 784)  x"}},
      {[&] { mean(x, {0, -2}); }, __LINE__, {"mean", "axis 0", "twice", "x"}},
      {[&] { take(x, W); }, __LINE__, {"take", "int64", "(500, 784)  W"}},
      {[&] { broadcast_like(x, W); }, __LINE__, {"broadcast_to", "(20, 784)  x"}},
      {[&] { sum_like(x, W); }, __LINE__, {"sum_like", "(500, 784)  W"}},
      {[&] { batched_dot(x, W); }, __LINE__, {"batched_dot", "three axes"}},
      {[&] { x + Expr(); }, __LINE__, {"add", "empty"}},
      {[&] { argmax(x, 3); }, __LINE__, {"argmax", "axis 3", "(20, 784)  x"}},
      {[&] { softmax(x, 2); }, __LINE__, {"softmax", "axis 2", "(20, 784)  x"}},
      {[&] { slice(x, 0, 3, 2); }, __LINE__, {"slice", "axis 2", "(20, 784)  x"}},
      {[&] { at(x, 0, 2); }, __LINE__, {"at", "axis 2", "(20, 784)  x"}},
      {[&] { transpose(x, {0, 2}); }, __LINE__, {"transpose", "axis 2", "(20, 784)  x"}},
  };
  // clang-format on
  for (const Row& row : rows) {
    const std::string what = message(row.build);
    CAPTURE(what);
    for (const std::string& part : row.parts) {
      CAPTURE(part);
      CHECK(what.find(part) != std::string::npos);
    }
    CAPTURE(row.line);
    CHECK(what.find(here(row.line)) != std::string::npos);
  }
}

TEST_CASE("sizes that do not meet are errors, not memory errors") {
  const Expr x = constant(Tensor::full(DType::float64, {2, 3}, 1));
  const Expr two = constant(Tensor::from<std::int64_t>({2}, {0, 1}));
  CHECK_THROWS_AS(evaluate(embed(x, constant(Tensor(DType::float64, {2, 2})), 0, 0)), TypeError);
  CHECK_THROWS_AS(evaluate(scatter_add(x, two, constant(Tensor(DType::float64, {5, 2})))),
                  TypeError);
  CHECK_THROWS_AS(
      evaluate(scatter_add(slice(x, 0, 1), two, constant(Tensor(DType::float64, {5, 3})))),
      TypeError);
}

TEST_CASE("the nodes of a gradient and of a rewritten graph name the user's lines") {
  const Expr x = dmatrix("x");
  const Shared W(Tensor::full(DType::float64, {3, 2}, 0.5), "W");
  const int first = __LINE__ + 1;
  const Expr h = sigmoid(dot(x, W) + 1);
  const Expr loss = sum(log(1 - h) + square(h) / 3);
  const Expr cost = mean(max(loss * h, 0)) + sum(softmax(h));
  const int last = __LINE__ - 1;
  const std::vector<Expr> gradients = grad(cost, {W, x, h});
  const int grad_line = __LINE__ - 1;
  std::vector<Expr> roots = cinch::rewriting::rewrite(gradients);
  roots.insert(roots.end(), gradients.begin(), gradients.end());
  for (const Expr& node : topological(roots)) {
    if (node.inputs().empty()) continue;
    const Source where = node->where;
    CAPTURE(where.text());
    CAPTURE(describe(node));
    CHECK(std::string(where.file).ends_with("tests/core/expr.cpp"));
    CHECK(((where.line >= first && where.line <= last) || where.line == grad_line));
  }
}

TEST_CASE("an error in a gradient at run time names the line of the formula") {
  const Expr x = dmatrix("x"), i = lvector("i");
  const Expr cost = sum(square(take(x, i)));
  const int line = __LINE__ - 1;
  for (const Mode mode : {Mode::fast, Mode::checked}) {
    const Function f = function({x, i}, {grad(cost, x)}, {}, {}, mode);
    const std::string what = message([&] {
      f({Tensor(DType::float64, {3, 2}), Tensor::from<std::int64_t>({2}, {1, 7})});
    });
    CAPTURE(what);
    CHECK(what.find(here(line)) != std::string::npos);
    CHECK(what.find("index 7 is out of range") != std::string::npos);
  }
}

TEST_CASE("graph_text and graph_dot print shared nodes once") {
  const Expr x = dvector("x"), y = exp(x), z = y * y;
  const std::string shown = graph_text(std::span(&z, 1)), dot_text = graph_dot(std::span(&z, 1));
  CHECK(shown.find("(above)") != std::string::npos);
  CHECK(std::ranges::count(shown, '\n') == 4);
  CHECK(dot_text.find("n1 -> n2") != std::string::npos);
}
