// Distances, trees and expansions of neighbourhoods; VICReg; scores; spectral norms: values against
// references in long double, gradients against finite differences.
#include "cinch/models/neighbours.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "cinch/cinch.hpp"

using namespace cinch;

namespace {

using Real = long double;

Real distance(const Tensor& x, std::int64_t i, std::int64_t j) {
  Real squares = 0;
  for (std::int64_t k = 0; k < x.shape()[1]; ++k) {
    const Real away = static_cast<Real>(x(i, k)) - static_cast<Real>(x(j, k));
    squares += away * away;
  }
  return std::sqrt(squares);
}

/// The tree of least length among all trees of few points, by trying all sets of edges.
std::vector<std::pair<std::int64_t, std::int64_t>> shortest_tree(const Tensor& x) {
  const std::int64_t n = x.shape()[0];
  std::vector<std::pair<std::int64_t, std::int64_t>> edges, best;
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = i + 1; j < n; ++j) edges.emplace_back(i, j);
  Real least = 1e300L;
  for (unsigned set = 0; set < 1u << edges.size(); ++set) {
    if (__builtin_popcount(set) != n - 1) continue;
    std::vector<std::int64_t> part(static_cast<std::size_t>(n));
    for (std::size_t k = 0; k < part.size(); ++k) part[k] = static_cast<std::int64_t>(k);
    std::vector<std::pair<std::int64_t, std::int64_t>> chosen;
    Real length = 0;
    bool tree = true;
    for (std::size_t e = 0; e < edges.size(); ++e) {
      if (!(set >> e & 1u)) continue;
      const auto [i, j] = edges[e];
      const std::int64_t from = part[static_cast<std::size_t>(i)],
                         to = part[static_cast<std::size_t>(j)];
      tree = tree && from != to;
      std::ranges::replace(part, from, to);
      length += distance(x, i, j);
      chosen.push_back(edges[e]);
    }
    if (tree && length < least) {
      least = length;
      best = chosen;
    }
  }
  std::ranges::sort(best, [&](const auto& a, const auto& b) {
    return distance(x, a.first, a.second) < distance(x, b.first, b.second);
  });
  return best;
}

double near(Real x) { return static_cast<double>(x); }

}  // namespace

TEST_CASE("neighbours: the minimum spanning tree is the shortest of all trees") {
  RandomState random(1);
  for (int run = 0; run < 5; ++run) {
    const Tensor x = random.normal(0, 1, {6, 3});
    const Tensor found = evaluate(minimum_spanning_tree(squared_distances(constant(x))));
    const auto expected = shortest_tree(x);
    REQUIRE(found.shape() == Shape{5, 2});
    for (std::int64_t e = 0; e < 5; ++e) {
      CHECK(found(e, 0) == static_cast<double>(expected[static_cast<std::size_t>(e)].first));
      CHECK(found(e, 1) == static_cast<double>(expected[static_cast<std::size_t>(e)].second));
    }
  }
  CHECK(evaluate(minimum_spanning_tree(constant(Tensor(DType::float64, {2, 2})))) ==
        Tensor::from<std::int64_t>({1, 2}, {0, 1}));
  // Of equally long edges the first are taken, and NaN only where nothing else joins.
  Tensor same = Tensor::full(DType::float64, {4, 4}, 1);
  CHECK(evaluate(minimum_spanning_tree(constant(same))) ==
        Tensor::from<std::int64_t>({3, 2}, {0, 1, 0, 2, 0, 3}));
  same.data<double>()[1] = std::nan("");
  CHECK(evaluate(minimum_spanning_tree(constant(same))) ==
        Tensor::from<std::int64_t>({3, 2}, {0, 2, 0, 3, 1, 2}));
  // Large ones, of which the checked mode takes Kruskal's way.
  const Expr x = dmatrix("x");
  const Expr tree = minimum_spanning_tree(squared_distances(x));
  const Tensor many = random.normal(0, 1, {120, 2});
  CHECK(function({.inputs = {x}, .outputs = {tree}})({many})[0] ==
        function({.inputs = {x}, .outputs = {tree}, .mode = Mode::checked})({many})[0]);
  CHECK_THROWS_WITH_AS(minimum_spanning_tree(constant(Tensor(DType::float64, {3, 4}))),
                       doctest::Contains("as many rows as columns"), TypeError);
  CHECK_THROWS_WITH_AS(minimum_spanning_tree(dvector("v")),
                       doctest::Contains("must be (..., n, n)"), TypeError);
  CHECK_THROWS_AS(grad(sum(cast(tree, DType::float64)), x), GradError);
}

TEST_CASE("neighbours: the topological error is that of both trees' edges, and 0 for a copy") {
  RandomState random(2);
  const Tensor x = random.normal(0, 1, {6, 4}), code = random.normal(0, 1, {6, 2});
  const Expr h = dmatrix("h");
  Real expected = 0;
  for (const Tensor* from : std::vector<const Tensor*>{&x, &code})
    for (const auto& [i, j] : shortest_tree(*from))
      expected += std::pow(distance(x, i, j) - distance(code, i, j), Real(2)) / 2;
  const Expr error = topological_error(constant(x), h);
  CHECK(evaluate(error, {{h, code}}).item() == doctest::Approx(near(expected)));
  CHECK(evaluate(topological_error(h, 1 * h), {{h, code}}).item() == 0);
  const GradCheck check = check_grad(error, {h}, {{h, code}}, {.order = 2});
  CHECK_MESSAGE(check.ok, check.report);
}

TEST_CASE("neighbours: nearest examples, and what the decoder's expansion says of them") {
  RandomState random(3);
  const Tensor x = random.normal(0, 1, {6, 3}), code = random.normal(0, 0.5, {6, 2}),
               A = random.normal(0, 1, {2, 3});
  const Tensor nearest = evaluate(nearest_examples(constant(x), 2));
  for (std::int64_t i = 0; i < 6; ++i) {
    std::vector<std::pair<Real, std::int64_t>> others;
    for (std::int64_t j = 0; j < 6; ++j)
      if (j != i) others.emplace_back(distance(x, i, j), j);
    std::ranges::sort(others);
    CHECK(nearest(i, 0) == static_cast<double>(others[0].second));
    CHECK(nearest(i, 1) == static_cast<double>(others[1].second));
  }
  const Expr h = dmatrix("h"), z = tanh(dot(h, constant(A)));
  for (const int order : {1, 2}) {
    CAPTURE(order);
    const Expr error = neighbourhood_error(constant(x), z, h, constant(nearest), order);
    const Tensor found = evaluate(error, {{h, code}});
    for (std::int64_t i = 0; i < 6; ++i) {
      Real total = 0;
      for (std::int64_t q = 0; q < 2; ++q) {
        const auto j = static_cast<std::int64_t>(nearest(i, q));
        for (std::int64_t d = 0; d < 3; ++d) {
          Real a = 0, step = 0;  // Of what tanh is taken of, and its change.
          for (std::int64_t k = 0; k < 2; ++k) {
            a += static_cast<Real>(code(i, k)) * static_cast<Real>(A(k, d));
            step += static_cast<Real>(code(j, k) - code(i, k)) * static_cast<Real>(A(k, d));
          }
          const Real t = std::tanh(a), slope = 1 - t * t;
          Real guess = t + slope * step;
          if (order == 2) guess -= t * slope * step * step;
          total += std::pow(static_cast<Real>(x(j, d)) - guess, Real(2));
        }
      }
      CHECK(found.at(i) == doctest::Approx(near(total)));
    }
    const GradCheck check = check_grad(mean(error), {h}, {{h, code}}, {.order = 2});
    CHECK_MESSAGE(check.ok, check.report);
  }
  const Expr e = constant(x);
  CHECK_THROWS_WITH_AS(nearest_examples(e, 0), doctest::Contains("k must be positive"), ValueError);
  CHECK_THROWS_AS(evaluate(nearest_examples(e, 7)), Error);
  CHECK_THROWS_WITH_AS(neighbourhood_error(e, z, h, constant(nearest), 3),
                       doctest::Contains("order must be 1 or 2"), ValueError);
  CHECK_THROWS_WITH_AS(neighbourhood_error(e, z, h, e),
                       doctest::Contains("neighbours must be int64"), TypeError);
}

TEST_CASE("vicreg: the three terms agree with long double") {
  RandomState random(4);
  const Tensor a = random.normal(0, 0.5, {7, 3}), b = random.normal(0, 2, {7, 3});
  Real invariance = 0, variance = 0, covariance = 0;
  for (const Tensor* code : std::vector<const Tensor*>{&a, &b}) {
    const auto mean_of = [&](std::int64_t k) {
      Real sum = 0;
      for (std::int64_t i = 0; i < 7; ++i) sum += static_cast<Real>((*code)(i, k)) / 7;
      return sum;
    };
    for (std::int64_t k = 0; k < 3; ++k) {
      for (std::int64_t l = 0; l < 3; ++l) {
        Real C = 0;
        for (std::int64_t i = 0; i < 7; ++i)
          C += (static_cast<Real>((*code)(i, k)) - mean_of(k)) *
               (static_cast<Real>((*code)(i, l)) - mean_of(l)) / 6;
        if (k == l)
          variance += std::max(Real(0), 1 - std::sqrt(C + 1e-4L)) / 6;
        else
          covariance += C * C / 3;
      }
    }
  }
  for (std::int64_t i = 0; i < 21; ++i)
    invariance += std::pow(static_cast<Real>(a.at(i)) - static_cast<Real>(b.at(i)), Real(2)) / 21;
  const Expr x = dmatrix("x");
  const Vicreg terms = vicreg(x, constant(b));
  const auto of = [&](const Expr& e) { return evaluate(e, {{x, a}}).item(); };
  CHECK(of(terms.invariance) == doctest::Approx(near(invariance)));
  CHECK(of(terms.variance) == doctest::Approx(near(variance)));
  CHECK(of(terms.covariance) == doctest::Approx(near(covariance)));
  CHECK(of(terms.total) == doctest::Approx(near(25 * invariance + 25 * variance + covariance)));
  CHECK(variance > 0.1);
  const GradCheck check = check_grad(terms.total, {x}, {{x, a}}, {.order = 2});
  CHECK_MESSAGE(check.ok, check.report);
  CHECK_THROWS_WITH_AS(vicreg(x, x, {.gamma = 0}), doctest::Contains("gamma and epsilon"),
                       ValueError);
  CHECK_THROWS_WITH_AS(vicreg(x, dvector("v")), doctest::Contains("(batch, units)"), TypeError);
}

TEST_CASE("scores: both costs are least at the score, by what theory says") {
  // Of N(0, I) blurred by sigma the score is -x / (1 + sigma^2). For s = -c x the sliced cost is
  // n (c^2 / 2 - c) on average.
  RandomState random(5);
  RandomStreams streams(6);
  const Expr x = dmatrix("x"), c = dscalar("c");
  const Tensor data = random.normal(0, 1, {60000, 2});
  const Expr sliced = mean(sliced_score_error(-c * x, x, streams));
  for (const double value : {0.5, 1.0, 2.0}) {
    CHECK(evaluate(sliced, {{x, data}, {c, Tensor(value)}}).item() ==
          doctest::Approx(2 * (value * value / 2 - value)).epsilon(0.03));
  }
  const std::vector<double> levels = noise_levels(2, 0.5, 3);
  CHECK(levels[1] == doctest::Approx(1));
  const Expr error = mean(denoising_score_error(
      [&](const Expr& noisy, const Expr& sigma) { return -c * noisy / (1 + square(sigma)); }, x,
      levels, streams));
  const auto at = [&](double value) {
    return evaluate(error, {{x, data}, {c, Tensor(value)}}).item();
  };
  // E |sigma s + e|^2 / 2, for c = 1: sigma^2 is left of each of two dimensions' e once explained.
  double expected = 0;
  for (const double sigma : levels) expected += 1 / (1 + sigma * sigma) / 3;
  CHECK(at(1) == doctest::Approx(expected).epsilon(0.03));
  CHECK(at(0.7) > at(1));
  CHECK(at(1.3) > at(1));
  const Expr few = dmatrix("few");
  const Shared W(random.normal(0, 1, {2, 2}), "W");
  RandomStreams same(7);
  const GradCheck check = check_grad(mean(sliced_score_error(tanh(dot(few, W)), few, same)), {W},
                                     {{few, random.normal(0, 1, {4, 2})}}, {.order = 2});
  CHECK_MESSAGE(check.ok, check.report);
  const auto score = [](const Expr& e, const Expr&) { return e; };
  CHECK_THROWS_WITH_AS(denoising_score_error(score, x, {}, streams),
                       doctest::Contains("there must be a level"), ValueError);
  CHECK_THROWS_WITH_AS(denoising_score_error(score, x, {0.1, 0}, streams),
                       doctest::Contains("must be positive, got 0"), ValueError);
  CHECK_THROWS_WITH_AS(noise_levels(1, 0, 3), doctest::Contains("must be positive"), ValueError);
  CHECK_THROWS_WITH_AS(sliced_score_error(dvector("v"), x, streams),
                       doctest::Contains("(batch, n)"), TypeError);
}

TEST_CASE("spectral norms come to the largest singular value, and bound what a network does") {
  RandomState random(8);
  const Shared W(random.normal(0, 1, {5, 7}), "W");
  const SpectralNorm s = spectral_norm(W, random);
  const Function iterate = function({.outputs = {s.norm}, .updates = s.updates});
  const double exact = evaluate(singular_values(W)).at(0);
  const double first = iterate()[0].item();
  CHECK(first <= exact * (1 + 1e-12));
  for (int k = 0; k < 300; ++k) iterate();
  CHECK(iterate()[0].item() == doctest::Approx(exact).epsilon(1e-6));
  // The gradient is u v', that of the exact one.
  const Tensor g = evaluate(grad(s.norm, W)),
               expected = evaluate(grad(slice(singular_values(W), 0, 1)[0], W));
  for (std::int64_t k = 0; k < g.size(); ++k)
    CHECK(g.at(k) == doctest::Approx(expected.at(k)).epsilon(1e-3));

  const Network net =
      network({4, 6, 3}, random, {.hidden = tanh, .output = linear, .dtype = DType::float64});
  const SpectralNorm bound = lipschitz_bound(net, random);
  const Function both = function({.outputs = {bound.norm}, .updates = bound.updates});
  for (int k = 0; k < 300; ++k) both();
  const double most = both()[0].item();
  const Expr x = dmatrix("x");
  const Tensor a = random.normal(0, 1, {50, 4}), b = random.normal(0, 1, {50, 4});
  const Expr y = dmatrix("y");
  const Tensor ratios = evaluate(norm(net(x) - net(y), 2, 1) / norm(x - y, 2, 1), {{x, a}, {y, b}});
  for (std::int64_t k = 0; k < 50; ++k) CHECK(ratios.at(k) <= most);
  CHECK_THROWS_WITH_AS(spectral_norm(dvector("v"), random), doctest::Contains("must be (n, m)"),
                       TypeError);
  CHECK_THROWS_WITH_AS(lipschitz_bound(Network{}, random), doctest::Contains("no layer"),
                       TypeError);
}
