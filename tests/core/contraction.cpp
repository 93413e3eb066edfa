#include "cinch/core/contract/contraction.hpp"

#include <doctest/doctest.h>

#include <functional>

#include "cinch/cinch.hpp"
#include "cinch/core/rewrite/rewrite.hpp"
#include "cinch/core/run/interpret.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

struct Case {
  std::string name;
  std::vector<Shape> shapes;
  std::function<Expr(Args)> build;
  std::size_t arena_limit;  ///< Bytes of temporaries, its gradients included.
};

Expr activation_of(int layer, const Expr& a) {
  return layer == 0 ? tanh(a) : layer == 1 ? softplus(a) : sigmoid(a);
}

/// ||d h3 / d x||^2 summed, of an encoder of three layers.
Expr deep_penalty(Args x) {
  Expr h = x[0];
  for (int layer = 0; layer < 3; ++layer)
    h = activation_of(layer, dot(h, x[static_cast<std::size_t>(layer) + 1]));
  return sum(square(jacobian(h, x[0])));
}

Expr literal_penalty(Args x) {
  const Expr h = sigmoid(dot(x[0], x[1]));
  const Expr J = reshape(h * (1 - h), {size(h, 0), 1, size(h, 1)}) *
                 reshape(x[1], {1, size(x[1], 0), size(x[1], 1)});
  return sum(square(J)) / size(x[0], 0);
}

/// Gradients of each example's own loss by W, as a (batch, inputs, outputs) array, squared and
/// summed.
Expr per_example_gradients(Args x) {
  const Expr delta = x[2] - sigmoid(dot(x[0], x[1]));
  return sum(square(expand_dims(x[0], 2) * expand_dims(delta, 1)));
}

const std::vector<Case>& cases() {
  constexpr std::size_t kib = 1024;
  static const std::vector<Case> all{
      {"the tutorial's literal Jacobian", {{20, 300}, {300, 100}}, literal_penalty, 1000 * kib},
      {"jacobian(h, x) of one layer",
       {{20, 300}, {300, 100}},
       [](Args x) { return sum(square(jacobian(sigmoid(dot(x[0], x[1])), x[0]))); },
       1000 * kib},
      {"jacobian(h, x) of three layers",
       {{12, 200}, {200, 24}, {24, 16}, {16, 8}},
       deep_penalty,
       1200 * kib},
      {"per-example gradients", {{30, 200}, {200, 50}, {30, 50}}, per_example_gradients, 400 * kib},
      {"trace of a product",
       {{150, 200}, {200, 150}},
       [](Args x) { return sum(dot(x[0], x[1]) * eye(150, DType::float64)); },
       1000 * kib},
      {"squared distances between all pairs",
       {{150, 40}, {120, 40}},
       [](Args x) {
         const Expr d = sum(square(expand_dims(x[0], 1) - expand_dims(x[1], 0)), 2);
         return sum(exp(-d));
       },
       700 * kib},  // The differences are 5.8 MB, the distances 144 kB.
      {"powers are repeated factors",
       {{20, 300}, {300, 100}},
       [](Args x) { return sum(pow(expand_dims(x[0], 2), 3) * pow(expand_dims(x[1], 0), 2)); },
       1000 * kib},
      {"trace of a product of three",
       {{150, 200}, {200, 120}, {120, 150}},
       [](Args x) { return trace(dot(dot(x[0], x[1]), x[2])); },
       1200 * kib},
      {"Mahalanobis distances as a diagonal",
       {{300, 20}, {20, 20}},
       [](Args x) { return sum(square(diag(dot(dot(x[0], x[1]), transpose(x[0]))))); },
       400 * kib},
      {"traces of many products",
       {{10, 60, 70}, {10, 70, 60}},
       [](Args x) { return sum(square(trace(batched_dot(x[0], x[1]), 0, 1, 2))); },
       1000 * kib},
      {"a diagonal matrix in a product",
       {{300, 40}, {40}, {40, 300}},
       [](Args x) { return trace(dot(dot(x[0], diag(x[1])), x[2])); },
       400 * kib},
      {"a trace with an offset and of a square",
       {{20, 30}, {30, 20}},
       [](Args x) {
         const Expr p = dot(x[0], x[1]);
         return trace(p, 1) + square(trace(p)) + trace(dot(p, p));
       },
       100 * kib},
      {"a chain of products",
       {{60, 60}, {60, 60}, {60, 60}, {60, 1}},
       [](Args x) { return sum(square(dot(dot(dot(x[0], x[1]), x[2]), x[3]))); },
       200 * kib},
      {"a weighted norm of outer products",
       {{40, 50}, {40, 60}, {50, 60}},
       [](Args x) {
         return sum(expand_dims(x[0], 2) * expand_dims(x[1], 1) * expand_dims(x[2], 0));
       },
       200 * kib},
      {"a sum over an index that no factor has",
       {{5, 4}},
       [](Args x) {
         return sum(broadcast_to(expand_dims(x[0], 0), {constant(Tensor(std::int64_t{7})),
                                                        constant(Tensor(std::int64_t{5})),
                                                        constant(Tensor(std::int64_t{4}))}) *
                    2);
       },
       8 * kib},
  };
  return all;
}

}  // namespace

TEST_CASE("contractions and their gradients have the values of the formulas as written") {
  for (const Case& c : cases()) {
    CAPTURE(c.name);
    std::mt19937 random(1);
    std::vector<Expr> x, outputs;
    std::vector<Binding> bindings;
    std::vector<Tensor> values;
    for (std::size_t k = 0; k < c.shapes.size(); ++k) {
      x.push_back(variable("x" + std::to_string(k), DType::float64, Shape(c.shapes[k].size(), -1)));
      values.push_back(random_tensor(DType::float64, c.shapes[k], random, -0.3, 0.3));
      bindings.emplace_back(x.back(), values.back());
    }
    const Expr cost = c.build(x);
    outputs = grad(cost, x);
    outputs.push_back(cost);
    const Function f = function({.inputs = x, .outputs = outputs});
    const std::vector<Tensor> fast = f(values),
                              plain = cinch::running::interpret(outputs, bindings, /*watch=*/false);
    for (std::size_t k = 0; k < outputs.size(); ++k) CHECK(distance(fast[k], plain[k]) < 1e-11);
    CHECK(f.arena_bytes() < c.arena_limit);
  }
}

TEST_CASE("what gains nothing stays as it is written") {
  const Expr a = variable("a", DType::float64, {30, 40}),
             b = variable("b", DType::float64, {40, 50}), v = variable("v", DType::float64, {40});
  for (const Expr& e :
       {dot(a, b), sum(a), sum(a * v, 1), dot(a, transpose(a)), sum(square(a), 0)}) {
    CAPTURE(describe(e));
    std::vector<ContractionReport> reports;
    const auto same = cinch::contraction::contract(std::span(&e, 1), &reports);
    CHECK(same[0] == e);
    CHECK(reports.empty());
  }
}

TEST_CASE("a sum over an index without values is 0") {
  const Expr a = variable("a", DType::float64, {1, 1}), b = variable("b", DType::float64, {-1, 3});
  const Expr none = broadcast_to(a, {size(b, 0), constant(Tensor(std::int64_t{3}))});
  const Expr turned = reshape(none * sum(b), {size(b, 1), size(b, 0)});
  const Function f = function({.inputs = {a, b}, .outputs = {sum(turned, 1)}});
  const Tensor empty(DType::float64, {0, 3});
  CHECK(f({Tensor::full(DType::float64, {1, 1}, 2), empty})[0] == Tensor(DType::float64, {3}));
}

TEST_CASE("traces and diagonals of products are computed without the products") {
  constexpr std::int64_t n = 400;
  const Expr a = variable("a", DType::float64, {n, n}), b = variable("b", DType::float64, {n, n}),
             v = variable("v", DType::float64, {n});
  for (const Expr& e :
       {trace(dot(a, b)), sum(diagonal(dot(a, transpose(b)))), sum(dot(a, b) * eye(n, a.dtype())),
        diag(dot(a, b)), dot(a, diag(v)), trace(dot(dot(a, diag(v)), b)), trace(dot(a, a) * b),
        grad(trace(dot(a, b)), a), grad(sum(square(diag(dot(a, b)))), b)}) {
    CAPTURE(describe(e, 8));
    std::vector<ContractionReport> reports;
    const auto better =
        cinch::contraction::contract(cinch::rewriting::rewrite(std::span(&e, 1)), &reports);
    REQUIRE(!reports.empty());
    // As written each is a product of two matrices, but sum(p * eye).
    for (const Expr& node : topological(better)) CHECK(&node.op() != &dot_op);
    Work work;
    for (const ContractionReport& r : reports) work += r.chosen;
    CHECK(work.flops <= 6 * n * n);
  }
}

TEST_CASE("a diagonal that is summed with the rest of its matrix is read alone") {
  const Expr a = variable("a", DType::float64, {300, 300});
  const Expr e = sum(a * eye(300, DType::float64));
  const auto better = cinch::contraction::contract(std::span(&e, 1));
  for (const Expr& node : topological(better)) CHECK((node == a || node.rank() < 2));
  // What would not gain: a diagonal is a view already.
  for (const Expr& plain : {trace(a), diag(a), sum(diag(a, 1)), sum(square(diag(a)))}) {
    std::vector<ContractionReport> reports;
    CHECK(cinch::contraction::contract(std::span(&plain, 1), &reports)[0] == plain);
    CHECK(reports.empty());
  }
}

TEST_CASE("the order of a chain follows its sizes") {
  const Expr a = variable("a", DType::float64, {200, 200}),
             b = variable("b", DType::float64, {200, 200}),
             v = variable("v", DType::float64, {200, 1});
  const Expr e = dot(dot(a, b), v);
  std::vector<ContractionReport> reports;
  const auto better = cinch::contraction::contract(std::span(&e, 1), &reports);
  REQUIRE(reports.size() == 1);
  CHECK(reports[0].chosen.nanoseconds < reports[0].written.nanoseconds / 5);
  for (const Expr& node : topological(better)) {
    if (&node.op() == &dot_op) CHECK(node.dims() != a.dims());  // Each product is with a vector.
  }
}

TEST_CASE(
    "a deep contractive penalty costs what its Gram form costs, and much less than the Jacobian") {
  // (batch, 784) - 64 - 32 - 16 and batch 128: the Jacobian alone is 12.8 MB.
  std::vector<Expr> x{
      variable("x", DType::float64, {128, 784}), variable("W1", DType::float64, {784, 64}),
      variable("W2", DType::float64, {64, 32}), variable("W3", DType::float64, {32, 16})};
  const Expr cost = deep_penalty(x);
  const Function f =
      function({.inputs = x, .outputs = grad(cost, std::vector<Expr>(x.begin() + 1, x.end()))});
  std::mt19937 random(2);
  std::vector<Tensor> values;
  for (const Expr& e : x)
    values.push_back(random_tensor(DType::float64, e.type().shape(), random, -0.2, 0.2));
  f(values);
  CHECK(f.arena_bytes() < 12'000'000);
}
