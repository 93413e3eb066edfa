#include "support/composed.hpp"

#include <doctest/doctest.h>

#include "cinch/cinch.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/run/interpret.hpp"
#include "support/samples.hpp"

namespace cinch::testing {

namespace {

/// An op's record for sample(): only its name and where to probe are read.
Op record(const Composed& c) { return Op{.name = c.name}; }

Sample sample_of(const Composed& c, DType real, std::mt19937& random, bool symbolic = false) {
  return sample(record(c), {c.inputs, c.build, c.limits}, real, random, symbolic);
}

Tensor interpreted(const Expr& y, const std::vector<Binding>& bindings) {
  return running::interpret(std::span(&y, 1), bindings, /*watch=*/false)[0];
}

/// The narrowest float dtype that something is computed in; an input that is only read is exact.
DType coarsest(const Expr& y) {
  DType result = y.dtype();
  for (const Expr& node : topological(std::span(&y, 1))) {
    if (!graphs::is_leaf(node) && node.dtype() == DType::float32) result = DType::float32;
  }
  return result;
}

/// A cost with a curvature and a weight of its own for every element of y.
Expr curved_sum(const Expr& y, const Shape& shape) {
  std::mt19937 random(7);
  const Expr weights = constant(random_tensor(DType::float64, shape, random, 0.5, 1.5));
  return sum(weights * (y + 0.3 * square(y)));
}

void check_values(const Composed& c) {
  std::mt19937 random(1);
  int compared = 0;
  for (const DType real : {DType::float64, DType::float32, DType::int64, DType::bool_}) {
    if (c.floats_only && !is_float(real)) continue;
    for (const bool symbolic : {false, true}) {
      Sample s;
      try {
        s = sample_of(c, real, random, symbolic);
      } catch (const TypeError&) {
        if (is_float(real)) throw;
        continue;  // Not every function takes integers or bools.
      }
      CAPTURE(s.label);
      const Tensor plain = interpreted(s.y, s.bindings);
      CHECK(distance(function({.inputs = s.inputs, .outputs = {s.y}, .allow_unused_inputs = true})(
                         s.values)[0],
                     plain) <= rounding(coarsest(s.y)));
      CHECK(plain.dtype() == s.y.dtype());
      ++compared;
    }
  }
  CHECK(compared >= 4);
}

void check_gradients(const Composed& c) {
  std::mt19937 random(2);
  const Sample s = sample_of(c, DType::float64, random);
  std::vector<Expr> wrt;
  for (const Expr& input : s.inputs) {
    if (is_float(input.dtype())) wrt.push_back(input);
  }
  const Shape shape = interpreted(s.y, s.bindings).shape();
  const GradCheck check =
      check_grad(curved_sum(s.y, shape), wrt, s.bindings, {.order = 2, .tolerance = 1e-6});
  CHECK_MESSAGE(check.ok, s.label << "\n" << check.report);
}

void check_vectorize(const Composed& c) {
  std::mt19937 random(3);
  constexpr std::int64_t count = 3;
  for (std::size_t k = 0; k < c.inputs.size(); ++k) {
    if (!is_float(c.inputs[k].dtype)) continue;
    Sample s = sample_of(c, DType::float64, random);
    CAPTURE(s.label);
    Shape shape = s.values[k].shape();
    shape.insert(shape.begin(), count);
    const Expr many = variable("many", DType::float64, shape);
    const Tensor value = random_tensor(DType::float64, shape, random);
    std::vector<Binding> bindings = s.bindings;
    bindings.emplace_back(many, value);
    const Expr y = vectorize(s.y, s.inputs[k], many);
    const Tensor all = evaluate(y, bindings);
    CHECK(distance(all, interpreted(y, bindings)) <= rounding(all.dtype()));
    const Expr stacked = variable("all", type_of(all));
    for (std::int64_t i = 0; i < count; ++i) {
      bindings[k].second = evaluate(at(many, i), {{many, value}});
      CHECK(distance(evaluate(at(stacked, i), {{stacked, all}}), evaluate(s.y, bindings)) < 1e-13);
    }
  }
}

void check_jacobian(const Composed& c) {
  std::mt19937 random(4);
  const Sample s = sample_of(c, DType::float64, random, /*symbolic=*/true);
  CAPTURE(s.label);
  const Expr x = s.inputs[0];
  const Tensor J = evaluate(flatten(jacobian(flatten(s.y, 1), x), 1), s.bindings);
  const Shape shape = evaluate(flatten(s.y, 1), s.bindings).shape();
  const Expr jacobians = variable("J", type_of(J));
  const std::int64_t inputs = shape[1] == 0 ? 0 : J.shape()[1] / shape[1];
  for (std::int64_t k = 0; k < shape[1]; ++k) {
    const Expr row = grad(sum(at(flatten(s.y, 1), k, 1)), x);
    CHECK(distance(evaluate(slice(jacobians, k * inputs, (k + 1) * inputs, 1), {{jacobians, J}}),
                   evaluate(flatten(row, 1), s.bindings)) < 1e-13);
  }
}

}  // namespace

void check_composed(const std::vector<Composed>& functions) {
  for (const Composed& c : functions) {
    CAPTURE(c.name);
    check_values(c);
    check_vectorize(c);
    if (!c.differentiable) continue;
    check_gradients(c);
    if (c.per_example) check_jacobian(c);
  }
}

}  // namespace cinch::testing
