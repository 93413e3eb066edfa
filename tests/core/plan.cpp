// The planner: which memory it reuses, where it writes, what it makes of views and empty axes.
#include "cinch/core/plan/plan.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "cinch/cinch.hpp"
#include "cinch/core/plan/arena.hpp"
#include "cinch/core/run/interpret.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t result = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++result;
  return result;
}

/// Both ways to run agree on `roots` for these values.
void check_same(const std::vector<Expr>& roots, const std::vector<Binding>& bindings) {
  std::vector<Expr> inputs;
  std::vector<Tensor> values;
  for (const auto& [x, value] : bindings) {
    inputs.push_back(x);
    values.push_back(value);
  }
  const auto fast =
      function({.inputs = inputs, .outputs = roots, .allow_unused_inputs = true})(values);
  const auto exact = cinch::running::interpret(roots, bindings, false);
  for (std::size_t k = 0; k < roots.size(); ++k) {
    CAPTURE(k);
    CAPTURE(describe(roots[k]));
    CHECK(distance(fast[k], exact[k]) <= rounding(exact[k].dtype()));
  }
}

}  // namespace

TEST_CASE("the arena hands out disjoint places, reuses what is given back and closes gaps") {
  std::mt19937 random(1);
  cinch::planning::ArenaLayout layout;
  struct Piece {
    std::size_t offset, bytes;
  };
  std::vector<Piece> held;
  std::size_t most = 0, total = 0;
  for (int k = 0; k < 5000; ++k) {
    if (held.empty() || random() % 2) {
      const std::size_t bytes = random() % 1000;
      const Piece piece{layout.take(bytes), std::max<std::size_t>((bytes + 63) / 64 * 64, 64)};
      CHECK(piece.offset % 64 == 0);
      CHECK(piece.offset + piece.bytes <= layout.bytes());
      for (const Piece& other : held)
        CHECK((piece.offset + piece.bytes <= other.offset ||
               other.offset + other.bytes <= piece.offset));
      held.push_back(piece);
      total += piece.bytes;
    } else {
      const std::size_t i = random() % held.size();
      layout.give_back(held[i].offset, held[i].bytes);
      total -= held[i].bytes;
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(i));
    }
    most = std::max(most, total);
  }
  CHECK(layout.bytes() < 2 * most);
  for (const Piece& piece : held) layout.give_back(piece.offset, piece.bytes);
  const std::size_t end = layout.bytes();
  CHECK(layout.take(end) == 0);  // One gap again.
  CHECK(layout.bytes() == end);
}

TEST_CASE("what no memory holds is an error, in the name of an op, and no crash") {
  const Expr n = lscalar("n"), x = dvector("x");
  RandomStreams random(1);
  const std::vector<std::pair<const char*, Expr>> rows{
      {"arange", arange(n)},
      {"eye", eye(n)},
      {"random_normal", random.normal({n})},
      {"random_uniform", random.uniform({n, 2})},
      {"cumsum", cumsum(broadcast_to(1.0, {n}), 0)},
      {"sort", sort(broadcast_to(x, {n, 3}))},
      {"bincount", bincount(arange(3), n)},
      {"one_hot", one_hot(arange(3), n)},
      {"tile", tile(x, {n, 1}) + 1.0},
      {"repeat", exp(repeat(x, n, 0))},
  };
  const Tensor value(DType::float64, {3});
  for (const auto& [label, y] : rows) {
    const std::string what = label;
    for (const Mode mode : {Mode::fast, Mode::checked}) {
      const Function f =
          function({.inputs = {n, x}, .outputs = {y}, .mode = mode, .allow_unused_inputs = true});
      // 2^50 elements are beyond what a processor can address.
      for (const int bits : {50, 57, 59, 60, 61, 62}) {
        CAPTURE(what);
        CAPTURE(bits);
        CHECK_THROWS_AS(f({Tensor(std::int64_t{1} << bits), value}), Error);
      }
      CHECK_THROWS_AS(f({Tensor(std::numeric_limits<std::int64_t>::max()), value}), Error);
    }
  }
  const Function f = function({n}, {random.normal({n}) + 1.0f});
  CHECK_THROWS_WITH_AS(f({std::int64_t{1} << 60}), doctest::Contains("too large for any memory"),
                       TypeError);
  CHECK_THROWS_WITH_AS(f({std::int64_t{1} << 60}), doctest::Contains("plan.cpp:"), TypeError);
}

TEST_CASE("temporaries of a long chain share a few buffers") {
  const Expr x = dmatrix("x");
  constexpr std::int64_t n = 100;
  constexpr std::size_t buffer = n * n * sizeof(double);
  const Tensor value = Tensor::full(DType::float64, {n, n}, 0.01);
  Expr products = x, loops = x;
  for (int k = 0; k < 30; ++k) {
    products = tanh(dot(products, x));
    loops = exp(-reverse(loops)) + sum(loops, 0);
  }
  for (const Expr& e : {products, loops}) {
    const Function f = function({x}, {sum(e)});
    f({value});
    CHECK(f.arena_bytes() < 4 * buffer);
  }
}

TEST_CASE("elementwise formulas and their sums take one pass, updates happen in place") {
  const Expr x = dmatrix("x");
  Shared W(Tensor::full(DType::float64, {50, 60}, 1), "W");
  const Expr y = exp(x) * tanh(x) + 1 / (1 + square(x));
  const Function f = function({x}, {sum(y), sum(y, 0), max(y, 1), sum(square(y))});
  f({Tensor::full(DType::float64, {50, 60}, 0.5)});
  CHECK(count(f.plan_text(), "loop") == 1);
  CHECK(f.arena_bytes() < 50 * 60 * sizeof(double));
  const Function step = function({x}, {}, {{W, W - 0.1 * (W * x)}});
  step({Tensor::full(DType::float64, {50, 60}, 0.5)});
  const std::string plan = step.plan_text();
  CAPTURE(plan);
  CHECK(count(plan, "copy to") == 0);
  CHECK(plan.find("loop") > plan.find("commit"));
  CHECK(step.arena_bytes() < 50 * 60 * sizeof(double));
}

TEST_CASE("short and long rows, columns, and every tail length are computed alike") {
  std::mt19937 random(2);
  const Expr x = dmatrix("x"), r = dmatrix("r"), c = dmatrix("c"), f = fmatrix("f");
  for (const Shape& shape : {Shape{1, 1}, Shape{1, 7}, Shape{7, 1}, Shape{3, 5}, Shape{5, 513},
                             Shape{513, 5}, Shape{2, 4097}, Shape{4097, 2}, Shape{1, 5000},
                             Shape{5000, 1}, Shape{33, 31}, Shape{0, 5}, Shape{5, 0}}) {
    CAPTURE(text(shape));
    const Tensor value = random_tensor(DType::float64, shape, random);
    const std::vector<Binding> bindings{{x, value},
                                        {r, random_tensor(DType::float64, {1, shape[1]}, random)},
                                        {c, random_tensor(DType::float64, {shape[0], 1}, random)},
                                        {f, value.cast(DType::float32)}};
    const Expr y = tanh(x) * r + c;
    check_same({y,
                sum(y),
                sum(y, 0),
                sum(y, 1),
                transpose(y),
                transpose(x) + transpose(c) * 2,
                sum(transpose(y) * transpose(x), 0),
                r * c,
                sum(r * c, 1),
                x + f,
                cast(f, DType::float64) * c,
                reverse(x) - reverse(y, 1),
                sum(reverse(x, 1) * x, 0),
                x > r,
                cast(x > c, DType::float32) + f,
                switch_(x > r, f, c),
                sum(cast(x > 0, DType::int64), 0),
                broadcast_like(r, x),
                sum(broadcast_like(c, x), 0),
                dot(y, transpose(x)),
                dot(transpose(y), x)},
               bindings);
  }
}

TEST_CASE("operands of five axes broadcast in every combination") {
  std::mt19937 random(3);
  const Shape full{2, 3, 2, 3, 4};
  for (int mask = 0; mask < 32; ++mask) {
    Shape shape = full;
    for (std::size_t axis = 0; axis < 5; ++axis) {
      if (mask >> axis & 1) shape[axis] = 1;
    }
    const Expr a = variable("a", DType::float64, Shape(5, -1)),
               b = variable("b", DType::float64, Shape(5, -1)), t = transpose(a);
    CAPTURE(text(shape));
    check_same({a * b + 1, sum(a * b, {0, 2, 4}), sum(exp(a) + b, {1, 3}), sum(a - b, 2),
                max(a * b, {0, 4}), transpose(a + b, {4, 2, 0, 3, 1}),
                dimshuffle(a, {1, 0, 3, 2, 4}) * 2, sum(t * transpose(b), {0, 1})},
               {{a, random_tensor(DType::float64, full, random)},
                {b, random_tensor(DType::float64, shape, random)}});
  }
}

TEST_CASE("views of views, of computed values, and at computed places") {
  std::mt19937 random(4);
  const Expr x = tensor3("x", DType::float64), i = lscalar("i");
  const Expr y = exp(x);
  for (const std::int64_t at_row : {0, 1, 2}) {
    check_same(
        {at(y, i), at(transpose(y), i, 2), transpose(at(x, i)), slice(slice(y, 1, 4), i, i + 1),
         reverse(slice(x, 0, 4, 0, 2)), reshape(transpose(y), Shape{-1, 2}),
         reshape(slice(x, 1, 3, 1), std::vector<Expr>{constant(Tensor(32))}),
         flatten(reverse(y, 1)), sum(at(y, i) * at(x, i), 0), dot(at(y, i), transpose(at(x, i))),
         dot(reverse(at(x, 0)), transpose(at(y, 1))), slice(reverse(x, 2), i, i + 2, 2),
         broadcast_like(at(at(x, 0), i), x), at(x, argmax(at(at(y, 0), 0), 0)), slice(x, i, i),
         reshape(slice(x, i, i), Shape{3, 0}), sum(slice(y, i, i), 0),
         concatenate({transpose(at(x, i)), transpose(at(y, 0))}, 1)},
        {{x, random_tensor(DType::float64, {4, 3, 4}, random)}, {i, at_row}});
  }
}

TEST_CASE("loops with hundreds of operations and many results at once") {
  std::mt19937 random(5);
  const Expr x = dvector("x");
  std::vector<Expr> roots;
  Expr y = x;
  for (int k = 0; k < 500; ++k) {
    y = sin(y) + x * (1.0 / (k + 1));
    if (k % 50 == 0) roots.push_back(y), roots.push_back(sum(y)), roots.push_back(y > 0);
  }
  roots.push_back(y);
  for (const std::int64_t n : {1, 3, 1000})
    check_same(roots, {{x, random_tensor(DType::float64, {n}, random)}});
}

TEST_CASE("two products that are a variable's whole new value are added where it lies") {
  std::vector<Tensor> values;
  for (const Shape& shape : {Shape{7, 50}, Shape{7, 40}, Shape{7, 40}, Shape{7, 50}})
    values.push_back(RandomState(std::ssize(values)).normal(0, 1, shape));
  const std::vector<Expr> x{dmatrix("a"), dmatrix("b"), dmatrix("c"), dmatrix("d")};
  const auto result = [&](Mode mode) {
    const Shared S(RandomState(9).normal(0, 1, {50, 40}), "S");
    const Expr value = dot(transpose(x[0]), x[1]) - transpose(2 * dot(transpose(x[2]), x[3]));
    const Function f = function({.inputs = x, .updates = {{S, value}}, .mode = mode});
    for (int k = 0; k < 2; ++k) f(values);  // What S was does not matter.
    if (mode == Mode::fast) {
      const std::string plan = f.plan_text();
      CAPTURE(plan);
      CHECK(plan.find("add_dot") != std::string::npos);
      CHECK(plan.find("to S") == std::string::npos);
    }
    return S.get();
  };
  CHECK(distance(result(Mode::fast), result(Mode::checked)) < 1e-12);
}

TEST_CASE("results are written where they are sent, if their memory is their own") {
  const Expr x = variable("x", DType::float64, Shape{3}), y = x * x, z = exp(y);
  const std::vector<Expr> variables{x};
  // What others read, what nobody else does, part of another one, an input and a constant.
  const std::vector<planning::PlanResult> results{
      {y}, {z}, {reshape(z, {3, 1})}, {x}, {constant(Tensor::from({4., 5.}))}};
  planning::Plan plan(variables, results);
  const std::vector<double> values{1, 2, 3};
  const void* const inputs[] = {values.data()};
  std::vector<double> first(3), second(3), unused(3, -1);
  plan.send_result(0, first.data());
  plan.send_result(1, second.data());
  for (const std::size_t k : {3, 4}) plan.send_result(k, unused.data());
  for (int round = 0; round < 2; ++round) {
    plan.run(inputs);
    CHECK(plan.result(0) == first.data());
    CHECK(plan.result(1) == second.data());
    CHECK(plan.result(3) == values.data());
    CHECK(static_cast<const double*>(plan.result(4))[1] == 5);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(first[i] == values[i] * values[i]);
      CHECK(second[i] == doctest::Approx(std::exp(first[i])));
      CHECK(static_cast<const double*>(plan.result(2))[i] == second[i]);
      CHECK(unused[i] == -1);
    }
    std::swap(first, second);  // They go elsewhere the next time.
    plan.send_result(0, first.data());
    plan.send_result(1, second.data());
  }
}
