// Sparse dictionaries: values and gradients against references in long double, and what the papers
// say of them.
#include "cinch/models/dictionary.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

using Real = long double;
using Rows = std::vector<std::vector<Real>>;

Rows rows_of(const Tensor& t) {
  Rows result(static_cast<std::size_t>(t.shape()[0]));
  for (std::int64_t i = 0; i < t.shape()[0]; ++i)
    for (std::int64_t j = 0; j < t.shape()[1]; ++j)
      result[static_cast<std::size_t>(i)].push_back(static_cast<Real>(t(i, j)));
  return result;
}
std::vector<Real> vector_of(const Tensor& t) {
  std::vector<Real> result;
  for (std::int64_t i = 0; i < t.size(); ++i) result.push_back(static_cast<Real>(t.at(i)));
  return result;
}
Rows product(const Rows& a, const Rows& b) {
  Rows result(a.size(), std::vector<Real>(b[0].size(), 0));
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t k = 0; k < b.size(); ++k)
      for (std::size_t j = 0; j < b[0].size(); ++j) result[i][j] += a[i][k] * b[k][j];
  return result;
}
Rows plus(Rows a, const std::vector<Real>& b, Real sign = 1) {
  for (auto& row : a)
    for (std::size_t j = 0; j < row.size(); ++j) row[j] += sign * b[j];
  return a;
}
Real squared(const Rows& a, const Rows& b) {
  Real total = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t j = 0; j < a[0].size(); ++j)
      total += (a[i][j] - b[i][j]) * (a[i][j] - b[i][j]);
  return total / static_cast<Real>(a.size());
}
Real variance(const Rows& x) {
  std::vector<Real> means(x[0].size(), 0);
  for (const auto& row : x)
    for (std::size_t j = 0; j < row.size(); ++j) means[j] += row[j] / static_cast<Real>(x.size());
  Rows centres(x.size(), means);
  return squared(x, centres);
}
/// relu of the k largest elements of each row.
Rows top(const Rows& p, std::size_t k) {
  Rows result = p;
  for (auto& row : result) {
    std::vector<Real> sorted = row;
    std::ranges::sort(sorted, std::greater<>());
    for (Real& v : row) v = v >= sorted[k - 1] ? std::max(v, Real(0)) : 0;
  }
  return result;
}

/// A dictionary with biases that are not 0, and activations.
struct Case {
  RandomState random{7};
  Dictionary d;
  Tensor x_value = random.normal(0, 1, {5, 4});
  Expr x = dmatrix("x");
  explicit Case(std::int64_t targets = 0)
      : d(dictionary(4, 9, random, {.targets = targets, .dtype = DType::float64})) {
    for (Shared p : {d.b_enc, d.b_dec}) p.set(random.normal(0, 0.3, p.value().shape()));
  }
  Tensor of(const Expr& e) const { return evaluate(e, {{x, x_value}}); }
  Rows pre() const {
    return plus(
        product(plus(rows_of(x_value), vector_of(d.b_dec.get()), -1), rows_of(d.W_enc.get())),
        vector_of(d.b_enc.get()));
  }
  Rows decoded(const Rows& f) const {
    return plus(product(f, rows_of(d.W_dec.get())), vector_of(d.b_dec.get()));
  }
};

void check_close(const Tensor& value, const Rows& expected) {
  for (std::size_t i = 0; i < expected.size(); ++i)
    for (std::size_t j = 0; j < expected[0].size(); ++j)
      CHECK(value(i, j) == doctest::Approx(static_cast<double>(expected[i][j])).epsilon(1e-12));
}

double close(Real value) { return static_cast<double>(value); }

}  // namespace

TEST_CASE("a dictionary begins with rows of length 1 and an encoder that is its transpose") {
  RandomState random(1);
  const Dictionary d = dictionary(6, 20, random);
  const Tensor W = d.W_dec.get();
  for (std::int64_t i = 0; i < 20; ++i) {
    double squares = 0;
    for (std::int64_t j = 0; j < 6; ++j) {
      squares += W(i, j) * W(i, j);
      CHECK(d.W_enc.get()(j, i) == W(i, j));
    }
    CHECK(squares == doctest::Approx(1).epsilon(1e-6));
  }
  const Dictionary across = dictionary(6, 20, random, {.targets = 3, .label = "mlp."});
  CHECK(across.W_enc.get().shape() == Shape{6, 20});
  CHECK(across.W_dec.get().shape() == Shape{20, 3});
  CHECK(across.W_dec.label() == "mlp.W_dec");
  CHECK_FALSE(across.centred);
}

TEST_CASE("TopK: code, error, auxiliary and multi-TopK errors agree with long double") {
  const Case c;
  const Expr p = c.d.pre_activations(c.x), f = topk_code(p, 3), z = c.d.decode(f);
  const Rows x = rows_of(c.x_value), code = top(c.pre(), 3), back = c.decoded(code);
  check_close(c.of(f), code);
  check_close(c.of(z), back);
  const Real error = squared(x, back) / variance(x);
  CHECK(c.of(normalized_error(c.x, z)).item() == doctest::Approx(close(error)).epsilon(1e-12));
  const Real more = squared(x, c.decoded(top(c.pre(), 6))) / variance(x);
  CHECK(c.of(multi_topk_error(c.d, c.x, 3, 6)).item() ==
        doctest::Approx(close(error + more / 8)).epsilon(1e-12));

  // Latents 1, 4 and 7 are dead; of them the two largest, without b_dec, reconstruct the rest.
  Tensor dead(DType::bool_, {9});
  for (const std::size_t k : {1, 4, 7}) dead.data<bool>()[k] = true;
  Rows asleep = c.pre();
  for (auto& row : asleep)
    for (std::size_t j = 0; j < 9; ++j)
      if (dead.at(static_cast<std::int64_t>(j)) == 0) row[j] = -1e300L;
  const Rows auxiliary = product(top(asleep, 2), rows_of(c.d.W_dec.get()));
  Rows residual = x;
  for (std::size_t i = 0; i < x.size(); ++i)
    for (std::size_t j = 0; j < 4; ++j) residual[i][j] -= back[i][j];
  const Real expected = squared(residual, auxiliary) / variance(residual);
  const auto aux = [&](std::int64_t k) {
    return c.of(auxiliary_error(c.d, p, c.x - z, constant(dead), k)).item();
  };
  CHECK(aux(2) == doctest::Approx(close(expected)).epsilon(1e-12));
  // With more asked for than are dead the error counts by their share.
  const Rows three = product(top(asleep, 3), rows_of(c.d.W_dec.get()));
  CHECK(aux(6) ==
        doctest::Approx(close(squared(residual, three) / variance(residual) / 2)).epsilon(1e-12));
  CHECK(c.of(auxiliary_error(c.d, p, c.x - z, constant(Tensor(DType::bool_, {9})), 2)).item() == 0);
}

TEST_CASE("the auxiliary error moves dead latents alone, and b_dec only as their input") {
  const Case c;
  const Expr p = c.d.pre_activations(c.x), z = c.d.decode(topk_code(p, 3));
  Tensor dead(DType::bool_, {9});
  dead.data<bool>()[4] = true;
  const Expr cost = auxiliary_error(c.d, p, c.x - z, constant(dead), 1);
  const Tensor g = c.of(grad(cost, c.d.W_dec)), e = c.of(grad(cost, c.d.W_enc));
  double moved = 0;
  for (std::int64_t i = 0; i < 9; ++i) {
    for (std::int64_t j = 0; j < 4; ++j) {
      if (i != 4) {
        CHECK(g(i, j) == 0);
        CHECK(e(j, i) == 0);
      } else {
        moved += std::abs(g(i, j)) + std::abs(e(j, i));
      }
    }
  }
  CHECK(moved > 0.01);
}

TEST_CASE("BatchTopK keeps k for each example on average, the largest of all") {
  const Case c;
  const Expr p = c.d.pre_activations(c.x);
  const Tensor f = c.of(batch_topk_code(p, 2)), pre = c.of(p);
  std::vector<double> all;
  for (std::int64_t i = 0; i < pre.size(); ++i) all.push_back(pre.at(i));
  std::ranges::sort(all, std::greater<>());
  REQUIRE(all[9] > 0);
  for (std::int64_t i = 0; i < pre.size(); ++i)
    CHECK(f.at(i) == (pre.at(i) >= all[9] ? pre.at(i) : 0));
  // Of equal ones the first are kept, and no more.
  const Tensor same =
      evaluate(batch_topk_code(constant(Tensor::full(DType::float64, {3, 4}, 1)), 2));
  CHECK(evaluate(sum(constant(same))).item() == 6);
  // With the smallest of them as threshold a single example has the same code.
  const Tensor alone = c.of(thresholded(p, std::nextafter(all[9], 0.0)));
  CHECK(alone == f);
  CHECK(c.of(thresholded(p, -1)) == c.of(relu(p)));
}

TEST_CASE("Matryoshka errors decode each prefix of the code") {
  const Case c;
  const Expr f = relu(c.d.pre_activations(c.x));
  const Rows code = rows_of(c.of(f)), x = rows_of(c.x_value);
  Real expected = 0;
  for (const std::size_t m : {2, 5, 9}) {
    Rows part = code;
    for (auto& row : part) std::fill(row.begin() + static_cast<std::ptrdiff_t>(m), row.end(), 0);
    expected += squared(x, c.decoded(part));
  }
  CHECK(c.of(mean(matryoshka_error(c.d, c.x, f, {2, 5, 9}))).item() ==
        doctest::Approx(close(expected)).epsilon(1e-12));
}

TEST_CASE("an L1 weighted by norms does not change when latents are scaled") {
  Case c;
  const Expr f = relu(c.d.pre_activations(c.x));
  const Tensor before = c.of(weighted_l1(f, c.d.W_dec));
  Tensor W = c.d.W_dec.get();
  const Expr smaller = f / 3, larger = c.d.W_dec * 3;
  const Tensor after = c.of(weighted_l1(smaller, larger));
  for (std::int64_t i = 0; i < 5; ++i) CHECK(after.at(i) == doctest::Approx(before.at(i)));
  CHECK(before.at(0) > 0);
}

TEST_CASE("JumpReLU: value, and slopes of means over the window") {
  // f over many p, evenly spread over the window, has the slope by t that its gradient says.
  const double t = 0.7, width = 0.2;
  const std::int64_t n = 20000;
  std::vector<double> spread;
  for (std::int64_t i = 0; i < n; ++i)
    spread.push_back(t - width / 2 + width * (static_cast<double>(i) + 0.5) / n);
  const Expr p = constant(Tensor::from<double>({n, 1}, spread)), threshold = dscalar("t");
  const auto at = [&](const Expr& e, double value) {
    return evaluate(e, {{threshold, Tensor(value)}}).item();
  };
  const Expr f = mean(jumprelu(p, threshold, width)), l = mean(jumprelu_l0(p, threshold, width));
  const double h = 0.01;
  // Windows shift with t, so the gradient at t is compared with the values around it.
  CHECK(at(grad(f, threshold), t) ==
        doctest::Approx((at(f, t + h) - at(f, t - h)) / (2 * h)).epsilon(1e-3));
  CHECK(at(grad(l, threshold), t) ==
        doctest::Approx((at(l, t + h) - at(l, t - h)) / (2 * h)).epsilon(1e-3));
  CHECK(at(grad(f, threshold), t) == doctest::Approx(-t / width).epsilon(1e-3));
  CHECK(at(grad(l, threshold), t) == doctest::Approx(-1 / width).epsilon(1e-3));

  const Expr x = dmatrix("x"), ts = dvector("ts");
  const Tensor x_value = Tensor::from<double>({2, 2}, {0.5, 1.04, -1, 3}),
               t_value = Tensor::from({0.4, 1.0});
  const std::vector<Binding> values{{x, x_value}, {ts, t_value}};
  CHECK(evaluate(jumprelu(x, ts, 0.1), values) == Tensor::from<double>({2, 2}, {0.5, 1.04, 0, 3}));
  CHECK(evaluate(jumprelu_l0(x, ts, 0.1), values) == Tensor::from({2.0, 1.0}));
  const Expr weights = constant(Tensor::from<double>({2, 2}, {1, 2, 3, 4}));
  const Expr cost = sum(weights * jumprelu(x, ts, 0.1));
  CHECK(evaluate(grad(cost, x), values) == Tensor::from<double>({2, 2}, {1, 2, 0, 4}));
  const Tensor g = evaluate(grad(cost, ts), values);
  CHECK(g.at(0) == 0);
  CHECK(g.at(1) == doctest::Approx(-2 * 1.0 / 0.1));
}

TEST_CASE("penalties of thresholds agree with long double") {
  const Case c;
  const Expr p = c.d.pre_activations(c.x), f = relu(p);
  const Rows pre = rows_of(c.of(p)), W = rows_of(c.d.W_dec.get());
  Real smooth = 0, waking = 0;
  for (std::size_t i = 0; i < 9; ++i) {
    Real squares = 0;
    for (const Real w : W[i]) squares += 4 * w * w;
    smooth += std::tanh(0.5L * std::max(pre[1][i], Real(0)) * std::sqrt(squares));
    waking += std::max(Real(0.3) - pre[1][i], Real(0)) * std::sqrt(squares);
  }
  CHECK(c.of(tanh_sparsity(f, 2 * c.d.W_dec, 0.5)).at(1) == doctest::Approx(close(smooth)));
  CHECK(c.of(pre_activation_loss(p, 0.3, 2 * c.d.W_dec)).at(1) == doctest::Approx(close(waking)));
  CHECK(c.of(l0_target_error(l0(f), 2)).item() ==
        doctest::Approx(std::pow(c.of(mean(l0(f))).item() / 2 - 1, 2)));
}

TEST_CASE("gated: the cost agrees with long double, and its auxiliary term holds the decoder") {
  RandomState random(3);
  const GatedDictionary d = gated_dictionary(4, 9, random, {.dtype = DType::float64});
  for (Shared p : {d.b_gate, d.r_mag, d.b_mag, d.b_dec})
    p.set(random.normal(0, 0.3, p.value().shape()));
  const Tensor x_value = random.normal(0, 1, {5, 4});
  const Expr x = dmatrix("x");
  const GatedCost cost = gated_cost(d, x, 0.1);
  const Rows g =
      product(plus(rows_of(x_value), vector_of(d.b_dec.get()), -1), rows_of(d.W_gate.get()));
  const auto b_gate = vector_of(d.b_gate.get()), r = vector_of(d.r_mag.get()),
             b = vector_of(d.b_mag.get()), b_dec = vector_of(d.b_dec.get());
  const Rows W = rows_of(d.W_dec.get());
  Rows f = g, open = g;
  Real sparsity = 0;
  for (std::size_t i = 0; i < 5; ++i) {
    for (std::size_t j = 0; j < 9; ++j) {
      const Real gate = g[i][j] + b_gate[j];
      open[i][j] = std::max(gate, Real(0));
      f[i][j] = gate > 0 ? std::max(std::exp(r[j]) * g[i][j] + b[j], Real(0)) : 0;
      Real squares = 0;
      for (const Real w : W[j]) squares += w * w;
      sparsity += open[i][j] * std::sqrt(squares) / 5;
    }
  }
  const Real error = squared(rows_of(x_value), plus(product(f, W), b_dec));
  const Real auxiliary = squared(rows_of(x_value), plus(product(open, W), b_dec));
  const auto of = [&](const Expr& e) { return evaluate(e, {{x, x_value}}); };
  CHECK(of(cost.reconstruction).item() == doctest::Approx(close(error)).epsilon(1e-12));
  CHECK(of(cost.sparsity).item() == doctest::Approx(close(sparsity)).epsilon(1e-12));
  CHECK(of(cost.auxiliary).item() == doctest::Approx(close(auxiliary)).epsilon(1e-12));
  CHECK(of(cost.total).item() ==
        doctest::Approx(close(error + 0.1L * sparsity + auxiliary)).epsilon(1e-12));
  CHECK_THROWS_AS(grad(cost.auxiliary, d.W_dec), GradError);
  CHECK(evaluate(max(abs(constant(of(grad(cost.auxiliary, d.W_gate)))))).item() > 1e-3);
}

TEST_CASE("a crosscoder has one code, and its penalty the sum of its decoders' norms") {
  RandomState random(5);
  const Crosscoder c = crosscoder({3, 4}, 7, random, {.dtype = DType::float64});
  const Tensor a = random.normal(0, 1, {5, 3}), b = random.normal(0, 1, {5, 4});
  const std::vector<Expr> xs{constant(a), constant(b)};
  const Expr f = relu(c.pre_activations(xs));
  Rows p = product(rows_of(a), rows_of(c.W_enc[0].get()));
  const Rows q = product(rows_of(b), rows_of(c.W_enc[1].get()));
  Real l1 = 0;
  for (std::size_t i = 0; i < 5; ++i) {
    for (std::size_t j = 0; j < 7; ++j) {
      p[i][j] = std::max(p[i][j] + q[i][j], Real(0));
      l1 += p[i][j] * 2;  // Two rows of length 1.
    }
  }
  check_close(evaluate(f), p);
  CHECK(evaluate(sum(crosscoder_l1(c, f))).item() == doctest::Approx(close(l1)));
  const Real error = squared(rows_of(a), product(p, rows_of(c.W_dec[0].get()))) +
                     squared(rows_of(b), product(p, rows_of(c.W_dec[1].get())));
  CHECK(evaluate(mean(crosscoder_error(c, xs, f))).item() == doctest::Approx(close(error)));
  CHECK(c.params().size() == 7);
}

TEST_CASE("the Jacobian between codes is that of the closed form, for standard and gated layers") {
  RandomState random(6);
  const auto pair_of = [&](std::int64_t out) {
    JacobianPair pair{dictionary(4, 10, random, {.dtype = DType::float64}),
                      dictionary(out, 12, random, {.dtype = DType::float64}), 3};
    for (Shared p : {pair.before.b_enc, pair.after.b_enc, pair.before.b_dec, pair.after.b_dec})
      p.set(random.normal(0, 0.2, p.value().shape()));
    return pair;
  };
  const JacobianPair pair = pair_of(5);
  const Tensor in = random.normal(0, 1, {4, 6}), out = random.normal(0, 1, {6, 5}),
               gate = random.normal(0, 1, {4, 6}), x_value = random.normal(0, 1, {5, 4});
  const Expr x = constant(x_value);
  const Activation standard = [&](const Arg& v) {
    return dot(tanh(dot(v, constant(in))), constant(out));
  };
  const Activation gated = [&](const Arg& v) {
    return dot(silu(dot(v, constant(gate))) * dot(v, constant(in)), constant(out));
  };
  for (const Activation& layer : {standard, gated}) {
    const Tensor J = evaluate(latent_jacobian(pair, layer, x));
    REQUIRE(J.shape() == Shape{5, 3, 3});
    // The whole Jacobian, of all latents, has these entries and nothing else.
    const Expr whole = dmatrix("f");
    const Expr f1 = topk_code(pair.before.pre_activations(x), 3);
    const Expr f2 = topk_code(pair.after.pre_activations(layer(pair.before.decode(whole))), 3);
    const Tensor code = evaluate(f1);
    const Tensor all = evaluate(jacobian(f2, whole), {{whole, code}});
    for (std::int64_t n = 0; n < 5; ++n) {
      // The largest first, as topk() has them.
      const auto order = [&](const Tensor& f) {
        std::vector<std::int64_t> places(static_cast<std::size_t>(f.shape()[1]));
        std::iota(places.begin(), places.end(), 0);
        std::ranges::stable_sort(places, [&](auto i, auto j) { return f(n, i) > f(n, j); });
        return places;
      };
      const auto columns = order(evaluate(pair.before.pre_activations(x))),
                 rows = order(evaluate(pair.after.pre_activations(layer(pair.before.decode(f1)))));
      for (std::int64_t i = 0; i < 3; ++i) {
        for (std::int64_t j = 0; j < 3; ++j) {
          // A latent that relu stops has no slope of its own.
          if (code(n, columns[static_cast<std::size_t>(j)]) == 0) continue;
          CHECK(J(n, i, j) == doctest::Approx(all(n, rows[static_cast<std::size_t>(i)],
                                                  columns[static_cast<std::size_t>(j)]))
                                  .epsilon(1e-10));
        }
      }
    }
    const JacobianCost cost = jacobian_cost(pair, layer, x, 10);
    double sum_abs = 0;
    for (std::int64_t i = 0; i < J.size(); ++i) sum_abs += std::abs(J.at(i)) / 45;
    CHECK(evaluate(cost.jacobian).item() == doctest::Approx(sum_abs));
    CHECK(
        evaluate(cost.total).item() ==
        doctest::Approx(evaluate(cost.before).item() + evaluate(cost.after).item() + 10 * sum_abs));
  }
}

TEST_CASE("dictionaries refuse what does not fit, in words that say what") {
  Case c;
  const Expr p = c.d.pre_activations(c.x), f = relu(p);
  for (const std::int64_t k : {0, 10, -3}) {
    CHECK_THROWS_WITH_AS(
        topk_code(p, k),
        doctest::Contains("topk_code: k must be between 1 and the number of latents, got"),
        ValueError);
    CHECK_THROWS_WITH_AS(batch_topk_code(p, k), doctest::Contains("batch_topk_code: k must be"),
                         ValueError);
    CHECK_THROWS_WITH_AS(auxiliary_error(c.d, p, c.x, constant(Tensor(DType::bool_, {9})), k),
                         doctest::Contains("auxiliary_error: k must be"), ValueError);
  }
  CHECK_THROWS_WITH_AS(topk_code(p, 10), doctest::Contains("written at dictionary.cpp:"),
                       ValueError);
  CHECK_THROWS_WITH_AS(auxiliary_error(c.d, p, c.x, dvector("v"), 2),
                       doctest::Contains("the dead latents are a bool"), TypeError);
  for (const std::vector<std::int64_t>& prefixes :
       {std::vector<std::int64_t>{}, {0, 3}, {3, 3}, {3, 10}})
    CHECK_THROWS_WITH_AS(matryoshka_error(c.d, c.x, f, prefixes),
                         doctest::Contains("matryoshka_error: "), ValueError);
  CHECK_THROWS_WITH_AS(weighted_l1(f, constant(Tensor(DType::float64, {8, 4}))),
                       doctest::Contains("must match the dictionary's rows"), TypeError);
  RandomState random(1);
  CHECK_THROWS_WITH_AS(dictionary(0, 3, random),
                       doctest::Contains("sizes must be positive, got 0 inputs"), ValueError);
  CHECK_THROWS_WITH_AS(dictionary(2, 3, random, {.dtype = DType::int64}),
                       doctest::Contains("float32 or float64"), TypeError);
  CHECK_THROWS_WITH_AS(jumprelu(p, 0.1, 0), doctest::Contains("width must be positive"),
                       ValueError);
  CHECK_THROWS_WITH_AS(jumprelu(p, c.x), doctest::Contains("the threshold must be (latents)"),
                       TypeError);
  CHECK_THROWS_WITH_AS(l0_target_error(l0(f), 0), doctest::Contains("target must be positive"),
                       ValueError);
  CHECK_THROWS_WITH_AS(gated_dictionary(3, 4, random, {.targets = 2}),
                       doctest::Contains("inputs and targets are the same"), ValueError);
  CHECK_THROWS_WITH_AS(crosscoder({}, 3, random), doctest::Contains("there must be a layer"),
                       ValueError);
  const Crosscoder two = crosscoder({3, 4}, 7, random);
  CHECK_THROWS_WITH_AS(two.pre_activations({matrix("a")}),
                       doctest::Contains("of 2 layers got activations of 1"), TypeError);
}
