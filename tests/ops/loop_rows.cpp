// Loops whose rows need nothing of each other, in parts that threads share: beside the same loops
// whole.
#include "cinch/core/compile/loop_rows.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "cinch/cinch.hpp"
#include "support/loop_bodies.hpp"
#include "support/samples.hpp"
#include "support/settings.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

constexpr const char* by_rows = "parts of the rows";

/// So many parts, and threads, for a while. One part is the loop as it stands.
struct Parts {
  explicit Parts(std::int64_t parts) { compiling::forced_parts = parts; }
  ~Parts() { compiling::forced_parts = 0; }
};

struct Problem {
  DType dtype;
  std::int64_t steps, rows;
  std::mt19937 random{7};
  Expr X = tensor3("X", dtype), h0 = matrix("h0", dtype), U = matrix("U", dtype);
  std::vector<Expr> inputs{X, h0, U};
  std::vector<Tensor> values{drawn({steps, rows, 3}), drawn({rows, 3}), drawn({3, 3})};

  Tensor drawn(const Shape& shape) { return random_tensor(dtype, shape, random, -1, 1); }
  /// All states, the last one, and gradients of both, of the first order and the second.
  std::vector<Expr> outputs(const Scan& loop, bool twice) const {
    const GradOptions anywhere{.disconnected = Disconnected::zero};
    const Expr cost = sum(square(loop[0])) + sum(sin(loop.last()));
    std::vector<Expr> result{loop[0], loop.last()};
    Expr along = 0.0;
    for (const Expr& g : grad(cost, inputs, anywhere)) {
      result.push_back(g);
      along = along + sum(sin(g));
    }
    if (!twice) return result;
    for (const Expr& g : grad(along, inputs, anywhere)) result.push_back(g);
    return result;
  }
  Function compiled(const std::vector<Expr>& outputs) const {
    return function({.inputs = inputs, .outputs = outputs, .allow_unused_inputs = true});
  }
};

int count(const std::string& text, const std::string& word) {
  int result = 0;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1))
    ++result;
  return result;
}

void check_close(const std::vector<Tensor>& a, const std::vector<Tensor>& b, DType dtype) {
  REQUIRE(a.size() == b.size());
  for (std::size_t k = 0; k < a.size(); ++k) {
    CAPTURE(k);
    REQUIRE(a[k].shape() == b[k].shape());
    CHECK(distance(a[k], b[k]) <= (dtype == DType::float64 ? 1e-13 : 2e-5));
  }
}

std::vector<Tensor> values_in_parts(const Function& f, const std::vector<Tensor>& values,
                                    std::int64_t parts) {
  const Parts use(parts);
  return f(values);
}

}  // namespace

TEST_CASE("a loop in parts of its rows makes what it makes whole, with its derivatives") {
  for (const LoopBody& body : loop_bodies()) {
    // Running sums have a kernel that might refuse values, for all that the engine knows.
    const bool divides = body.text != "cumsum and reversal";
    for (const DType dtype : {DType::float64, DType::float32}) {
      for (const bool backwards : {false, true}) {
        for (const bool checkpoint : {false, true}) {
          CAPTURE(body.text);
          CAPTURE(backwards);
          CAPTURE(checkpoint);
          const Problem p{dtype, 4, 5};
          const Scan loop = scan([&](Expr x, Expr h) { return body.step(x, h, p.U); },
                                 {.sequences = {p.X},
                                  .initial = {p.h0},
                                  .go_backwards = backwards,
                                  .checkpoint = checkpoint});
          const std::vector<Expr> outputs = p.outputs(loop, dtype == DType::float64);
          const std::vector<Tensor> expected = values_in_parts(p.compiled(outputs), p.values, 1);
          const Function f = p.compiled(outputs);
          check_close(values_in_parts(f, p.values, 2), expected, dtype);
          const std::string plan = f.plan_text();
          CAPTURE(plan);
          if (divides && !checkpoint) CHECK(count(plan, by_rows) >= count(plan, "4 steps"));
          if (divides && checkpoint) CHECK(count(plan, by_rows) > 0);
        }
      }
    }
  }
}

TEST_CASE("parts of the rows may be unequal, of one row, of one step or of none") {
  for (const std::int64_t steps : {0, 1, 3}) {
    for (const std::int64_t parts : {2, 3, 5, 7}) {
      CAPTURE(steps);
      CAPTURE(parts);
      const Problem p{DType::float64, steps, 5};
      const Scan loop = scan([&](Expr x, Expr h) { return tanh(x + dot(h, p.U)); },
                             {.sequences = {p.X}, .initial = {p.h0}});
      const std::vector<Expr> outputs = p.outputs(loop, true);
      const std::vector<Tensor> expected = values_in_parts(p.compiled(outputs), p.values, 1);
      const Function f = p.compiled(outputs);
      check_close(values_in_parts(f, p.values, parts), expected, p.dtype);
      CHECK((count(f.plan_text(), by_rows) > 0) == (steps > 0));
    }
  }
}

TEST_CASE("what rows have in common and what is given for each of them stay what they are") {
  const Problem p{DType::float64, 4, 5};
  const Expr mask = matrix("mask", DType::float64), table = matrix("table", DType::float64);
  // A number that counts, a state that all rows share, one of rows; a mask and a table.
  const Scan loop = scan(
      [&](Expr x, Expr n, Expr shared, Expr h) {
        const Expr next = tanh(dot(h, p.U) + x) * mask + cast(n, DType::float64) * shared;
        return std::vector<Expr>{n + 1, 0.5 * shared + 0.1 * sum(square(table)), next};
      },
      {.sequences = {p.X}, .initial = {Expr(std::int64_t{1}), 0.1 * sum(p.U), p.h0}});
  std::vector<Expr> inputs = p.inputs;
  inputs.insert(inputs.end(), {mask, table});
  std::vector<Expr> outputs{loop[0], loop[1], loop[2], loop.last(0), loop.last(1), loop.last(2)};
  const Expr cost = sum(square(loop[2])) + sum(loop[1]);
  for (const Expr& g : grad(cost, inputs)) outputs.push_back(g);
  std::vector<Tensor> values = p.values;
  std::mt19937 random(9);
  values.push_back(random_tensor(p.dtype, {5, 3}, random, 0, 1));
  values.push_back(random_tensor(p.dtype, {5, 2}, random, 0, 1));
  const auto compiled = [&] { return function({.inputs = inputs, .outputs = outputs}); };
  const std::vector<Tensor> expected = values_in_parts(compiled(), values, 1);
  const Function f = compiled();
  check_close(values_in_parts(f, values, 2), expected, p.dtype);
  CHECK(count(f.plan_text(), by_rows) > 0);
}

TEST_CASE("loops whose rows meet, that end early, that show or refuse values run whole") {
  const Parts use(2);
  const Problem p{DType::float64, 4, 5};
  const auto plan_of = [&](const std::vector<Expr>& inputs, const Expr& output,
                           std::vector<Tensor> values) {
    const Function f = function({.inputs = inputs, .outputs = {output}});
    f(values);
    return f.plan_text();
  };
  int shown = 0;
  struct Body {
    std::string what;
    std::function<Expr(Expr x, Expr h)> step;
  };
  const std::vector<Body> bodies{
      {"a mean over rows", [](Expr x, Expr h) { return tanh(h - mean(h, 0, true)) + x; }},
      {"rows that change places", [](Expr x, Expr h) { return reverse(h, 0) + x; }},
      {"a product of rows", [](Expr x, Expr h) { return dot(dot(h, transpose(h)), x); }},
      {"shown", [&](Expr x, Expr h) { return observed(h, [&](const Tensor&) { ++shown; }) + x; }},
  };
  for (const Body& body : bodies) {
    CAPTURE(body.what);
    const Scan loop = scan(body.step, {.sequences = {p.X}, .initial = {p.h0}});
    const std::string plan = plan_of({p.X, p.h0}, loop.last(), {p.values[0], p.values[1]});
    CHECK(count(plan, "4 steps") == 1);
    CHECK(count(plan, by_rows) == 0);
  }
  CHECK(shown == 4);
  const Scan ending = scan(
      [](Expr x, Expr h) -> ScanStep {
        return {{h + x}, {}, sum(h) > 100.0};
      },
      {.sequences = {p.X}, .initial = {p.h0}});
  CHECK(count(plan_of({p.X, p.h0}, ending.last(), {p.values[0], p.values[1]}), by_rows) == 0);

  // An index that a state says, out of range for the last row at step 2.
  const Expr table = dvector("table"), start = lvector("start");
  const Scan looked_up = scan(
      [&](Expr k, Expr h) {
        return std::vector<Expr>{k + 1, h + take(table, k, 0)};
      },
      {.initial = {start, zeros_like(cast(start, DType::float64))}, .steps = 4});
  const Function f = function({table, start}, {looked_up.last(1)});
  CHECK(f({Tensor::from({1., 2., 3., 4.}), Tensor::from<std::int64_t>({0, 0})})[0].at(1) == 10);
  CHECK_THROWS_WITH_AS(f({Tensor::from({1., 2., 3., 4.}), Tensor::from<std::int64_t>({0, 2})}),
                       doctest::Contains("at step 2 of 4"), ValueError);
}

TEST_CASE("loops are divided where it pays, and the bits are the same for any number of threads") {
  for (const DType dtype : {DType::float32, DType::float64}) {
    for (const std::int64_t rows : {8, 32, 37}) {
      CAPTURE(rows);
      std::mt19937 random(5);
      const Expr X = tensor3("X", dtype), h0 = matrix("h0", dtype), U = matrix("U", dtype);
      const Scan loop = scan([&](Expr x, Expr h) { return tanh(x + dot(h, U)); },
                             {.sequences = {X}, .initial = {h0}});
      const Function f =
          function({X, h0, U}, {loop[0], loop.last(), grad(sum(square(loop.last())), U)});
      const std::vector<Tensor> values{random_tensor(dtype, {12, rows, 100}, random, -1, 1),
                                       random_tensor(dtype, {rows, 100}, random, -1, 1),
                                       random_tensor(dtype, {100, 100}, random, -0.2, 0.2)};
      std::vector<Tensor> expected;
      for (const int n : {1, 2, 4}) {
        const Threads use(n);
        for (int call = 0; call < 5; ++call) {
          const std::vector<Tensor> made = f(values);
          if (expected.empty()) expected = made;
          for (std::size_t k = 0; k < made.size(); ++k) CHECK(made[k] == expected[k]);
        }
      }
      CHECK((count(f.plan_text(), by_rows) > 0) == (rows >= 32));
      const Function checked = function({X, h0, U}, {loop[0], loop.last()}, {}, {}, Mode::checked);
      check_close(checked(values), {expected[0], expected[1]}, dtype);
    }
  }
}
