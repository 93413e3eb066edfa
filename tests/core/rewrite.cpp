// Rewriting: what merges, what goes, what becomes stable, and that nothing else changes.
#include "cinch/core/rewrite/rewrite.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "cinch/cinch.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

std::vector<Expr> rewritten(const std::vector<Expr>& roots) { return rewriting::rewrite(roots); }
Expr rewritten(const Expr& root) { return rewriting::rewrite(std::span(&root, 1)).front(); }

std::size_t count(const std::vector<Expr>& roots, std::string_view op) {
  std::size_t result = 0;
  for (const Expr& node : topological(roots)) result += node.op().name == op;
  return result;
}

double softplus_exactly(double a) { return std::max(a, 0.0) + std::log1p(std::exp(-std::abs(a))); }
double sigmoid_exactly(double a) {
  return a < 0 ? std::exp(a) / (1 + std::exp(a)) : 1 / (1 + std::exp(-a));
}

Tensor as(DType dtype, const std::vector<double>& values) {
  return Tensor::from<double>({static_cast<std::int64_t>(values.size())}, std::span(values))
      .cast(dtype);
}

}  // namespace

TEST_CASE("equal subexpressions become one node, also across roots") {
  const Expr x = dvector("x"), y = dvector("y");
  const auto roots = rewritten(std::vector<Expr>{exp(x) + exp(x), exp(x) * 2, exp(x * 1)});
  CHECK(count(roots, "exp") == 1);
  const auto same = rewritten(std::vector<Expr>{sum(x, 0), sum(x, -1), sum(y, 0)});
  CHECK(same[0] == same[1]);
  CHECK_FALSE(same[0] == same[2]);
  // Different attributes, different nodes.
  const Expr m = dmatrix("m");
  const auto two = rewritten(
      std::vector<Expr>{sum(m, 0), sum(m, 1), cast(m, DType::float32), cast(m, DType::int64)});
  CHECK_FALSE(two[0] == two[1]);
  CHECK_FALSE(two[2] == two[3]);
}

TEST_CASE("operands of a commutative op may be swapped and still make one node" *
          doctest::may_fail()) {
  const Expr x = dvector("x"), y = dvector("y");
  const auto twice = rewritten(std::vector<Expr>{tanh(x + y), tanh(y + x)});
  CHECK(twice[0] == twice[1]);
}

TEST_CASE("different random draws never merge, one draw is one node") {
  RandomStreams streams(1);
  const Expr a = streams.uniform(Shape{4}), b = streams.uniform(Shape{4});
  CHECK(count(rewritten(std::vector<Expr>{a + b, a * 2}), "random_uniform") == 2);
}

TEST_CASE("zero and minus zero are two constants") {
  const Expr x = dscalar("x");
  const auto out = function({x}, {x / 0.0, x / -0.0})({1.0});
  CHECK(out[0].item() == std::numeric_limits<double>::infinity());
  CHECK(out[1].item() == -std::numeric_limits<double>::infinity());
}

TEST_CASE("what depends on constants only is computed, what nothing needs is gone") {
  const Expr x = dvector("x");
  const Expr folded = rewritten(x * (Arg(2.0) * 3 + exp(Arg(0.0))));
  REQUIRE(constant_value(folded.inputs()[1]));
  CHECK(constant_value(folded.inputs()[1])->item() == 7);
  CHECK(count({rewritten(sum(zeros_like(x) * 0 + x))}, "broadcast_to") <= 1);
  const Expr c = constant(Tensor::full(DType::float64, {100, 100}, 1));
  CHECK(constant_value(rewritten(c + 1)) == nullptr);  // Too large to be worth keeping.
  const Function f = function({x}, {size(exp(x), 0)});
  CHECK(count(f.graph(), "exp") == 0);
  CHECK(f({as(DType::float64, {1, 2, 3})})[0].item() == 3);
  cinch::rewriting::RewriteOptions keep{.fold_constants = false};
  const Expr sum_of_two = Arg(2.0) + Arg(3.0);
  CHECK(count(rewrite(std::span(&sum_of_two, 1), keep), "add") == 1);
}

TEST_CASE("constants that an op refuses are left to the run, which names op and line") {
  const Expr rows = constant(as(DType::float64, {1, 2})), index = constant(Tensor(std::int64_t{7}));
  const Expr y = take(rows, index);
  CHECK(rewritten(y) == y);
  CHECK_THROWS_WITH_AS(evaluate(y), doctest::Contains("rewrite.cpp:"), ValueError);
}

TEST_CASE("rules do not see through what is held, and what applied is logged") {
  const Expr x = dvector("x"), z = sigmoid(x), l = log(z);
  CHECK(count({rewritten(l)}, "softplus") == 1);
  CHECK(count({rewritten(log(apply(graphs::held_op, {z})))}, "log") == 1);
  std::vector<Applied> log_of_rules;
  cinch::rewriting::rewrite(std::span(&l, 1), {.log = &log_of_rules});
  REQUIRE(log_of_rules.size() >= 1);
  CHECK(std::string(log_of_rules[0].rule) == "log sigmoid");
  CHECK(std::string(log_of_rules[0].where.file).ends_with("rewrite.cpp"));
}

TEST_CASE("types are kept: float32 stays float32 and sizes stay sizes") {
  const Expr f = fvector("f"), i = lvector("i"), one = variable("one", DType::float32, {1});
  for (const Expr& e : {f * 1,
                        f * 1.0,
                        f + 0,
                        f / 1,
                        pow(f, 2),
                        pow(f, 0.5),
                        log(1 - sigmoid(f)),
                        log1p(exp(f)),
                        i * 1,
                        i + 0,
                        i / 1,
                        pow(i, 2),
                        -(-i),
                        f + constant(Tensor(DType::float32, {3})),
                        one * constant(Tensor::full(DType::float32, {4}, 1)),
                        f - constant(Tensor(DType::float64, {1})),
                        switch_(f > 0, f, 0),
                        f * f,
                        i * i,
                        mean(i),
                        cast(cast(f, DType::float64), DType::float32)}) {
    CAPTURE(describe(e));
    const Expr r = rewritten(e);
    CHECK(r.dtype() == e.dtype());
    CHECK(r.rank() == e.rank());
    CHECK(r.type().is_static() == e.type().is_static());
  }
  const Function g = function({one}, {one * constant(Tensor::full(DType::float32, {4}, 1))});
  CHECK(g({Tensor::full(DType::float32, {1}, 5)})[0] == Tensor::full(DType::float32, {4}, 5));
}

TEST_CASE(
    "naive cross-entropy of a sigmoid is exact, and so is its gradient, however large the logits") {
  const std::vector<double> logits{-1000, -800, -100, -40, -1, 0, 1e-3, 2, 40, 100, 800, 1000};
  for (const DType dtype : {DType::float64, DType::float32}) {
    const Expr a = variable("a", dtype, {-1}), x = variable("x", dtype, {-1});
    const Expr W = variable("W", dtype, {-1, -1}), b = variable("b", dtype, {-1});
    const Expr in = variable("in", dtype, {-1, -1});
    struct Row {
      Expr loss, a;
      const char* how;
    };
    std::vector<Row> rows;
    const auto add = [&](const Expr& pre, const char* how) {
      const Expr z = sigmoid(pre), w = 1 / (1 + exp(-pre));
      rows.push_back({-sum(x * log(z) + (1 - x) * log(1 - z)), pre, how});
      rows.push_back({-sum(x * log(z) + (1. - x) * log(1. - z)), pre, how});
      rows.push_back({-sum(x * log(z) + (1.f - x) * log(1.f - z)), pre, how});
      rows.push_back({sum(-(x * log(z)) - (1 - x) * log(1 - z)), pre, how});
      rows.push_back({sum(-x * log(z) - (1 - x) * log1p(-z)), pre, how});
      rows.push_back({sum(-(log(z) * x + log(-z + 1) * (-x + 1))), pre, how});
    };
    add(a, "logits");
    const Expr layer = dot(in, W) + b;
    add(at(layer, 0), "a row of a layer");
    const auto n = static_cast<std::int64_t>(logits.size());
    const Tensor values = as(dtype, logits), zeros(dtype, {n}), ones = Tensor::full(dtype, {n}, 1);
    for (const Row& row : rows) {
      for (const double target : {0.0, 1.0, 0.25}) {
        // Through the layer: one input of 1, weights that are half of the logits, bias the rest.
        const Tensor half = as(dtype, [&] {
          std::vector<double> h = logits;
          for (double& v : h) v /= 2;
          return h;
        }());
        const std::vector<Binding> bindings{{x, Tensor::full(dtype, {n}, target)},
                                            {a, values},
                                            {in, Tensor::full(dtype, {1, 1}, 1)},
                                            {W, half.reshaped({1, n})},
                                            {b, half}};
        const bool direct = row.a == a;
        const Expr wrt = direct ? a : b;
        const double loss = evaluate(row.loss, bindings).item();
        const Tensor gradient = evaluate(grad(row.loss, wrt), bindings);
        double expected = 0;
        for (const double v : logits) expected += softplus_exactly(v) - target * v;
        const double epsilon = dtype == DType::float64 ? 1e-14 : 1e-6;
        CAPTURE(std::string(row.how));
        CAPTURE(describe(row.loss, 6));
        CAPTURE(target);
        CHECK(loss == doctest::Approx(expected).epsilon(epsilon));
        for (std::int64_t k = 0; k < n; ++k) {
          CAPTURE(values.at(k));
          CHECK(std::abs(gradient.at(k) - (sigmoid_exactly(values.at(k)) - target)) <= epsilon);
        }
      }
    }
  }
}

TEST_CASE("a sigmoid written out is as stable as sigmoid()" * doctest::may_fail()) {
  const Expr a = dvector("a"), z = 1 / (1 + exp(-a));
  const Tensor values = as(DType::float64, {-1000, -800, 0, 800, 1000});
  const Tensor l = evaluate(log(z), {{a, values}}), m = evaluate(log(1 - z), {{a, values}}),
               g = evaluate(grad(sum(log(z)), a), {{a, values}});
  for (std::int64_t k = 0; k < 5; ++k) {
    CAPTURE(values.at(k));
    CHECK(l.at(k) == doctest::Approx(-softplus_exactly(-values.at(k))));
    CHECK(m.at(k) == doctest::Approx(-softplus_exactly(values.at(k))));
    CHECK(g.at(k) == doctest::Approx(sigmoid_exactly(-values.at(k))));
  }
}

TEST_CASE("logarithms of softmax, of 1 + exp and of sums of exponentials do not overflow") {
  for (const DType dtype : {DType::float64, DType::float32}) {
    const double eps = dtype == DType::float64 ? 1e-14 : 1e-6;
    const Expr a = variable("a", dtype, {-1, -1});
    const Tensor v = Tensor::from<double>({2, 3}, {1000, 0, -1000, 800, 799, 0}).cast(dtype);
    const Tensor log_p = evaluate(log(softmax(a)), {{a, v}});
    const double second = std::log1p(std::exp(-1.0));
    const double expected[] = {0, -1000, -2000, -second, -1 - second, -800 - second};
    for (std::int64_t k = 0; k < 6; ++k)
      CHECK(log_p.at(k) == doctest::Approx(expected[k]).epsilon(eps));
    const Tensor g = evaluate(grad(-sum(at(log(softmax(a)), 2, 1)), a), {{a, v}});
    const double slope[] = {1, 0, -1, 1 / (1 + std::exp(-1.0)), 1 / (1 + std::exp(1.0)), -1};
    for (std::int64_t k = 0; k < 6; ++k)
      CHECK(g.at(k) == doctest::Approx(slope[k]).epsilon(10 * eps));
    const Tensor lse = evaluate(logsumexp(a), {{a, v}});
    CHECK(lse.at(0) == doctest::Approx(1000).epsilon(eps));
    CHECK(lse.at(1) == doctest::Approx(800 + second).epsilon(eps));
    CHECK(evaluate(grad(sum(logsumexp(a)), a), {{a, v}}).at(0) == doctest::Approx(1).epsilon(eps));
    for (const Expr& f : {log1p(exp(a)), log(1 + exp(a)), log(exp(a) + 1.0)}) {
      const Tensor s = evaluate(f, {{a, v}}), d = evaluate(grad(sum(f), a), {{a, v}});
      for (std::int64_t k = 0; k < 6; ++k) {
        CHECK(s.at(k) == doctest::Approx(softplus_exactly(v.at(k))).epsilon(eps));
        CHECK(d.at(k) == doctest::Approx(sigmoid_exactly(v.at(k))).epsilon(eps));
      }
    }
  }
  const Expr x = dvector("x");
  const double inf = std::numeric_limits<double>::infinity();
  CHECK(evaluate(logsumexp(x), {{x, as(DType::float64, {-inf, -inf})}}).item() == -inf);
  CHECK(evaluate(logsumexp(x), {{x, as(DType::float64, {-inf, 3})}}).item() == 3);
}
