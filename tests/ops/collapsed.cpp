// Diagonals of second derivatives, which are carried through a formula by directions and summed on
// the way: those of the whole Hessian of each example.
#include "cinch/core/derive/collapsed.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"
#include "support/settings.hpp"
#include "support/unit_functions.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

constexpr std::int64_t batch = 3, n = 4;

/// From all elements of each example's Jacobian.
Expr diagonal_of_rows(const Expr& y, const Expr& x) {
  return sum(jacobian(y, x, {.disconnected = Disconnected::zero}) * eye(size(x, 1), y.dtype()), 2);
}

Shared weights(std::mt19937& random, std::int64_t rows, std::int64_t columns) {
  return Shared(random_tensor(DType::float64, {rows, columns}, random, -0.7, 0.7), "W");
}

/// The diagonal, its gradients by `wrt` and by x: all as from rows, in both modes. Whether the
/// diagonal is a collapsed one.
bool check(const Expr& y, const Expr& x, const std::vector<Expr>& wrt, const Tensor& value) {
  const GradOptions linear{.disconnected = Disconnected::zero};
  const Expr collapsed = jacobian_diagonal(y, x, linear), whole = diagonal_of_rows(y, x);
  std::vector<Expr> by = wrt;
  by.push_back(x);
  const auto all = [&](const Expr& d) {
    // Weights, so that no gradient cancels.
    const Expr cost = sum(d * (1.5 + sin(stop_gradient(x) + 2)));
    std::vector<Expr> result{d};
    for (const Expr& g : grad(cost, by, linear)) result.push_back(g);
    return result;
  };
  std::vector<Expr> outputs = all(collapsed);
  for (const Expr& e : all(whole)) outputs.push_back(e);
  for (const Mode mode : {Mode::fast, Mode::checked}) {
    const std::vector<Tensor> v =
        function({.inputs = {x}, .outputs = outputs, .mode = mode})({value});
    for (std::size_t k = 0; k < v.size() / 2; ++k) {
      CAPTURE(k);
      CHECK(distance(v[k], v[k + v.size() / 2]) < 1e-9);
    }
  }
  return deriving::collapsed_diagonal(y, x).has_value();
}

}  // namespace

TEST_CASE("Laplacians of two layers are those of the Hessian, whatever the activation") {
  std::mt19937 random(1);
  const Shared W1 = weights(random, n, 5), W2 = weights(random, 5, 3);
  const Shared b(random_tensor(DType::float64, {5}, random), "b");
  const Tensor value = random_tensor(DType::float64, {batch, n}, random);
  int collapsed = 0, all = 0;
  for (const UnitFunction& e : unit_functions()) {
    CAPTURE(e.name);
    const Expr x = dmatrix("x");
    const auto inside = [&](const Expr& a) {
      return e.domain.low + (e.domain.high - e.domain.low) * (0.2 + 0.6 * sigmoid(a));
    };
    const Expr h = e.f(inside(dot(x, W1) + b));
    if (!is_float(h.dtype())) continue;
    Expr y;
    try {
      y = grad(sum(e.f(inside(dot(h, W2)))), x);
    } catch (const GradError&) {
      continue;  // A step, a comparison.
    }
    ++all;
    collapsed += check(y, x, {W1, W2, b}, value);
  }
  CHECK(all > 50);
  CHECK(collapsed > all * 3 / 4);
}

TEST_CASE("divergences of fields that are derivatives in part are those of their Jacobians") {
  std::mt19937 random(2);
  const Shared W1 = weights(random, n, 5), W2 = weights(random, 5, 5), W3 = weights(random, 5, 2),
               A = weights(random, n, n), K(random_tensor(DType::float64, {2, 1, 3}, random), "K");
  const auto g = [](const Expr& cost, const Expr& x) { return grad(cost, x); };
  struct Row {
    std::string name;
    std::function<Expr(const Expr& x)> field;
    bool collapses = true;
  };
  const Row rows[] = {
      {"deep",
       [&](const Expr& x) { return g(sum(tanh(dot(tanh(dot(tanh(dot(x, W1)), W2)), W3))), x); }},
      {"a square on top",
       [&](const Expr& x) { return g(sum(square(dot(softplus(dot(x, W1)), W3))), x); }},
      {"two heads",
       [&](const Expr& x) {
         const Expr h = tanh(dot(x, W1));
         return g(sum(sin(dot(h, W2))) + sum(exp(dot(h, W3))), x);
       }},
      {"a residual",
       [&](const Expr& x) {
         const Expr h = x + dot(tanh(dot(x, W1)), transpose(W1));
         return g(sum(tanh(dot(h, W1))), x);
       }},
      {"gates",
       [&](const Expr& x) { return g(sum(sigmoid(dot(x, W1)) * tanh(dot(x, W1) + 1)), x); }},
      {"layer norm and softmax",
       [&](const Expr& x) {
         return g(sum(square(softmax(layer_norm(dot(x, W1), {1})) - 0.3)), x);
       }},
      {"cross-entropy",
       [&](const Expr& x) {
         return g(sum(cross_entropy(sigmoid(stop_gradient(x)), sigmoid(dot(tanh(dot(x, A)), A)))),
                  x);
       }},
      {"a convolution",
       [&](const Expr& x) {
         const Expr h = tanh(conv1d(reshape(x, {size(x, 0), 1, n}), K));
         return g(sum(tanh(dot(reshape(h, {size(x, 0), n}), A))), x);
       }},
      {"parts",
       [&](const Expr& x) {
         const Expr h = tanh(dot(x, W1));
         return g(sum(concatenate({sin(slice(h, 0, 2, 1)), exp(slice(h, 1, 5, 1))}, 1)), x);
       }},
      {"a norm", [&](const Expr& x) { return g(sum(sqrt(1 + sum(square(dot(x, W1)), 1))), x); }},
      {"a score with drift",
       [&](const Expr& x) { return dot(x, A) - 0.5 * g(sum(tanh(dot(tanh(dot(x, W1)), W2))), x); }},
      {"turned", [&](const Expr& x) { return dot(g(sum(tanh(dot(tanh(dot(x, W1)), W2))), x), A); }},
      {"scaled by x",
       [&](const Expr& x) { return x * g(sum(tanh(dot(tanh(dot(x, W1)), W2))), x); }},
      {"of a gradient's length",
       [&](const Expr& x) {
         return g(sum(square(g(sum(tanh(dot(tanh(dot(x, W1)), W2))), x))), x);
       }},
      {"a penalty",
       [&](const Expr& x) {
         const Expr h = sigmoid(dot(x, W1));
         return g(sum(jacobian_norm2(h, x)), x);
       }},
      {"a Laplacian",
       [&](const Expr& x) {
         return g(sum(divergence(g(sum(tanh(dot(tanh(dot(x, W1)), W2))), x), x)), x);
       }},
      {"a choice",
       [&](const Expr& x) {
         const Expr h = dot(x, W1);
         return g(sum(tanh(dot(where(h > 0, exp(-h), 1 - h), W2))), x);
       }},
      {"a loop",
       [&](const Expr& x) {
         const Scan s = scan([&](const Expr& h) { return tanh(dot(h, W2) + dot(x, W1)); },
                             {.initial = {dot(x, W1)}, .steps = 3});
         return g(sum(sin(s.outputs[0][-1])), x);
       },
       false},
      {"a rule of one's own",
       [&](const Expr& x) { return g(sum(tanh(dot(grad_scale(tanh(dot(x, W1)), 0.5), W2))), x); },
       false},
      {"relu", [&](const Expr& x) { return g(sum(relu(dot(relu(dot(x, W1)), W2))), x); }, false},
      {"linear", [&](const Expr& x) { return g(sum(dot(x, A)), x) + 0 * x; }, false},
      {"no derivative", [&](const Expr& x) { return tanh(dot(tanh(dot(x, A)), A)); }, false},
  };
  const Tensor value = random_tensor(DType::float64, {batch, n}, random);
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const Expr open = dmatrix("x"), known = variable("x", DType::float64, {batch, n});
    for (const Expr& x : {open, known}) {
      CAPTURE(text(x.type()));
      const bool collapsed = check(row.field(x), x, {W1, W2, W3, A, K}, value);
      CHECK((collapsed || !row.collapses));
    }
    // By what is computed itself.
    const Expr data = dmatrix("data"), x = tanh(2 * data);
    const Expr y = row.field(x);
    const std::vector<Tensor> v =
        function({.inputs = {data},
                  .outputs = {jacobian_diagonal(y, x, {.disconnected = Disconnected::zero}),
                              diagonal_of_rows(y, x)}})({value});
    CHECK(distance(v[0], v[1]) < 1e-9);
  }
}

TEST_CASE("divergences of random fields are those of their Jacobians") {
  std::mt19937 random(static_cast<std::uint32_t>(number_from("CINCH_RANDOM_SEED", 3)));
  const int programs = static_cast<int>(number_from("CINCH_RANDOM_PROGRAMS", 60));
  const std::vector<UnitFunction> functions = unit_functions();
  int collapsed = 0;
  for (int number = 0; number < programs; ++number) {
    CAPTURE(number);
    const Expr x = variable("x", Type{DType::float64, {Dim::unknown(), Dim(n)}});
    std::vector<Expr> values{x}, wrt;
    const auto below = [&](std::size_t count) { return random() % count; };
    const auto any = [&] { return values[below(values.size())]; };
    const auto dense = [&](const Expr& h, std::int64_t columns) {
      wrt.push_back(weights(random, h.dims()[1].size(), columns));
      return dot(h, wrt.back());
    };
    const int steps = 2 + static_cast<int>(below(6));
    std::string made;
    for (int step = 0; step < steps; ++step) {
      const std::size_t kind = below(8);
      made += std::to_string(kind);
      const Expr h = any();
      if (kind < 3) {
        values.push_back(tanh(dense(h, 3)));
      } else if (kind == 3) {
        const UnitFunction& f = functions[below(functions.size())];
        const Expr e =
            f.f(f.domain.low + (f.domain.high - f.domain.low) * (0.2 + 0.6 * sigmoid(dense(h, 3))));
        if (is_float(e.dtype())) values.push_back(e);
        made += " " + f.name;
      } else if (kind == 4) {
        values.push_back(sigmoid(dense(h, 3)) * dense(any(), 3));
      } else if (kind == 5) {
        values.push_back(dense(h, 3) + sin(dense(any(), 3)));
      } else if (kind == 6) {
        values.push_back(softmax(dense(h, 3)));
      } else {
        values.push_back(dense(concatenate({h, cos(any())}, 1), 3) *
                         expand_dims(mean(square(any()), 1), 1));
      }
    }
    CAPTURE(made);
    const Tensor value = random_tensor(DType::float64, {batch, n}, random, -1, 1);
    const Expr cost = sum(values.back()) + sum(square(any()));
    const Expr y = grad(cost, x, {.disconnected = Disconnected::zero}) + 0.1 * x;
    collapsed += check(y, x, wrt, value);
  }
  CHECK(collapsed > programs / 2);
}
