// Digits of derivatives: what float32 gives against float64, for every function of one number and
// every order to the third, over all magnitudes; and the far ends against closed forms.
#include "cinch/ops/rules/slopes.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "cinch/cinch.hpp"
#include "cinch/core/run/interpret.hpp"
#include "cinch/ops/catalog.hpp"

using namespace cinch;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

std::vector<Expr> derivatives(const Expr& y, const Expr& x, int count) {
  std::vector<Expr> result{y};
  for (int k = 1; k < count; ++k)
    result.push_back(grad(sum(result.back()), {x}, {.disconnected = Disconnected::zero})[0]);
  return result;
}

Tensor vector_of(const std::vector<double>& v, DType dtype) {
  return Tensor::from<double>({static_cast<std::int64_t>(v.size())}, std::span(v)).cast(dtype);
}

/// Numbers of both signs and all magnitudes, that float32 holds exactly.
std::vector<double> magnitudes(double most) {
  std::vector<double> result{0};
  for (double size = 1e-12; size < most; size *= 1.37) {
    const auto v = static_cast<double>(static_cast<float>(size));
    result.push_back(v);
    result.push_back(-v);
  }
  return result;
}

std::vector<std::pair<std::string, std::function<Expr(const Expr&)>>> functions_of_one_number() {
  std::vector<std::pair<std::string, std::function<Expr(const Expr&)>>> result;
  for (const Op* op : all_ops()) {
    if (!op->elementwise() || op->arity != 1 || op->operands != Operands::real || !op->grad)
      continue;
    result.emplace_back(op->name, [op](const Expr& x) { return apply(*op, {x}); });
  }
  for (const auto& [name, f] :
       std::vector<std::pair<const char*, Expr (*)(const Arg&)>>{{"gelu", gelu},
                                                                 {"gelu_tanh", gelu_tanh},
                                                                 {"selu", selu},
                                                                 {"silu", silu},
                                                                 {"mish", mish}})
    result.emplace_back(name, [f = f](const Expr& x) { return f(x); });
  result.emplace_back("elu", [](const Expr& x) { return elu(x, 1.5); });
  result.emplace_back("h (1 - h)", [](const Expr& x) { return sigmoid(x) * (1 - sigmoid(x)); });
  result.emplace_back("1 - tanh^2", [](const Expr& x) { return 1 - square(tanh(x)); });
  return result;
}

}  // namespace

TEST_CASE("derivatives in float32 keep their digits, to third order and at all magnitudes") {
  const std::vector<double> at = magnitudes(120);
  const double eps = 1.1920929e-7, least = 2e-38;
  int compared = 0;
  for (const auto& [function_name, f] : functions_of_one_number()) {
    const auto& name = function_name;
    const Expr wide = dvector("x"), narrow = fvector("x");
    // One order more: how much a rounding of x itself changes.
    const std::vector<Expr> exact = derivatives(f(wide), wide, 5),
                            rounded = derivatives(f(narrow), narrow, 4);
    const std::vector<Tensor> right = function({wide}, exact)({vector_of(at, DType::float64)});
    const std::vector<Binding> given{{narrow, vector_of(at, DType::float32)}};
    const std::vector<Tensor> fast = function({narrow}, rounded)({given[0].second}),
                              as_written =
                                  cinch::running::interpret(rounded, given, /*watch=*/false);
    for (std::size_t k = 0; k < rounded.size(); ++k) {
      for (std::size_t i = 0; i < at.size(); ++i) {
        const auto element = static_cast<std::int64_t>(i);
        const double y = right[k].at(element), slope = right[k + 1].at(element);
        if (!std::isfinite(y) || std::abs(y) > 1e37 || !std::isfinite(slope)) continue;
        // A formula of several functions is rewritten into one that keeps its digits.
        const bool one_function = name.find(' ') == std::string::npos;
        for (const Tensor& got :
             {fast[k].cast(DType::float64),
              one_function ? as_written[k].cast(DType::float64) : fast[k].cast(DType::float64)}) {
          CAPTURE(name);
          CAPTURE(k);
          CAPTURE(at[i]);
          CAPTURE(y);
          CAPTURE(got.at(element));
          CHECK(std::abs(got.at(element) - y) <=
                8.0 * static_cast<double>(k + 1) * eps * (std::abs(y) + std::abs(at[i] * slope)) +
                    least);
          ++compared;
        }
      }
    }
  }
  CHECK(compared > 30000);
}

TEST_CASE("slopes at the far ends are what they are, not 0") {
  const Expr x = dscalar("x");
  struct Row {
    Expr y;
    double at;
    std::vector<double> derivatives;
  };
  const double e40 = std::exp(-40.0),
               phi = std::exp(-0.5 * 29 * 29) / std::sqrt(2 * std::acos(-1.0));
  const Expr h = sigmoid(x);
  const std::vector<Row> rows{
      {h, 40, {e40, -e40, e40}},
      {h, -40, {e40, e40, e40}},
      {h, 700, {std::exp(-700.0), -std::exp(-700.0)}},
      {1 / (1 + exp(-x)), 40, {e40, -e40, e40}},
      {exp(x) / (1 + exp(x)), 40, {e40, -e40, e40}},
      {1 - 1 / (1 + exp(x)), 40, {e40, -e40, e40}},
      {0.5 * (1 + tanh(0.5 * x)), 40, {e40, -e40, e40}},
      {exp(-softplus(-x)), 40, {e40, -e40, e40}},
      {softplus(x), 40, {1, e40, -e40}},
      {tanh(x), 20, {4 * e40, -8 * e40, 16 * e40}},
      {tanh(x), -20, {4 * e40, 8 * e40, 16 * e40}},
      {log(cosh(x)), 20, {1, 4 * e40, -8 * e40}},
      {erf(x),
       6,
       {2 / std::sqrt(std::acos(-1.0)) * std::exp(-36.0),
        -24 / std::sqrt(std::acos(-1.0)) * std::exp(-36.0)}},
      {cinch::rules::normal_cdf(x), -29, {phi, 29 * phi}},
      {logaddexp(x, 0), 40, {1, e40, -e40}},
      {h * h, 40, {2 * e40, -2 * e40}},
      {h * (1 - h), 40, {-e40, e40, -e40}},
      {(3 * h) * (1 - h), 40, {-3 * e40, 3 * e40}},
      {h - h * h, 40, {-e40, e40, -e40}},
  };
  for (const Row& row : rows) {
    CAPTURE(describe(row.y));
    Expr y = row.y;
    for (const double right : row.derivatives) {
      y = grad(y, x);
      const double got = evaluate(y, {{x, row.at}}).item();
      CAPTURE(right);
      CAPTURE(got);
      // exp(-40) = 4e-18 is what the next term of the series is relative to the first.
      CHECK(std::abs(got - right) <= 1e-13 * std::abs(right));
    }
  }
}

TEST_CASE("second derivatives that cancel as quotients do not") {
  const Expr x = dscalar("x");
  for (const double v : {1e-12, 1e-6, -1e-9}) {
    CAPTURE(v);
    const auto second = [&](const Expr& y) {
      return evaluate(grad(grad(y, x), x), {{x, v}}).item();
    };
    CHECK(second(arcsin(x)) == doctest::Approx(v).epsilon(1e-11));
    CHECK(second(arccos(x)) == doctest::Approx(-v).epsilon(1e-11));
    CHECK(second(arctanh(x)) == doctest::Approx(2 * v).epsilon(1e-11));
    CHECK(second(sigmoid(x)) == doctest::Approx(-v / 8).epsilon(1e-11));
    CHECK(second(tanh(x)) == doctest::Approx(-2 * v).epsilon(1e-11));
  }
}

TEST_CASE("gelu and the normal distribution keep their digits where they are tiny") {
  const Expr x = dscalar("x");
  for (const double v : {-0.3, -1.0, -5.0, -12.0, -29.0, -37.0}) {
    CAPTURE(v);
    const auto right =
        static_cast<double>(std::erfc(-static_cast<long double>(v) * 0.70710678118654752440L) / 2);
    CHECK(std::abs(evaluate(cinch::rules::normal_cdf(x), {{x, v}}).item() / right - 1) <= 2e-15);
    CHECK(std::abs(evaluate(gelu(x), {{x, v}}).item() / (v * right) - 1) <= 2e-15);
  }
  CHECK(evaluate(cinch::rules::normal_cdf(x), {{x, 0.0}}).item() == 0.5);
  CHECK(evaluate(cinch::rules::normal_cdf(x), {{x, inf}}).item() == 1);
  CHECK(evaluate(cinch::rules::normal_cdf(x), {{x, -inf}}).item() == 0);
}

TEST_CASE("softmax, logsumexp and logaddexp agree at infinite entries") {
  struct Row {
    std::vector<double> x;
    double y;
    std::vector<double> share;
  };
  for (const DType dtype : {DType::float64, DType::float32}) {
    const Expr x = variable("x", dtype, {-1});
    for (const Row& row :
         {Row{{1, inf}, inf, {0, 1}}, Row{{inf, 1}, inf, {1, 0}}, Row{{inf, inf}, inf, {0.5, 0.5}},
          Row{{-inf, 1}, 1, {0, 1}}, Row{{-inf, inf}, inf, {0, 1}},
          Row{{-inf, 2, 2, -inf}, 2 + std::log(2.0), {0, 0.5, 0.5, 0}}}) {
      const Tensor v = vector_of(row.x, dtype);
      const Expr y = logsumexp(x), by_sum = log(sum(exp(x)));
      std::vector<Expr> shares{softmax(x), exp(log_softmax(x)), grad(y, x), grad(by_sum, x),
                               exp(x) / sum(exp(x))};
      if (row.x.size() == 2) shares.push_back(grad(logaddexp(at(x, 0), at(x, 1)), x));
      CHECK((std::isinf(row.y) ? evaluate(y, {{x, v}}).item() == row.y
                               : evaluate(y, {{x, v}}).item() == doctest::Approx(row.y)));
      for (const Expr& share : shares) {
        const Tensor got = evaluate(share, {{x, v}}),
                     as_written = cinch::running::interpret(std::span(&share, 1),
                                                            std::vector<Binding>{{x, v}},
                                                            /*watch=*/false)[0];
        for (std::size_t k = 0; k < row.x.size(); ++k) {
          CAPTURE(describe(share));
          CAPTURE(k);
          CHECK(got.at(static_cast<std::int64_t>(k)) == doctest::Approx(row.share[k]));
          if (&share < &shares[3])
            CHECK(as_written.at(static_cast<std::int64_t>(k)) == doctest::Approx(row.share[k]));
        }
      }
      // Second derivatives are finite: shares do not change where one entry is infinite.
      const Tensor curvature = evaluate(grad(sum(square(grad(y, x))), x), {{x, v}});
      for (std::int64_t k = 0; k < curvature.size(); ++k) CHECK(std::isfinite(curvature.at(k)));
    }
  }
}
