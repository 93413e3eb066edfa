#include "cinch/ops/scan.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <random>

#include "cinch/cinch.hpp"
#include "support/loop_bodies.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

const std::vector<LoopBody>& bodies() { return loop_bodies(); }
using Body = LoopBody;

struct Problem {
  std::int64_t steps;
  DType dtype;
  std::mt19937 random{7};
  Expr X = tensor3("X", dtype), h0 = matrix("h0", dtype), U = matrix("U", dtype);
  std::vector<Expr> inputs{X, h0, U};
  std::vector<Binding> at{{X, drawn({steps, 2, 3})}, {h0, drawn({2, 3})}, {U, drawn({3, 3})}};

  Tensor drawn(const Shape& shape) { return random_tensor(dtype, shape, random, -1, 1); }
  Scan loop(const Body& body, bool go_backwards = false) const {
    return scan([&](Expr x, Expr h) { return body.step(x, h, U); },
                {.sequences = {X}, .initial = {h0}, .go_backwards = go_backwards});
  }
  /// The states after each step, step by step.
  std::vector<Expr> unrolled(const Body& body, bool go_backwards = false) const {
    std::vector<Expr> result;
    Expr h = h0;
    for (std::int64_t t = 0; t < steps; ++t) {
      h = body.step(X[go_backwards ? steps - 1 - t : t], h, U);
      result.push_back(h);
    }
    return result;
  }
  std::vector<Tensor> values(const std::vector<Expr>& outputs, Mode mode = Mode::fast) const {
    std::vector<Tensor> arguments;
    for (const auto& [x, value] : at) arguments.push_back(value);
    return function(
        {.inputs = inputs, .outputs = outputs, .mode = mode, .allow_unused_inputs = true})(
        arguments);
  }
};

void check_close(const std::vector<Tensor>& a, const std::vector<Tensor>& b, double tolerance) {
  REQUIRE(a.size() == b.size());
  for (std::size_t k = 0; k < a.size(); ++k) {
    CAPTURE(k);
    REQUIRE(a[k].shape() == b[k].shape());
    REQUIRE(a[k].dtype() == b[k].dtype());
    CHECK(distance(a[k], b[k]) <= tolerance);
  }
}

const GradOptions anywhere{.disconnected = Disconnected::zero};

/// The cost, its gradients, and those of the sum of their squares.
std::vector<Expr> with_gradients(const Expr& cost, const std::vector<Expr>& inputs) {
  std::vector<Expr> result{cost};
  Expr along = 0.0;
  for (const Expr& g : grad(cost, inputs, anywhere)) {
    result.push_back(g);
    along = along + sum(square(g));
  }
  for (const Expr& g : grad(along, inputs, anywhere)) result.push_back(g);
  return result;
}

}  // namespace

TEST_CASE("a loop makes what its steps make one after the other") {
  for (const Body& body : bodies()) {
    for (const DType dtype : {DType::float64, DType::float32}) {
      for (const std::int64_t steps : {1, 4}) {
        for (const bool backwards : {false, true}) {
          CAPTURE(body.text);
          CAPTURE(steps);
          const Problem p{steps, dtype};
          const Scan loop = p.loop(body, backwards);
          std::vector<Expr> states = p.unrolled(body, backwards);
          const double tolerance = dtype == DType::float64 ? 1e-14 : 1e-5;
          const std::vector<Expr> rows{stack(states), states.back()};
          for (const Mode mode : {Mode::fast, Mode::checked})
            check_close(p.values({loop[0], loop.last()}, mode), p.values(rows), tolerance);
        }
      }
    }
  }
}

TEST_CASE("derivatives of a loop are those of its steps, to the second order and each example's") {
  for (const Body& body : bodies()) {
    CAPTURE(body.text);
    const Problem p{3, DType::float64};
    const auto derivatives = [&](const Expr& all, const Expr& last) {
      std::vector<Expr> result;
      const Expr cost = sum(square(all)) + sum(sin(last));
      const std::vector<Expr> first = grad(cost, p.inputs, anywhere);
      Expr along = 0.0;
      for (const Expr& g : first) along = along + sum(sin(g));
      result.insert(result.end(), first.begin(), first.end());
      for (const Expr& g : grad(along, p.inputs, anywhere)) result.push_back(g);
      for (const Expr& x : p.inputs) {
        const Expr v = sin(x);
        result.push_back(Rop(last, x, v, anywhere));
        result.push_back(hessian_vector(cost, x, v, anywhere));
      }
      result.push_back(hessian(sum(square(last)) + sum(p.h0), p.h0));
      result.push_back(jacobian(last, p.h0, anywhere));
      result.push_back(vectorize(last, p.h0, stack({p.h0, 2 * p.h0})));
      return result;
    };
    const Scan loop = p.loop(body);
    const std::vector<Expr> states = p.unrolled(body);
    const std::vector<Tensor> expected = p.values(derivatives(stack(states), states.back()));
    const std::vector<Expr> of_loop = derivatives(loop[0], loop.last());
    check_close(p.values(of_loop), expected, 1e-11);
    check_close(p.values(of_loop, Mode::checked), expected, 1e-11);
  }
}

TEST_CASE("a loop's derivatives pass check_grad to the third order") {
  const Problem p{3, DType::float64};
  for (const Body& body : bodies()) {
    CAPTURE(body.text);
    const Expr every = 0.1 * (sum(sin(p.h0)) + sum(sin(p.U)) + sum(sin(p.X)));
    const Expr cost = sum(square(p.loop(body)[0])) + every;
    const GradCheck check = check_grad(cost, p.inputs, p.at, {.order = 3, .directions = 1});
    CAPTURE(check.report);
    CHECK(check.ok);
  }
}

TEST_CASE("random loops of several states: values and gradients as unrolled") {
  std::mt19937 random(11);
  const auto number = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  for (int round = 0; round < 40; ++round) {
    CAPTURE(round);
    const Problem p{2 + number(3), DType::float64};
    const int states = 1 + number(3), extra = number(2);
    const auto seed = static_cast<unsigned>(random());
    // The same draws make the same formulas, whatever they are made of.
    const auto step = [&](const Expr& x, const std::vector<Expr>& h) {
      std::mt19937 choice(seed);
      std::vector<Expr> known{x};
      known.insert(known.end(), h.begin(), h.end());
      const auto pick = [&] { return known[choice() % known.size()]; };
      for (int k = 0; k < 6; ++k) {
        const Expr a = pick(), b = pick();
        switch (choice() % 9) {
          case 0:
            known.push_back(tanh(a + b));
            break;
          case 1:
            known.push_back(sigmoid(dot(a, p.U)));
            break;
          case 2:
            known.push_back(a * sin(b));
            break;
          case 3:
            known.push_back(0.5 * a - 0.3 * b);
            break;
          case 4:
            known.push_back(dot(a, sin(transpose(p.U))) * 0.4);
            break;
          case 5:
            known.push_back(where(a > b, 0.5 * a, cos(b)));
            break;
          case 6:
            known.push_back(softmax(a + 0.5 * b));
            break;
          case 7:
            known.push_back(broadcast_like(mean(a, 0), b) * 0.9);
            break;
          default:
            known.push_back(exp(-square(a)) / (1 + square(b)));
            break;
        }
      }
      return std::vector<Expr>(known.end() - states - extra, known.end());
    };
    std::vector<ScanInitial> initial;
    for (int k = 0; k < states; ++k) initial.emplace_back(p.h0 * (1 + 0.1 * k));
    const Scan loop = scan(
        [&](const std::vector<Expr>& all) {
          return step(all[0], {all.begin() + 1, all.end()});
        },
        {.sequences = {p.X}, .initial = initial});
    std::vector<Expr> h;
    std::vector<std::vector<Expr>> rows(static_cast<std::size_t>(states + extra));
    for (const ScanInitial& one : initial) h.push_back(one.value);
    for (std::int64_t t = 0; t < p.steps; ++t) {
      const std::vector<Expr> made = step(p.X[t], h);
      for (std::size_t k = 0; k < rows.size(); ++k) rows[k].push_back(made[k]);
      h.assign(made.begin(), made.begin() + states);
    }
    Expr cost = 0.0, expected = 0.0;
    for (std::size_t k = 0; k < rows.size(); ++k) {
      const double weight = 1 + 0.5 * static_cast<double>(k);
      cost = cost + weight * sum(square(loop[k]));
      expected = expected + weight * sum(square(stack(rows[k])));
      if (k < static_cast<std::size_t>(states)) {
        cost = cost + sum(sin(loop.last(k)));
        expected = expected + sum(sin(rows[k].back()));
      }
    }
    check_close(p.values(with_gradients(cost, p.inputs)),
                p.values(with_gradients(expected, p.inputs)), 1e-10);
  }
}

TEST_CASE("rows, earlier outputs and non-sequences come in Theano's order, by their taps") {
  const Expr x = dvector("x"), y0 = dvector("y0");
  const Tensor rows = Tensor::from({1., 2., 3., 4., 5.}), before = Tensor::from({10., 20.});
  // y[t] = x[t - 1] + 2 x[t + 1] + 3 y[t - 2] + 4 y[t - 1] + 5
  const Scan loop =
      scan([](Expr early, Expr late, Expr y2, Expr y1,
              Expr c) { return early + 2 * late + 3 * y2 + 4 * y1 + c; },
           {.sequences = {{x, {-1, 1}}}, .initial = {{y0, {-2, -1}}}, .non_sequences = {5.0}});
  CHECK(evaluate(loop[0], {{x, rows}, {y0, before}}).shape() == Shape{3});
  double a = 10, b = 20;
  for (int t = 0; t < 3; ++t) {
    const double now = (1 + t) + 2 * (3 + t) + 3 * a + 4 * b + 5;
    CHECK(evaluate(loop[0], {{x, rows}, {y0, before}}).at(t) == now);
    a = b;
    b = now;
  }
  CHECK(evaluate(loop.last(), {{x, rows}, {y0, before}}).item() == b);
  const GradCheck check =
      check_grad(sum(sin(loop[0] / 100)), {x, y0}, {{x, rows}, {y0, before}}, {.order = 2});
  CAPTURE(check.report);
  CHECK(check.ok);
  // Fewer steps than rows.
  const Scan two = scan([](Expr row, Expr total) { return total + row; },
                        {.sequences = {x}, .initial = {0.0}, .steps = 2});
  CHECK(evaluate(two.last(), {{x, rows}}).item() == 3);
  // Any number of steps, known at the call.
  const Expr n = lscalar("n"), k = dscalar("k");
  const Scan power = scan([&](Expr v) { return v * k; }, {.initial = {1.0}, .steps = n});
  for (const std::int64_t steps : {0, 1, 10})
    CHECK(evaluate(power.last(), {{n, Tensor(steps)}, {k, Tensor(2.)}}).item() ==
          std::pow(2., steps));
  CHECK(evaluate(power.steps, {{n, Tensor(std::int64_t{7})}}).item() == 7);
}

TEST_CASE("float32 loops with casts and draws inside are checked and audited in float64") {
  RandomStreams streams(5);
  const Problem p{3, DType::float32};
  const Scan loop = scan(
      [&](Expr x, Expr h, Expr n) {
        const Expr drawn = streams.normal({2, 3}, 0.0, 0.1, DType::float32);
        const Expr mask = cast(x > 0, DType::float32);
        return std::vector<Expr>{tanh(x + dot(h, p.U)) * mask + drawn, n + mask};
      },
      {.sequences = {p.X}, .initial = {p.h0, zeros({2, 3})}});
  const Expr cost = mean(square(loop[0])) + mean(loop.last(1) * sum(p.U));
  const GradCheck check = check_grad(cost, p.inputs, p.at, {.order = 2});
  CAPTURE(check.report);
  CHECK(check.ok);
  CHECK_NOTHROW(audit(cost, p.inputs, p.at));
}

TEST_CASE("an empty loop: its last value is its first, in gradients too") {
  const Problem p{0, DType::float64};
  for (const Body& body : bodies()) {
    CAPTURE(body.text);
    const Scan loop = p.loop(body);
    const Expr cost = sum(square(loop.last())) + sum(loop[0]);
    std::vector<Expr> outputs{loop[0], loop.last()};
    for (const Expr& g : grad(cost, p.inputs, anywhere)) outputs.push_back(g);
    for (const Mode mode : {Mode::fast, Mode::checked}) {
      const std::vector<Tensor> values = p.values(outputs, mode);
      CHECK(values[0].shape() == Shape{0, 2, 3});
      CHECK(distance(values[1], p.at[1].second) == 0);
      CHECK(values[2].shape() == Shape{0, 2, 3});
      CHECK(distance(values[3], p.values({2 * p.h0})[0]) == 0);
      CHECK(distance(values[4], Tensor(DType::float64, {3, 3})) == 0);
    }
  }
}

TEST_CASE("until ends a loop: the last value stays, its gradient is that of the steps made") {
  const Expr x = dscalar("x");
  for (const double start : {0.7, 1.0, 3.0, 1000.}) {
    CAPTURE(start);
    int made = 0;
    double expected = start, slope = 1;
    do {
      expected *= 1.5;
      slope *= 1.5;
      ++made;
    } while (expected <= 8 && made < 20);
    const Scan loop = scan(
        [](Expr v) -> ScanStep {
          return {{1.5 * v, v}, {}, 1.5 * v > 8};
        },
        {.initial = {x}, .steps = 20});
    for (const Mode mode : {Mode::fast, Mode::checked}) {
      const auto values = function(
          {x},
          {loop.last(), loop.steps, loop[0], loop[1], grad(loop.last(), x), grad(sum(loop[1]), x)},
          {}, {}, mode)({start});
      CHECK(values[0].item() == expected);
      CHECK(values[1].item() == made);
      CHECK(values[2].at(19) == expected);
      CHECK(values[3].at(19) == (made == 20 ? expected / 1.5 : 0));
      CHECK(values[4].item() == doctest::Approx(slope));
      CHECK(values[5].item() == doctest::Approx((slope - 1) / 0.5));
    }
  }
}

TEST_CASE("what stands in rows after the end of a loop does not matter") {
  // Padding that bodies would refuse, or of which they would make NaN.
  const Expr x = dvector("x"), i = lvector("i");
  struct Row {
    const char* what;
    std::function<Expr(Expr row, Expr h, Expr index)> step;
  };
  const std::vector<Row> bodies{
      {"an index", [&](Expr row, Expr h, Expr k) { return h * at(x, k) + row; }},
      {"logarithms",
       [&](Expr row, Expr h, Expr) {
         return 0.5 * h + logsumexp(log(stack({row, 2 * row})));
       }},
      {"logarithms of the state",
       [&](Expr row, Expr h, Expr) {
         return 0.5 * h + logsumexp(log(stack({row * h, 2 * row * h})));
       }},
      {"a linear system",
       [&](Expr row, Expr h, Expr) {
         const Expr A = row * eye(Expr(2), DType::float64);
         return sum(solve(A, stack({h, row})));
       }},
      {"a root", [&](Expr row, Expr h, Expr) { return h + sqrt(row) * 1.5; }},
  };
  const Tensor rows = Tensor::from({1., 2., 3., 0., 0., 0., 0.}),
               short_rows = Tensor::from({1., 2., 3.});
  const Tensor indices = Tensor::from<std::int64_t>({7}, {0, 1, 2, 99, 99, 99, 99}),
               short_indices = Tensor::from<std::int64_t>({3}, {0, 1, 2});
  for (const Row& body : bodies) {
    for (const bool checkpoint : {false, true}) {
      CAPTURE(std::string(body.what));
      CAPTURE(checkpoint);
      const auto outputs = [&](bool ends) {
        const Scan loop = scan(
            [&](Expr row, Expr k, Expr h) -> ScanStep {
              const Expr next = body.step(row, h, k);
              return ends ? ScanStep({next, next * row}, {}, row >= 3.0)
                          : ScanStep({next, next * row});
            },
            {.sequences = {x, i}, .initial = {1.0}, .checkpoint = checkpoint});
        const Expr cost = sin(loop.last()) + sum(square(loop[1]));
        const Expr g = grad(cost, x);
        return std::vector<Expr>{loop.last(), cost, loop.steps, g, grad(sum(sin(g)), x)};
      };
      const std::vector<Tensor> expected =
          function({.inputs = {x, i}, .outputs = outputs(false), .allow_unused_inputs = true})(
              {short_rows, short_indices});
      for (const Mode mode : {Mode::fast, Mode::checked}) {
        CAPTURE((mode == Mode::fast));
        const std::vector<Tensor> values = function({.inputs = {x, i},
                                                     .outputs = outputs(true),
                                                     .mode = mode,
                                                     .allow_unused_inputs = true})({rows, indices});
        for (std::size_t k = 0; k < 3; ++k) CHECK(distance(values[k], expected[k]) < 1e-13);
        for (std::size_t k = 3; k < 5; ++k) {
          for (std::int64_t t = 0; t < 7; ++t) {
            CAPTURE(k);
            CAPTURE(t);
            CHECK(values[k].at(t) ==
                  doctest::Approx(t < 3 ? expected[k].at(t) : 0.0).epsilon(1e-11));
          }
        }
      }
    }
  }
}

TEST_CASE("a loop's ifelse computes the chosen side only, whatever rows say") {
  const Expr x = dvector("x"), i = lvector("i");
  const Tensor at_x = Tensor::from({2., 3., 5.}),
               at_i = Tensor::from<std::int64_t>({5}, {0, 1, 2, 99, 99});
  const std::vector<std::function<Expr(Expr, Expr)>> bodies{
      [&](Expr k, Expr h) { return h + ifelse(k < 3, at(x, k), 7.0); },
      [&](Expr k, Expr h) { return ifelse(k < 3, h * at(x, k), h); },
  };
  for (std::size_t b = 0; b < bodies.size(); ++b) {
    const Scan loop = scan(bodies[b], {.sequences = {i}, .initial = {1.0}});
    for (const Mode mode : {Mode::fast, Mode::checked}) {
      const auto values =
          function({x, i}, {loop.last(), grad(loop.last(), x)}, {}, {}, mode)({at_x, at_i});
      CHECK(values[0].item() == (b == 0 ? 25 : 30));
      CHECK(values[1].at(0) == (b == 0 ? 1 : 15));
      CHECK(values[1].at(2) == (b == 0 ? 1 : 6));
    }
  }
}

TEST_CASE("a loop updates shared variables and draws anew in each step") {
  RandomStreams streams(3);
  Shared total(Tensor(0.), "total"), count(Tensor(std::int64_t{0}), "count");
  const Expr once = streams.uniform({4}, 0.0, 1.0, DType::float64);
  const Scan loop = scan(
      [&]() -> ScanStep {
        const Expr u = streams.uniform({4}, 0.0, 1.0, DType::float64);
        return {{u, once}, {{total, total + sum(u)}, {count, count + 1}}};
      },
      {.steps = 5});
  const Function f = function({}, {loop[0], loop[1]}, loop.updates);
  double sum_of_all = 0;
  Tensor before;
  for (int call = 0; call < 3; ++call) {
    const std::vector<Tensor> values = f();
    CHECK(values[0].shape() == Shape{5, 4});
    for (int i = 0; i < 20; ++i) {
      sum_of_all += values[0].at(i);
      for (int j = 0; j < i; ++j) CHECK(values[0].at(i) != values[0].at(j));
      CHECK(values[1].at(i) ==
            values[1].at(i % 4));  // Made before the loop: the same in all steps.
    }
    if (call > 0) CHECK(distance(values[0], before) > 0);
    before = values[0];
    CHECK(total.get().item() == doctest::Approx(sum_of_all));
    CHECK(count.get().item() == 5 * (call + 1));
  }
  // Gradients reach what draws are scaled by: d/ds sum (s u) = sum u.
  const Expr s = dscalar("s");
  const Scan scaled = scan([&](Expr v) { return v + streams.normal({}, 0.0, s, DType::float64); },
                           {.initial = {0.0}, .steps = 6});
  const auto values = function({s}, {scaled.last(), grad(scaled.last(), s)})({2.0});
  CHECK(values[0].item() == doctest::Approx(2 * values[1].item()));
}

TEST_CASE("states of whole numbers and conditions go along, without a gradient") {
  const Expr x = dvector("x");
  const Scan loop = scan(
      [](Expr row, Expr n, Expr even, Expr h) {
        return std::vector<Expr>{n + 1, !even, where(even, h + row, h * row)};
      },
      {.sequences = {x},
       .initial = {Expr(constant(Tensor(std::int64_t{0}))), Expr(constant(Tensor(true))), 1.0}});
  const Tensor rows = Tensor::from({2., 3., 5., 7.});
  CHECK(evaluate(loop.last(0), {{x, rows}}).item() == 4);
  CHECK(evaluate(loop.last(2), {{x, rows}}).item() == ((1 + 2) * 3 + 5) * 7);
  CHECK(evaluate(loop[0], {{x, rows}}).dtype() == DType::int64);
  CHECK(evaluate(loop[1], {{x, rows}}).dtype() == DType::bool_);
  const Tensor slope = evaluate(grad(loop.last(2), x), {{x, rows}});
  CHECK(slope.at(0) == 21);
  CHECK(slope.at(1) == 21);
  CHECK(slope.at(2) == 7);
  CHECK(slope.at(3) == 14);
}

TEST_CASE("each example's Jacobian goes through a loop, and steps are no examples") {
  const Problem p{4, DType::float64};
  const Expr W = p.U;
  const Scan loop = scan([&](Expr x, Expr h) { return tanh(x + dot(h, W)); },
                         {.sequences = {p.X}, .initial = {p.h0}});
  CHECK(examples_are_separate(loop.last(), p.h0));
  CHECK_FALSE(examples_are_separate(loop[0], p.h0));  // The first axis is the steps.
  CHECK_FALSE(examples_are_separate(loop.last(), p.X));
  const Expr X = swapaxes(p.X, 0, 1);  // (examples, steps, k)
  CHECK(examples_are_separate(swapaxes(loop[0], 0, 1), p.h0));
  const Expr mixing = scan([&](Expr x, Expr h) { return h - mean(h, 0) + x; },
                           {.sequences = {p.X}, .initial = {p.h0}})
                          .last();
  CHECK_FALSE(examples_are_separate(mixing, p.h0));
  CHECK_THROWS_AS(jacobian(mixing, p.h0), GradError);
  // The contractive penalty of a recurrent encoder by each example's whole sequence.
  const Expr rows = tensor3("rows", DType::float64);
  const Scan encoder = scan([&](Expr x, Expr h) { return tanh(x + dot(h, W)); },
                            {.sequences = {swapaxes(rows, 0, 1)}, .initial = {p.h0}});
  const Expr penalty = sum(square(jacobian(encoder.last(), rows)));
  const GradCheck check = check_grad(
      penalty, {W}, {{rows, evaluate(X, p.at)}, {p.h0, p.at[1].second}, {W, p.at[2].second}},
      {.order = 1});
  CAPTURE(check.report);
  CHECK(check.ok);
}

TEST_CASE("what a loop keeps: its rows for a gradient, one state for its last value") {
  const auto bytes = [](std::int64_t steps, bool gradient) {
    const Expr x = matrix("x"), h0 = fvector("h0"), U = fmatrix("U");
    const Scan loop = scan([&](Expr row, Expr h) { return tanh(row + dot(h, U)); },
                           {.sequences = {x}, .initial = {h0}});
    const Expr cost = sum(square(loop.last()));
    const Function f = function({x, h0, U}, {gradient ? sum(grad(cost, U)) : cost});
    f({Tensor(DType::float32, {steps, 50}), Tensor(DType::float32, {50}),
       Tensor(DType::float32, {50, 50})});
    return f.arena_bytes();
  };
  CHECK(bytes(1000, false) < 2000);
  const std::size_t rows = 1000 * 50 * 4;
  CHECK(bytes(1000, true) < 6 * rows);
  CHECK(bytes(2000, true) < 12 * rows);
}

TEST_CASE("with checkpoints a loop is the same, to the second order, in a tenth of the memory") {
  for (const std::int64_t steps : {0, 1, 2, 3, 7, 12}) {
    CAPTURE(steps);
    const Problem p{steps, DType::float64};
    const auto outputs = [&](bool checkpoint) {
      const Scan loop = scan(
          [&](Expr x, Expr h) {
            const Expr next = tanh(x + dot(h, p.U));
            return std::vector<Expr>{next, sum(next * x)};
          },
          {.sequences = {p.X}, .initial = {p.h0}, .checkpoint = checkpoint});
      const Expr cost = sum(square(loop[0])) + sum(sin(loop[1])) + sum(sin(loop.last()));
      std::vector<Expr> result = with_gradients(cost, p.inputs);
      result.insert(result.end(), {loop[0], loop[1], loop.last()});
      return result;
    };
    check_close(p.values(outputs(true)), p.values(outputs(false)), 1e-12);
  }
  const auto bytes = [](bool checkpoint) {
    const std::int64_t steps = 2500, width = 50;
    const Expr x = fmatrix("x"), h0 = fvector("h0"), U = fmatrix("U");
    const Scan loop = scan([&](Expr row, Expr h) { return tanh(row * h + dot(h, U)); },
                           {.sequences = {x}, .initial = {h0}, .checkpoint = checkpoint});
    const Function f = function({x, h0, U}, {sum(grad(sum(square(loop.last())), U))});
    f({Tensor(DType::float32, {steps, width}), Tensor(DType::float32, {width}),
       Tensor(DType::float32, {width, width})});
    return f.arena_bytes();
  };
  const std::size_t all = bytes(false), few = bytes(true);
  CAPTURE(all);
  CAPTURE(few);
  CHECK(few * 10 < all);
}

TEST_CASE(
    "gradients of the user's own hold inside loops, and what is shown is shown at each step") {
  const Problem p{4, DType::float64};
  const auto loop_of = [&](const std::function<Expr(Expr)>& around) {
    return scan([&](Expr x, Expr h) { return tanh(around(dot(h, p.U)) + x); },
                {.sequences = {p.X}, .initial = {p.h0}});
  };
  const auto unrolled_of = [&](const std::function<Expr(Expr)>& around) {
    Expr h = p.h0;
    for (std::int64_t t = 0; t < p.steps; ++t) h = tanh(around(dot(h, p.U)) + p.X[t]);
    return h;
  };
  const std::vector<std::function<Expr(Expr)>> linear{
      [](Expr a) { return grad_scale(a, 0.5); },
      [](Expr a) { return grad_reverse(a, 2.0); },
      [](Expr a) { return straight_through(round(3 * a) / 3.0, a); },
  };
  for (const auto& around : linear) {
    const Expr a = loop_of(around).last(), b = unrolled_of(around);
    const auto derivatives = [&](const Expr& y) {
      const std::vector<Expr> g = grad(sum(square(y)), p.inputs);
      return std::vector<Expr>{
          g[0], g[1], g[2], jacobian(y, p.h0), Rop(y, p.U, sin(p.U)), grad(sum(sin(g[2])), p.U)};
    };
    check_close(p.values(derivatives(a)), p.values(derivatives(b)), 1e-12);
  }
  const auto clipped = [](Expr a) { return grad_clip(a, -0.01, 0.01); };
  check_close(p.values(grad(sum(square(loop_of(clipped).last())), p.inputs)),
              p.values(grad(sum(square(unrolled_of(clipped))), p.inputs)), 1e-12);
  CHECK_THROWS_AS(jacobian(loop_of(clipped).last(), p.h0), GradError);

  for (const bool of_rows : {false, true}) {
    std::vector<Tensor> shown;
    const Scan loop = scan(
        [&](Expr x, Expr h) {
          const auto see = [&](const Tensor& value) { shown.push_back(value); };
          const Expr row = of_rows ? observed(dot(x, p.U), see) : x;
          const Expr next = tanh(row + dot(h, p.U));
          return of_rows ? next : observed(next, see);
        },
        {.sequences = {p.X}, .initial = {p.h0}});
    const std::vector<Tensor> values =
        p.values({loop[0], grad(sum(square(loop[0])), p.U), loop.last()});
    CHECK(shown.size() == 4);
    for (const Tensor& value : shown) CHECK(value.shape() == Shape{2, 3});
    if (!of_rows) CHECK(distance(shown.back(), values[2]) == 0);
  }
}

TEST_CASE("loops that make no sense are refused with the user's line") {
  const Expr x = dmatrix("x"), y = variable("y", DType::float64, {5, 2}),
             z = variable("z", DType::float64, {4, 2}), h = dvector("h");
  const auto text_of = [](auto f) -> std::string {
    try {
      f();
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing was thrown";
  };
  const auto contains = [](const std::string& text, const std::vector<std::string>& parts) {
    CAPTURE(text);
    for (const std::string& part : parts) CHECK(text.find(part) != std::string::npos);
    CHECK(text.find("scan.cpp:") != std::string::npos);
  };
  const auto sum_of = [](Expr row, Expr state) { return state + row; };
  contains(text_of([&] { scan(sum_of, {.sequences = {x}}); }),
           {"the body takes 2 arguments, there are 1: x"});
  contains(text_of([&] { scan([] { return Expr(1.0); }, {}); }), {".steps = n"});
  contains(text_of([&] { scan([] { return Expr(1.0); }, {.steps = -3}); }),
           {"there are no -3 steps"});
  contains(text_of([&] { scan([] { return Expr(1.0); }, {.steps = 1.5}); }), {"int64 scalar"});
  contains(text_of([&] { scan(sum_of, {.sequences = {dscalar("s")}, .initial = {h}}); }),
           {"a sequence needs a first axis"});
  contains(text_of([&] {
             scan([](Expr a, Expr b, Expr s) { return s + a + b; },
                  {.sequences = {y, z}, .initial = {h}});
           }),
           {"different numbers of rows, 5 and 4"});
  contains(
      text_of([&] {
        scan([](Expr row, Expr s) { return stack({s, row}); }, {.sequences = {x}, .initial = {h}});
      }),
      {"a step must leave h in its type, float64 (?,)", "(2, ?)"});
  contains(text_of([&] {
             scan([](Expr, Expr s) { return cast(s, DType::float32); },
                  {.sequences = {x}, .initial = {h}});
           }),
           {"float32"});
  contains(text_of([&] {
             scan(
                 [](Expr row, Expr s) -> ScanStep {
                   return {{s + row}, {}, row > 0};
                 },
                 {.sequences = {x}, .initial = {h}});
           }),
           {"until must be a bool scalar"});
  contains(text_of([&] {
             scan([](Expr row) { return row; }, {.sequences = {x}, .initial = {h, h}});
           }),
           {"the body takes 1 arguments, there are 3"});
  contains(text_of([&] {
             scan(sum_of, {.sequences = {x}, .initial = {{h, {0}}}});
           }),
           {"taps must be below 0"});
  contains(text_of([&] { scan([](Expr row) { return row; }, {.sequences = {x}}).last(); }),
           {"has no initial value"});
  // Known at the call only.
  const Expr a = dmatrix("a");
  const Scan both =
      scan([](Expr p, Expr q, Expr s) { return s + p + q; }, {.sequences = {x, a}, .initial = {h}});
  Shared counter(Tensor(0.), "counter");
  const Function f = function({x, a, h}, {both[0]}, {{counter, counter + 1.0}});
  const auto of = [](const Shape& shape) { return Tensor(DType::float64, shape); };
  contains(text_of([&] { f({of({3, 2}), of({2, 2}), of({2})}); }), {"3 and 2"});
  contains(text_of([&] { f({of({3, 2}), of({3, 2}), of({1})}); }), {"a step must leave h"});
  // In a step: an index beyond the rows.
  const Expr i = lvector("i");
  const Scan pick =
      scan([&](Expr k, Expr s) { return s + at(h, k); }, {.sequences = {i}, .initial = {0.0}});
  const Function g = function({i, h}, {pick.last()}, {{counter, counter + 1.0}});
  contains(text_of([&] {
             g({Tensor::from<std::int64_t>({3}, {0, 1, 9}), of({4})});
           }),
           {"9", "at step 2 of 3"});
  CHECK(counter.get().item() == 0);
  g({Tensor::from<std::int64_t>({3}, {0, 1, 3}), of({4})});
  CHECK(counter.get().item() == 1);
}

TEST_CASE("givens, substitute and derivatives by inner nodes reach into what a loop uses") {
  const Problem p{3, DType::float64};
  const Expr V = sin(p.U);
  const Scan loop = scan([&](Expr x, Expr h) { return tanh(x + dot(h, V)); },
                         {.sequences = {p.X}, .initial = {p.h0}});
  const Expr v = dmatrix("v"), cost = sum(square(loop[0]));
  const Expr other = substitute(std::vector{cost}, {{V, v}}).front();
  const Tensor by_node = p.values({grad(cost, V)})[0];
  std::vector<Binding> at = p.at;
  at.emplace_back(v, evaluate(V, p.at));
  CHECK(distance(by_node, evaluate(grad(other, v), at)) < 1e-14);
  const Expr second = grad(sum(sin(grad(cost, V))), V);
  CHECK(distance(evaluate(second, p.at), evaluate(grad(sum(sin(grad(other, v))), v), at)) < 1e-12);
  CHECK(distance(evaluate(substitute(std::vector{second}, {{V, v}}).front(), at),
                 evaluate(second, p.at)) < 1e-12);
  const Function given = function({p.X, p.h0, v}, {grad(cost, V)}, {}, {{V, v}});
  CHECK(distance(given({p.at[0].second, p.at[1].second, at.back().second})[0], by_node) < 1e-14);
}
