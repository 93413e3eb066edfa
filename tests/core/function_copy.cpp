// Copies of functions with other variables, and arguments that a call leaves out.
#include <doctest/doctest.h>

#include "cinch/cinch.hpp"

using namespace cinch;

namespace {

constexpr Mode both_modes[] = {Mode::fast, Mode::checked};

Tensor numbers(std::int64_t count) {
  Tensor result(DType::float64, {count});
  for (std::int64_t k = 0; k < count; ++k)
    result.data<double>()[static_cast<std::size_t>(k)] = double(k);
  return result;
}

}  // namespace

TEST_CASE("a copy reads and updates the variables that were swapped in, and no others") {
  for (const Mode mode : both_modes) {
    Shared state(Tensor(0), "state"), other(Tensor(10), "other");
    const Expr by = lscalar("by");
    const Function accumulate = function(
        {.inputs = {by}, .outputs = {state}, .updates = {{state, state + by}}, .mode = mode});
    accumulate({10});
    // As in Theano's tutorial.
    const Function swapped = accumulate.copy({.swap = {{state, other}}});
    CHECK(swapped({100})[0].item() == 10);
    CHECK(other.get().item() == 110);
    CHECK(state.get().item() == 10);
    const Function looks = accumulate.copy({.delete_updates = true, .name = "looks"});
    CHECK(looks({9000})[0].item() == 10);
    CHECK(state.get().item() == 10);
    CHECK_THROWS_WITH_AS(looks({}), doctest::Contains("looks: takes 1 argument, got 0"), TypeError);
    // Copies of copies; two that change places.
    const Function again = swapped.copy({.swap = {{other, state}}});
    CHECK(again({1})[0].item() == 10);
    CHECK(state.get().item() == 11);
    const Function both =
        function({.outputs = {state - other}, .updates = {{state, other}}, .mode = mode});
    CHECK(both.copy({.swap = {{state, other}, {other, state}}})()[0].item() == 99);
    CHECK(other.get().item() == 11);
  }
}

TEST_CASE("what was derived, given, or stands in a loop is swapped too") {
  for (const Mode mode : both_modes) {
    const Expr x = dvector("x"), y = dvector("y");
    Shared w(numbers(3), "w"), v(numbers(3), "v");
    v.set(Tensor::full(DType::float64, {3}, 2.0));
    const Scan powers =
        scan([&](const Expr& last) { return last * w; }, {.initial = {ones_like(w)}, .steps = 3});
    const Expr cost = sum(powers.outputs[0] * exp(x));
    // The gradient by an inner node, and of it once more by the variable.
    const Expr slope = grad(cost, w), second = grad(sum(slope), w);
    const auto formulas = [&](const Shared& u) {
      const Scan own =
          scan([&](const Expr& last) { return last * u; }, {.initial = {ones_like(u)}, .steps = 3});
      const Expr c = sum(own.outputs[0] * exp(y + u));
      const Expr s = grad(c, u);
      return function({.inputs = {y}, .outputs = {c, s, grad(sum(s), u)}, .mode = mode});
    };
    const Function f = function({.inputs = {y},
                                 .outputs = {cost, slope, second},
                                 .updates = {},
                                 .givens = {{x, y + w}},
                                 .mode = mode});
    const Tensor at = numbers(3);
    // A given replaces x after the derivative was taken: as if w in it were held.
    const Function swapped = f.copy({.swap = {{w, v}}});
    w.set(v.get());
    const auto expected = f({at});
    w.set(numbers(3));
    CHECK(swapped({at}) == expected);
    CHECK(swapped({at})[0] == formulas(v)({at})[0]);
  }
}

TEST_CASE("copies have plans of their own, and draws that are new at each call") {
  RandomStreams streams(3);
  Shared w(numbers(3), "w"), v(numbers(3), "v");
  const Function f = function({.outputs = {w + streams.normal({3})}});
  const Function g = f.copy({.swap = {{w, v}}, .delete_updates = true});
  const Tensor first = f()[0], second = g()[0], third = f()[0];
  CHECK(first != second);
  CHECK(second != third);
  CHECK(f.plans_made() == 1);
  CHECK(g.plans_made() == 1);
}

TEST_CASE("what cannot be swapped is refused by name") {
  Shared w(numbers(3), "w"), v(numbers(3), "v"), n(Tensor(1), "n"),
      m(Tensor(DType::float64, {2, 2}), "m");
  const Function f = function({.outputs = {sum(w)}, .name = "total"});
  const auto refused = [&](const CopySpec& spec, const char* what) {
    CHECK_THROWS_WITH_AS(f.copy(spec), doctest::Contains(what), TypeError);
  };
  refused({.swap = {{v, w}}}, "total: copy: the function does not use v");
  refused({.swap = {{w, n}}}, "both must have one dtype and shape");
  refused({.swap = {{w, m}}}, "w is float64 (3,), m is float64 (2, 2)");
  refused({.swap = {{w, v}, {w, w}}}, "w is to be swapped twice");
  refused({.swap = {{w, Shared()}}}, "is empty");
  CHECK_THROWS_WITH_AS(f.copy({.swap = {{v, w}}}), doctest::Contains("function_copy.cpp"),
                       TypeError);
  CHECK_THROWS_AS(Function().copy(), Error);
  // A formula may hold a known size as a number.
  Shared longer(numbers(4), "longer"), rows = Shared::with_free_rows(numbers(4), "rows");
  refused({.swap = {{w, longer}}}, "longer is float64 (4,)");
  refused({.swap = {{w, rows}}}, "rows is float64 (?,)");
  const Function mean_of_rows = function({.outputs = {mean(rows)}});
  CHECK(mean_of_rows.copy({.swap = {{rows, w}}})()[0].item() == 1);
}

TEST_CASE("arguments with defaults may be left out: the last in order, any by name") {
  for (const Mode mode : both_modes) {
    const Expr x = dscalar("x"), y = dscalar("y"), w = fscalar("w_by_name");
    const Function f = function({.inputs = {x, y, w},
                                 .outputs = {(x + y) * w},
                                 .mode = mode,
                                 .defaults = {{w, 2}, {y, 1.0}}});
    // As in Theano's tutorial.
    CHECK(f({33.0})[0].item() == 68);
    CHECK(f({33.0, 2.0})[0].item() == 70);
    CHECK(f({33.0, 0.0, 1.f})[0].item() == 33);
    CHECK(f.call({{"x", 33.0}, {"w_by_name", Tensor(1.f)}})[0].item() == 34);
    CHECK(f.call({{"x", 33.0}})[0].item() == 68);
    CHECK_THROWS_WITH_AS(f({}), doctest::Contains("takes 1 to 3 arguments, got 0"), TypeError);
    CHECK_THROWS_WITH_AS(f({1.0, 1.0, 1.f, 1.0}),
                         doctest::Contains("takes 1 to 3 arguments, got 4"), TypeError);
    CHECK_THROWS_WITH_AS(f.call({{"y", 1.0}}), doctest::Contains("argument x is missing"),
                         TypeError);
    CHECK_THROWS_WITH_AS(f.call({{"x", 1.0}, {"z", 1.0}}), doctest::Contains("no input named z"),
                         TypeError);
    // One in front has its default by name only.
    const Function g =
        function({.inputs = {x, y}, .outputs = {x - y}, .mode = mode, .defaults = {{x, 5.0}}});
    CHECK(g.call({{"y", 1.0}})[0].item() == 4);
    CHECK_THROWS_WITH_AS(g({1.0}), doctest::Contains("takes 2 arguments, got 1"), TypeError);
    // Copies have them too.
    CHECK(f.copy()({33.0})[0].item() == 68);
  }
}

TEST_CASE("defaults are values of their time, and checked as arguments are") {
  const Expr x = dvector("x"), y = dvector("y"), n = lscalar("n");
  Tensor value = numbers(3);
  const Function f = function({.inputs = {x}, .outputs = {sum(x)}, .defaults = {{x, value}}});
  value.data<double>()[0] = 100;
  CHECK(f()[0].item() == 3);
  CHECK(f({numbers(4)})[0].item() == 6);
  // A variable's memory as a default is a copy too.
  Shared w(numbers(3), "w");
  const Function g =
      function({.inputs = {x}, .outputs = {}, .updates = {{w, w + x}}, .defaults = {{x, w.get()}}});
  g();
  g();
  CHECK(w.get() == evaluate(constant(numbers(3)) * 3.0));
  const auto refused = [&](const std::vector<Binding>& defaults, const char* what) {
    CHECK_THROWS_WITH_AS(
        function({.inputs = {x, n}, .outputs = {x * n}, .defaults = defaults, .name = "step"}),
        doctest::Contains(what), TypeError);
  };
  refused({{n, 1.5}}, "step: default: argument n must be int64 (), got float64 () with value 1.5");
  refused({{x, numbers(4).reshaped({2, 2})}},
          "argument x must be float64 (?,), got float64 (2, 2)");
  refused({{y, numbers(3)}}, "y has a default but is no input");
  refused({{n, 1}, {n, 2}}, "two defaults for n");
  refused({{Expr(), 1}}, "empty expression");
}
