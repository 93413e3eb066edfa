// Gradients, Jacobians and the gradient checker.
#include "cinch/core/grad.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

Tensor random(const Shape& shape, unsigned seed = 1, double low = -1, double high = 1) {
  std::mt19937 generator(seed);
  return random_tensor(DType::float64, shape, generator, low, high);
}

std::string grad_error(const Expr& cost, const Expr& wrt, const GradOptions& options = {}) {
  try {
    grad(cost, wrt, options);
  } catch (const GradError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("gradients of one and of many parameters, each with its parameter's type") {
  const Expr x = dmatrix("x");
  const Shared W(random({3, 2}), "W"), b(random({2}), "b");
  const Shared s(Tensor(2.f), "s");
  const Expr cost = sum(square(dot(x, W) + b)) * s;
  const std::vector<Expr> g = grad(cost, {W, b, x, s});
  REQUIRE(g.size() == 4);
  CHECK(g[0].dims() == W.dims());
  CHECK(g[1].dims() == b.dims());
  CHECK(g[2].dims() == x.dims());
  CHECK(g[3].dtype() == DType::float32);
  CHECK(grad(cost, std::vector<Shared>{W, b}).size() == 2);
  CHECK(check_grad(cost, std::vector<Expr>{W, b, x}, {{x, random({4, 3}, 2)}}));
  const std::vector<Expr> twice = grad(cost, {W, W});
  CHECK(distance(evaluate(twice[0], {{x, random({4, 3})}}),
                 evaluate(twice[1], {{x, random({4, 3})}})) == 0);
  CHECK(evaluate(grad(sum(b), b)) == Tensor::full(DType::float64, {2}, 1));
  const Expr c = dscalar("c");
  CHECK(evaluate(grad(c, c), {{c, 3.0}}).item() == 1);
}

TEST_CASE("second and third derivatives are those of the formulas") {
  const Expr x = dscalar("x");
  struct Row {
    Expr f;
    std::function<double(double)> first, second, third;
  };
  using std::cos, std::exp, std::sin, std::pow;
  const Row rows[] = {
      {x * x * x, [](double v) { return 3 * v * v; }, [](double v) { return 6 * v; },
       [](double) { return 6.; }},
      {cinch::sin(x) * x, [](double v) { return cos(v) * v + sin(v); },
       [](double v) { return 2 * cos(v) - v * sin(v); },
       [](double v) { return -3 * sin(v) - v * cos(v); }},
      {cinch::exp(2 * x), [](double v) { return 2 * exp(2 * v); },
       [](double v) { return 4 * exp(2 * v); }, [](double v) { return 8 * exp(2 * v); }},
      {log(x), [](double v) { return 1 / v; }, [](double v) { return -1 / (v * v); },
       [](double v) { return 2 / (v * v * v); }},
      {1 / x, [](double v) { return -1 / (v * v); }, [](double v) { return 2 / (v * v * v); },
       [](double v) { return -6 / pow(v, 4); }},
      {cinch::pow(x, 2.5), [](double v) { return 2.5 * pow(v, 1.5); },
       [](double v) { return 3.75 * pow(v, .5); }, [](double v) { return 1.875 * pow(v, -.5); }},
      {sigmoid(x),
       [](double v) {
         const double s = 1 / (1 + exp(-v));
         return s * (1 - s);
       },
       [](double v) {
         const double s = 1 / (1 + exp(-v));
         return s * (1 - s) * (1 - 2 * s);
       },
       [](double v) {
         const double s = 1 / (1 + exp(-v));
         return s * (1 - s) * (1 - 6 * s + 6 * s * s);
       }},
  };
  for (const Row& row : rows) {
    const Expr first = grad(row.f, x), second = grad(first, x), third = grad(second, x);
    for (const double v : {0.3, 1.0, 1.7}) {
      CAPTURE(describe(row.f));
      CAPTURE(v);
      CHECK(evaluate(first, {{x, v}}).item() == doctest::Approx(row.first(v)).epsilon(1e-12));
      CHECK(evaluate(second, {{x, v}}).item() == doctest::Approx(row.second(v)).epsilon(1e-12));
      CHECK(evaluate(third, {{x, v}}).item() == doctest::Approx(row.third(v)).epsilon(1e-12));
    }
  }
}

TEST_CASE("nothing flows through consider_constant and stop_gradient") {
  const Expr x = dscalar("x"), h = square(x);
  const Expr cost = h * x;
  CHECK(evaluate(grad(cost, x), {{x, 2.0}}).item() == 12);
  CHECK(evaluate(grad(cost, x, {.consider_constant = {h}}), {{x, 2.0}}).item() == 4);
  CHECK(evaluate(grad(stop_gradient(h) * x, x), {{x, 2.0}}).item() == 4);
  CHECK(has(grad_error(h, x, {.consider_constant = {h}}), "does not depend on x"));
  // Found again after the cost has been rewritten: d/dx of -log(z) with the other z held.
  const Expr z = sigmoid(x), weight = z * 1;
  const double s = 1 / (1 + std::exp(-2.0));
  CHECK(evaluate(grad(-log(z) * weight, x, {.consider_constant = {weight}}), {{x, 2.0}}).item() ==
        doctest::Approx(-(1 - s) * s));
}

TEST_CASE(
    "a parameter that the cost does not reach is an error that names it and what is in the way") {
  const Expr x = dvector("x"), other = dvector("other"), k = lscalar("k");
  struct Row {
    Expr cost;
    std::string cut;
  };
  // A row must stay on its line.
  // clang-format off
  const int before = __LINE__ + 1;
  const Row rows[] = {
      {sum(cast(argmax(x, 0), DType::float64)), "argmax(x, 0)"},
      {sum(cast(x > 0, DType::float64)), "less(0, x)"},
      {sum(floor(x)), "floor(x)"},
      {sum(round(x) + ceil(x)), "round(x)"},
      {sum(sign(x)), "sign(x)"},
      {sum(floor_div(x, 2)), "floor_div(x, 2)"},
      {sum(cast(cast(x, DType::int64), DType::float64)), "cast(x)"},
      {sum(stop_gradient(x)), "stop_gradient(x)"},
      {sum(switch_(x > 0, 1.0, 0.5)), "less(0, x)"},
      {sum(one_hot(argmax(x, 0), 3, DType::float64)), "argmax(x, 0)"},
  };
  // clang-format on
  for (std::size_t r = 0; r < std::size(rows); ++r) {
    const std::string what = grad_error(rows[r].cost, x);
    CAPTURE(what);
    CAPTURE(rows[r].cut);
    CHECK(has(what, "does not depend on x (float64 (?,))"));
    CHECK(has(what, rows[r].cut));
    CHECK(has(what, text("grad.cpp:", before + 1 + static_cast<int>(r))));
  }
  const std::string unrelated = grad_error(sum(x), other);
  CHECK(has(unrelated, "does not depend on other"));
  CHECK_FALSE(has(unrelated, "no gradient"));
  CHECK(has(grad_error(sum(x) + size(other, 0) * 0.5, other), "does not depend on other"));
  CHECK(evaluate(grad(sum(x), other, {.disconnected = Disconnected::zero}),
                 {{x, Tensor::from<double>({1}, {1})},
                  {other, Tensor::from<double>({2}, {1, 2})}}) == Tensor(DType::float64, {2}));
  CHECK_THROWS_WITH_AS(grad(x, x), doctest::Contains("float scalar"), TypeError);
  CHECK_THROWS_WITH_AS(grad(sum(cast(x, DType::int64)), x), doctest::Contains("float scalar"),
                       TypeError);
  CHECK_THROWS_WITH_AS(grad(sum(x) * k, k), doctest::Contains("cannot differentiate by k"),
                       TypeError);
  CHECK_THROWS_AS(grad(sum(x), Expr()), TypeError);
}

TEST_CASE(
    "the gradient by an intermediate expression, alone and together with what it is made of") {
  const Expr x = dvector("x"), h = exp(x), same = exp(x);
  const Tensor v = random({3});
  const Expr cost = sum(square(h) + 3 * h) + sum(x);
  const auto g = grad(cost, {h, x});
  const auto values = function({x}, g)({v});
  for (std::int64_t i = 0; i < 3; ++i) {
    const double e = std::exp(v.at(i));
    CHECK(values[0].at(i) == doctest::Approx(2 * e + 3));
    CHECK(values[1].at(i) == doctest::Approx((2 * e + 3) * e + 1));
    CHECK(evaluate(grad(cost, h), {{x, v}}).at(i) == doctest::Approx(2 * e + 3));
  }
  // Another node with the same formula is another expression, though rewriting could merge them.
  CHECK(distance(evaluate(grad(sum(h * same), h), {{x, v}}), evaluate(same, {{x, v}})) < 1e-15);
  CHECK(evaluate(grad(sum(h), h), {{x, v}}) == Tensor::full(DType::float64, {3}, 1));
  // An intermediate inside a formula that has a stable form.
  const Expr z = sigmoid(x);
  CHECK(evaluate(grad(sum(log(z)), z), {{x, Tensor::from<double>({1}, {0})}}).at(0) ==
        doctest::Approx(2));
}

TEST_CASE("gradients sum over what is repeated, also along axes found to be 1 only at run time") {
  const Expr x = dmatrix("x"), bias = dvector("bias"), row = dmatrix("row"),
             column = dmatrix("column");
  const Expr cost = sum(square(x + bias) * row * column);
  const std::vector<Expr> wrt{x, bias, row, column};
  for (const auto& [rows, columns] : std::vector<std::pair<Shape, Shape>>{
           {{1, 3}, {4, 1}}, {{4, 3}, {4, 3}}, {{1, 1}, {1, 1}}, {{4, 1}, {1, 3}}}) {
    for (const Shape& b : {Shape{3}, Shape{1}}) {
      const GradCheck check = check_grad(cost, wrt,
                                         {{x, random({4, 3}, 1)},
                                          {bias, random(b, 2)},
                                          {row, random(rows, 3)},
                                          {column, random(columns, 4)}},
                                         {.order = 2});
      CHECK_MESSAGE(check.ok, check.report);
    }
  }
  const auto g = function({x, bias}, {grad(sum(x + bias), bias)})({random({5, 3}), random({3})})[0];
  CHECK(g == Tensor::full(DType::float64, {3}, 5));
}

TEST_CASE("Lop is the product of a vector with the Jacobian") {
  const Expr x = dmatrix("x"), v = dmatrix("v");
  const Shared W(random({3, 2}), "W");
  const Expr y = tanh(dot(x, W));
  const Tensor at = random({4, 3}, 5), by = random({4, 2}, 6);
  CHECK(distance(evaluate(Lop(y, W, v), {{x, at}, {v, by}}),
                 evaluate(grad(sum(y * v), W), {{x, at}, {v, by}})) < 1e-14);
  CHECK_THROWS_AS(Lop(argmax(y, 1), W, v), TypeError);
}

namespace {

/// d y / d x by central differences, for y (batch, ...) and x (batch, ...): the full per-example
/// Jacobian.
Tensor numeric_jacobian(const Expr& y, const Expr& x, const Tensor& value) {
  const Function f = function({x}, {y});
  const Tensor y0 = f({value})[0];
  const std::int64_t batch = value.shape()[0], in = value.size() / batch, out = y0.size() / batch;
  Shape shape = y0.shape();
  shape.insert(shape.end(), value.shape().begin() + 1, value.shape().end());
  Tensor result(DType::float64, shape);
  for (std::int64_t n = 0; n < batch; ++n) {
    for (std::int64_t j = 0; j < in; ++j) {
      const double h = 1e-5;
      Tensor up = value, down = value;
      up.data<double>()[static_cast<std::size_t>(n * in + j)] += h;
      down.data<double>()[static_cast<std::size_t>(n * in + j)] -= h;
      const Tensor a = f({up})[0], b = f({down})[0];
      for (std::int64_t i = 0; i < out; ++i) {
        result.data<double>()[static_cast<std::size_t>((n * out + i) * in + j)] =
            (a.at(n * out + i) - b.at(n * out + i)) / (2 * h);
      }
    }
  }
  return result;
}

}  // namespace

TEST_CASE(
    "jacobian agrees with finite differences for any rank and through any op that keeps examples "
    "apart") {
  const Shared W(random({3, 2}), "W"), V(random({4, 2}, 7), "V"), u(random({2, 3}, 8), "u");
  for (const bool symbolic : {true, false}) {
    const auto make = [&](const Shape& shape) {
      return variable("x", DType::float64, symbolic ? Shape(shape.size(), -1) : shape);
    };
    const Expr x = make({5, 3}), c = make({5, 2, 3}), v = make({5});
    struct Row {
      Expr y, x;
      Shape shape;
    };
    const Row rows[] = {
        {sigmoid(dot(x, W) + 1), x, {5, 3}},
        {x, x, {5, 3}},
        {square(x), x, {5, 3}},
        {sum(square(x), 1), x, {5, 3}},
        {max(x, 1, true), x, {5, 3}},
        {softmax(x), x, {5, 3}},
        {log_softmax(dot(x, W)), x, {5, 3}},
        {transpose(dot(transpose(W), transpose(x))), x, {5, 3}},
        {dot(tanh(dot(x, W)), transpose(V)), x, {5, 3}},
        {expand_dims(x, 1) * expand_dims(x, 2), x, {5, 3}},
        {concatenate({x, exp(x)}, 1), x, {5, 3}},
        {slice(x, 1, 3, 1) * slice(x, 0, 1, 1), x, {5, 3}},
        {take(x, constant(Tensor::from<std::int64_t>({4}, {2, 0, 0, 1})), 1), x, {5, 3}},
        {reshape(c, std::vector<Expr>{size(c, 0), constant(Tensor(6))}), c, {5, 2, 3}},
        {sin(c), c, {5, 2, 3}},
        {sum(c * u, 1), c, {5, 2, 3}},
        {mean(exp(c), {1, 2}), c, {5, 2, 3}},
        {batched_dot(c, transpose(c, {0, 2, 1})), c, {5, 2, 3}},
        {dimshuffle(c, {0, 2, 1}), c, {5, 2, 3}},
        {exp(v), v, {5}},
        {expand_dims(v, 1) * at(u, 0), v, {5}},
    };
    for (const Row& row : rows) {
      const Tensor value = random(row.shape, 9);
      CAPTURE(describe(row.y));
      CAPTURE(symbolic);
      const Expr j = jacobian(row.y, row.x);
      CHECK(j.rank() == row.y.rank() + row.x.rank() - 1);
      const Tensor got = evaluate(j, {{row.x, value}}),
                   expected = numeric_jacobian(row.y, row.x, value);
      CHECK(got.shape() == expected.shape());
      CHECK(distance(got, expected) < 1e-8);
    }
  }
}

TEST_CASE("jacobian goes through a product that takes all leading axes at once") {
  const Expr x = tensor3("x", DType::float64);
  const Shared W(random({3, 2}), "W");
  const Expr y = tanh(dot(x, W));
  const Tensor value = random({5, 2, 3}, 9);
  CHECK(distance(evaluate(jacobian(y, x), {{x, value}}), numeric_jacobian(y, x, value)) < 1e-8);
}

TEST_CASE("jacobian of a sigmoid layer is its closed form, and has a gradient") {
  const Expr x = dmatrix("x");
  const Shared W(random({6, 4}), "W"), b(random({4}, 2), "b");
  const Expr h = sigmoid(dot(x, W) + b), j = jacobian(h, x);
  const Expr closed = expand_dims(h * (1 - h), 2) * expand_dims(transpose(W), 0);
  const Tensor value = random({3, 6}, 3);
  CHECK(distance(evaluate(j, {{x, value}}), evaluate(closed, {{x, value}})) < 1e-15);
  const GradCheck check =
      check_grad(sum(square(j)), std::vector<Expr>{W, b, x}, {{x, value}}, {.order = 2});
  CHECK_MESSAGE(check.ok, check.report);
}

TEST_CASE("where one example depends on another, jacobian names the op and its line") {
  const Expr x = dmatrix("x");
  const Shared W(random({5, 3}), "W"), V(random({4, 5}), "V");
  struct Row {
    Expr y;
    std::string op;
  };
  // A row must stay on its line.
  // clang-format off
  const int before = __LINE__ + 1;
  const Row rows[] = {
      {x - mean(x, 0), "sum(x, 0)"},
      {x / max(x, 0, true), "max(x, 0)"},
      {dot(V, x), "dot(V, x)"},
      {dot(x, transpose(x)), "dot("},
      {softmax(x, 0), "softmax(x, 0)"},
      {reverse(x), "narrow(x"},
      {expand_dims(x, 0) - expand_dims(x, 1), "sub("},
      {concatenate({x, x}, 0), "concatenate("},
      {take(x, constant(Tensor::from<std::int64_t>({1}, {0}))), "take(x"},
  };
  // clang-format on
  for (std::size_t r = 0; r < std::size(rows); ++r) {
    CAPTURE(rows[r].op);
    std::string what = "nothing was thrown";
    try {
      jacobian(rows[r].y, x);
    } catch (const GradError& error) {
      what = error.what();
    }
    CAPTURE(what);
    CHECK(has(what, "examples mix in " + rows[r].op));
    CHECK(has(what, text("grad.cpp:", before + 1 + static_cast<int>(r))));
  }
  CHECK_THROWS_WITH_AS(jacobian(transpose(x), x), doctest::Contains("first axis"), GradError);
  CHECK_THROWS_AS(jacobian(sum(x), x), Error);
  CHECK_THROWS_AS(jacobian(x * 1, dmatrix("unrelated")), GradError);
}

TEST_CASE(
    "a Jacobian that is constant has the derivative 0, and nothing else that is constant has") {
  const Shared W(random({3, 2}), "W");
  for (const bool symbolic : {false, true}) {
    const Expr x = variable("x", DType::float64, symbolic ? Shape{-1, -1} : Shape{4, 3});
    const Tensor value = random({4, 3}, 5);
    for (const Expr& h : {dot(x, W), relu(dot(x, W)), x, max(x, 1, true), abs(x)}) {
      CAPTURE(describe(h));
      const Expr J = jacobian(h, x), H = jacobian(J, x), sum_of_squares = sum(square(J), {1, 2});
      const Tensor zeros = evaluate(H, {{x, value}});
      CHECK(zeros == Tensor(DType::float64, zeros.shape()));
      CHECK(zeros.shape() == Shape{4, evaluate(h, {{x, value}}).shape()[1], 3, 3});
      CHECK(evaluate(jacobian(sum_of_squares, x), {{x, value}}) == Tensor(DType::float64, {4, 3}));
      CHECK(evaluate(jacobian_full(J, x), {{x, value}}).size() == zeros.size() * 4);
      // So it is of a cost made of it, beside others or not, in every kind of derivative.
      const Tensor none(DType::float64, {4, 3});
      const Expr cost = sum(sum_of_squares) + sum(square(W));
      for (const Expr& zero :
           {grad(cost, x), grad(sum(J), x), Lop(J, x, ones_like(J)), grad(mean(tanh(J)), x),
            hessian_vector(cost, x, ones_like(x)), Rop(cost, x, x) + zeros_like(x)}) {
        CHECK(evaluate(zero, {{x, value}}) == none);
      }
      CHECK_THROWS_WITH_AS(grad(sum(square(W)), x), doctest::Contains("does not depend on"),
                           GradError);
      CHECK_THROWS_AS(grad(sum(stop_gradient(J)), x), GradError);
      CHECK_THROWS_AS(grad(sum(J) + sum(sign(x)), x), GradError);
      CHECK_THROWS_AS(grad(sum(J), dmatrix("unrelated")), GradError);
      // What is cut on purpose is not constant.
      CHECK_THROWS_WITH_AS(jacobian(stop_gradient(J), x), doctest::Contains("does not depend on"),
                           GradError);
      CHECK_THROWS_AS(jacobian(sum(J, 2) + sign(sum(x, 1, true)), x), GradError);
      CHECK_THROWS_AS(jacobian(J, dmatrix("unrelated")), GradError);
      CHECK_NOTHROW(jacobian(stop_gradient(J), x, {.disconnected = Disconnected::zero}));
    }
    CHECK_THROWS_AS(jacobian(sign(x), x), GradError);
    CHECK_THROWS_AS(jacobian(ones_like(x), x), GradError);
    CHECK(evaluate(hessian_diagonal(sum(2 * x), x), {{x, value}}) ==
          Tensor(DType::float64, {4, 3}));
  }
}

TEST_CASE("vectorize needs the many only, not the one they stand for") {
  const Expr x = dvector("x"), many = dmatrix("many");
  const Tensor value = Tensor::from<double>({2, 2}, {1, 2, 3, 5});
  CHECK(evaluate(vectorize(sum(square(x)), x, many), {{many, value}}) ==
        Tensor::from<double>({2}, {5, 34}));
  CHECK(evaluate(vectorize(mean(x), x, many), {{many, value}}) ==
        Tensor::from<double>({2}, {1.5, 4}));
  CHECK(evaluate(vectorize(ones_like(x), x, many), {{many, value}}).shape() == Shape{2, 2});
}

TEST_CASE("a gradient by an intermediate expression sees it where a rule would look through it") {
  const Expr x = dmatrix("x");
  const Tensor value = random({2, 3});
  const Expr p = softmax(x), e = exp(x), s = narrow(x, 1, 0, 2);
  struct Row {
    Expr cost, wrt, expected;
  };
  const Row rows[] = {
      {sum(log(p)), p, 1 / p},
      {sum(log(sum(e, 1))), e, 1 / sum(e, 1, true) + 0 * e},
      {sum(log(sum(e, 1))) + sum(e), e, 1 + 1 / sum(e, 1, true) + 0 * e},
      {sum(narrow(s, 1, 0, 1)), s,
       concatenate({ones_like(narrow(s, 1, 0, 1)), zeros_like(narrow(s, 1, 1, 1))}, 1)},
  };
  for (const Row& row : rows) {
    CAPTURE(describe(row.cost));
    CHECK(distance(evaluate(grad(row.cost, row.wrt), {{x, value}}),
                   evaluate(row.expected, {{x, value}})) < 1e-14);
  }
}
