#include "cinch/models/normalisation.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"

using namespace cinch;
using cinch::testing::distance;

namespace {

constexpr Mode both_modes[] = {Mode::fast, Mode::checked};

Tensor numbers(const Shape& shape, std::int64_t seed) {
  return RandomState(seed).uniform(-2, 3, shape);
}

/// Groups of elements of x brought to mean 0 and variance 1, or only divided by the root of their
/// mean square; `group_of` says of an element which it belongs to.
template <class F>
Tensor grouped(const Tensor& x, std::int64_t groups, double epsilon, bool centre, F&& group_of) {
  std::vector<long double> sums(groups), squares(groups), counts(groups);
  for (std::int64_t k = 0; k < x.size(); ++k) {
    sums[group_of(k)] += x.at(k);
    ++counts[group_of(k)];
  }
  const auto mean = [&](std::int64_t g) { return centre ? sums[g] / counts[g] : 0; };
  for (std::int64_t k = 0; k < x.size(); ++k) {
    const long double from = x.at(k) - mean(group_of(k));
    squares[group_of(k)] += from * from;
  }
  Tensor result = x;
  for (std::int64_t k = 0; k < x.size(); ++k) {
    const std::int64_t g = group_of(k);
    result.data<double>()[k] =
        static_cast<double>((x.at(k) - mean(g)) / std::sqrt(squares[g] / counts[g] + epsilon));
  }
  return result;
}

}  // namespace

TEST_CASE("layer_norm and rms_norm are their formulas, over any axes, with gains and biases") {
  const Tensor x = numbers({3, 4, 5}, 1), gain = numbers({5}, 2), bias = numbers({4, 5}, 3);
  const Expr v = tensor3("x", DType::float64);
  for (const Mode mode : both_modes) {
    const auto run = [&](const Expr& y) {
      return function({.inputs = {v}, .outputs = {y}, .mode = mode})({x})[0];
    };
    const auto by_row = [](std::int64_t k) { return k / 5; };
    const Tensor rows = grouped(x, 12, 1e-5, true, by_row);
    CHECK(distance(run(layer_norm(v)), rows) < 1e-14);
    const Expr scaled = constant(rows) * constant(gain) + constant(bias);
    CHECK(distance(run(layer_norm(v, constant(gain), constant(bias))), evaluate(scaled)) < 1e-14);
    CHECK(distance(run(rms_norm(v)), grouped(x, 12, 1e-5, false, by_row)) < 1e-14);
    CHECK(distance(run(rms_norm(v, 3.0, {.epsilon = 0.5})),
                   evaluate(constant(grouped(x, 12, 0.5, false, by_row)) * 3)) < 1e-14);
    const auto by_example = [](std::int64_t k) { return k / 20; };
    CHECK(distance(run(layer_norm(v, 1.0, 0.0, {.axes = {1, 2}})),
                   grouped(x, 3, 1e-5, true, by_example)) < 1e-14);
    // A row of one number again and again is 0, with a slope of 0.
    CHECK(run(layer_norm(full({2, 3}, 7.0) + 0 * v[0][0][0])).at(4) == 0);
  }
  CHECK(layer_norm(fmatrix("f")).dtype() == DType::float32);
  const std::vector<Shared> params{Shared(gain, "gain"), Shared(bias, "bias"), Shared(x, "x")};
  const Expr cost =
      sum(sin(layer_norm(params[2], params[0], params[1])) + cos(rms_norm(params[2], params[0])));
  CHECK(check_grad(cost, params, {}, {.order = 3}));
  // For each example, its own Jacobian.
  const Expr m = dmatrix("m");
  const Expr one = dvector("one");
  const Tensor at = numbers({2, 5}, 4);
  const Tensor all = evaluate(jacobian(layer_norm(m), m), {{m, at}});
  const Tensor first = evaluate(jacobian_full(layer_norm(one), one),
                                {{one, evaluate(slice(m, 0, 1)[0], {{m, at}})}});
  for (std::int64_t k = 0; k < 25; ++k) CHECK(all.at(k) == doctest::Approx(first.at(k)));
  CHECK_THROWS_WITH_AS(layer_norm(v, constant(numbers({2, 3, 4, 5}, 1))),
                       doctest::Contains("gain and bias must broadcast against x"), TypeError);
  CHECK_THROWS_WITH_AS(rms_norm(v, 1.0, {.epsilon = -1}), doctest::Contains("epsilon"), ValueError);
  CHECK_THROWS_AS(layer_norm(v, 1.0, 0.0, {.axes = {3}}), TypeError);
}

TEST_CASE("batch_norm takes the minibatch's statistics, and keeps running ones as PyTorch does") {
  for (const Mode mode : both_modes) {
    const BatchNorm layer = batch_norm(3, {.dtype = DType::float64});
    const Expr v = dmatrix("x");
    const NormalisedBatch batch = layer.training(v);
    const Function step =
        function({.inputs = {v}, .outputs = {batch.value}, .updates = batch.updates, .mode = mode});
    const Function infer = function({.inputs = {v}, .outputs = {layer(v)}, .mode = mode});
    const Tensor x = Tensor::from<double>({4, 3}, {1, 0, 2, 3, 0, -2, 5, 0, 0, 7, 4, 8});
    CHECK(distance(infer({x})[0], evaluate(constant(x) / std::sqrt(1 + 1e-5))) < 1e-14);
    const auto by_column = [](std::int64_t k) { return k % 3; };
    CHECK(distance(step({x})[0], grouped(x, 3, 1e-5, true, by_column)) < 1e-14);
    // Means 4, 1, 2; variances over n - 1: 20 / 3, 4, 56 / 3.
    const Tensor mean = layer.mean.get(), variance = layer.variance.get();
    const double means[] = {0.4, 0.1, 0.2}, variances[] = {0.9 + 2 / 3.0, 1.3, 0.9 + 5.6 / 3};
    for (std::int64_t k = 0; k < 3; ++k) {
      CHECK(mean.at(k) == doctest::Approx(means[k]).epsilon(1e-14));
      CHECK(variance.at(k) == doctest::Approx(variances[k]).epsilon(1e-14));
    }
    const double expected = (5 - 0.4) / std::sqrt(0.9 + 2 / 3.0 + 1e-5);
    CHECK(infer({x})[0].at(6) == doctest::Approx(expected).epsilon(1e-14));
    // A single example is its own mean.
    CHECK(step({Tensor::full(DType::float64, {1, 3}, 9.0)})[0].at(1) == 0);
    CHECK(layer.variance.get().at(1) == doctest::Approx(1.3 * 0.9));
  }
  // Channels of images, in float32, and the gradient through the statistics.
  const BatchNorm images = batch_norm(2);
  const Expr maps = tensor4("maps");
  const Tensor m = numbers({3, 2, 4, 5}, 5);
  const auto by_channel = [](std::int64_t k) { return k / 20 % 2; };
  CHECK(distance(evaluate(images.training(maps).value, {{maps, m.cast(DType::float32)}}),
                 grouped(m, 2, 1e-5, true, by_channel).cast(DType::float32)) < 1e-5);
  const BatchNorm layer = batch_norm(3, {.dtype = DType::float64, .label = "n"});
  Shared w(numbers({4, 3}, 6), "w");
  const Expr cost = sum(sin(layer.training(w).value) * constant(numbers({4, 3}, 7)));
  CHECK(check_grad(cost, std::vector<Shared>{w, layer.gain, layer.bias}, {}, {.order = 2}));
  CHECK(layer.gain.label() == "n.gain");
  CHECK_THROWS_WITH_AS(layer(dmatrix("x")[0]), doctest::Contains("(batch, 3, ...)"), TypeError);
  CHECK_THROWS_AS(layer.training(fmatrix("x")), TypeError);
  CHECK_THROWS_AS(layer(variable("x", DType::float64, {-1, 4})), TypeError);
  CHECK_THROWS_AS(batch_norm(0), ValueError);
  CHECK_THROWS_AS(batch_norm(2, {.momentum = 1.5}), ValueError);
}

TEST_CASE("dropout keeps the mean, in the values that are left and their gradient") {
  RandomStreams random(3);
  const Expr v = dvector("x");
  const Expr y = dropout(v, 0.25, random);
  const Function f = function({v}, {y, grad(sum(y), v)});
  const std::int64_t n = 100000;
  const auto values = f({Tensor::full(DType::float64, {n}, 3.0)});
  double zeros = 0;
  for (std::int64_t k = 0; k < n; ++k) {
    const double value = values[0].at(k);
    zeros += value == 0;
    CHECK_MESSAGE((value == 0 || value == doctest::Approx(4)), value);
    CHECK_MESSAGE(values[1].at(k) == doctest::Approx(value / 3), value);
  }
  CHECK(std::abs(zeros / double(n) - 0.25) < 5 * std::sqrt(0.25 * 0.75 / double(n)));
  CHECK(f({Tensor::full(DType::float64, {n}, 3.0)})[0] != values[0]);
  CHECK(dropout(v, 0, random) == v);
  for (const double p : {-0.1, 1.0, std::nan("")})
    CHECK_THROWS_WITH_AS(dropout(v, p, random), doctest::Contains("dropout: p is a probability"),
                         ValueError);
}
