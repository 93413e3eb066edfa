// Compiled functions: updates, givens, arguments, plans, errors.
#include "cinch/core/function.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <thread>

#include "cinch/cinch.hpp"
#include "cinch/core/run/interpret.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

constexpr Mode both_modes[] = {Mode::fast, Mode::checked};

Tensor counting(const Shape& shape, double start = 1) {
  Tensor result(DType::float64, shape);
  for (double& x : result.data<double>()) x = start++;
  return result;
}

Tensor doubles(std::vector<double> values) {
  const auto n = static_cast<std::int64_t>(values.size());
  return Tensor::from<double>({n}, std::span<const double>(values));
}

template <class E, class F>
std::string thrown(F&& f) {
  try {
    f();
  } catch (const E& error) {
    return error.what();
  }
  return "nothing was thrown";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("updates read the values from before the call, all of them") {
  // Sizes around the blocks of a loop, so that a value written too early would be read.
  for (const std::int64_t n : {1, 3, 40, 1500}) {
    for (const Mode mode : both_modes) {
      const Tensor first = counting({n, n == 1500 ? 3 : n}), second = counting(first.shape(), 0.5);
      const bool square_shape = first.shape()[0] == first.shape()[1];
      Shared a(first, "a"), b(second, "b");
      struct Row {
        const char* what;
        Expr a, b;
      };
      const Expr row = at(a, 0), last = at(a, -1);
      std::vector<Row> rows{
          {"swap", b, a},
          {"one takes the other", b, b * 2},
          {"from each other", a + b, a - b},
          {"through sums", a - mean(b), b + sum(a, 0)},
          {"through a slice", a + row, b - last},
          {"backwards", reverse(a), reverse(b) + a},
          {"the same value for both", a * b, a * b},
          {"a long formula", tanh(a) * sigmoid(b) + exp(-square(b)), b * 0.5 + cos(a)},
          {"itself", a, b},
          {"products", dot(dot(a, transpose(b)), a) * 1e-9, dot(b, dot(transpose(a), a)) * 1e-9},
          {"one in place, one not", a * 2, dot(a, dot(transpose(a), b)) * 1e-9},
      };
      if (square_shape) {
        rows.push_back({"transposed", transpose(a), a + transpose(b)});
        rows.push_back({"transposed crosswise", a + transpose(b), transpose(a)});
        rows.push_back({"plus products", a - 1e-4 * dot(a, b), b + 1e-4 * dot(a, a)});
        rows.push_back({"plus products of each other", a + dot(b, b), b - dot(a, a)});
        rows.push_back(
            {"plus transposed products", a - dot(transpose(a), b), b - 0.5 * dot(b, transpose(b))});
        rows.push_back(
            {"plus two products", a * 0.5 - dot(b, a) * 1e-3 - dot(transpose(b), b) * 1e-3, b + a});
        rows.push_back({"plus a product of a row",
                        a - 1e-3 * dot(expand_dims(at(a, 0), 1), expand_dims(at(b, 0), 0)), b});
        rows.push_back({"transposed and in place", a * 2 + transpose(a), b + a});
      }
      for (const Row& r : rows) {
        CAPTURE(std::string(r.what));
        CAPTURE(n);
        CAPTURE(mode == Mode::fast);
        a.set(first);
        b.set(second);
        const std::vector<Tensor> expected =
            cinch::running::interpret(std::vector{r.a, r.b, a * 1}, {}, false);
        const Function f = function(
            {.outputs = {a, sum(a) + sum(b)}, .updates = {{a, r.a}, {b, r.b}}, .mode = mode});
        const std::vector<Tensor> outputs = f();
        CHECK(distance(a.get(), expected[0]) < 1e-12);
        CHECK(distance(b.get(), expected[1]) < 1e-12);
        CHECK(outputs[0] == first);
      }
    }
  }
}

TEST_CASE("an argument that is the memory of an updated variable is read before it is written") {
  Shared W(counting({70, 70}), "W");
  const Tensor before = W.get();
  const Expr x = dmatrix("x");
  const Function f = function({x}, {}, {{W, W + transpose(x)}});
  const Tensor* argument = &W.value();
  f.call(std::span(&argument, 1));
  const Tensor expected = evaluate(constant(before) + transpose(constant(before)));
  CHECK(distance(W.get(), expected) == 0);
}

TEST_CASE("a call that throws changes no variable, in either mode") {
  for (const Mode mode : both_modes) {
    Shared a(counting({4}), "a"), b(counting({4}), "b"), calls(Tensor(0), "calls");
    RandomStreams streams(1);
    const Expr i = lscalar("i"), k = lvector("k"),
               noise = streams.uniform(Shape{4}, 0.0, 1.0, DType::float64);
    const Function f = function(
        {.inputs = {i, k},
         .outputs = {sum(noise)},
         .updates = {{a, a * 2 + noise}, {b, b + at(a, i) + sum(take(b, k))}, {calls, calls + 1}},
         .mode = mode});
    const std::vector<Tensor> before{a.get(), b.get(), calls.get(), streams.states()[0].get()};
    const auto unchanged = [&] {
      return a.get() == before[0] && b.get() == before[1] && calls.get() == before[2] &&
             streams.states()[0].get() == before[3];
    };
    CHECK_THROWS_AS(f({4, Tensor::from<std::int64_t>({1}, {0})}), ValueError);
    CHECK(unchanged());
    CHECK_THROWS_AS(f({-5, Tensor::from<std::int64_t>({1}, {0})}), ValueError);
    CHECK(unchanged());
    CHECK_THROWS_AS(f({0, Tensor::from<std::int64_t>({2}, {3, 4})}), ValueError);
    CHECK(unchanged());
    CHECK_THROWS_AS(f({0.5, Tensor::from<std::int64_t>({1}, {0})}), TypeError);
    CHECK(unchanged());
    f({-4, Tensor::from<std::int64_t>({2}, {3, -4})});
    CHECK_FALSE(a.get() == before[0]);
    CHECK(calls.get().item() == 1);
    CHECK(b.get().at(0) == 1 + 1 + 5);
  }
}

TEST_CASE("rows that do not exist are a ValueError, in either mode") {
  for (const Mode mode : both_modes) {
    CAPTURE(mode == Mode::fast);
    Shared X(counting({4, 2}), "X");
    const Expr i = lscalar("i"), n = lscalar("n"), x = dvector("x");
    const Function f = function({i, n}, {rows(X, i, n)}, {}, {}, mode);
    CHECK(f({1, 3})[0] == counting({3, 2}, 3));
    CHECK(f({0, 0})[0].size() == 0);
    CHECK_THROWS_AS(f({2, 3}), ValueError);
    CHECK_THROWS_AS(f({-1, 2}), ValueError);
    CHECK_THROWS_AS(f({0, 5}), ValueError);
    CHECK_THROWS_AS(f({1, 9}), ValueError);
    CHECK_THROWS_AS(function({}, {rows(X, 0, 5)}, {}, {}, mode)(), Error);
    CHECK_THROWS_AS(function({x}, {at(x, 0)}, {}, {}, mode)({Tensor(DType::float64, {0})}), Error);
    CHECK_THROWS_AS(function({x}, {at(x, -1)}, {}, {}, mode)({Tensor(DType::float64, {0})}), Error);
    CHECK_THROWS_AS(function({x}, {at(x, 3)}, {}, {}, mode)({counting({3})}), ValueError);
  }
}

TEST_CASE("givens replace an expression wherever it appears") {
  const Expr x = dvector("x"), y = dscalar("y"), z = dscalar("z"), h = exp(x);
  const Shared data(counting({10}), "data");
  CHECK(function({}, {sum(x) * 2}, {}, {{x, slice(data, 0, 3)}})()[0].item() == 12);
  CHECK(function({y}, {x + y}, {}, {{x, data * y}})({2.0})[0] == evaluate(data * 2.0 + 2.0));
  // In updates too, and for expressions that are not variables.
  Shared w(Tensor(1.0), "w");
  function({}, {}, {{w, w + sum(x)}}, {{x, slice(data, 0, 2)}})();
  CHECK(w.get().item() == 4);
  CHECK(function({x}, {h + 1}, {}, {{h, x * 10}})({counting({2})})[0] == doubles({11, 21}));
  CHECK(function({y, z}, {y - z}, {}, {{y, z}, {z, y}})({5.0, 3.0})[0].item() == -2);
  CHECK(function({x}, {x}, {}, {{x, x + x}})({counting({2})})[0] == doubles({2, 4}));
  CHECK(function({}, {y + 1}, {}, {{y, Arg(2)}})()[0].item() == 3);
  CHECK_THROWS_WITH_AS(function({}, {x}, {}, {{x, cast(data, DType::float32)}}),
                       doctest::Contains("cast(value, DType::float64)"), TypeError);
  CHECK_THROWS_AS(function({}, {x}, {}, {{x, reshape(data, Shape{2, 5})}}), TypeError);
}

TEST_CASE("givens may be chained: one may be given in terms of another") {
  const Expr x = dscalar("x"), y = dscalar("y"), z = dscalar("z");
  CHECK(function({z}, {x + 1}, {}, {{x, y * 2}, {y, z + 1}})({3.0})[0].item() == 9);
}

TEST_CASE("outputs may be anything: computed, repeated, inputs, shared, constants, views") {
  for (const Mode mode : both_modes) {
    const Expr x = dmatrix("x");
    const Shared W(counting({2, 3}, 10), "W");
    const Expr y = x + W, c = constant(counting({2}));
    const Function f = function(
        {x},
        {y, y, x, W, c, transpose(x), slice(x, 0, 1), transpose(W), reverse(W, 1), at(W, 1),
         reshape(transpose(x), Shape{6}), sum(y), y > 15, expand_dims(x, 0), Arg(3)},
        {}, {}, mode);
    const auto out = f({counting({2, 3})});
    REQUIRE(out.size() == 15);
    CHECK(out[0] == evaluate(constant(counting({2, 3})) + W));
    CHECK(out[1] == out[0]);
    CHECK(out[2] == counting({2, 3}));
    CHECK(out[3] == W.get());
    CHECK(out[4] == counting({2}));
    CHECK(out[5] == Tensor::from<double>({3, 2}, {1, 4, 2, 5, 3, 6}));
    CHECK(out[6] == counting({1, 3}));
    CHECK(out[7] == Tensor::from<double>({3, 2}, {10, 13, 11, 14, 12, 15}));
    CHECK(out[8] == Tensor::from<double>({2, 3}, {12, 11, 10, 15, 14, 13}));
    CHECK(out[9] == doubles({13, 14, 15}));
    CHECK(out[10] == doubles({1, 4, 2, 5, 3, 6}));
    CHECK(out[11].item() == 21 + 75);
    CHECK(out[12].dtype() == DType::bool_);
    CHECK(out[13].shape() == Shape{1, 2, 3});
    CHECK(out[14].item() == 3);
  }
}

TEST_CASE("arguments are checked against the inputs, with texts that say what was wanted") {
  const Expr x = variable("x", DType::float32, {-1, 3}), i = lscalar("i"), s = fscalar("s"),
             flag = scalar("flag", DType::bool_);
  const Function f =
      function({.inputs = {x, i, s, flag}, .outputs = {x * i + s, flag}, .name = "step"});
  const Tensor good(DType::float32, {2, 3});
  CHECK(f({good, 1, 2.f, true}).size() == 2);
  CHECK(f({good, 1.0, 2, 1})[0].at(0) == 2);  // Scalars convert where nothing is lost.
  struct Row {
    std::vector<Tensor> arguments;
    std::string part;
  };
  for (const Row& row :
       {Row{{good, 1, 2}, "step: takes 4 arguments, got 3"}, Row{{}, "takes 4 arguments, got 0"},
        Row{{Tensor(DType::float64, {2, 3}), 1, 2, true},
            "argument x must be float32 (?, 3), got float64 (2, 3): convert it with cast()"},
        Row{{Tensor(DType::float32, {2, 4}), 1, 2, true},
            "must be float32 (?, 3), got float32 (2, 4)"},
        Row{{Tensor(DType::float32, {3}), 1, 2, true}, "got float32 (3,)"},
        Row{{good, 1.5, 2, true}, "argument i must be int64 (), got float64 () with value 1.5"},
        Row{{good, 1e30, 2, true}, "argument i"}, Row{{good, std::nan(""), 2, true}, "argument i"},
        Row{{good, 1, 2, 2}, "argument flag"},
        Row{{good, Tensor(DType::int64, {1}), 2, true}, "argument i must be int64 ()"}}) {
    const std::string what = thrown<TypeError>([&] { f(row.arguments); });
    CAPTURE(row.part);
    CAPTURE(what);
    CHECK(has(what, row.part));
  }
}

TEST_CASE("arguments by name") {
  const Expr x = dscalar("x"), y = dscalar("y");
  const Function f = function({x, y}, {x - y});
  CHECK(f.call({{"y", 1.0}, {"x", 3.0}})[0].item() == 2);
  CHECK_THROWS_WITH_AS(f.call({{"x", 1.0}}), doctest::Contains("argument y is missing"), TypeError);
  CHECK_THROWS_WITH_AS(f.call({{"x", 1.0}, {"y", 1.0}, {"w", 1.0}}),
                       doctest::Contains("no input named w"), TypeError);
  CHECK_THROWS_AS(Function()(), Error);
}

TEST_CASE("what cannot be compiled is refused with its names and lines") {
  const Expr x = dvector("x"), y = dvector("y"), m = dmatrix("m");
  Shared w(counting({3}), "w"), n(Tensor(0), "n"), f32(Tensor(DType::float32, {3}), "f");
  struct Row {
    std::function<void()> compile;
    std::string part;
  };
  for (const Row& row : {
           Row{[&] { function({x}, {x + y}); },
               "variable y is needed but is neither an input nor given\n  float64 (?,), declared "
               "at function.cpp:"},
           Row{[&] {
                 function({x, y}, {x});
               },
               "input y (declared at function.cpp:"},
           Row{[&] {
                 function({x, x}, {x});
               },
               "input x is listed twice"},
           Row{[&] {
                 function({x, x + 1}, {x});
               },
               "input 1 is not a variable"},
           Row{[&] {
                 function({x, Expr()}, {x});
               },
               "input 1 is not a variable"},
           Row{[&] { function({w}, {w}); }, "input 0 is not a variable"},
           Row{[&] { function({}, {Expr()}); }, "an output is an empty expression"},
           Row{[&] {
                 function({}, {}, {{w, cast(w, DType::float32)}});
               },
               "cast(value, DType::float64)"},
           Row{[&] {
                 function({}, {}, {{w, sum(w)}});
               },
               "updated variable w is float64 (3,), its new value is float64 ()"},
           Row{[&] {
                 function({}, {}, {{w, slice(w, 0, 2)}});
               },
               "its new value is float64 (2,)"},
           Row{[&] {
                 function({}, {}, {{f32, f32 * w}});
               },
               "cast(value, DType::float32)"},
           Row{[&] {
                 function({}, {}, {{n, n / 2}});
               },
               "updated variable n is int64 ()"},
           Row{[&] {
                 function({}, {}, {{w, w}, {w, w * 2}});
               },
               "two updates of w"},
           Row{[&] {
                 function({}, {}, {{w, Expr()}});
               },
               "empty"},
           Row{[&] {
                 function({}, {}, {{Shared(), w}});
               },
               "empty"},
           Row{[&] {
                 function({m}, {}, {{w, m}});
               },
               "its new value is float64 (?, ?)"},
       }) {
    const std::string what = thrown<TypeError>(row.compile);
    CAPTURE(row.part);
    CAPTURE(what);
    CHECK(has(what, row.part));
  }
  CHECK(function({.inputs = {x, y}, .outputs = {x}, .allow_unused_inputs = true})(
            {counting({2}), counting({7})})[0] == counting({2}));
  for (const Mode mode : both_modes) {
    const Function late = function({x}, {}, {{w, x * 2}}, {}, mode);
    CHECK(has(thrown<TypeError>([&] { late({counting({2})}); }),
              "update of w float64 (3,) has type float64 (2,)"));
    CHECK(w.get() == counting({3}));
    late({counting({3})});
    w.set(counting({3}));
    // A scalar literal becomes the variable's type.
    function({}, {}, {{n, Arg(7)}}, {}, mode)();
    CHECK(n.get().item() == 7);
  }
}

TEST_CASE("each set of sizes is planned once, and only so many plans are kept") {
  const Expr x = dmatrix("x");
  const Function f = function({x}, {sum(square(x), 0)}), copy = f;
  CHECK(f.plans_made() == 0);
  CHECK(f.plan_text().empty());
  for (int round = 0; round < 5; ++round) {
    for (const std::int64_t n : {10, 7, 3}) CHECK(f({counting({n, 2})})[0].at(0) > 0);
  }
  CHECK(f.plans_made() == 3);
  CHECK(copy.plans_made() == 3);
  CHECK(has(f.plan_text(), "function.cpp:"));
  for (std::int64_t n = 1; n <= 40; ++n) f({counting({n, 2})});
  const std::size_t made = f.plans_made();
  CHECK(made <= 43);
  f({counting({40, 2})});
  CHECK(f.plans_made() == made);
  f({counting({1, 2})});  // Forgotten long ago.
  CHECK(f.plans_made() == made + 1);
  CHECK(f({counting({1, 2})})[0] == doubles({1, 4}));
}

TEST_CASE("minibatches by symbolic slices: the last, smaller one included") {
  const Shared X(counting({10, 2}), "X");
  Shared total(Tensor(0.0), "total");
  const Expr i = lscalar("i"), x = dmatrix("x");
  const Expr batch = slice(X, i * 4, (i + 1) * 4);
  for (const Mode mode : both_modes) {
    total.set(0.0);
    const Function step = function({.inputs = {i},
                                    .outputs = {x, mean(x)},
                                    .updates = {{total, total + sum(x)}},
                                    .givens = {{x, batch}},
                                    .mode = mode});
    for (int epoch = 0; epoch < 2; ++epoch) {
      CHECK(step({0})[0] == counting({4, 2}, 1));
      CHECK(step({1})[0] == counting({4, 2}, 9));
      CHECK(step({2})[0] == counting({2, 2}, 17));
      CHECK(step({2})[1].item() == 18.5);
    }
    CHECK(total.get().item() == 2 * (210 + 74));
    if (mode == Mode::fast) CHECK(step.plans_made() == 2);
  }
}

TEST_CASE("symbolic indices, also negative, also computed, also stored") {
  const Expr x = dvector("x"), i = lscalar("i"), k = lvector("k");
  Shared position(Tensor(0), "position");
  for (const Mode mode : both_modes) {
    position.set(0);
    const Function f =
        function({.inputs = {x, i, k},
                  .outputs = {at(x, i), at(x, at(k, i)), at(x, position), slice(x, -2, size(x, 0)),
                              slice_from(x, i), at(x, argmax(x, 0))},
                  .updates = {{position, mod(position + 1, size(x, 0))}},
                  .mode = mode});
    for (int call = 0; call < 4; ++call) {
      const auto out =
          f({doubles({5, 7, 6}), call % 3 - 3, Tensor::from<std::int64_t>({3}, {2, -2, 0})});
      CHECK(out[0].item() == std::vector<double>{5, 7, 6}[static_cast<std::size_t>(call % 3)]);
      CHECK(out[1].item() == std::vector<double>{6, 7, 5}[static_cast<std::size_t>(call % 3)]);
      CHECK(out[2].item() == std::vector<double>{5, 7, 6}[static_cast<std::size_t>(call % 3)]);
      CHECK(out[3] == doubles({7, 6}));
      CHECK(out[4].size() == 3 - call % 3);
      CHECK(out[5].item() == 7);
    }
    if (mode == Mode::fast) CHECK(f.plans_made() == 3);
  }
}

TEST_CASE("sizes that depend on values are right at every call, alone and in formulas") {
  const Expr v = lvector("v"), x = dvector("x"), n = sum(v);
  for (const Mode mode : both_modes) {
    CAPTURE(mode == Mode::fast);
    const Function f = function(
        {v, x}, {arange(n), arange(n + 1), arange(2 * n), rows(x, n, 1), rows(x, n - 1, n)}, {}, {},
        mode);
    for (const std::int64_t a : {2, 1, 3, 2}) {
      CAPTURE(a);
      const auto out = f({Tensor::from<std::int64_t>({2}, {a - 1, 1}), counting({9}, 0)});
      CHECK(out[0].size() == a);
      CHECK(out[1].size() == a + 1);
      CHECK(out[2].size() == 2 * a);
      CHECK(out[3].at(0) == static_cast<double>(a));
      CHECK(out[4] == counting({a}, static_cast<double>(a - 1)));
    }
  }
}

TEST_CASE("functions over the same variables see each other's updates") {
  Shared w(counting({3}), "w");
  const Expr x = dvector("x");
  const Function add = function({x}, {}, {{w, w + x}}), show = function({}, {w * 2, sum(w)}),
                 reset = function({}, {}, {{w, w * 0}});
  add({counting({3})});
  CHECK(show()[0] == doubles({4, 8, 12}));
  w.set(doubles({1, 1, 1}));
  CHECK(show()[1].item() == 3);
  add({counting({3})});
  CHECK(w.get() == doubles({2, 3, 4}));
  reset();
  CHECK(show()[1].item() == 0);
  const Shared same = w;
  add({counting({3})});
  CHECK(same.get() == counting({3}));
}

TEST_CASE("set and get: the type of a shared variable never changes") {
  Shared w(counting({3}), "w"), n(Tensor(3), "n"), s(Tensor(1.f), "s");
  Tensor copy = w.get();
  copy.data<double>()[0] = 99;
  CHECK(w.value().at(0) == 1);
  CHECK_THROWS_WITH_AS(
      w.set(counting({4})),
      doctest::Contains("shared variable w is float64 (3,), the new value is float64 (4,)"),
      TypeError);
  CHECK_THROWS_AS(w.set(Tensor(DType::float32, {3})), TypeError);
  CHECK_THROWS_AS(w.set(1.0), TypeError);
  CHECK(w.get() == counting({3}));
  s.set(2.5);
  CHECK(s.get() == Tensor(2.5f));
  n.set(4.0);
  CHECK(n.get() == Tensor(4));
  CHECK_THROWS_AS(n.set(2.7), TypeError);  // As for arguments: nothing may be lost.
  CHECK_THROWS_AS(as_shared(w + 1), TypeError);
  CHECK(shared_variables(std::vector<Expr>{w + n, w * 2}).size() == 2);
}

TEST_CASE("evaluate takes bindings and does not mind those it does not need") {
  const Expr x = dscalar("x"), y = dscalar("y");
  CHECK(evaluate(x * 2, {{x, 4.0}, {y, 1.0}}).item() == 8);
  CHECK(evaluate(Arg(2) + 3).item() == 5);
  CHECK_THROWS_WITH_AS(evaluate(x + y, {{x, 4.0}}), doctest::Contains("variable y"), TypeError);
}

TEST_CASE("independent functions run in two threads, and one function takes turns") {
  const Expr x = dvector("x");
  Shared a(Tensor(0.0), "a"), b(Tensor(0.0), "b"), both(Tensor(0.0), "both");
  const Function fa = function({x}, {sum(x)}, {{a, a + sum(x)}}),
                 fb = function({x}, {sum(x)}, {{b, b + sum(x)}}),
                 fboth = function({x}, {}, {{both, both + sum(x)}});
  const auto work = [&](const Function& own) {
    for (int k = 0; k < 300; ++k) {
      own({counting({1 + k % 20})});
      fboth({counting({2})});
      const Expr built = grad(sum(exp(x) * k), x);
      (void)built;
    }
  };
  std::thread one(work, fa), two(work, fb);
  one.join();
  two.join();
  CHECK(a.get().item() == 15.0 * 20 * 21 * 22 / 6);
  CHECK(b.get() == a.get());
  CHECK(both.get().item() == 1800);
}

TEST_CASE("Mode::checked stops at the first NaN or infinity and names its line") {
  const Expr x = dvector("x");
  Shared w(counting({2}), "w");
  const Expr shifted = x - 1;
  const Expr bad = log(shifted);
  const int line = __LINE__ - 1;
  const Expr cost = sum(square(bad) / 2);
  const Function f = function({x}, {cost}, {{w, w + 1}}, {}, Mode::checked);
  CHECK(f({doubles({2, 3})})[0].item() > 0);
  const std::string nan = thrown<ValueError>([&] {
    f({doubles({2, 0})});
  }),
                    inf = thrown<ValueError>([&] {
                      f({doubles({1, 2})});
                    });
  CAPTURE(nan);
  CHECK(has(nan, "element 1 of log(sub(x, 1)) is"));
  CHECK(has(nan, "nan"));
  CHECK(has(nan, text("function.cpp:", line)));
  CHECK(has(inf, "element 0 of log(sub(x, 1)) is -inf"));
  CHECK(has(thrown<ValueError>([&] { f({doubles({1, std::nan("")})}); }), "element 1 of x is"));
  CHECK(w.get() == doubles({2, 3}));
  // The fast mode lets them pass.
  CHECK(std::isnan(function({x}, {cost})({doubles({2, 0})})[0].item()));
}

TEST_CASE("Mode::checked lets infinities pass that are written as numbers") {
  const Expr x = dvector("x");
  const double inf = std::numeric_limits<double>::infinity();
  const Function f = function({x}, {switch_(x < inf, x, -inf)}, {}, {}, Mode::checked);
  CHECK(f({Tensor::from<double>({2}, {1, 2})})[0] == Tensor::from<double>({2}, {1, 2}));
  CHECK_THROWS_AS(f({Tensor::from<double>({2}, {1, inf})}), ValueError);
}

TEST_CASE("two givens of one variable and two inputs of one name are errors") {
  const Expr x = dscalar("x"), a = dscalar("a"), b = dscalar("b"), q1 = dscalar("q"),
             q2 = dscalar("q");
  CHECK_THROWS_WITH_AS(function({.inputs = {a, b}, .outputs = {x}, .givens = {{x, a}, {x, b}}}),
                       doctest::Contains("two givens for x"), TypeError);
  const Function f = function({.inputs = {q1, q2}, .outputs = {q1 - q2}});
  CHECK_THROWS_WITH_AS(f.call({{"q", Tensor(1.0)}}), doctest::Contains("two inputs are named q"),
                       TypeError);
  CHECK(f({Tensor(3.0), Tensor(1.0)})[0].item() == 2);
  // A number may be given.
  CHECK(function({.outputs = {x * x}, .givens = {{x, 3.0}}})()[0].item() == 9);
}

TEST_CASE("a number that is too large for float32 is an error, wherever it comes in") {
  const Expr x = fscalar("x");
  const Function f = function({.inputs = {x}, .outputs = {x}});
  const double infinity = std::numeric_limits<double>::infinity();
  Shared W(Tensor(1.0f), "W");
  for (const double huge : {1e39, -1e300}) {
    CHECK_THROWS_WITH_AS(f({Tensor(huge)}), doctest::Contains("argument x must be float32"),
                         TypeError);
    CHECK_THROWS_AS(evaluate(x, {{x, Tensor(huge)}}), TypeError);
    CHECK_THROWS_WITH_AS(W.set(huge), doctest::Contains("set: shared variable W"), TypeError);
    for (const auto& build : std::vector<std::function<Expr()>>{
             [&] { return x * huge; }, [&] { return maximum(huge, x); },
             [&] { return where(x > 0, x, huge); }, [&] { return clip(x, 0, huge); }}) {
      CHECK_THROWS_WITH_AS(build(), doctest::Contains("is too large for float32"), TypeError);
    }
    CHECK(evaluate(cast(x, DType::float64) * huge, {{x, Tensor(1.0f)}}).item() == huge);
  }
  CHECK(f({Tensor(infinity)})[0].item() == infinity);
  CHECK(evaluate(maximum(x, -infinity), {{x, Tensor(1.0f)}}).item() == 1);
  CHECK(f({Tensor(3e38)})[0].item() == static_cast<double>(3e38f));
}

TEST_CASE("a whole number is taken by a float that holds it, and refused by one that does not") {
  const std::int64_t two_53 = std::int64_t{1} << 53,
                     most = std::numeric_limits<std::int64_t>::max();
  for (const auto& [dtype, digits] : {std::pair{DType::float64, 53}, {DType::float32, 24}}) {
    const Expr x = variable("x", Type{dtype, {}});
    const Function f = function({.inputs = {x}, .outputs = {x}});
    Shared W(Tensor(dtype, {}), "W");
    for (const std::int64_t whole :
         {std::int64_t{0}, std::int64_t{1} << digits, (std::int64_t{1} << digits) + 1, two_53 + 1,
          -two_53 - 1, std::int64_t{1} << 62, most, -most, -most - 1}) {
      CAPTURE(whole);
      const double taken = dtype == DType::float64 ? static_cast<double>(whole)
                                                   : static_cast<double>(static_cast<float>(whole));
      const bool holds =
          std::abs(taken) < 0x1p63 ? static_cast<std::int64_t>(taken) == whole : whole == -most - 1;
      if (holds) {
        CHECK(f({Tensor(whole)})[0].item() == taken);
        W.set(whole);
        CHECK(W.value().item() == taken);
      } else {
        CHECK_THROWS_WITH_AS(f({Tensor(whole)}), doctest::Contains("which would change"),
                             TypeError);
        CHECK_THROWS_AS(W.set(whole), TypeError);
      }
    }
  }
}

TEST_CASE("the mean over a slice beyond the data is an error where it would get into a variable") {
  const Expr k = lscalar("k");
  const Shared data(counting({10, 3}), "data");
  Shared w(Tensor::full(DType::float64, {3}, 1), "w");
  const Expr batch = slice(data, k * 4, (k + 1) * 4);
  const int line = __LINE__ - 1;
  const Expr cost = mean(square(sum(batch * w, 1)));
  const Expr g = grad(cost, w);
  for (const Expr& update : {w - 0.01 * g, w - 0.01 * g / cast(size(batch, 0), DType::float64)}) {
    const Function step = function({.inputs = {k}, .outputs = {cost}, .updates = {{w, update}}});
    step({2});  // The last two rows.
    const Tensor before = w.get();
    const std::string error = thrown<ValueError>([&] { step({3}); });
    CAPTURE(error);
    CHECK(has(error, "the slice of data float64 (10, 3) at function.cpp:" + std::to_string(line)));
    CHECK(has(error, "as a mean does"));
    CHECK(w.get() == before);
  }
  // What is not chosen, or summed over nothing, is no mistake.
  const Expr n = cast(size(batch, 0), DType::float64), s = sum(batch, 0);
  for (const Expr& step :
       {where(n > 0, s / n, 0.0), where(n <= 0, 0.0 * s, s / n), s / maximum(n, 1),
        sum(batch / n, 0), where(n > 0, g, 0.0), where(is_nan(s / n), 0.0, s / n)}) {
    const Tensor before = w.get();
    const Function f =
        function({.inputs = {k}, .outputs = {cost}, .updates = {{w, w - 0.01 * step}}});
    f({3});
    CHECK(w.get() == before);
    f({2});
    CHECK_FALSE(w.get() == before);
    w.set(before);
  }
  // A NaN from elsewhere comes back as it is, where nobody watches.
  Shared v(Tensor(1.0), "v");
  function({.inputs = {k}, .updates = {{v, log(v - 2) + where(n > 0, sum(s) / n, 0.0)}}})({3});
  CHECK(std::isnan(v.get().item()));
  // Without updates it is NaN, as in NumPy; sums of nothing are 0, and so are their gradients.
  CHECK(std::isnan(function({.inputs = {k}, .outputs = {cost}})({3})[0].item()));
  const Expr total = sum(square(sum(batch * w, 1)));
  const Tensor before = w.get();
  function({.inputs = {k}, .updates = {{w, w - grad(total, w)}}})({3});
  CHECK(w.get() == before);
}
