// Random expressions: distribution, repeatability, and the state that calls advance.
#include "cinch/ops/random.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

constexpr std::int64_t draws = 100000;

struct Moments {
  double mean, variance, least, most;
};

Moments moments(const Tensor& t) {
  double total = 0, squares = 0, least = 1e300, most = -1e300;
  for (std::int64_t i = 0; i < t.size(); ++i) {
    total += t.at(i);
    least = std::min(least, t.at(i));
    most = std::max(most, t.at(i));
  }
  const double mean = total / static_cast<double>(t.size());
  for (std::int64_t i = 0; i < t.size(); ++i) squares += (t.at(i) - mean) * (t.at(i) - mean);
  return {mean, squares / static_cast<double>(t.size()), least, most};
}

/// Share of neighbours that agree in being above the mean: near 1/2 for independent numbers.
double agreement(const Tensor& t, std::int64_t lag) {
  const double middle = moments(t).mean;
  std::int64_t same = 0;
  for (std::int64_t i = lag; i < t.size(); ++i)
    same += (t.at(i) > middle) == (t.at(i - lag) > middle);
  return static_cast<double>(same) / static_cast<double>(t.size() - lag);
}

}  // namespace

TEST_CASE("uniform, normal and binomial numbers have their means, variances and limits") {
  RandomStreams streams(2026);
  const Shape n{draws};
  struct Row {
    const char* what;
    Expr x;
    double mean, variance, fourth, low, high;  // fourth: E (x - mean)^4
  };
  const double p = 0.3, q = 0.7;
  const double euler = 0.57721566490153286, sixth = 1.6449340668482264;  // pi^2 / 6
  for (const DType dtype : {DType::float64, DType::float32}) {
    const Row rows[] = {
        {"uniform", streams.uniform(n, 0.0, 1.0, dtype), 0.5, 1.0 / 12, 1.0 / 80, 0, 1},
        {"uniform(-2, 3)", streams.uniform(n, -2, 3, dtype), 0.5, 25.0 / 12, 625.0 / 80, -2, 3},
        {"normal", streams.normal(n, 0.0, 1.0, dtype), 0, 1, 3, -7, 7},
        {"normal(5, 0.5)", streams.normal(n, 5, 0.5, dtype), 5, 0.25, 3.0 / 16, 1.5, 8.5},
        {"gumbel", streams.gumbel(n, 0.0, 1.0, dtype), euler, sixth, 5.4 * sixth * sixth, -3.7, 40},
        {"gumbel(2, 0.5)", streams.gumbel(n, 2, 0.5, dtype), 2 + 0.5 * euler, sixth / 4,
         5.4 * sixth * sixth / 16, 0, 22},
        {"binomial(1, 0.3)", streams.binomial(n, 1, p, dtype), p, p * q, p * q * (1 - 3 * p * q), 0,
         1},
        {"binomial(10, 0.3)", streams.binomial(n, 10, p, dtype), 3, 2.1, 2.1 * (1 + 3 * 8 * p * q),
         0, 10},
    };
    for (const Row& row : rows) {
      const Tensor t = evaluate(row.x);
      const Moments m = moments(t);
      const double root = std::sqrt(static_cast<double>(draws));
      CAPTURE(std::string(row.what));
      CAPTURE(name(dtype));
      CHECK(t.dtype() == dtype);
      CHECK(std::abs(m.mean - row.mean) <
            5 * std::sqrt(row.variance) / root);  // Five standard errors.
      CHECK(std::abs(m.variance - row.variance) <
            5 * std::sqrt(row.fourth - row.variance * row.variance) / root);
      CHECK(m.least >= row.low);
      CHECK(m.most <= row.high);
      for (const std::int64_t lag : {1, 2, 3, 64, 1000}) {
        // Never fewer than half of 2 p q apart for p = 0.3; compare with the number's own share.
        double above = 0;
        for (std::int64_t i = 0; i < t.size(); ++i) above += t.at(i) > m.mean;
        above /= static_cast<double>(t.size());
        CHECK(std::abs(agreement(t, lag) - (above * above + (1 - above) * (1 - above))) <
              5 * 0.5 / root);
      }
    }
  }
}

TEST_CASE(
    "numbers repeat from a seed, differ between draws, calls and seeds, and not between modes") {
  const auto first = [](std::int64_t seed, Mode mode) {
    RandomStreams streams(seed);
    const Expr a = streams.normal(Shape{3, 5}), b = streams.normal(Shape{3, 5}),
               c = streams.uniform(Shape{0});
    const Function f = function({}, {a, b, c}, {}, {}, mode);
    std::vector<Tensor> result = f();
    for (const Tensor& t : f()) result.push_back(t);
    return result;
  };
  const auto fast = first(7, Mode::fast), again = first(7, Mode::fast),
             checked = first(7, Mode::checked), other = first(8, Mode::fast);
  for (std::size_t k = 0; k < fast.size(); ++k) {
    CHECK(fast[k] == again[k]);
    CHECK(fast[k] == checked[k]);
  }
  CHECK_FALSE(fast[0] == fast[1]);
  CHECK_FALSE(fast[0] == fast[3]);
  CHECK_FALSE(fast[1] == fast[3]);
  CHECK_FALSE(fast[0] == other[0]);
  // An element depends on its position only, not on how many there are.
  RandomStreams streams(7);
  const Expr n = lscalar("n"), x = streams.uniform(std::vector<Expr>{n});
  const Tensor six = evaluate(x, {{n, 6}});

  RandomStreams same(7);
  const Tensor nine = evaluate(same.uniform(Shape{9}));
  for (std::int64_t i = 0; i < 6; ++i) CHECK(six.at(i) == nine.at(i));
}

TEST_CASE(
    "one draw is one number, however often it is used: in the cost, its gradient and outputs") {
  RandomStreams streams(3);
  const Shared w(Tensor::full(DType::float64, {4}, 2), "w");
  const Expr mask = streams.binomial(Shape{4}, 1, 0.5, DType::float64),
             noise = streams.normal(Shape{4}, 0, 1, DType::float64);
  const Expr cost = sum(w * mask + square(w) * noise);
  for (const Mode mode : {Mode::fast, Mode::checked}) {
    const Function f = function({}, {cost, grad(cost, w), mask, noise}, {}, {}, mode);
    for (int call = 0; call < 5; ++call) {
      const auto out = f();
      double total = 0;
      for (std::int64_t i = 0; i < 4; ++i) {
        CHECK(out[1].at(i) == doctest::Approx(out[2].at(i) + 4 * out[3].at(i)));
        total += 2 * out[2].at(i) + 4 * out[3].at(i);
      }
      CHECK(out[0].item() == doctest::Approx(total));
    }
  }
}

TEST_CASE("the state moves by one with each call, not when the call throws, and can be put back") {
  for (const Mode mode : {Mode::fast, Mode::checked}) {
    RandomStreams streams(4);
    const Expr i = lscalar("i"), x = dvector("x"), u = streams.uniform(Shape{2}),
               v = streams.uniform(Shape{2});
    const Function f = function({x, i}, {u, at(x, i)}, {}, {}, mode),
                   g = function({}, {u + v}, {}, {}, mode);
    const Tensor values = Tensor::from<double>({2}, {1, 2});
    REQUIRE(streams.states().size() == 2);
    Shared state = streams.states()[0], second = streams.states()[1];
    CHECK(state.get() == Tensor::from<std::int64_t>({3}, {4, 0, 0}));
    CHECK(second.get() == Tensor::from<std::int64_t>({3}, {4, 1, 0}));
    f({values, 0});
    const Tensor saved = state.get();
    CHECK(saved.at(2) == 1);
    CHECK(second.get().at(2) == 0);
    CHECK_THROWS_AS(f({values, 2}), ValueError);
    CHECK(state.get() == saved);
    const Tensor next = f({values, 1})[0];
    CHECK_FALSE(f({values, 1})[0] == next);
    state.set(saved);
    CHECK(f({values, 1})[0] == next);
    g();
    CHECK(state.get().at(2) == 3);
    CHECK(second.get().at(2) == 1);
    evaluate(u);  // A function like any other.
    CHECK(state.get().at(2) == 4);
  }
}

TEST_CASE(
    "gradients reach the mean and the deviation of normal numbers and the limits of uniform ones") {
  RandomStreams streams(5);
  const Expr mean_ = dvector("mean"), sd = dscalar("sd"), low = dscalar("low"),
             high = dscalar("high");
  const Expr z = streams.normal(Shape{3}, mean_, sd, DType::float64),
             u = streams.uniform(Shape{3}, low, high, DType::float64);
  const auto out = function({mean_, sd, low, high}, {z, u, grad(sum(z), mean_), grad(sum(z), sd),
                                                     grad(sum(u), low), grad(sum(u), high)})(
      {Tensor::from<double>({3}, {1, 2, 3}), 2.0, -1.0, 4.0});
  double by_sd = 0, by_high = 0;
  for (std::int64_t i = 0; i < 3; ++i) {
    by_sd += (out[0].at(i) - static_cast<double>(i + 1)) / 2;
    by_high += (out[1].at(i) + 1) / 5;
  }
  CHECK(out[2] == Tensor::full(DType::float64, {3}, 1));
  CHECK(out[3].item() == doctest::Approx(by_sd));
  CHECK(out[4].item() == doctest::Approx(3 - by_high));
  CHECK(out[5].item() == doctest::Approx(by_high));
}

TEST_CASE(
    "a denoising cost: a mask of the batch's shape, zeros in the right share, no gradient through "
    "it") {
  RandomStreams streams(6);
  const Expr x = dmatrix("x");
  const Shared W(Tensor::full(DType::float64, {50, 4}, 0.1), "W");
  const Expr mask = streams.binomial(sizes(x), 1, 0.7, DType::float64), corrupted = x * mask;
  const Expr h = tanh(dot(corrupted, W)), cost = mean(square(dot(h, transpose(W)) - x));
  const Function f = function({x}, {cost, corrupted}, {{W, W - 0.1 * grad(cost, W)}});
  for (const std::int64_t batch : {20, 7, 20}) {
    const auto out = f({Tensor::full(DType::float64, {batch, 50}, 1)});
    CHECK(out[1].shape() == Shape{batch, 50});
    const Moments m = moments(out[1]);
    CHECK(std::abs(m.mean - 0.7) < 5 * std::sqrt(0.21 / static_cast<double>(batch * 50)));
    CHECK(m.least == 0);
    CHECK(m.most == 1);
  }
  CHECK(f.plans_made() == 2);
  const Expr p = dscalar("p");
  CHECK_THROWS_AS(grad(sum(streams.binomial(Shape{3}, 1, p, DType::float64)), p), GradError);
  CHECK_THROWS_AS(streams.binomial(Shape{3}, 0, 0.5), ValueError);
}

TEST_CASE("probabilities of 0 and 1 are certain") {
  RandomStreams streams(9);
  CHECK(moments(evaluate(streams.binomial(Shape{10000}, 1, 0.0))).most == 0);
  CHECK(moments(evaluate(streams.binomial(Shape{10000}, 1, 1.0))).least == 1);
  CHECK(moments(evaluate(streams.binomial(Shape{1000}, 5, 1.0))).least == 5);
  CHECK(evaluate(streams.uniform(Shape{})).rank() == 0);
}

TEST_CASE("categorical draws have their probabilities, along the last axis") {
  RandomStreams streams(12);
  const std::vector<double> weights{1, 0, 3, 6, 4, 4, 0, 0};  // Two rows, of the sums 10 and 8.
  const std::int64_t count = 40000;
  for (const DType dtype : {DType::float64, DType::float32, DType::int64}) {
    const Expr p = constant(Tensor::from<double>({2, 4}, weights).cast(dtype));
    const Expr many = broadcast_to(p, {constant(Tensor(count)), 2, 4});
    const Tensor t = evaluate(streams.categorical(many));
    REQUIRE(t.dtype() == DType::int64);
    REQUIRE(t.shape() == Shape{count, 2});
    for (std::int64_t row = 0; row < 2; ++row) {
      for (std::int64_t k = 0; k < 4; ++k) {
        double share = 0;
        for (std::int64_t i = 0; i < count; ++i)
          share += t.at(2 * i + row) == static_cast<double>(k);
        share /= static_cast<double>(count);
        const double right =
            weights[static_cast<std::size_t>(4 * row + k)] / (row == 0 ? 10.0 : 8.0);
        CAPTURE(row);
        CAPTURE(k);
        CHECK(std::abs(share - right) <=
              5 * std::sqrt(right * (1 - right) / static_cast<double>(count)));
      }
    }
  }
  // Logits, however large.
  const Expr z = dvector("z");
  const Function f = function({z}, {streams.categorical(softmax(z, -1))});
  for (int call = 0; call < 20; ++call)
    CHECK(f({Tensor::from<double>({3}, {-2000, 1000, -1000})})[0].item() == 1);
  CHECK_THROWS_AS(grad(sum(cast(streams.categorical(z), DType::float64)), z), GradError);
  CHECK_THROWS_AS(streams.categorical(0.5), TypeError);
}

TEST_CASE("permutations hold each number once, and all orders alike") {
  RandomStreams streams(13);
  const Tensor t = evaluate(streams.permutation({20000, 3}));
  REQUIRE(t.dtype() == DType::int64);
  REQUIRE(t.shape() == Shape{20000, 3});
  std::map<std::vector<double>, int> seen;
  for (std::int64_t i = 0; i < 20000; ++i) ++seen[{t.at(3 * i), t.at(3 * i + 1), t.at(3 * i + 2)}];
  CHECK(seen.size() == 6);
  for (const auto& [order, times] : seen) {
    CHECK(order[0] + order[1] + order[2] == 3);
    CHECK(std::abs(times - 20000. / 6) < 5 * std::sqrt(20000 * 5. / 36));
  }
  // Of a number that is known when it runs.
  const Expr x = dvector("x");
  const Function f = function({x}, {streams.permutation({size(x, 0)})});
  for (const std::int64_t n : {1, 5, 1000}) {
    const Tensor one = f({Tensor(DType::float64, {n})})[0];
    std::vector<double> sorted;
    for (std::int64_t i = 0; i < n; ++i) sorted.push_back(one.at(i));
    std::ranges::sort(sorted);
    for (std::int64_t i = 0; i < n; ++i) CHECK(sorted[static_cast<std::size_t>(i)] == i);
  }
  CHECK_THROWS_AS(streams.permutation(Shape{}), TypeError);
}

TEST_CASE("choice takes elements along the first axis, with their gradient") {
  RandomStreams streams(14);
  const Expr x = dmatrix("x");
  const Tensor rows = Tensor::from<double>({3, 2}, {0, 0.5, 1, 1.5, 2, 2.5});
  const std::int64_t count = 30000;
  for (const Mode mode : {Mode::fast, Mode::checked}) {
    const Expr some = streams.choice(x, count);
    const auto out = function({x}, {some, grad(sum(some), x)}, {}, {}, mode)({rows});
    REQUIRE(out[0].shape() == Shape{count, 2});
    for (std::int64_t k = 0; k < 3; ++k) {
      double times = 0;
      for (std::int64_t i = 0; i < count; ++i) {
        times += out[0].at(2 * i) == static_cast<double>(k);
        if (i < 100) CHECK(out[0].at(2 * i + 1) == out[0].at(2 * i) + 0.5);
      }
      CHECK(std::abs(times - 10000) < 5 * std::sqrt(30000 * 2. / 9));
      CHECK(out[1].at(2 * k) == times);
    }
    const Function all = function({x}, {streams.choice(x, 3, /*replace=*/false)}, {}, {}, mode);
    for (int call = 0; call < 20; ++call) {
      const Tensor t = all({rows})[0];
      CHECK(t.at(0) + t.at(2) + t.at(4) == 3);
      CHECK(t.at(0) * t.at(2) * t.at(4) == 0);
      CHECK((t.at(0) != t.at(2) && t.at(2) != t.at(4)));
    }
    CHECK_THROWS_AS(function({x}, {streams.choice(x, 4, false)}, {}, {}, mode)({rows}), Error);
  }
  const Expr three = constant(rows);
  CHECK_THROWS_WITH_AS(streams.choice(three, 4, false),
                       doctest::Contains("cannot choose 4 elements without replacing"), ValueError);
  CHECK_THROWS_AS(streams.choice(three, -1), ValueError);
  CHECK_THROWS_AS(streams.choice(dscalar("s"), 1), TypeError);
}

TEST_CASE("parameters that no distribution has are errors, at once or when they are known") {
  RandomStreams streams(3);
  const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
  const Expr a = dscalar("a"), b = dscalar("b");
  const auto run = [&](const Expr& y, double x, double z, Mode mode) {
    return function({.inputs = {a, b}, .outputs = {y}, .mode = mode, .allow_unused_inputs = true})(
        {Tensor(x), Tensor(z)})[0];
  };
  struct Row {
    double a, b;
  };
  const auto uniform = [&](const Arg& low, const Arg& high) {
    return streams.uniform({4}, low, high, DType::float64);
  };
  const auto normal = [&](const Arg& mean, const Arg& sd) {
    return streams.normal({4}, mean, sd, DType::float64);
  };
  // Numbers that the dtype has not would all be its largest.
  for (const Row& row : {Row{0, 1e39}, {-1e39, 0}, {-3e38, 3e38}}) {
    CHECK_THROWS_WITH_AS(streams.uniform({4}, row.a, row.b, DType::float32),
                         doctest::Contains("is more than float32 has numbers for"), ValueError);
    CHECK_NOTHROW(uniform(row.a, row.b));
  }
  CHECK_THROWS_WITH_AS(uniform(-1.7e308, 1.7e308),
                       doctest::Contains("is more than float64 has numbers for"), ValueError);
  for (const Row& row : {Row{1, 0}, {0, nan}, {nan, 1}, {0, inf}, {-inf, 0}, {inf, inf}}) {
    CAPTURE(row.a);
    CAPTURE(row.b);
    CHECK_THROWS_WITH_AS(uniform(row.a, row.b), doctest::Contains("written at random.cpp:"),
                         ValueError);
    for (const Mode mode : {Mode::fast, Mode::checked}) {
      CHECK_THROWS_AS(run(uniform(a, b), row.a, row.b, mode), ValueError);
      CHECK_THROWS_WITH_AS(run(uniform(a, b), row.a == row.b ? 1 : row.a, row.b, Mode::fast),
                           doctest::Contains("uniform: high - low"), ValueError);
    }
  }
  for (const double sd : {-1.0, -1e-300, nan, inf}) {
    CHECK_THROWS_WITH_AS(normal(0, sd), doctest::Contains("sd >= 0"), ValueError);
    for (const Mode mode : {Mode::fast, Mode::checked})
      CHECK_THROWS_WITH_AS(run(normal(a, b), 0, sd, mode), doctest::Contains("normal: sd"),
                           ValueError);
  }
  CHECK_THROWS_AS(normal(nan, 1), ValueError);
  for (const Row& row : {Row{0, -1}, {0, nan}, {0, inf}, {nan, 1}, {inf, 1}})
    CHECK_THROWS_WITH_AS(streams.gumbel({4}, row.a, row.b), doctest::Contains("scale >= 0"),
                         ValueError);
  for (const Mode mode : {Mode::fast, Mode::checked}) {
    for (const double bad : {-1.0, nan, inf}) {
      CHECK_THROWS_WITH_AS(run(streams.gumbel({4}, a, b), 0, bad, mode),
                           doctest::Contains("gumbel: scale"), ValueError);
      CHECK_THROWS_WITH_AS(run(streams.categorical(stack({a, b}, 0)), 1, bad, mode),
                           doctest::Contains("categorical: p"), ValueError);
    }
    CHECK_THROWS_WITH_AS(run(streams.categorical(stack({a, b}, 0)), 0, 0, mode),
                         doctest::Contains("sum of p"), ValueError);
  }
  for (const double p : {-0.1, 1.5, nan, inf}) {
    for (const std::int64_t n : {1, 3}) {
      CHECK_THROWS_WITH_AS(streams.binomial({4}, n, p), doctest::Contains("in [0, 1]"), ValueError);
      for (const Mode mode : {Mode::fast, Mode::checked})
        CHECK_THROWS_WITH_AS(run(streams.binomial({4}, n, b), 0, p, mode),
                             doctest::Contains("binomial: p"), ValueError);
    }
  }
  // What is allowed.
  for (const Mode mode : {Mode::fast, Mode::checked}) {
    CHECK(moments(run(uniform(a, b), 2, 2, mode)).most == 2);
    CHECK(moments(run(normal(a, b), 2, 0, mode)).least == 2);
    CHECK(moments(run(streams.binomial({4}, 1, b), 0, 1, mode)).least == 1);
    CHECK(moments(run(uniform(a, b), -1, 3, mode)).most < 3);
  }
  CHECK(moments(evaluate(uniform(2, 2))).most == 2);
  // Gradients go through what is checked.
  const Expr g = grad(sum(normal(a, b)), b), e = normal(0, 1);
  CHECK(run(g, 0, 1, Mode::fast).item() != 0);
}

TEST_CASE("a uniform number is below high in every dtype") {
  struct Row {
    double low, high;
  };
  for (const DType dtype : {DType::float32, DType::float64}) {
    for (const Row& row :
         {Row{0, 1}, {-1, 1}, {1e6, 1e6 + 1}, {3, 3.0000005}, {-7, 0.1}, {0, 0.1}}) {
      CAPTURE(row.low);
      CAPTURE(name(dtype));
      RandomStreams streams(11);
      const double low = dtype == DType::float32 ? static_cast<float>(row.low) : row.low,
                   high = dtype == DType::float32 ? static_cast<float>(row.high) : row.high;
      const Expr a = scalar("a", dtype), b = scalar("b", dtype);
      const std::vector<Binding> at{{a, Tensor(low).cast(dtype)}, {b, Tensor(high).cast(dtype)}};
      for (const Expr& y :
           {streams.uniform({draws}, low, high, dtype), streams.uniform({draws}, a, b, dtype)}) {
        const Moments m = moments(evaluate(y, at));
        CHECK(m.least >= low);
        CHECK(m.most < high);
      }
    }
  }
}

TEST_CASE("copies of random streams draw different numbers") {
  RandomStreams one(5), other = one;
  const Expr a = one.normal({8}), b = other.normal({8}), c = one.normal({8});
  const auto drawn = function({.outputs = {a, b, c}})();
  CHECK_FALSE(drawn[0] == drawn[1]);
  CHECK_FALSE(drawn[1] == drawn[2]);
  CHECK(one.states().size() == 3);
  CHECK(other.states().size() == 3);
  // As the draws of one do that is not copied.
  RandomStreams again(5);
  const Expr d = again.normal({8}), e = again.normal({8});
  const auto same = function({.outputs = {d, e}})();
  CHECK(same[0] == drawn[0]);
  CHECK(same[1] == drawn[1]);
  const RandomStreams moved = std::move(again);
  CHECK_THROWS_WITH_AS(again.normal({8}), doctest::Contains("std::move()"), TypeError);
}

TEST_CASE("a state with a fourth word draws the numbers of the whole draw from that one on") {
  const auto state = [](std::vector<std::int64_t> words) {
    return constant(Tensor::from<std::int64_t>({std::ssize(words)}, words));
  };
  const auto drawn = [&](const Op& op, DType dtype, Mode mode, const Expr& from, std::int64_t n) {
    const Expr y = apply(op, {from, constant(Tensor(n))}, {.dtype = dtype});
    return function({.outputs = {y}, .mode = mode})()[0];
  };
  constexpr std::int64_t all = 1001;
  for (const Op* op : {&random_uniform_op, &random_normal_op}) {
    for (const DType dtype : {DType::float32, DType::float64}) {
      for (const Mode mode : {Mode::fast, Mode::checked}) {
        const Tensor whole = drawn(*op, dtype, mode, state({7, 2, 5}), all);
        for (const std::int64_t first : {0, 1, 2, 127, 128, 129, 500, 999, 1000}) {
          CAPTURE(op->name);
          CAPTURE(first);
          const Tensor part = drawn(*op, dtype, mode, state({7, 2, 5, first}), all - first);
          bool same = true;
          for (std::int64_t k = 0; k < part.size(); ++k)
            same = same && part.at(k) == whole.at(first + k);
          CHECK(same);
        }
        CHECK(drawn(*op, dtype, mode, state({7, 2, 5, 3}), 0).size() == 0);
      }
    }
  }
}
