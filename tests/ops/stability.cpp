// Formulas as a user writes them, at values where their intermediate results overflow, vanish or
// cancel: what the rewritten function and its gradient give, against the stable value.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "cinch/cinch.hpp"
#include "cinch/core/rewrite/rewrite.hpp"
#include "cinch/core/run/interpret.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

bool close(double a, double b, double tolerance = 1e-14) {
  return a == b || std::abs(a - b) <= tolerance * std::abs(b);
}

bool uses(const Expr& e, std::string_view op) {
  const std::vector<Expr> roots = cinch::rewriting::rewrite(std::vector{e});
  for (const Expr& node : topological(roots)) {
    if (node.op().name == op) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("naive formulas of one number are computed, and differentiated, in their stable forms") {
  const Expr x = dscalar("x");
  struct Row {
    Expr y;
    double at, value, slope;
  };
  const double tiny = 1e-20;
  const Row rows[] = {
      {log(exp(x) + exp(-x)), 1000, 1000, 1},
      {log(exp(x) + exp(2 * x)), -1000, -1000, 1},
      {log(1 - exp(x)), -tiny, std::log(tiny), -1 / tiny},
      {log(1 - exp(x)), -50, -std::exp(-50.0), -std::exp(-50.0)},
      {1 - exp(x), tiny, -tiny, -1},
      {exp(x) / (1 + exp(x)), 1000, 1, 0},
      {exp(x) / (1 + exp(x)), -700, std::exp(-700.0), std::exp(-700.0)},
      {exp(-x) / (1 + exp(-x)), 1000, 0, 0},
      {(exp(x) - exp(-x)) / (exp(x) + exp(-x)), 1000, 1, 0},
      {(exp(x) - exp(-x)) / (exp(x) + exp(-x)), tiny, tiny, 1},
      {1 - erf(x), 10, std::erfc(10.0), -2 / std::sqrt(std::acos(-1.0)) * std::exp(-100.0)},
      {1 + erf(x), -10, std::erfc(10.0), 2 / std::sqrt(std::acos(-1.0)) * std::exp(-100.0)},
      {1 - erfc(x), tiny, std::erf(tiny), 2 / std::sqrt(std::acos(-1.0))},
      {x * log(x), 0, 0, -inf},
      {(1 - x) * log(1 - x), 1, 0, inf},
      {x * log(x) + (1 - x) * log(1 - x), 0.5, -std::log(2.0), 0},
      {sigmoid(x) * log(sigmoid(x)), -800, 0, 0},
  };
  for (const Row& row : rows) {
    CAPTURE(describe(row.y));
    CAPTURE(row.at);
    const double value = evaluate(row.y, {{x, row.at}}).item(),
                 slope = evaluate(grad(row.y, x), {{x, row.at}}).item();
    CAPTURE(value);
    CAPTURE(slope);
    CHECK(close(value, row.value));
    CHECK(close(slope, row.slope, 1e-12));
  }
}

TEST_CASE("naive divergences of two numbers are right where one of them is 0") {
  const Expr p = dscalar("p"), q = dscalar("q");
  struct Row {
    Expr y;
    double p, q, value, by_q;
  };
  const Expr kl = p * log(p / q), difference = p * (log(p) - log(q));
  const Expr coins = p * log(p / q) + (1 - p) * log((1 - p) / (1 - q));
  const Expr coins_apart = p * (log(p) - log(q)) + (1 - p) * (log(1 - p) - log(1 - q));
  const Row rows[] = {
      {kl, 0, 0.5, 0, 0},
      {kl, 0, 0, 0, 0},
      {kl, 0.5, 0.25, 0.5 * std::log(2.0), -2},
      {difference, 0, 0.5, 0, 0},
      {difference, 0, 0, 0, 0},
      {difference, 0.5, 0, inf, -inf},
      {difference, 0.5, 0.25, 0.5 * std::log(2.0), -2},
      {coins, 0, 0.25, -std::log(0.75), 1 / 0.75},
      {coins, 1, 0.25, -std::log(0.25), -4},
      {coins_apart, 0, 0.25, -std::log(0.75), 1 / 0.75},
      {coins_apart, 1, 0.25, -std::log(0.25), -4},
      {coins_apart, 0, 0, 0, 1},
      {coins_apart, 1, 1, 0, -1},
  };
  for (const Row& row : rows) {
    CAPTURE(describe(row.y));
    CAPTURE(row.p);
    CAPTURE(row.q);
    const std::vector<Binding> at{{p, row.p}, {q, row.q}};
    const double value = evaluate(row.y, at).item(), slope = evaluate(grad(row.y, q), at).item();
    CAPTURE(value);
    CAPTURE(slope);
    CHECK(close(value, row.value));
    CHECK(close(slope, row.by_q));
  }
}

TEST_CASE("log of a sum or mean of exponentials is logsumexp, over any axes, kept or gone") {
  const Expr x = tensor3("x", DType::float64);
  std::mt19937 random(41);
  Tensor v = random_tensor(DType::float64, {2, 3, 4}, random, -3, 3);
  for (const Axes& axes : {Axes(), Axes(0), Axes(1), Axes(-1), Axes{0, 2}}) {
    for (const bool keepdims : {false, true}) {
      const Expr stable = logsumexp(x, axes, keepdims);
      const Expr count = sum(ones_like(x), axes, keepdims);
      for (const auto& [as_written, same] : std::vector<std::pair<Expr, Expr>>{
               {log(sum(exp(x), axes, keepdims)), stable},
               {log(mean(exp(x), axes, keepdims)), stable - log(count)}}) {
        const Expr& naive = as_written;
        CAPTURE(describe(naive));
        CHECK(uses(naive, "logsumexp"));
        // Where nothing overflows the formula as written is right.
        CHECK(distance(evaluate(naive, {{x, v}}),
                       cinch::running::interpret(std::span(&naive, 1), std::vector<Binding>{{x, v}},
                                                 true)[0]) < 1e-14);
        for (const double by : {1000.0, -1000.0}) {
          const Tensor far = evaluate(x + by, {{x, v}});
          CHECK(distance(evaluate(naive - by, {{x, far}}), evaluate(same, {{x, v}})) < 1e-12);
          CHECK(distance(evaluate(grad(sum(naive), x), {{x, far}}),
                         evaluate(grad(sum(same), x), {{x, v}})) < 1e-12);
        }
      }
    }
  }
}

TEST_CASE("logsumexp: infinities, NaN, nothing, and third-order derivatives") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Expr x = dvector("x"), m = dmatrix("m");
  struct Row {
    std::vector<double> x;
    double y;
    std::vector<double> slope;
  };
  for (const Row& row : {Row{{-inf, 3, -inf}, 3, {0, 1, 0}}, Row{{-inf, -inf}, -inf, {0, 0}},
                         Row{{0, -inf, 0}, std::log(2.0), {0.5, 0, 0.5}},
                         Row{{1000, 1000, -1000}, 1000 + std::log(2.0), {0.5, 0.5, 0}},
                         Row{{-5}, -5, {1}}, Row{{inf, 1}, inf, {}}, Row{{nan, 1}, nan, {}}}) {
    const Tensor v = Tensor::from<double>({static_cast<std::int64_t>(row.x.size())}, row.x);
    const Expr y = logsumexp(x), slope = grad(y, x);
    for (const auto& watchless :
         {evaluate(y, {{x, v}}),
          cinch::running::interpret(std::span(&y, 1), std::vector<Binding>{{x, v}}, false)[0]})
      CHECK(
          (close(watchless.item(), row.y) || (std::isnan(row.y) && std::isnan(watchless.item()))));
    if (row.slope.empty()) continue;
    const Tensor g = evaluate(slope, {{x, v}});
    for (std::size_t k = 0; k < row.slope.size(); ++k)
      CHECK(close(g.at(static_cast<std::int64_t>(k)), row.slope[k], 1e-13));
  }
  CHECK(evaluate(logsumexp(x), {{x, Tensor(DType::float64, {0})}}).item() == -inf);
  CHECK(evaluate(logsumexp(m, 1), {{m, Tensor(DType::float64, {0, 3})}}).size() == 0);
  CHECK(logsumexp(lvector("i")).dtype() == DType::float64);
  const std::vector<Expr> wrt{m};
  const Tensor v = Tensor::from<double>({2, 3}, {0.3, -1, 2, 0.1, 0.2, -0.5});
  const GradCheck check =
      check_grad(sum(square(logsumexp(m, 0))) + logsumexp(m, {0, 1}), wrt, {{m, v}}, {.order = 3});
  CHECK_MESSAGE(check.ok, check.report);
}

TEST_CASE("exponentials divided by their sum are softmax, with the maximum taken out or not") {
  const Expr x = dmatrix("x");
  std::mt19937 random(42);
  const Tensor v = random_tensor(DType::float64, {3, 4}, random, -2, 2);
  for (const std::int64_t axis : {0, 1}) {
    const Expr e = exp(x), shifted = exp(x - max(x, axis, true));
    std::vector<Expr> forms{e / sum(e, axis, true), shifted / sum(shifted, axis, true)};
    if (axis == 0) forms.push_back(e / sum(e, 0));
    for (const Expr& naive : forms) {
      CAPTURE(describe(naive));
      CHECK(uses(naive, "softmax"));
      CHECK(uses(log(naive), "log_softmax"));
      CHECK_FALSE(uses(naive, "max"));
      CHECK(distance(evaluate(naive, {{x, v}}), evaluate(softmax(x, axis), {{x, v}})) < 1e-15);
      const Tensor far = evaluate(1000 * x, {{x, v}});
      const Expr cost = -sum(log(naive));
      CHECK(distance(evaluate(cost, {{x, far}}), evaluate(-sum(log_softmax(x, axis)), {{x, far}})) <
            1e-13);
      CHECK(distance(evaluate(grad(cost, x), {{x, far}}),
                     evaluate(grad(-sum(log_softmax(x, axis)), x), {{x, far}})) < 1e-13);
    }
  }
  // Along another axis, or divided by another sum, it is not.
  const Expr y = dmatrix("y"), e = exp(x);
  CHECK_FALSE(uses(e / sum(exp(y), 1, true), "softmax"));
  CHECK_FALSE(uses(e / sum(e), "softmax"));
  CHECK_FALSE(uses(e / transpose(sum(e, 1, true)), "softmax"));
  const Expr square_form = e / sum(e, 1);  // Aligned with the wrong axis.
  CHECK_FALSE(uses(square_form, "softmax"));
}

TEST_CASE("gradients of entropies of squares are finite where a square is 0, and right elsewhere") {
  const Expr x = dvector("x");
  const Expr s = square(x), q = s / sum(s), p = abs(x) / sum(abs(x));
  struct Row {
    Expr cost;
    double slope_at_0;
  };
  const Row rows[] = {{sum(xlogy(s, s)), 0},          {sum(s * log(s) - 2 * s), 0},
                      {-sum(q * log(q)), 0},          {sum(q * log(q) - q * log(0.3)), 0},
                      {-sum(xlogy(q, q)), 0},         {sum(square(s) * log(3 * s)), 0},
                      {sum(s * (log(s) - log(2))), 0}};
  for (const Row& row : rows) {
    CAPTURE(describe(row.cost));
    const Expr g = grad(row.cost, x);
    const Function f = function({.inputs = {x}, .outputs = {g, grad(sum(square(g)), x)}});
    const Tensor ordinary = Tensor::from<double>({4}, {.3, -.7, 1.1, .02}),
                 with_zero = Tensor::from<double>({4}, {.3, -.7, 1.1, 0}),
                 nearly = Tensor::from<double>({4}, {.3, -.7, 1.1, 1e-150});
    CHECK(check_grad(row.cost, x, {{x, ordinary}}).ok);
    const Tensor at_0 = function({x}, {g})({with_zero})[0], limit = function({x}, {g})({nearly})[0];
    CHECK(at_0.at(3) == row.slope_at_0);
    for (int k = 0; k < 3; ++k) CHECK(at_0.at(k) == doctest::Approx(limit.at(k)).epsilon(1e-12));
    const Function checked = function({.inputs = {x}, .outputs = {g}, .mode = Mode::checked});
    CHECK(checked({ordinary})[0].at(1) == doctest::Approx(f({ordinary})[0].at(1)).epsilon(1e-12));
  }
  // Where the slope is infinite it stays so.
  const Tensor at = Tensor::from<double>({2}, {.5, 0});
  CHECK(function({x}, {grad(sum(x * log(x)), x)})({at})[0].at(1) ==
        -std::numeric_limits<double>::infinity());
  CHECK(check_grad(-sum(p * log(p)), x, {{x, Tensor::from<double>({3}, {.3, -.7, 1.1})}}).ok);
}
