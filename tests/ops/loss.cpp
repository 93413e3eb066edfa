// Losses and divergences against their definitions in long double, at certainties and at extreme
// logits, and their gradients.
#include "cinch/ops/loss.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "cinch/cinch.hpp"
#include "cinch/core/run/interpret.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

using Real = long double;
constexpr double inf = std::numeric_limits<double>::infinity();

std::vector<Tensor> in_both_modes(const Expr& y, const std::vector<Binding>& bindings,
                                  bool watch = true) {
  return {evaluate(y, bindings), cinch::running::interpret(std::span(&y, 1), bindings, watch)[0]};
}

bool close(double a, Real b, double tolerance = 1e-14) {
  return a == static_cast<double>(b) ||
         std::abs(a - static_cast<double>(b)) <= tolerance * std::abs(static_cast<double>(b));
}

Real xlogx(Real x, Real y) { return x == 0 ? 0 : x * std::log(y); }

/// Rows of probabilities, with zeros where `zeros` says.
Tensor distributions(std::int64_t rows, std::int64_t classes, std::mt19937& random, bool zeros) {
  Tensor result = random_tensor(DType::float64, {rows, classes}, random, 0.05, 1);
  const auto p = result.data<double>();
  for (std::int64_t r = 0; r < rows; ++r) {
    if (zeros) p[static_cast<std::size_t>(r * classes + r % classes)] = 0;
    double total = 0;
    for (std::int64_t k = 0; k < classes; ++k)
      total += p[static_cast<std::size_t>(r * classes + k)];
    for (std::int64_t k = 0; k < classes; ++k)
      p[static_cast<std::size_t>(r * classes + k)] /= total;
  }
  return result;
}

}  // namespace

TEST_CASE("losses of two numbers: values and slopes by the prediction") {
  const Expr t = dscalar("t"), y = dscalar("y");
  const double e = std::exp(1.0);
  struct Row {
    Expr loss;
    double t, y, value, slope;
  };
  const Row rows[] = {
      {huber(t - y), 1, 0.5, 0.125, -0.5},
      {huber(t - y), 1, 1, 0, 0},
      {huber(t - y), 0, 5, 4.5, 1},
      {huber(t - y, 3), 0, -5, 10.5, -3},
      {huber(t - y), 1, 0, 0.5, -1},
      {log_cosh(t - y), 0, 1, std::log(std::cosh(1.0)), std::tanh(1.0)},
      {log_cosh(t - y), 0, 1e-9, 5e-19, 1e-9},
      {log_cosh(t - y), 0, 1000, 1000 - std::log(2.0), 1},
      {hinge(t, y), 1, 0.25, 0.75, -1},
      {hinge(t, y), -1, 0.25, 1.25, 1},
      {hinge(t, y), 1, 3, 0, 0},
      {binary_cross_entropy(t, y), 0.3, 0.6, -(0.3 * std::log(0.6) + 0.7 * std::log(0.4)), 1.25},
      {binary_cross_entropy(t, y), 0, 0, 0, 1},
      {binary_cross_entropy(t, y), 1, 1, 0, -1},
      {binary_cross_entropy(t, y), 1, 0, inf, -inf},
      {binary_cross_entropy(t, y), 0, 1, inf, inf},
      {binary_cross_entropy(t, y), 1, 1 / e, 1, -e},
      {binary_cross_entropy(t, sigmoid(y)), 1, -1000, 1000, -1},
      {binary_cross_entropy(t, sigmoid(y)), 0, 1000, 1000, 1},
      {binary_cross_entropy(t, sigmoid(y)), 1, 800, 0, 0},
      {binary_cross_entropy(t, sigmoid(y)), 0.5, 0, std::log(2.0), 0},
      {binary_cross_entropy_from_logits(t, y), 1, -1000, 1000, -1},
      {binary_cross_entropy_from_logits(t, y), 0, 1000, 1000, 1},
      {binary_cross_entropy_from_logits(t, y), 1, 50, std::log1p(std::exp(-50.0)),
       -std::exp(-50.0)},
      {binary_cross_entropy_from_logits(t, y), 0.5, 0, std::log(2.0), 0},
      {binary_cross_entropy_from_logits(t, y), 0, 0, std::log(2.0), 0.5},
      {bernoulli_kl(t, y), 0.5, 0.25, 0.5 * std::log(2.0) + 0.5 * std::log(2.0 / 3), -4.0 / 3},
      {bernoulli_kl(t, y), 0, 0.5, std::log(2.0), 2},
      {bernoulli_kl(t, y), 1, 0.5, std::log(2.0), -2},
      {bernoulli_kl(t, y), 0, 0, 0, 1},
      {bernoulli_kl(t, y), 1, 1, 0, -1},
      {bernoulli_kl(t, y), 0.05, 0, inf, -inf},
      {gaussian_kl(t, y), 0, 0, 0, 0},
      {gaussian_kl(t, y), 2, 0, 2, 0},
      {gaussian_kl(t, y), 0, 1, (e - 2) / 2, (e - 1) / 2},
      {gaussian_kl(t, y), 3, -1000, 504, -0.5},
      {smooth_l1(t - y, 2), 0, 5, 4, 1},
      {smooth_l1(t - y, 2), 1, 0, 0.25, -0.5},
      {poisson_nll(t, y), 3, 1, e - 3, e - 3},
      {gaussian_nll(t, y, 0), 3, 1, 2 + std::log(2 * 3.14159265358979323846) / 2, -2},
      {gaussian_nll(t, 0, y), 1, 0, 0.5 + std::log(2 * 3.14159265358979323846) / 2, 0},
      {contrastive_loss(t > 0, y), 1, 3, 9, 6},
      {contrastive_loss(t > 0, y, 2), 0, 1.5, 0.25, -1},
      {contrastive_loss(t > 0, y, 2), 0, 3, 0, 0},
  };
  for (const Row& row : rows) {
    CAPTURE(describe(row.loss));
    CAPTURE(row.t);
    CAPTURE(row.y);
    const std::vector<Binding> at{{t, row.t}, {y, row.y}};
    const double value = evaluate(row.loss, at).item(),
                 slope = evaluate(grad(row.loss, y), at).item();
    CAPTURE(value);
    CAPTURE(slope);
    CHECK(close(value, row.value));
    CHECK(close(slope, row.slope));
  }
}

TEST_CASE("a loss that bends nowhere, or below 0, is refused") {
  const Expr e = dmatrix("e");
  for (const double bend : {0.0, -1.0, std::nan("")}) {
    CHECK_THROWS_WITH_AS(huber(e, bend), doctest::Contains("huber: delta must be above 0, it is "),
                         ValueError);
    CHECK_THROWS_WITH_AS(smooth_l1(e, bend),
                         doctest::Contains("smooth_l1: beta must be above 0, it is "), ValueError);
  }
  CHECK_THROWS_WITH_AS(huber(e, constant(Tensor::from<double>({2}, {1, 0}))),
                       doctest::Contains("written at loss.cpp:"), ValueError);
  CHECK_NOTHROW(huber(e, INFINITY));
}

TEST_CASE("losses and divergences: derivatives to third order agree with finite differences") {
  const Expr t = dmatrix("t"), y = dmatrix("y");
  const std::vector<Expr> wrt{t, y}, by_y{y};
  std::mt19937 random(51);
  const Tensor probabilities = random_tensor(DType::float64, {3, 4}, random, 0.2, 0.8),
               others = random_tensor(DType::float64, {3, 4}, random, 0.2, 0.8),
               logits = random_tensor(DType::float64, {3, 4}, random, -2, 2);
  struct Row {
    Expr loss;
    Tensor y;
  };
  for (const Row& row :
       {Row{huber(t - y, 0.5), others}, Row{log_cosh(t - 2 * y), others},
        Row{binary_cross_entropy(t, y), others},
        Row{binary_cross_entropy_from_logits(t, y), logits},
        Row{categorical_cross_entropy(t, y), others},
        Row{categorical_cross_entropy_from_logits(t, y, 0), logits},
        Row{negative_log_likelihood(t, log_softmax(y)), logits}, Row{bernoulli_kl(t, y), others},
        Row{categorical_kl(t, y), others}, Row{gaussian_kl(t, y), logits},
        Row{cosine_similarity(t, y), logits}, Row{cosine_similarity(t, y, 0), others}}) {
    CAPTURE(describe(row.loss));
    const GradCheck check =
        check_grad(sum(square(row.loss)), wrt, {{t, probabilities}, {y, row.y}}, {.order = 3});
    CHECK_MESSAGE(check.ok, check.report);
  }
  const Expr labels = lvector("labels");
  for (const Expr& loss : {categorical_cross_entropy(labels, softmax(y)),
                           categorical_cross_entropy(labels, exp(-square(y))),
                           categorical_cross_entropy_from_logits(labels, y)}) {
    const GradCheck check = check_grad(
        sum(square(loss)), by_y,
        {{labels, Tensor::from<std::int64_t>({3}, {3, 0, 1})}, {y, logits}}, {.order = 3});
    CHECK_MESSAGE(check.ok, check.report);
  }
}

TEST_CASE("categorical cross-entropy and divergence: labels, distributions with zeros, any axis") {
  std::mt19937 random(52);
  const Expr t = dmatrix("t"), p = dmatrix("p"), labels = lvector("labels");
  const Tensor vt = distributions(5, 4, random, true), vp = distributions(5, 4, random, false);
  Tensor certain = vp;  // Zeros where the target has zeros.
  for (std::size_t k = 0; k < 20; ++k) {
    if (vt.data<double>()[k] == 0) certain.data<double>()[k] = 0;
  }
  const Tensor vl = Tensor::from<std::int64_t>({5}, {3, 1, 0, 2, 2});
  for (const Tensor& v : {vp, certain}) {
    const std::vector<Binding> at{{t, vt}, {p, v}, {labels, vl}};
    const auto cross = in_both_modes(categorical_cross_entropy(t, p), at),
               kl = in_both_modes(categorical_kl(t, p), at),
               flipped =
                   in_both_modes(categorical_cross_entropy(transpose(t), transpose(p), 0), at);
    for (std::size_t mode = 0; mode < 2; ++mode) {
      for (std::int64_t r = 0; r < 5; ++r) {
        Real expected = 0, divergence = 0;
        for (std::int64_t k = 4 * r; k < 4 * r + 4; ++k) {
          expected -= xlogx(vt.at(k), v.at(k));
          divergence += xlogx(vt.at(k), vt.at(k)) - xlogx(vt.at(k), v.at(k));
        }
        CHECK(close(cross[mode].at(r), expected));
        CHECK(close(flipped[mode].at(r), expected));
        CHECK(std::abs(kl[mode].at(r) - static_cast<double>(divergence)) < 1e-15);
      }
    }
  }
  const std::vector<Binding> at{{p, vp}, {labels, vl}};
  for (const Expr& loss :
       {categorical_cross_entropy(labels, p), negative_log_likelihood(labels, log(p)),
        categorical_cross_entropy(labels, transpose(p), 0)}) {
    for (const Tensor& got : in_both_modes(loss, at)) {
      for (std::int64_t r = 0; r < 5; ++r)
        CHECK(
            close(got.at(r), -std::log(Real(vp.at(4 * r + static_cast<std::int64_t>(vl.at(r)))))));
    }
  }
  CHECK(categorical_cross_entropy(labels, fmatrix("f")).dtype() == DType::float32);
}

TEST_CASE("categorical cross-entropy of softmax is that of its logits, finite at any of them") {
  const Expr a = dmatrix("a"), t = dmatrix("t"), labels = lvector("labels");
  const Tensor va = Tensor::from<double>({3, 3}, {1000, -1000, 0, 0, 0, 0, -5, -800, 3}),
               vt = Tensor::from<double>({3, 3}, {0, 1, 0, 0.5, 0.25, 0.25, 0, 0, 1}),
               vl = Tensor::from<std::int64_t>({3}, {1, 0, 2});
  const double log3 = std::log(3.0), last = std::log1p(std::exp(-8.0));
  const std::vector<Binding> at{{a, va}, {t, vt}, {labels, vl}};
  for (const Expr& loss :
       {categorical_cross_entropy(t, softmax(a)), categorical_cross_entropy_from_logits(t, a),
        negative_log_likelihood(t, log(softmax(a))), categorical_cross_entropy(labels, softmax(a)),
        categorical_cross_entropy_from_logits(labels, a),
        categorical_cross_entropy(t, exp(a) / sum(exp(a), 1, true))}) {
    CAPTURE(describe(loss));
    const Tensor got = evaluate(loss, at);
    CHECK(got.at(0) == 2000);
    CHECK(close(got.at(1), log3));
    CHECK(close(got.at(2), last, 1e-12));
    const Tensor slope = evaluate(grad(sum(loss), a), at);
    CHECK(slope.at(0) == 1);
    CHECK(slope.at(1) == -1);
    CHECK(slope.at(2) == 0);
  }
  // A class that is ruled out costs nothing where it is not the target.
  const Tensor ruled_out = Tensor::from<double>({3, 3}, {0, 0, -inf, -inf, 0, 0, 0, -inf, 0});
  const Tensor fits = Tensor::from<std::int64_t>({3}, {1, 2, 0});
  for (const Expr& loss : {categorical_cross_entropy_from_logits(labels, a),
                           categorical_cross_entropy(labels, softmax(a))}) {
    const Tensor got = evaluate(loss, {{a, ruled_out}, {labels, fits}});
    for (std::int64_t r = 0; r < 3; ++r) CHECK(close(got.at(r), std::log(Real(2))));
  }
}

TEST_CASE(
    "targets that are neither labels nor distributions are an error that names both operands") {
  const Expr p = dmatrix("p"), labels = lvector("labels");
  for (const Expr& t :
       {dvector("t"), lmatrix("t"), lscalar("t"), variable("t", DType::bool_, {-1, -1})}) {
    CHECK_THROWS_WITH_AS(
        categorical_cross_entropy(t, p),
        doctest::Contains("targets must be floats with the axes of the predictions"), TypeError);
    CHECK_THROWS_WITH_AS(negative_log_likelihood(t, p),
                         doctest::Contains("negative_log_likelihood"), TypeError);
  }
  CHECK_THROWS_WITH_AS(categorical_cross_entropy_from_logits(labels, p, 2),
                       doctest::Contains("categorical_cross_entropy_from_logits"), TypeError);
  CHECK_THROWS_WITH_AS(cosine_similarity(p, p, 2), doctest::Contains("cosine_similarity"),
                       TypeError);
}

TEST_CASE(
    "cosine similarity: 1 and -1 along a line, 0 across it and for nothing, with slope 0 there") {
  const Expr a = dmatrix("a"), b = dmatrix("b");
  const Tensor va = Tensor::from<double>({4, 2}, {1, 2, 1, 2, 3, 0, 0, 0}),
               vb = Tensor::from<double>({4, 2}, {2, 4, -3, -6, 0, 5, 1, 1});
  for (const Tensor& got : in_both_modes(cosine_similarity(a, b), {{a, va}, {b, vb}})) {
    CHECK(close(got.at(0), 1));
    CHECK(close(got.at(1), -1));
    CHECK(got.at(2) == 0);
    CHECK(got.at(3) == 0);
  }
  const Tensor slope = evaluate(grad(sum(cosine_similarity(a, b)), a), {{a, va}, {b, vb}});
  CHECK(close(slope.at(5), 1.0 / 3));
  CHECK(slope.at(6) == 0);
  CHECK(slope.at(7) == 0);
}

TEST_CASE("class options: smoothed targets, weights of classes, labels that do not count") {
  std::mt19937 random(53);
  const Expr a = dmatrix("a"), labels = lvector("labels"), weights = dvector("weights");
  const Tensor va = random_tensor(DType::float64, {5, 4}, random),
               vw = Tensor::from<double>({4}, {0.5, 2, 1, 3}),
               vl = Tensor::from<std::int64_t>({5}, {3, -100, 0, 2, -100});
  const ClassOptions options{.smoothing = 0.2, .weights = weights, .ignore = -100};
  const std::vector<Binding> at{{a, va}, {labels, vl}, {weights, vw}};
  for (const Expr& loss :
       {categorical_cross_entropy_from_logits(labels, a, -1, options),
        categorical_cross_entropy(labels, softmax(a), -1, options),
        negative_log_likelihood(labels, log_softmax(a), -1, options),
        categorical_cross_entropy_from_logits(labels, transpose(a), 0, options)}) {
    for (const Tensor& got : in_both_modes(loss, at)) {
      for (std::int64_t r = 0; r < 5; ++r) {
        Real total = 0, expected = 0;
        for (std::int64_t k = 0; k < 4; ++k) total += std::exp(Real(va.at(4 * r + k)));
        for (std::int64_t k = 0; k < 4 && vl.at(r) >= 0; ++k) {
          const Real share = 0.05L + (static_cast<double>(k) == vl.at(r) ? 0.8L : 0);
          expected -= share * vw.at(k) * (va.at(4 * r + k) - std::log(total));
        }
        CHECK(close(got.at(r), expected, 1e-13));
      }
    }
    const GradCheck check =
        check_grad(sum(square(loss)), std::vector{a, weights}, at, {.order = 2});
    CHECK_MESSAGE(check.ok, check.report);
  }
  CHECK_THROWS_WITH_AS(categorical_cross_entropy(labels, a, -1, {.smoothing = 1}),
                       doctest::Contains("smoothing must be in [0, 1)"), ValueError);
  CHECK_THROWS_WITH_AS(categorical_cross_entropy(labels, a, -1, {.weights = a}),
                       doctest::Contains("class weights must be (classes)"), TypeError);
  CHECK_THROWS_WITH_AS(
      evaluate(
          categorical_cross_entropy(labels, a, -1, {.weights = weights}),
          {{a, va}, {labels, Tensor(DType::int64, {5})}, {weights, Tensor(DType::float64, {3})}}),
      doctest::Contains("categorical_cross_entropy: sizes 3 and 4 differ"), TypeError);
}

TEST_CASE("a network trained with labels meets its targets") {
  // Three points, three classes: the cross-entropy's gradient is softmax - target.
  const Expr x = dmatrix("x"), labels = lvector("labels");
  const Shared W(Tensor(DType::float64, {2, 3}), "W");
  const Expr cost = mean(categorical_cross_entropy(labels, softmax(dot(x, W))));
  const Function train = function({x, labels}, {cost}, sgd(cost, {W}, 1.0));
  const Tensor points = Tensor::from<double>({3, 2}, {1, 0, 0, 1, -1, -1}),
               classes = Tensor::from<std::int64_t>({3}, {0, 1, 2});
  CHECK(close(train({points, classes})[0].item(), std::log(Real(3))));
  double last = 0;
  for (int k = 0; k < 200; ++k) last = train({points, classes})[0].item();
  CHECK(last < 0.05);
}
