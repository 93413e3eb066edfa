// Gradients of choices: the branch that is not taken has no part in them, whatever its value.
#include "cinch/core/derive/choice.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "cinch/cinch.hpp"
#include "cinch/core/run/interpret.hpp"
#include "cinch/ops/catalog.hpp"
#include "support/samples.hpp"
#include "support/unit_functions.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity(),
                 quiet_nan = std::numeric_limits<double>::quiet_NaN();
constexpr int highest_order = 3;

Tensor as_written(const Expr& y, const std::vector<Binding>& bindings) {
  return cinch::running::interpret(std::span(&y, 1), bindings, /*watch=*/false)[0];
}

/// Points outside of most domains and at their ends.
const std::vector<double> outside{-2, -1, 0, 1, 2, -800, 800, inf, -inf, quiet_nan};

/// The derivative of sum(w(x) guarded) at points inside and outside, against that of the function
/// without a guard at the points inside.
using Guard = std::function<Expr(const Expr& inside, const Expr& y)>;

std::vector<std::pair<const char*, Guard>> guards() {
  return {
      {"where(c, y, 0)", [](const Expr& c, const Expr& y) { return where(c, y, 0); }},
      {"where(!c, 0, y)", [](const Expr& c, const Expr& y) { return where(!c, 0, y); }},
      {"where in where",
       [](const Expr& c, const Expr& y) { return where(c, where(c, y, y * y), 0); }},
      {"2 where(c, y, 3) - 1",
       [](const Expr& c, const Expr& y) { return 2 * where(c, y, 3) - where(c, y, 1); }},
      {"where of two",
       [](const Expr& c, const Expr& y) {
         return where(c, y, 0) + where(c, -y, 0) + where(c, y, 0);
       }},
  };
}

void check_guarded(const std::string& label, double low, double high, const auto& f,
                   std::mt19937& random) {
  const auto inner = random_tensor(DType::float64, {4}, random, low, high);
  std::vector<double> all(outside);
  for (std::int64_t k = 0; k < 4; ++k) all.push_back(inner.at(k));
  const auto n = static_cast<std::int64_t>(all.size());
  Tensor values(DType::float64, {n}), taken(DType::bool_, {n});
  std::ranges::copy(all, values.data<double>().begin());
  for (std::int64_t k = 0; k < n; ++k)
    taken.data<bool>()[static_cast<std::size_t>(k)] = k >= std::ssize(outside);
  const Expr x = variable("x", DType::float64, {n}), c = variable("c", DType::bool_, {n}),
             z = variable("z", DType::float64, {4});
  for (const auto& [guard_name, guard] : guards()) {
    const auto& name = guard_name;
    Expr guarded = guard(c, f(x)), plain = guard(variable("all", DType::bool_, {4}), f(z));
    const Expr always = plain;
    std::vector<Binding> with{{x, values}, {c, taken}};
    for (int order = 1; order <= highest_order; ++order) {
      guarded = grad(sum(guarded), x, {.disconnected = Disconnected::zero});
      // Without the guard: all four are taken.
      plain =
          grad(sum(order == 1 ? guard(constant(Tensor::full(DType::bool_, {4}, 1)), f(z)) : plain),
               z, {.disconnected = Disconnected::zero});
      const Tensor expected = as_written(plain, {{z, inner}});
      CAPTURE(label);
      CAPTURE(name);
      CAPTURE(order);
      const Tensor checked = as_written(guarded, with), fast = evaluate(guarded, with);
      for (const Tensor* got : {&checked, &fast}) {
        for (std::int64_t k = 0; k < n; ++k) {
          const double want = k < std::ssize(outside) ? 0 : expected.at(k - std::ssize(outside));
          CAPTURE(all[static_cast<std::size_t>(k)]);
          CHECK(std::abs(got->at(k) - want) <= 1e-9 * (1 + std::abs(want)));
        }
      }
    }
  }
}

}  // namespace

TEST_CASE(
    "every elementwise op behind a choice: its gradient is 0 where it is not taken, to order 3") {
  std::mt19937 random(41);
  for (const Op* op : all_ops()) {
    if (!op->elementwise() || !op->grad || op->examples || op->operands == Operands::choice ||
        op == &cast_op)
      continue;
    const double middle = (op->probe.low + op->probe.high) / 2;
    if (op->arity == 1) {
      check_guarded(
          std::string(op->name), op->probe.low, op->probe.high,
          [&](const Expr& x) { return apply(*op, {x}); }, random);
      continue;
    }
    // One operand at a time, and both; beside 0 and a number from the middle of the domain.
    check_guarded(
        std::string(op->name) + "(x, .)", op->probe.low, op->probe.high,
        [&](const Expr& x) {
          return apply(*op, {x, cast(Arg(middle), DType::float64)});
        },
        random);
    check_guarded(
        std::string(op->name) + "(., x)", op->probe.low, op->probe.high,
        [&](const Expr& x) {
          return apply(*op, {cast(Arg(middle), DType::float64), x});
        },
        random);
  }
}

TEST_CASE("every function of one number behind a choice, with kernels of their own too") {
  std::mt19937 random(43);
  for (const UnitFunction& e : unit_functions()) {
    if (is_float(e.f(dvector("x")).dtype()))
      check_guarded(e.name, e.domain.low, e.domain.high, e.f, random);
  }
}

TEST_CASE("chains of ops behind a choice, and through what moves elements") {
  std::mt19937 random(42);
  using Step = std::pair<const char*, std::function<Expr(const Expr&)>>;
  // All defined from 1.2 to 1.8, and their values lead into the next one's domain.
  const std::vector<Step> outer{
      {"sqrt", [](const Expr& x) { return sqrt(x); }},
      {"log", [](const Expr& x) { return log(x); }},
      {"1 / x", [](const Expr& x) { return 1 / x; }},
      {"x^1.5", [](const Expr& x) { return pow(x, 1.5); }},
      {"exp", [](const Expr& x) { return exp(x); }},
      {"norm", [](const Expr& x) { return norm(expand_dims(x, 1), 2, 1); }},
      {"x log x", [](const Expr& x) { return x * log(x); }},
      {"-x", [](const Expr& x) { return -x; }},
      {"sigmoid", [](const Expr& x) { return sigmoid(x); }}};
  const std::vector<Step> inner{
      {"sqrt", [](const Expr& x) { return sqrt(x); }},
      {"1 + log", [](const Expr& x) { return 1 + log(x); }},
      {"2 / x", [](const Expr& x) { return 2 / x; }},
      {"x^-.5", [](const Expr& x) { return pow(x, -0.5); }},
      {"exp", [](const Expr& x) { return exp(x); }},
      {"cosh", [](const Expr& x) { return cosh(x); }},
      {"moved", [](const Expr& x) { return flatten(transpose(sqrt(expand_dims(x, 0)))); }},
      {"arccosh", [](const Expr& x) { return arccosh(x); }}};
  for (const Step& f : outer) {
    for (const Step& g : inner) {
      check_guarded(
          std::string(f.first) + " of " + g.first, 1.2, 1.8,
          [&](const Expr& x) { return f.second(g.second(x)); }, random);
    }
  }
}

TEST_CASE("kinks and masks cut off what is not finite below them") {
  const Expr x = dvector("x");
  const std::vector<Binding> at{{x, Tensor::from<double>({3}, {-1, 0, 4})}};
  struct Row {
    const char* name;
    Expr y;
    std::vector<double> slope;
  };
  for (const Row& row :
       {Row{"clip", clip(log(x), -2, 1), {quiet_nan, 0, 0}},
        Row{"maximum", maximum(sqrt(x), 0.5), {quiet_nan, 0, 0.25}},
        Row{"minimum", minimum(1 / abs(x), 3), {1, 0, -1. / 16}},
        Row{"relu", relu(log(x)), {quiet_nan, 0, 0.25}},
        Row{"mask", cast(x > 0, DType::float64) * sqrt(abs(x)), {0, 0, 0.25}},
        Row{"mask as factor of two", sqrt(abs(x)) * cast(x > 0, DType::float64) * 2, {0, 0, 0.5}},
        Row{"where by x", where(x > 0, sqrt(x), 0.0), {0, 0, 0.25}},
        Row{"three ways", where(x < 0, log(-x), where(x > 0, log(x), 0.0)), {-1, 0, 0.25}}}) {
    CAPTURE(std::string(row.name));
    const Expr slope = grad(sum(row.y), x);
    for (const Tensor& got : {as_written(slope, at), evaluate(slope, at)}) {
      for (std::int64_t k = 0; k < 3; ++k) {
        CAPTURE(k);
        if (std::isnan(row.slope[static_cast<std::size_t>(k)])) continue;  // Outside of the domain.
        CHECK(got.at(k) == doctest::Approx(row.slope[static_cast<std::size_t>(k)]));
      }
    }
  }
}
