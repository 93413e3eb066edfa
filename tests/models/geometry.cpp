// Penalties on a decoder's geometry: values against references in long double, gradients against
// finite differences, and what the papers say of them.
#include "cinch/models/geometry.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "cinch/cinch.hpp"

using namespace cinch;

namespace {

using Real = long double;
using Matrix = std::vector<std::vector<Real>>;

Matrix zeros(std::size_t rows, std::size_t columns) {
  return Matrix(rows, std::vector<Real>(columns, 0));
}

/// The determinant and, in place, the inverse, by Gauss and Jordan.
Real invert(Matrix& A) {
  const std::size_t n = A.size();
  Matrix inverse = zeros(n, n);
  for (std::size_t i = 0; i < n; ++i) inverse[i][i] = 1;
  Real determinant = 1;
  for (std::size_t k = 0; k < n; ++k) {
    const Real pivot = A[k][k];  // Of positive definite ones none is 0.
    determinant *= pivot;
    for (std::size_t j = 0; j < n; ++j) {
      A[k][j] /= pivot;
      inverse[k][j] /= pivot;
    }
    for (std::size_t i = 0; i < n; ++i) {
      if (i == k) continue;
      const Real factor = A[i][k];
      for (std::size_t j = 0; j < n; ++j) {
        A[i][j] -= factor * A[k][j];
        inverse[i][j] -= factor * inverse[k][j];
      }
    }
  }
  A = inverse;
  return determinant;
}

/// z = tanh(h A) B, whose derivatives are known.
struct Surface {
  RandomState random{3};
  std::int64_t batch, m, units, n;
  Shared A, B;
  Expr h = dmatrix("h");
  Tensor codes;

  explicit Surface(std::int64_t latents = 2)
      : batch(5),
        m(latents),
        units(6),
        n(4),
        A(random.normal(0, 0.7, {m, units}), "A"),
        B(random.normal(0, 0.7, {units, n}), "B"),
        codes(random.normal(0, 1, {batch, m})) {}
  Expr z(const Expr& code) const { return dot(tanh(dot(code, A)), B); }
  Expr z() const { return z(h); }
  Tensor of(const Expr& e) const { return evaluate(e, {{h, codes}}); }

  Real a(std::int64_t example, std::int64_t unit) const {
    Real sum = 0;
    for (std::int64_t k = 0; k < m; ++k)
      sum += static_cast<Real>(codes(example, k)) * static_cast<Real>(A.get()(k, unit));
    return sum;
  }
  /// (n, m)
  Matrix J(std::int64_t example) const {
    Matrix result = zeros(static_cast<std::size_t>(n), static_cast<std::size_t>(m));
    for (std::int64_t u = 0; u < units; ++u) {
      const Real t = std::tanh(a(example, u));
      for (std::int64_t d = 0; d < n; ++d)
        for (std::int64_t k = 0; k < m; ++k)
          result[static_cast<std::size_t>(d)][static_cast<std::size_t>(k)] +=
              static_cast<Real>(B.get()(u, d)) * (1 - t * t) * static_cast<Real>(A.get()(k, u));
    }
    return result;
  }
  /// d^2 z / dh_k dh_l: (n)
  std::vector<Real> second(std::int64_t example, std::int64_t k, std::int64_t l) const {
    std::vector<Real> result(static_cast<std::size_t>(n), 0);
    for (std::int64_t u = 0; u < units; ++u) {
      const Real t = std::tanh(a(example, u));
      for (std::int64_t d = 0; d < n; ++d)
        result[static_cast<std::size_t>(d)] += static_cast<Real>(B.get()(u, d)) * -2 * t *
                                               (1 - t * t) * static_cast<Real>(A.get()(k, u)) *
                                               static_cast<Real>(A.get()(l, u));
    }
    return result;
  }
  Matrix G(std::int64_t example) const {
    const Matrix j = J(example);
    Matrix result = zeros(static_cast<std::size_t>(m), static_cast<std::size_t>(m));
    for (std::size_t d = 0; d < j.size(); ++d)
      for (std::size_t k = 0; k < result.size(); ++k)
        for (std::size_t l = 0; l < result.size(); ++l) result[k][l] += j[d][k] * j[d][l];
    return result;
  }
};

Real trace(const Matrix& G) {
  Real sum = 0;
  for (std::size_t k = 0; k < G.size(); ++k) sum += G[k][k];
  return sum;
}
Real squares(const Matrix& G) {
  Real sum = 0;
  for (const auto& row : G)
    for (const Real v : row) sum += v * v;
  return sum;
}
double near(Real x) { return static_cast<double>(x); }

void check_gradients(const Expr& cost, const Surface& s) {
  const GradCheck check = check_grad(cost, {s.A, s.B}, {{s.h, s.codes}}, {.order = 2});
  CHECK_MESSAGE(check.ok, check.report);
}

}  // namespace

TEST_CASE("geometry: isometry, conformality, volumes and flows agree with long double") {
  for (const std::int64_t m : {1, 2, 3}) {
    CAPTURE(m);
    const Surface s(m);
    const Expr z = s.z();
    Real mean_trace = 0, mean_squares = 0, mean_volume = 0, mean_volume2 = 0;
    const Tensor conformal = s.of(conformal_error(z, s.h)), volumes = s.of(log_volume(z, s.h)),
                 flow = s.of(rectangular_flow_cost(z, s.h)), metrics = s.of(metric(z, s.h));
    for (std::int64_t i = 0; i < s.batch; ++i) {
      Matrix G = s.G(i);
      CHECK(metrics(i, m - 1, 0) == doctest::Approx(near(G[static_cast<std::size_t>(m - 1)][0])));
      mean_trace += trace(G) / static_cast<Real>(s.batch);
      mean_squares += squares(G) / static_cast<Real>(s.batch);
      Matrix scaled = G;
      for (std::size_t k = 0; k < G.size(); ++k)
        for (std::size_t l = 0; l < G.size(); ++l)
          scaled[k][l] = static_cast<Real>(m) * G[k][l] / trace(G) - (k == l);
      CHECK(std::abs(conformal.at(i) - near(squares(scaled))) < 1e-12);
      const Real log_det = std::log(invert(G));
      CHECK(volumes.at(i) == doctest::Approx(near(log_det / 2)));
      mean_volume += log_det / static_cast<Real>(s.batch);
      mean_volume2 += log_det * log_det / static_cast<Real>(s.batch);
      Real length2 = 0;
      for (std::int64_t k = 0; k < m; ++k)
        length2 += static_cast<Real>(s.codes(i, k)) * static_cast<Real>(s.codes(i, k));
      CHECK(flow.at(i) ==
            doctest::Approx(near(
                (length2 + static_cast<Real>(m) * std::log(2 * 3.14159265358979323846L) + log_det) /
                2)));
    }
    CHECK(s.of(scaled_isometry_error(z, s.h)).item() ==
          doctest::Approx(near(static_cast<Real>(m) * mean_squares / (mean_trace * mean_trace))));
    CHECK(s.of(volume_variance(z, s.h)).item() ==
          doctest::Approx(near(mean_volume2 - mean_volume * mean_volume)));
    check_gradients(scaled_isometry_error(z, s.h) + 0.1 * volume_variance(z, s.h), s);
    if (m > 1) check_gradients(mean(conformal_error(z, s.h)), s);  // Of one latent it is 0.
    check_gradients(mean(rectangular_flow_cost(z, s.h)), s);
  }
}

TEST_CASE("geometry: the curvature agrees with long double, and with that of a sphere") {
  for (const std::int64_t m : {1, 2}) {
    CAPTURE(m);
    const Surface s(m);
    const Tensor found = s.of(curvature(s.z(), s.h));
    for (std::int64_t i = 0; i < s.batch; ++i) {
      const Matrix J = s.J(i);
      Matrix inverse = s.G(i);
      invert(inverse);
      const auto size = static_cast<std::size_t>(m);
      // S of each direction, without what lies in the tangent space.
      std::vector<Matrix> S(J.size(), zeros(size, size));
      for (std::size_t k = 0; k < size; ++k) {
        for (std::size_t l = 0; l < size; ++l) {
          const std::vector<Real> second =
              s.second(i, static_cast<std::int64_t>(k), static_cast<std::int64_t>(l));
          for (std::size_t d = 0; d < J.size(); ++d) {
            S[d][k][l] = second[d];
            for (std::size_t p = 0; p < size; ++p)
              for (std::size_t q = 0; q < size; ++q)
                for (std::size_t e = 0; e < J.size(); ++e)
                  S[d][k][l] -= J[d][p] * inverse[p][q] * J[e][q] * second[e];
          }
        }
      }
      Real total = 0;
      for (const Matrix& one : S)
        for (std::size_t k = 0; k < size; ++k)
          for (std::size_t l = 0; l < size; ++l)
            for (std::size_t p = 0; p < size; ++p)
              for (std::size_t q = 0; q < size; ++q)
                total += inverse[k][p] * one[p][l] * inverse[l][q] * one[q][k];
      CHECK(found.at(i) == doctest::Approx(near(total)));
    }
    if (m == 1) check_gradients(mean(curvature(s.z(), s.h)), s);
  }
  // Both principal curvatures of a sphere of radius r are 1 / r, in any coordinates on it.
  const Expr h = dmatrix("h"), u = slice(h, 0, 1, 1), v = slice(h, 1, 2, 1);
  for (const double r : {0.5, 3.0}) {
    const Expr angle = u + 0.3 * square(v);
    const Expr sphere = r * concatenate({sin(angle) * cos(v), sin(angle) * sin(v), cos(angle)}, 1);
    const Tensor at = Tensor::from({{0.7, 0.2}, {1.3, -1.0}});
    const Tensor bends = evaluate(curvature(sphere, h), {{h, at}});
    for (const std::int64_t i : {0, 1}) CHECK(bends.at(i) == doctest::Approx(2 / (r * r)));
    // What is stretched unevenly within a plane does not bend.
    const Expr plane = concatenate({sinh(u), v * v * v + v, 2 * sinh(u)}, 1);
    CHECK(std::abs(evaluate(curvature(plane, h), {{h, at}}).at(0)) < 1e-12);
  }
}

TEST_CASE(
    "geometry: what a scaled rotation does is an isometry, and a free-form flow's slope exact") {
  RandomState random(4);
  const Tensor Q = evaluate(svd(constant(random.normal(0, 1, {5, 2}))).U);
  const Expr h = dmatrix("h"), z = 3 * dot(h, transpose(constant(Q)));
  // U is (5, 2) with orthonormal columns: z = 3 h U'.
  const Tensor at = random.normal(0, 1, {4, 2});
  const auto of = [&](const Expr& e) { return evaluate(e, {{h, at}}); };
  CHECK(of(scaled_isometry_error(z, h)).item() == doctest::Approx(1));
  CHECK(std::abs(of(conformal_error(z, h)).at(0)) < 1e-12);
  CHECK(std::abs(of(volume_variance(z, h)).item()) < 1e-12);
  CHECK(of(log_volume(z, h)).at(1) == doctest::Approx(2 * std::log(3)));
  CHECK(std::abs(of(curvature(z, h)).at(2)) < 1e-12);

  // Estimates: the mean over many probes.
  const Surface s(3);
  RandomStreams streams(5);
  const Tensor many = evaluate(take(constant(s.codes), constant(random.randint(0, 5, {40000}))));
  const Expr estimate = scaled_isometry_estimate(s.z(), s.h, streams);
  CHECK(evaluate(estimate, {{s.h, many}}).item() ==
        doctest::Approx(evaluate(scaled_isometry_error(s.z(), s.h), {{s.h, many}}).item())
            .epsilon(0.05));

  const Surface two(2);
  const Expr bend = mean(curvature_estimate(two.z(), two.h, streams));
  const Tensor here = evaluate(slice(constant(two.codes), 0, 1)),
               often = evaluate(take(constant(here), constant(Tensor(DType::int64, {40000}))));
  CHECK(evaluate(bend, {{two.h, often}}).item() ==
        doctest::Approx(evaluate(curvature(two.z(), two.h), {{two.h, here}}).at(0)).epsilon(0.05));

  // Where decoder and encoder are inverse, E of the surrogate's gradient is that of -log |det|.
  const Shared W(Tensor::from({{2.0, 0.3}, {-0.4, 1.0}}), "W");
  const Expr x = dmatrix("x"), code = dot(x, W);
  const Tensor xs = random.normal(0, 1, {40000, 2});
  const Expr back = dot(code, stop_gradient(inverse(W)));
  const Tensor slope = evaluate(grad(mean(free_form_volume(back, code, x, streams)), W), {{x, xs}});
  const Tensor exact = evaluate(grad(-slogdet(W).log_abs, W));
  for (std::int64_t k = 0; k < 4; ++k)
    CHECK(slope.at(k) == doctest::Approx(exact.at(k)).epsilon(0.05));
}

TEST_CASE("geometry: mixed codes lie on lines between codes, and a little beyond") {
  RandomStreams streams(1);
  const Expr h = dmatrix("h");
  const Tensor at = Tensor::from({{0.0, 0.0}, {1.0, 1.0}, {0.0, 0.0}, {1.0, 1.0}});
  double least = 1, most = 0;
  const Function mix = function({h}, {mixed_codes(h, 0.2, streams)});
  for (int k = 0; k < 200; ++k) {
    const Tensor mixed = mix({at})[0];
    for (std::int64_t i = 0; i < 4; ++i) {
      CHECK(mixed(i, 0) == doctest::Approx(mixed(i, 1)));
      least = std::min(least, mixed(i, 0));
      most = std::max(most, mixed(i, 0));
    }
  }
  CHECK(least < -0.1);
  CHECK(least >= -0.2);
  CHECK(most > 1.1);
  CHECK(most < 1.2 + 1e-12);
  CHECK_THROWS_WITH_AS(mixed_codes(h, -1, streams), doctest::Contains("eta must not be negative"),
                       ValueError);
  CHECK_THROWS_WITH_AS(metric(dvector("v"), h), doctest::Contains("both must be (batch, n)"),
                       TypeError);
  const Expr flat = concatenate({h, h}, 1) * 0.0;
  CHECK_THROWS_AS(evaluate(log_volume(flat, h), {{h, at}}), ValueError);
}
