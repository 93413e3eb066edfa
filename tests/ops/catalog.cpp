// What holds for every op, tested from the catalog: a new op is covered by being in it.
#include "cinch/ops/catalog.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "cinch/cinch.hpp"
#include "cinch/core/rewrite/rewrite.hpp"
#include "cinch/core/run/interpret.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

Tensor run(const Sample& s, Mode mode) {
  // Not through a checked function, which would stop at 0 / 0.
  if (mode == Mode::checked)
    return cinch::running::interpret(std::span(&s.y, 1), s.bindings, /*watch=*/false)[0];
  return function({.inputs = s.inputs, .outputs = {s.y}, .allow_unused_inputs = true})(s.values)[0];
}

template <class F>
void for_each_example(F&& f) {
  for (const Op* op : all_ops()) {
    for (const Example& example : examples_of(*op)) f(*op, example);
  }
}

}  // namespace

TEST_CASE("every op has a name of its own, a reference and examples") {
  std::vector<std::string_view> names;
  for (const Op* op : all_ops()) {
    CAPTURE(op->name);
    CHECK((op->type != nullptr && op->reference != nullptr));
    // A scan is taken apart when a plan is made.
    CHECK((op->runs.index() > 0 || op->expand || op->shape_only || op == &scan_op));
    CHECK(std::ranges::find(names, op->name) == names.end());
    if (op != &size_op) CHECK_FALSE(examples_of(*op).empty());
    names.push_back(op->name);
  }
}

TEST_CASE("every op: fast and checked agree, in every dtype, with sizes known and unknown") {
  std::mt19937 random(1);
  int count = 0;
  for_each_example([&](const Op& op, const Example& example) {
    for (const DType real : {DType::float64, DType::float32, DType::int64, DType::bool_}) {
      for (const bool symbolic : {false, true}) {
        Sample s;
        try {
          s = sample(op, example, real, random, symbolic);
        } catch (const TypeError&) {
          if (is_float(real)) throw;
          continue;  // Not every op takes integers or bools.
        }
        CAPTURE(s.label);
        const Tensor fast = run(s, Mode::fast), checked = run(s, Mode::checked);
        CHECK(distance(fast, checked) <= rounding(checked.dtype()));
        CHECK(fast.dtype() == s.y.dtype());
        ++count;
      }
    }
  });
  CHECK(count > 1000);
}

TEST_CASE("every op: gradients of the rewritten function are those of the function as written") {
  std::mt19937 random(3);
  for_each_example([&](const Op& op, const Example& example) {
    if (!op.grad) return;
    Sample s = sample(op, example, DType::float64, random, /*symbolic=*/true);
    if (!is_float(s.y.dtype())) return;
    const Expr cost = sum(square(s.y));
    for (std::size_t k = 0; k < s.inputs.size(); ++k) {
      if (!is_float(s.inputs[k].dtype()) || !op.reads(k)) continue;
      Sample g = s;
      g.y = grad(cost, s.inputs[k]);
      CAPTURE(g.label);
      CHECK(distance(run(g, Mode::fast), run(g, Mode::checked)) < 1e-11);
    }
  });
}

TEST_CASE("every op: for many inputs at once it gives what it gives for each") {
  std::mt19937 random(4);
  for_each_example([&](const Op& op, const Example& example) {
    if (!op.elementwise() && !op.batch) return;
    const Sample s = sample(op, example, DType::float64, random);
    const Tensor one = run(s, Mode::checked);
    if (one.size() > 500) return;
    for (std::size_t k = 0; k < s.inputs.size(); ++k) {
      if (s.inputs[k].dtype() != DType::float64 || !op.reads(k)) continue;
      constexpr std::int64_t count = 3;
      Shape many_shape = s.values[k].shape();
      many_shape.insert(many_shape.begin(), count);
      const Tensor many_value =
          random_tensor(DType::float64, many_shape, random, op.probe.low, op.probe.high);
      const Expr many = variable("many", DType::float64, many_shape);
      std::vector<Binding> bindings = s.bindings;
      bindings.emplace_back(many, many_value);
      CAPTURE(s.label);
      const Tensor all = evaluate(vectorize(s.y, s.inputs[k], many), bindings);
      REQUIRE(all.rank() == one.rank() + 1);
      const Expr stacked = variable("all", type_of(all));
      for (std::int64_t i = 0; i < count; ++i) {
        bindings[k].second = evaluate(at(many, i), {{many, many_value}});
        CHECK(distance(evaluate(at(stacked, i), {{stacked, all}}), evaluate(s.y, bindings)) <
              1e-13);
      }
    }
  });
}

TEST_CASE("every elementwise op of floats: special values give the same in both modes") {
  const double inf = std::numeric_limits<double>::infinity(),
               nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor special =
      Tensor::from<double>({17}, {0.0, -0.0, 1, -1, 0.5, -0.5, 88, -88, 800, -800, 1000, -1000,
                                  1e300, 5e-324, inf, -inf, nan});
  for (const Op* op : all_ops()) {
    if (!op->elementwise() || op->operands != Operands::real) continue;
    for (const DType dtype : {DType::float64, DType::float32}) {
      const Expr x = variable("x", dtype, {17});
      const Expr y =
          op->arity == 1 ? apply(*op, {x}) : apply(*op, {expand_dims(x, 0), expand_dims(x, 1)});
      const Tensor value = special.cast(dtype);
      const Tensor fast = evaluate(y, {{x, value}});
      const Tensor exact = cinch::running::interpret(
          std::span(&y, 1), std::vector<Binding>{{x, value}}, /*watch=*/false)[0];
      for (std::int64_t i = 0; i < fast.size(); ++i) {
        CAPTURE(op->name);
        CAPTURE(name(dtype));
        CAPTURE(special.at(i % 17));
        const double a = fast.at(i), b = exact.at(i);
        CHECK(((std::isnan(a) && std::isnan(b)) || a == b ||
               std::abs(a - b) <= (dtype == DType::float64 ? 1e-15 : 1e-6) * std::abs(b)));
      }
    }
  }
}

TEST_CASE("every rule: both sides are equal where the left one is defined") {
  std::mt19937 random(5);
  int rules = 0;
  for (const Op* op : all_ops()) {
    if (!op->rules) continue;
    for (const Rule& rule : op->rules()) {
      CAPTURE(rule.name);
      // Wildcards become variables of the same label.
      std::vector<Binding> bindings;
      Substitutions fill;
      for (const Expr& node : topological(std::span(&rule.left, 1))) {
        if (!node.inputs().empty() || constant_value(node)) continue;
        const Expr x = dvector(node.attrs().label);
        fill.emplace_back(node, x);
        // Numbers below 1, for logarithms of what is left of 1, and numbers well above.
        Tensor value = random_tensor(DType::float64, {400}, random, -0.9, 3);
        const Tensor low = random_tensor(DType::float64, {200}, random, -2, 0.9);
        std::ranges::copy(low.data<double>(), value.data<double>().begin());
        bindings.emplace_back(x, value);
      }
      const std::vector<Expr> sides = substitute(std::vector{rule.left, rule.right}, fill);
      const std::vector<Tensor> values =
          cinch::running::interpret(sides, bindings, /*watch=*/false);
      int compared = 0;
      for (std::int64_t i = 0; i < values[0].size(); ++i) {
        if (std::isnan(values[0].at(i))) continue;
        CHECK(values[1].at(i) == doctest::Approx(values[0].at(i)).epsilon(1e-12));
        ++compared;
      }
      CHECK(compared > 50);
      // And it is applied: the rewritten left side is the rewritten right side.
      const std::vector<Expr> rewritten = cinch::rewriting::rewrite(sides);
      CHECK(rewritten[0] == rewritten[1]);
      ++rules;
    }
  }
  CHECK(rules > 20);
}
