#include "cinch/ops/rules/placed.hpp"

#include <doctest/doctest.h>

#include <random>

#include "cinch/cinch.hpp"
#include "cinch/core/rewrite/rewrite.hpp"
#include "cinch/ops/rules/identities.hpp"
#include "support/samples.hpp"
#include "support/settings.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// Encoders put together at random of layers and of what joins, cuts and pads codes.
class Codes {
 public:
  explicit Codes(unsigned seed) : random_(seed) {}

  int number(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  Tensor tensor(const Shape& shape) { return random_tensor(DType::float64, shape, random_, -1, 1); }

  /// (n, units) -> (n, other units)
  Expr code(const Expr& x, int units, int depth, int* made) {
    if (depth == 0) return layer(x, units, made);
    int a = 0, b = 0;
    switch (number(8)) {
      case 0: {
        const Expr left = code(x, units, depth - 1, &a), right = code(x, units, depth - 1, &b);
        *made = a + b;
        return concatenate({left, right}, 1);
      }
      case 1: {
        const int middle = 1 + number(units - 1);
        const Expr left = code(slice(x, 0, middle, 1), middle, 0, &a),
                   right = code(slice(x, middle, units, 1), units - middle, 0, &b);
        *made = a + b;
        return concatenate({right, left}, 1);
      }
      case 2: {
        const Expr h = code(x, units, depth - 1, &a);
        const int start = number(a);
        *made = 1 + number(a - start);
        return slice(h, start, start + *made, 1);
      }
      case 3: {
        const Expr h = code(x, units, depth - 1, &a);
        *made = (a + 1) / 2;
        return slice(h, 0, a, 1, 2);
      }
      case 4: {
        const Expr h = code(x, units, depth - 1, &a);
        *made = a + 3;
        return pad(h, {{0, 0}, {1, 2}});
      }
      case 5: {
        const Expr h = code(x, units, depth - 1, &a);
        *made = 3;
        Tensor indices(DType::int64, {3});
        for (std::int64_t& i : indices.data<std::int64_t>()) i = number(a);
        return take(h, constant(indices), 1);
      }
      case 6: {
        const Expr h = code(x, units, depth - 1, &a), y = constant(tensor({rows, 2}));
        return layer(concatenate({h, y}, 1), a + 2, made);
      }
      default: {
        const Expr h = code(x, units, depth - 1, &a);
        *made = a;
        return number(2) ? reverse(h, 1) * slice(h, 0, 1, 1) : relu(h) - 0.3 * h;
      }
    }
  }

  static constexpr int rows = 4;
  std::vector<Shared> params;

 private:
  Expr layer(const Expr& x, int units, int* made) {
    *made = 2 + number(3);
    params.emplace_back(tensor({units, *made}), text("W", params.size()));
    const Expr a = dot(x, params.back());
    return number(2) ? tanh(a) : sigmoid(a);
  }

  std::mt19937 random_;
};

Expr penalty(const Expr& J, int kind) {
  switch (kind) {
    case 0:
      return sum(square(J));
    case 1:
      return sum(sqrt(sum(square(J), 2) + 0.1));
    case 2:
      return sum(square(sum(J, 1)));
    case 3:
      return sum(square(batched_dot(J, transpose(J, {0, 2, 1}))));
    default:
      return sum(tanh(J)) + sum(square(slice(J, 0, 1, 1)));
  }
}

}  // namespace

TEST_CASE("Jacobians of codes that are joined, cut and padded: fast as checked, of first order") {
  const auto first = static_cast<unsigned>(number_from("CINCH_RANDOM_SEED", 1)) * 1'000'003;
  const auto programs = static_cast<unsigned>(number_from("CINCH_RANDOM_PROGRAMS", 150));
  for (unsigned seed = first; seed < first + programs; ++seed) {
    CAPTURE(seed);
    Codes codes(seed);
    constexpr int inputs = 5;
    const Shape shape{Codes::rows, inputs};
    const Expr x = seed % 2 ? dmatrix("x") : variable("x", DType::float64, shape);
    int made = 0;
    const Expr h = codes.code(x, inputs, 1 + codes.number(3), &made);
    // A part may be padding alone.
    const Expr J = jacobian(h, x, {.disconnected = Disconnected::zero});
    const Expr cost = penalty(J, codes.number(5)) + sum(square(h));
    std::vector<Expr> by(codes.params.begin(), codes.params.end());
    by.push_back(x);
    std::vector<Expr> results = grad(cost, by, {.disconnected = Disconnected::zero});
    results.push_back(cost);
    results.push_back(J);
    const Tensor at = codes.tensor(shape);
    const std::vector<Tensor> fast = function({x}, results)({at}),
                              checked = function({x}, results, {}, {}, Mode::checked)({at});
    for (std::size_t k = 0; k < results.size(); ++k) {
      CAPTURE(k);
      CHECK(distance(fast[k], checked[k]) < 1e-11);
    }
  }
}

TEST_CASE("Jacobians of codes that are joined and cut have right gradients") {
  for (unsigned seed = 0; seed < 12; ++seed) {
    CAPTURE(seed);
    Codes codes(1000 + seed);
    const Shape shape{Codes::rows, 4};
    const Expr x = variable("x", DType::float64, shape);
    int made = 0;
    const Expr h = tanh(codes.code(x, 4, 2, &made));
    const Expr cost = sum(square(jacobian(h, x)));
    const auto result = check_grad(cost, codes.params, {{x, codes.tensor(shape)}});
    CAPTURE(text(result));
    CHECK(result.ok);
  }
}

TEST_CASE("what is held constant, or differentiated by, inside of a joined code stays so") {
  std::mt19937 random(3);
  const Expr x = dmatrix("x");
  const Shared W(random_tensor(DType::float64, {5, 3}, random, -1, 1), "W"),
      V(random_tensor(DType::float64, {5, 2}, random, -1, 1), "V");
  const Expr a = dot(x, W), left = tanh(a), right = sigmoid(dot(x, V));
  const Expr h = concatenate({left, right}, 1);
  const Tensor at = random_tensor(DType::float64, {4, 5}, random, -1, 1);
  const Expr J = jacobian(h, x, {.consider_constant = {left}}), by_code = jacobian(h, left);
  const Expr second = grad(sum(square(jacobian(h, x))), a);
  const std::vector<Expr> results{J, by_code, second};
  const std::vector<Tensor> fast = function({x}, results)({at}),
                            checked = function({x}, results, {}, {}, Mode::checked)({at});
  for (std::size_t k = 0; k < results.size(); ++k) CHECK(distance(fast[k], checked[k]) < 1e-13);
  for (std::int64_t k = 0; k < 4 * 5; ++k) {
    const std::int64_t n = k / 5, i = k % 5;
    for (std::int64_t unit = 0; unit < 3; ++unit) CHECK(fast[0].at((n * 5 + unit) * 5 + i) == 0);
    CHECK(fast[1].at((n * 5 + i) * 3 + 1) == (i == 1 ? 1 : 0));
  }
}

TEST_CASE("no identity is written down for a code that is joined, cut or padded") {
  constexpr std::int64_t n = 16, d = 48, k = 24;
  const Shared W(RandomState(1).normal(0, .2, {d, k}), "W"),
      V(RandomState(2).normal(0, .2, {d, k}), "V"),
      U(RandomState(3).normal(0, .2, {d + 4, k}), "U");
  const auto memory = [&](const std::function<Expr(const Expr& x)>& code) {
    const Expr x = dmatrix("x"), J = jacobian(code(x), x);
    std::vector<std::int64_t> axes;
    for (std::int64_t axis = 1; axis < J.rank(); ++axis) axes.push_back(axis);
    const Expr cost = mean(sum(square(J), axes));
    const auto g = grad(cost, {W, V, U}, {.disconnected = Disconnected::zero});
    const Function step =
        function({.inputs = {x}, .outputs = {cost}, .updates = sgd({W, V, U}, g, 0.)});
    step({RandomState(4).uniform(0, 1, {n, d})});
    return static_cast<std::int64_t>(step.arena_bytes());
  };
  const std::int64_t jacobian_bytes = n * k * d * 8;
  const auto a = [&](const Expr& x) { return tanh(dot(x, W)); };
  const auto b = [&](const Expr& x) { return sigmoid(dot(x, V)); };
  CHECK(memory(a) < jacobian_bytes / 3);  // What a code that is whole takes.
  CHECK(memory([&](const Expr& x) { return concatenate({a(x), b(x)}, 1); }) < jacobian_bytes / 3);
  CHECK(memory([&](const Expr& x) { return stack({a(x), b(x)}, 1); }) < jacobian_bytes / 3);
  CHECK(memory([&](const Expr& x) { return slice(a(x), 4, 20, 1); }) < jacobian_bytes / 3);
  CHECK(memory([&](const Expr& x) { return slice(a(x), 0, 20, 1, 3); }) < jacobian_bytes / 3);
  CHECK(memory([&](const Expr& x) { return pad(a(x), {{0, 0}, {1, 2}}); }) < jacobian_bytes / 3);
  CHECK(memory([&](const Expr& x) {
          return concatenate({tanh(dot(slice(x, 0, 20, 1), slice(W, 0, 20))),
                              sigmoid(dot(slice(x, 20, d, 1), slice(V, 20, d)))},
                             1);
        }) < jacobian_bytes / 3);
  CHECK(memory([&](const Expr& x) {
          const Expr y = constant(RandomState(5).uniform(0, 1, {n, 4}));
          return tanh(dot(concatenate({x, y}, 1), U));
        }) < jacobian_bytes / 3);
}

TEST_CASE("parts of products with an identity are products with parts, zeros apart") {
  const auto simplified = [](const Expr& e) {
    return rewriting::rewrite(std::vector{e}, {.fold_constants = false})[0];
  };
  const Shared W(RandomState(1).normal(0, 1, {6, 4}), "W");
  const Expr I = eye(6, DType::float64), P = dot(I, W);
  CHECK(rules::stems_from_identity(P));
  CHECK_FALSE(rules::stems_from_identity(W));
  const Expr columns = simplified(narrow(P, 1, 1, 2));
  CHECK(&columns.op() == &dot_op);
  CHECK(columns.inputs()[1].dims()[1] == Dim(2));
  const Expr rows = simplified(narrow(P, 0, 1, 3));
  CHECK(&rows.op() == &dot_op);
  CHECK(rows.inputs()[1].dims()[0] == Dim(3));
  // What stems from no identity is computed whole, as others may need it whole.
  const Expr whole = narrow(dot(W, transpose(W)), 1, 1, 2);
  CHECK(&simplified(whole).op() == &narrow_op);
  // A square of what is joined of ordinary values stays one loop.
  const Expr joined = sum(square(concatenate({W, W}, 0)));
  CHECK(&simplified(joined).op() == &sum_op);
}
