// What dictionaries are trained with: constraints, counters, thresholds, medians, resampling; and
// that a known dictionary is found.
#include "cinch/models/dictionary_rules.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "cinch/cinch.hpp"

using namespace cinch;

TEST_CASE("idle latents are counted by examples, and are dead from a number of them on") {
  RandomState random(1);
  const Dictionary d = dictionary(3, 4, random);
  const Shared idle = idle_counter(d);
  const Expr f = matrix("f");
  const Function count = function({.inputs = {f}, .updates = count_idle(idle, f)});
  const auto code = [](std::initializer_list<float> values) {
    return Tensor::from<float>({2, 4}, values);
  };
  count({code({1, 0, 0, 0, 0, 2, 0, 0})});
  CHECK(idle.get() == Tensor::from<std::int64_t>({4}, {0, 0, 2, 2}));
  count({code({0, 0, 0, 0, 0, 1, 3, 0})});
  CHECK(idle.get() == Tensor::from<std::int64_t>({4}, {2, 0, 0, 4}));
  CHECK(evaluate(dead_latents(idle, 3)) == Tensor::from<bool>({4}, {false, false, false, true}));
  CHECK(evaluate(dead_share(dead_latents(idle, 2))).item() == 0.5);
  CHECK_THROWS_WITH_AS(count_idle(idle, constant(Tensor(DType::float32, {2, 5}))),
                       doctest::Contains("one for each latent"), TypeError);
  CHECK_THROWS_WITH_AS(dead_latents(idle, 0), doctest::Contains("after an example at least"),
                       ValueError);
}

TEST_CASE("the threshold for inference follows the smallest activation") {
  const Shared t = inference_threshold(DType::float64);
  const Expr f = dmatrix("f");
  const Function step = function({.inputs = {f}, .updates = average_threshold(t, f, 0.9)});
  const auto code = [](double a, double b) { return Tensor::from<double>({1, 3}, {a, 0, b}); };
  step({code(0, 0)});
  CHECK(t.get().item() == -1);
  step({code(2, 0.5)});
  CHECK(t.get().item() == 0.5);
  step({code(0, 1)});
  CHECK(t.get().item() == doctest::Approx(0.9 * 0.5 + 0.1));
  step({code(0, 0)});
  CHECK(t.get().item() == doctest::Approx(0.55));
  CHECK_THROWS_WITH_AS(average_threshold(t, f, 1), doctest::Contains("decay must be in [0, 1)"),
                       ValueError);
}

TEST_CASE("a geometric median: its unit vectors cancel, outliers do not move it, NaN is named") {
  RandomState random(2);
  Tensor x = random.normal(0, 1, {200, 3});
  const auto pull = [](const Tensor& rows, const Tensor& m) {
    long double total[3] = {};
    for (std::int64_t i = 0; i < rows.shape()[0]; ++i) {
      long double d[3], squares = 0;
      for (std::int64_t j = 0; j < 3; ++j) {
        d[j] = rows(i, j) - m.at(j);
        squares += d[j] * d[j];
      }
      for (std::size_t j = 0; j < 3; ++j) total[j] += d[j] / std::sqrt(squares);
    }
    return static_cast<double>(
        std::sqrt(total[0] * total[0] + total[1] * total[1] + total[2] * total[2]));
  };
  const Tensor m = geometric_median(x, 1e-12);
  CHECK(pull(x, m) < 1e-6);
  for (std::size_t k = 0; k < 30; ++k) x.data<double>()[k] = 1e4;
  const Tensor robust = geometric_median(x, 1e-12);
  for (std::int64_t j = 0; j < 3; ++j) CHECK(std::abs(robust.at(j) - m.at(j)) < 0.3);
  // A point of the data may be the median itself.
  CHECK(geometric_median(Tensor::from({{1.0, 2.0}, {1.0, 2.0}, {1.0, 2.0}})) ==
        Tensor::from({1.0, 2.0}));
  x.data<double>()[3 * 17 + 1] = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH_AS(geometric_median(x),
                       doctest::Contains("row 17 of the examples has nan in column 1"), ValueError);
  CHECK_THROWS_WITH_AS(geometric_median(Tensor(DType::float64, {0, 3})),
                       doctest::Contains("there is no example"), ValueError);
  const Dictionary d = dictionary(4, 6, random);
  CHECK_THROWS_WITH_AS(centre(d, x), doctest::Contains("(200, 3) do not have the 4 columns"),
                       TypeError);
}

TEST_CASE(
    "resampled latents take directions of badly reconstructed examples, and their moments go") {
  RandomState random(3);
  const Dictionary d = dictionary(3, 5, random, {.dtype = DType::float64});
  const Expr x = dmatrix("x"), dead = variable("dead", DType::bool_, {5});
  const Updates updates =
      adam(mean(normalized_error(x, d.decode(relu(d.pre_activations(x))))), d.params(), 0.1);
  const Tensor x_value = random.normal(0, 1, {6, 3});
  const Function step = function({.inputs = {x}, .updates = updates});
  for (int k = 0; k < 3; ++k) step({x_value});
  // One example has all of the loss.
  const Expr bad = constant(Tensor::from<double>({6, 1}, {0, 0, 0, 1, 0, 0}));
  const Tensor W_dec = d.W_dec.get(), W_enc = d.W_enc.get();
  RandomStreams streams(4);
  const Function renew = function(
      {.inputs = {x, dead}, .updates = resample(d, dead, x, x - 100 * bad, streams, updates)});
  renew({x_value, Tensor::from<bool>({5}, {false, true, false, false, true})});
  double length = 0, dead_length = 0, alive_length = 0;
  const auto away = [&](std::int64_t j) { return x_value(3, j) - d.b_dec.get().at(j); };
  for (std::int64_t j = 0; j < 3; ++j) length += away(j) * away(j);
  for (std::int64_t j = 0; j < 3; ++j) {
    for (const std::int64_t i : {0, 2, 3}) {
      CHECK(d.W_dec.get()(i, j) == W_dec(i, j));
      CHECK(d.W_enc.get()(j, i) == W_enc(j, i));
    }
    for (const std::int64_t i : {1, 4})
      CHECK(d.W_dec.get()(i, j) == doctest::Approx(away(j) / std::sqrt(length)));
    dead_length += std::pow(d.W_enc.get()(j, 1), 2);
  }
  for (const std::int64_t i : {0, 2, 3}) {
    double squares = 0;
    for (std::int64_t j = 0; j < 3; ++j) squares += W_enc(j, i) * W_enc(j, i);
    alive_length += std::sqrt(squares) / 3;
  }
  CHECK(std::sqrt(dead_length) == doctest::Approx(0.2 * alive_length));
  int moments = 0;
  for (const Update& u : updates) {
    if (u.target.label() == "adam.m/W_dec" || u.target.label() == "adam.v/W_dec") {
      ++moments;
      CHECK(u.target.get()(1, 0) == 0);
      CHECK(u.target.get()(0, 0) != 0);
    }
  }
  CHECK(moments == 2);
}

TEST_CASE("metrics: explained variance, recovered loss, cosines") {
  const Expr x = constant(Tensor::from<double>({3, 2}, {0, 1, 2, 3, 4, 8}));
  CHECK(evaluate(explained_variance(x, x)).item() == 1);
  CHECK(evaluate(explained_variance(x, mean(x, 0, true) + zeros_like(x))).item() ==
        doctest::Approx(0));
  CHECK(evaluate(recovered_loss(1, 1.5, 3)).item() == doctest::Approx(0.75));
  const Expr truth = constant(Tensor::from({{1.0, 0.0}, {0.0, 2.0}})),
             learned = constant(Tensor::from({{0.0, 0.0}, {3.0, 3.0}, {0.0, 0.5}}));
  const Tensor cosines = evaluate(max_cosines(truth, learned));
  CHECK(cosines.at(0) == doctest::Approx(std::sqrt(0.5)));
  CHECK(cosines.at(1) == doctest::Approx(1));
  CHECK(evaluate(l0(learned)) == Tensor::from({0.0, 2.0, 1.0}));
}

TEST_CASE("superposition: features of length 1, as many active as asked for, by a power law") {
  RandomState random(5);
  const Superposition s =
      superposition(40, 10, random, {.active = 3, .power = 0.5, .dtype = DType::float64});
  CHECK(evaluate(sum(constant(s.rates))).item() == doctest::Approx(3));
  CHECK(s.rates.at(0) / s.rates.at(3) == doctest::Approx(2));
  RandomStreams streams(6);
  const Tensor x = evaluate(s.sample(4000, streams));
  // E |x|^2 = sum of rates times E a^2, up to the products of different features.
  const double a2 = 1 + 2 * 0.5 * std::sqrt(2 / M_PI) + 0.25;
  const Tensor squares = evaluate(mean(sum(square(constant(x)), 1)));
  CHECK(squares.item() == doctest::Approx(3 * a2).epsilon(0.2));
  CHECK_THROWS_WITH_AS(superposition(4, 3, random, {.active = 5}),
                       doctest::Contains("superposition: of 4 features 5"), ValueError);
  CHECK_THROWS_WITH_AS(superposition(40, 3, random, {.active = 20, .power = 2}),
                       doctest::Contains("the most frequent feature"), ValueError);
}

TEST_CASE("TopK with unit rows and an auxiliary error finds most of a dictionary that is known") {
  RandomState random(1);
  RandomStreams streams(2);
  const Superposition s = superposition(48, 24, random, {.active = 3});
  const Dictionary d = dictionary(24, 96, random);
  const Shared idle = idle_counter(d);
  const Expr x = matrix("x"), p = d.pre_activations(x), f = topk_code(p, 4), z = d.decode(f);
  const Expr cost =
      normalized_error(x, z) + auxiliary_error(d, p, x - z, dead_latents(idle, 5000), 12) / 32;
  Updates updates =
      constrained(cost, d.params(), {unit_norm(d.W_dec, 1)}, [](const auto& params, const auto& g) {
        return adam(params, clip_by_global_norm(g, 1), 0.003, {.epsilon = 6.25e-10});
      });
  for (const Update& u : count_idle(idle, f)) updates.push_back(u);
  const Function step =
      function({.outputs = {cost}, .updates = updates, .givens = {{x, s.sample(128, streams)}}});
  const Expr found = max_cosines(constant(s.features), d.W_dec);
  const double before = evaluate(mean(cast(found > 0.9, DType::float64))).item();
  for (int k = 0; k < 1500; ++k) step();
  CHECK(before < 0.1);
  CHECK(evaluate(mean(cast(found > 0.9, DType::float64))).item() > 0.9);
  const Tensor lengths = evaluate(norm(d.W_dec, 2, 1));
  for (std::int64_t i = 0; i < 96; ++i) CHECK(lengths.at(i) == doctest::Approx(1).epsilon(1e-5));
}
