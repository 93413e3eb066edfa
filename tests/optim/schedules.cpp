#include "cinch/optim/schedules.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <numbers>

#include "cinch/cinch.hpp"
#include "error_of.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// The schedule at steps 0, 1, ..., by one compiled function.
std::vector<double> rates(const std::function<Expr(const Expr&)>& schedule, int steps) {
  const Expr t = lscalar("t");
  const Function f =
      function({.inputs = {t}, .outputs = {schedule(t)}, .allow_unused_inputs = true});
  std::vector<double> result;
  for (std::int64_t k = 0; k < steps; ++k) result.push_back(f({k})[0].item());
  return result;
}

void check(const std::vector<double>& got, const std::vector<double>& expected) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t k = 0; k < got.size(); ++k) {
    CAPTURE(k);
    CHECK(got[k] == doctest::Approx(expected[k]).epsilon(1e-14));
  }
}

}  // namespace

TEST_CASE("schedules give the rates of their formulas: numbers by hand") {
  using namespace schedule;
  check(rates([](const Expr&) { return schedule::constant(0.25); }, 3), {0.25, 0.25, 0.25});
  check(rates(
            [](const Expr& t) {
              return piecewise(t, {2, 3}, {1, 0.5, 0.125});
            },
            5),
        {1, 1, 0.5, 0.125, 0.125});
  check(rates(
            [](const Expr& t) {
              return milestones(t, 1, {1, 4}, 0.5);
            },
            6),
        {1, 0.5, 0.5, 0.5, 0.25, 0.25});
  check(rates([](const Expr& t) { return stepwise(t, 0.8, 0.5, 2); }, 6),
        {0.8, 0.8, 0.4, 0.4, 0.2, 0.2});
  check(rates([](const Expr& t) { return exponential(t, 0.8, 0.25, 2); }, 5),
        {0.8, 0.4, 0.2, 0.1, 0.05});
  check(rates([](const Expr& t) { return inverse_time(t, 1, 1, 2); }, 5),
        {1, 1 / 1.5, 0.5, 0.4, 1 / 3.0});
  check(rates([](const Expr& t) { return polynomial(t, 1, 0.5, 4, 2); }, 6),
        {1, 0.5 + 0.5 * 0.5625, 0.625, 0.5 + 0.5 * 0.0625, 0.5, 0.5});
  const double h = std::sqrt(0.5);  // cos(pi / 4)
  check(rates([](const Expr& t) { return cosine(t, 1, 4, 0.5); }, 6),
        {1, 0.5 + (1 + h) / 4, 0.75, 0.5 + (1 - h) / 4, 0.5, 0.5});
  check(rates([](const Expr& t) { return cosine_restarts(t, 1, 2); }, 6), {1, 0.5, 1, 0.5, 1, 0.5});
  check(rates(
            [](const Expr& t) {
              return cosine_restarts(t, 1, 1, {2, 0.5, 0});
            },
            8),
        {1, 0.5, 0.25, 0.25, 0.25 * (1 + h) / 2, 0.125, 0.25 * (1 - h) / 2, 0.125});
  check(rates([](const Expr& t) { return warm_up(t, 4, 2.0); }, 6), {0, 0.5, 1, 1.5, 2, 2});
  check(rates([](const Expr& t) { return warm_up(t, 2, exponential(t, 1, 0.5), 0.5); }, 4),
        {0.5, 0.375, 0.25, 0.125});
  check(rates(
            [](const Expr& t) {
              return warm_up(t, 2, [](const Expr& s) { return exponential(s, 1, 0.5); });
            },
            5),
        {0, 0.5, 1, 0.5, 0.25});
}

TEST_CASE("a step counter advances once a call, and its schedule follows") {
  const Shared t = step_counter("t", 1);
  const Function f =
      function({.outputs = {schedule::exponential(t, 1, 0.5)}, .updates = {advance(t)}});
  CHECK(f()[0].item() == 0.5);
  CHECK(f()[0].item() == 0.25);
  CHECK(t.value() == Tensor(std::int64_t{3}));
  CHECK(evaluate(schedule::exponential(t, 1, 0.5)).item() == 0.125);
}

TEST_CASE("schedules refuse what makes no rate, with the user's line") {
  using namespace schedule;
  const Expr t = lscalar("t");
  struct Row {
    std::function<void()> make;
    const char* says;
  };
  const std::vector<Row> rows{
      {[&] { schedule::constant(-1); }, "schedule::constant: rate must be finite and not negative"},
      {[&] { stepwise(t, 1, 0.5, 0); }, "schedule::stepwise: every must be positive, got 0"},
      {[&] { exponential(t, INFINITY, 0.5); }, "rate must be finite and not negative, got inf"},
      {[&] { inverse_time(t, 1, -2); }, "decay must be finite and not negative, got -2"},
      {[&] { polynomial(t, 1, 0, 10, 0); }, "power must be finite and positive, got 0"},
      {[&] { cosine(t, 1, -5); }, "schedule::cosine: steps must be positive, got -5"},
      {[&] {
         cosine_restarts(t, 1, 2, {0, 1, 0});
       },
       "multiplier must be positive, got 0"},
      {[&] {
         piecewise(t, {3, 2}, {1, 1, 1});
       },
       "milestones must ascend, got 3 before 2"},
      {[&] { piecewise(t, {3}, {1}); }, "1 milestones need 2 rates, got 1"},
      {[&] { milestones(t, 1, {3}, -1); }, "factor must be finite and not negative, got -1"},
      {[&] { warm_up(t, 4, 1.0, 2); }, "start must be in [0, 1], got 2"},
      {[&] { cosine(vector("v"), 1, 5); }, "step must be a scalar"},
      {[&] { warm_up(t, 4, vector("v")); }, "rate must be a number or a scalar"},
      {[&] { advance(Shared(Tensor(1.0), "f")); }, "advance: the counter must be an int64 scalar"},
  };
  for (const Row& row : rows) {
    const std::string error = error_of<Error>(row.make);
    CAPTURE(error);
    CAPTURE(row.says);
    CHECK(contains(error, row.says));
    CHECK(contains(error, "schedules.cpp:"));
  }
}
