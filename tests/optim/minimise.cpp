#include "cinch/optim/minimise.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <functional>
#include <string>

#include "cinch/cinch.hpp"
#include "cinch/optim/optimizer/line_search.hpp"
#include "coupled.hpp"
#include "error_of.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

using Stopped = MinimiseResult::Stopped;
using Params = std::vector<Shared>;

struct Minimiser {
  std::string name;
  std::function<MinimiseResult(const Function&, const Params&, const std::vector<Tensor>&,
                               const MinimiseOptions&)>
      run;
};
std::vector<Minimiser> minimisers() {
  return {{"lbfgs", [](const Function& f, const Params& p, const std::vector<Tensor>& a,
                       const MinimiseOptions& o) { return lbfgs(f, p, a, o); }},
          {"conjugate_gradient",
           [](const Function& f, const Params& p, const std::vector<Tensor>& a,
              const MinimiseOptions& o) { return conjugate_gradient(f, p, a, o); }}};
}

Tensor numbers(const Shape& shape, double frequency) {
  Tensor result(DType::float64, shape);
  for (std::int64_t i = 0; i < result.size(); ++i)
    result.data<double>()[static_cast<std::size_t>(i)] =
        std::sin(1 + frequency * static_cast<double>(i));
  return result;
}

/// sum_i 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2, from -1.2, 1, -1.2, 1, ...
struct Rosenbrock {
  Shared x;
  Expr cost;
  explicit Rosenbrock(std::int64_t n) {
    Tensor start(DType::float64, {n});
    for (std::int64_t i = 0; i < n; ++i)
      start.data<double>()[static_cast<std::size_t>(i)] = i % 2 ? 1 : -1.2;
    x = Shared(start, "x");
    const Expr left = slice(x, 0, n - 1), right = slice(x, 1, n);
    cost = sum(100 * square(right - square(left)) + square(1 - left));
  }
};

}  // namespace

TEST_CASE("steps satisfy the strong Wolfe conditions, from first guesses of any size") {
  struct Row {
    std::string name;
    double (*value)(double);
    double (*slope)(double);
  };
  // The first three are those of More and Thuente, ACM TOMS 20, 1994, section 5.
  const std::vector<Row> rows{
      {"-a / (a^2 + 2)", [](double a) { return -a / (a * a + 2); },
       [](double a) { return (a * a - 2) / std::pow(a * a + 2, 2); }},
      {"(a + 0.004)^5 - 2 (a + 0.004)^4",
       [](double a) { return std::pow(a + 0.004, 5) - 2 * std::pow(a + 0.004, 4); },
       [](double a) { return 5 * std::pow(a + 0.004, 4) - 8 * std::pow(a + 0.004, 3); }},
      {"parabola", [](double a) { return (a - 3) * (a - 3); },
       [](double a) { return 2 * (a - 3); }},
      {"not finite from 1 on",
       [](double a) { return a - 0.1 * std::log(a + 1e-3) - std::log(1 - a); },
       [](double a) { return 1 - 0.1 / (a + 1e-3) + 1 / (1 - a); }},
      {"steep", [](double a) { return std::exp(a) - 1e6 * a; },
       [](double a) { return std::exp(a) - 1e6; }},
  };
  for (const Row& row : rows) {
    for (const double curvature : {0.9, 0.1, 0.001}) {
      for (const double first : {1e-3, 0.1, 1.0, 10.0, 1000.0}) {
        CAPTURE(row.name);
        CAPTURE(curvature);
        CAPTURE(first);
        double last = 0;
        const auto along = [&](double a) {
          last = a;
          return optimizer::LinePoint{a, row.value(a), row.slope(a)};
        };
        const double value0 = row.value(0), slope0 = row.slope(0);
        REQUIRE(slope0 < 0);
        const auto found =
            cinch::optimizer::line_search(along, value0, slope0, first, {.curvature = curvature});
        REQUIRE(found.has_value());
        CHECK(found->step == last);
        CHECK(found->value <= value0 + 1e-4 * found->step * slope0);
        CHECK(std::abs(found->slope) <= curvature * std::abs(slope0));
      }
    }
  }
}

TEST_CASE("a line that only rises has no step") {
  const auto found = cinch::optimizer::line_search(
      [](double a) {
        return optimizer::LinePoint{a, a, 1};
      },
      0, -1, 1);
  CHECK_FALSE(found.has_value());
}

TEST_CASE("quadratic functions are minimised, of parameters of every rank and both dtypes") {
  for (const Minimiser& m : minimisers()) {
    for (const DType dtype : {DType::float64, DType::float32}) {
      CAPTURE(m.name);
      CAPTURE(name(dtype));
      const Coupled problem(dtype);
      const double tolerance = dtype == DType::float64 ? 1e-9 : 1e-4;
      const MinimiseResult result = m.run(value_and_gradient(problem.cost, problem.params),
                                          problem.params, {}, {.gradient_tolerance = tolerance});
      CHECK(result.stopped == Stopped::gradient);
      CHECK(result.gradient <= tolerance);
      CHECK(result.iterations < 40);
      const auto g = problem.gradient_at(problem.values());
      CHECK(distance(g, std::vector<double>(g.size(), 0)) < 2 * tolerance);
      CHECK(result.value == doctest::Approx(problem.cost_at(problem.values())).epsilon(1e-5));
    }
  }
}

TEST_CASE("conjugate gradients need as many steps as a quadratic function has dimensions") {
  const Shared x(numbers({5}, 1.3), "x");
  const Expr cost =
      sum(constant(Tensor::from<double>({5}, {1, 3, 10, 30, 100})) * square(x - 1)) / 2;
  const MinimiseResult result = conjugate_gradient(cost, {x}, {.gradient_tolerance = 1e-8});
  CHECK(result.stopped == Stopped::gradient);
  CHECK(result.iterations <= 6);  // One more for rounding.
  for (std::int64_t i = 0; i < 5; ++i) CHECK(x.value().at(i) == doctest::Approx(1).epsilon(1e-7));
}

TEST_CASE("Rosenbrock's valley is followed to its end") {
  for (const Minimiser& m : minimisers()) {
    for (const std::int64_t n : {2, 10}) {
      CAPTURE(m.name);
      CAPTURE(n);
      const Rosenbrock r(n);
      double last = INFINITY;
      std::int64_t calls = 0;
      MinimiseOptions options{.iterations = 1000, .gradient_tolerance = 1e-8};
      options.after_iteration = [&](const MinimiseReport& report) {
        CHECK(report.value <= last * (1 + 1e-14));
        CHECK(report.iteration == ++calls);
        last = report.value;
      };
      const MinimiseResult result = m.run(value_and_gradient(r.cost, {r.x}), {r.x}, {}, options);
      CAPTURE(result.evaluations);
      CHECK(result.stopped == Stopped::gradient);
      CHECK(result.iterations == calls);
      CHECK(result.value < 1e-14);
      CHECK(result.evaluations < 600);
      for (std::int64_t i = 0; i < n; ++i)
        CHECK(r.x.value().at(i) == doctest::Approx(1).epsilon(1e-7));
    }
  }
}

TEST_CASE("logistic regression ends where Newton's method does") {
  // Columns of x; labels that no line separates.
  const Tensor x = numbers({40, 3}, 1.9);
  Tensor y(DType::float64, {40});
  for (std::size_t i = 0; i < 40; ++i)
    y.data<double>()[i] = x.data<double>()[3 * i] + std::sin(7.0 * static_cast<double>(i)) > 0;

  // By hand: mean of log(1 + exp(a)) - y a plus 0.005 |w|^2, with a = x w + w_3.
  const auto row = [&](std::size_t i) {
    const auto* r = &x.data<double>()[3 * i];
    return std::vector<double>{r[0], r[1], r[2], 1};
  };
  std::vector<double> w(4, 0.0);
  for (int iteration = 0; iteration < 30; ++iteration) {
    std::vector<std::vector<double>> a(4, std::vector<double>(5, 0.0));  // Hessian, gradient.
    for (std::size_t j = 0; j < 3; ++j) a[j][j] = 0.01, a[j][4] = 0.01 * w[j];
    for (std::size_t i = 0; i < 40; ++i) {
      const auto r = row(i);
      double z = 0;
      for (std::size_t j = 0; j < 4; ++j) z += r[j] * w[j];
      const double p = 1 / (1 + std::exp(-z));
      for (std::size_t j = 0; j < 4; ++j) {
        a[j][4] += (p - y.data<double>()[i]) * r[j] / 40;
        for (std::size_t k = 0; k < 4; ++k) a[j][k] += p * (1 - p) * r[j] * r[k] / 40;
      }
    }
    for (std::size_t j = 0; j < 4; ++j) {  // Gauss and Jordan; the matrix is positive.
      for (std::size_t i = 0; i < 4; ++i) {
        if (i == j) continue;
        const double factor = a[i][j] / a[j][j];
        for (std::size_t k = 0; k < 5; ++k) a[i][k] -= factor * a[j][k];
      }
    }
    for (std::size_t j = 0; j < 4; ++j) w[j] -= a[j][4] / a[j][j];
  }

  for (const Minimiser& m : minimisers()) {
    for (const DType dtype : {DType::float64, DType::float32}) {
      CAPTURE(m.name);
      CAPTURE(name(dtype));
      const Shared weights(Tensor(dtype, {3}), "weights"), bias(Tensor(dtype, {}), "bias");
      const Expr in = matrix("in", dtype), out = vector("out", dtype);
      const Expr a = dot(in, weights) + bias;
      const Expr cost = mean(softplus(a) - out * a) + 0.005 * sum(square(weights));
      const bool wide = dtype == DType::float64;
      const MinimiseResult result =
          m.run(value_and_gradient(cost, {weights, bias}, {in, out}), {weights, bias},
                {x.cast(dtype), y.cast(dtype)}, {.gradient_tolerance = wide ? 1e-9 : 1e-5});
      CAPTURE(result.evaluations);
      CAPTURE(result.gradient);
      CHECK(result.stopped == Stopped::gradient);
      const double digits = wide ? 1e-6 : 1e-2;
      for (std::int64_t j = 0; j < 3; ++j)
        CHECK(weights.value().at(j) ==
              doctest::Approx(w[static_cast<std::size_t>(j)]).epsilon(digits));
      CHECK(bias.value().item() == doctest::Approx(w[3]).epsilon(digits));
    }
  }
}

TEST_CASE("minimising ends by value, by number, and where rounding hides what is left") {
  for (const Minimiser& m : minimisers()) {
    CAPTURE(m.name);
    const auto run = [&](const MinimiseOptions& options) {
      const Rosenbrock r(4);
      return m.run(value_and_gradient(r.cost + 1, {r.x}), {r.x}, {}, options);
    };
    CHECK(run({.iterations = 3}).stopped == Stopped::iterations);
    CHECK(run({.iterations = 3}).iterations == 3);
    CHECK(run({.iterations = 0}).evaluations == 1);
    const MinimiseResult by_value = run({.iterations = 1000, .value_tolerance = 1e-3});
    CHECK(by_value.stopped == Stopped::value);
    CHECK(by_value.gradient > 1e-6);
    const MinimiseResult all = run({.iterations = 5000, .gradient_tolerance = 0});
    CHECK((all.stopped == Stopped::precision || all.gradient == 0));
    CHECK(all.value == doctest::Approx(1).epsilon(1e-14));
  }
}

TEST_CASE("values that are not finite on the way are stepped back from") {
  for (const Minimiser& m : minimisers()) {
    CAPTURE(m.name);
    const Shared p(Tensor(0.1), "p");
    const Expr cost = p - log(p);  // Defined for p > 0; least at 1.
    const MinimiseResult result = m.run(value_and_gradient(cost, {p}), {p}, {}, {});
    CHECK(result.stopped == Stopped::gradient);
    CHECK(p.value().item() == doctest::Approx(1).epsilon(1e-5));
    // The same of a matrix, whose op refuses what is not positive definite.
    const Shared A(Tensor::from<double>({2, 2}, {30, 0.5, 0.5, 0.01}), "A");
    CHECK(m.run(value_and_gradient(trace(A) - logdet(A), {A}), {A}, {}, {}).stopped ==
          Stopped::gradient);
    for (const std::int64_t k : {0, 1, 2, 3})
      CHECK(A.value().at(k) == doctest::Approx(k % 3 == 0).epsilon(1e-4));
  }
}

TEST_CASE("an exception on the way leaves the best point so far") {
  const Rosenbrock r(2);
  double value = 0;
  MinimiseOptions options;
  options.after_iteration = [&](const MinimiseReport& report) {
    value = report.value;
    if (report.iteration == 5) throw ValueError("enough");
  };
  CHECK_THROWS_AS(lbfgs(r.cost, {r.x}, options), ValueError);
  CHECK(evaluate(r.cost).item() == doctest::Approx(value).epsilon(1e-14));
}

namespace {

/// What a child that runs this prints, and its status as waitpid() gives it.
struct Ended {
  std::string printed;
  int status = 0;
};
Ended run_child(const std::function<void(std::FILE*)>& work) {
  std::FILE* out = std::tmpfile();
  REQUIRE(out);
  std::fflush(stdout);  // What is still to be printed is the parent's.
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::signal(SIGINT, SIG_DFL);  // Not doctest's.
    std::signal(SIGTERM, SIG_DFL);
    try {
      work(out);
      std::fputs("went on\n", out);
      std::fflush(out);
    } catch (...) {
      _exit(3);
    }
    _exit(0);
  }
  Ended result;
  REQUIRE(waitpid(child, &result.status, 0) == child);
  std::rewind(out);
  for (int c; (c = std::fgetc(out)) != EOF;) result.printed += static_cast<char>(c);
  std::fclose(out);
  return result;
}

}  // namespace

TEST_CASE("an interrupted minimisation keeps the best point, says so, and ends as by the signal") {
  for (const Minimiser& m : minimisers()) {
    for (const int signal : {SIGINT, SIGTERM}) {
      for (const AfterInterrupt after :
           {AfterInterrupt::as_shown, AfterInterrupt::end_program, AfterInterrupt::give_back}) {
        for (const bool shown : {true, false}) {
          CAPTURE(m.name);
          const Ended ended = run_child([&](std::FILE* out) {
            const Rosenbrock r(10);
            double value = 0;
            MinimiseOptions options{.iterations = 1000, .after_interrupt = after};
            options.out = shown ? out : nullptr;
            options.after_iteration = [&](const MinimiseReport& report) {
              value = report.value;
              if (report.iteration == 7) std::raise(signal);
            };
            options.save = [&](const MinimiseReport& report) {
              std::fprintf(out, "saved %d %d\n", static_cast<int>(report.iteration),
                           std::abs(evaluate(r.cost).item() - value) <= 1e-14 * value);
            };
            const MinimiseResult result =
                m.run(value_and_gradient(r.cost, {r.x}), {r.x}, {}, options);
            std::fprintf(out, "given back %d\n",
                         result.stopped == Stopped::interrupted && result.iterations == 7 &&
                             result.value == value);
          });
          CAPTURE(ended.printed);
          const bool ends =
              after == AfterInterrupt::end_program || (after == AfterInterrupt::as_shown && shown);
          CHECK(contains(ended.printed, "saved 7 1\n"));
          CHECK(contains(ended.printed, m.name + ": interrupted after iteration 7 (value ") ==
                shown);
          CHECK(contains(ended.printed, "; the parameters are saved\n") == shown);
          CHECK(contains(ended.printed, "given back 1\nwent on\n") == !ends);
          CHECK(WIFSIGNALED(ended.status) == ends);
          if (ends) CHECK(WTERMSIG(ended.status) == signal);
        }
      }
    }
    const Ended unsaved = run_child([&](std::FILE* out) {
      const Rosenbrock r(4);
      m.run(value_and_gradient(r.cost, {r.x}), {r.x}, {},
            {.after_iteration = [](const MinimiseReport&) { std::raise(SIGINT); }, .out = out});
    });
    CHECK(contains(unsaved.printed, "; the parameters are not saved: .save = "));
  }
}

TEST_CASE("interrupted anywhere, a minimisation goes on from the best point to the same minimum") {
  for (const Minimiser& m : minimisers()) {
    for (std::int64_t stop = 1; stop <= 40; ++stop) {
      const Rosenbrock r(4);
      std::int64_t calls = 0;
      double last = INFINITY;
      MinimiseOptions options{.iterations = 5000, .gradient_tolerance = 1e-8, .out = nullptr};
      options.after_iteration = [&](const MinimiseReport& report) {
        CHECK(report.value <= last * (1 + 1e-14));
        last = report.value;
        if (++calls % stop == 0 && calls <= 40) std::raise(SIGINT);
      };
      std::int64_t parts = 1;
      while (m.run(value_and_gradient(r.cost, {r.x}), {r.x}, {}, options).stopped ==
             Stopped::interrupted)
        ++parts;
      CHECK((stop > 20 || parts > 1));
      for (std::int64_t i = 0; i < 4; ++i)
        CHECK(r.x.value().at(i) == doctest::Approx(1).epsilon(1e-6));
    }
  }
}

TEST_CASE("functions and starts that make no sense are refused") {
  const Shared p(Tensor(1.0), "p"), q(Tensor(1.0), "q"), n(Tensor(-1.0), "n");
  RandomStreams streams(1);
  const Expr noise = streams.normal(Shape{}, 0.0, 1.0, DType::float64);
  const Expr cost = square(p);
  const Expr g = grad(cost, {p})[0];
  const int line = __LINE__ + 1;
  const Expr bad = log(n);
  struct Row {
    std::function<void()> call;
    std::string says;
  };
  const std::vector<Row> rows{
      {[&] { lbfgs(function({.outputs = {cost}}), {p}); },
       "lbfgs: the function must give the cost and 1 gradients, it has 1 outputs"},
      {[&] {
         lbfgs(function({.outputs = {cost, g}}), {q});
       },
       "lbfgs: the function does not read parameter q"},
      {[&] {
         lbfgs(function({.outputs = {cost, g * noise}}), {p});
       },
       "lbfgs: the function must change nothing, it updates random state 0"},
      {[&] {
         conjugate_gradient(function({.outputs = {cost, cast(g, DType::float32)}}), {p});
       },
       "conjugate_gradient: parameter p is float64 (), its gradient is float32 ()"},
      {[&] { lbfgs(cost, {}); }, "the list of parameters is empty"},
      {[&] { lbfgs(cost, {p}, {.memory = 0}); }, "memory at least 1, got 200 and 0"},
      {[&] { lbfgs(bad, {n}); }, "lbfgs: at the start the value is "},
      {[&] { lbfgs(bad, {n}); }, text("minimise.cpp:", line)},
  };
  for (const Row& row : rows) {
    const std::string error = error_of<Error>(row.call);
    CAPTURE(error);
    CAPTURE(row.says);
    CHECK(contains(error, row.says));
  }
}
