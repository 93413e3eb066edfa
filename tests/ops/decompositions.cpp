// Linear systems and decompositions: values known by hand, what defines each result on matrices of
// many sizes, what is singular, and errors.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "cinch/cinch.hpp"
#include "cinch/core/run/interpret.hpp"
#include "cinch/core/run/team.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

Tensor matrix_of(std::int64_t rows, std::int64_t columns, const std::vector<double>& elements) {
  return Tensor::from<double>({rows, columns}, std::span(elements));
}

std::vector<Tensor> in_both_modes(const Expr& y, const std::vector<Binding>& bindings = {}) {
  return {evaluate(y, bindings),
          cinch::running::interpret(std::span(&y, 1), bindings, /*watch=*/false)[0]};
}

/// Checks y of A in both modes, A by rows.
void check_value(const Expr& y, const Expr& A, const Tensor& a, const Tensor& expected,
                 double tolerance = 1e-14) {
  CAPTURE(describe(y));
  for (const Tensor& got : in_both_modes(y, {{A, a}})) {
    CAPTURE(text(got));
    CHECK(distance(got, expected) <= tolerance);
  }
}

Tensor hilbert(std::int64_t n) {
  Tensor result(DType::float64, {n, n});
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j)
      result.data<double>()[static_cast<std::size_t>(i * n + j)] =
          1 / static_cast<double>(i + j + 1);
  }
  return result;
}

Tensor random(const Shape& shape, unsigned seed = 1, DType dtype = DType::float64) {
  std::mt19937 generator(seed);
  return random_tensor(dtype, shape, generator, -1, 1);
}

double largest(const Tensor& x) {
  double result = 0;
  for (std::int64_t i = 0; i < x.size(); ++i) {
    if (!(std::abs(x.at(i)) <= result)) result = std::abs(x.at(i));  // NaN stays.
  }
  return result;
}

using Residuals = std::vector<std::pair<std::string, Expr>>;

/// Checks that all these are about 0, in both modes.
void check_zero(const Residuals& residuals, const std::vector<Binding>& at, double bound) {
  std::vector<Expr> roots, inputs;
  std::vector<Tensor> values;
  for (const auto& residual : residuals) roots.push_back(residual.second);
  for (const Binding& binding : at) {
    inputs.push_back(binding.first);
    values.push_back(binding.second);
  }
  const std::vector<Tensor> exact = cinch::running::interpret(roots, at, /*watch=*/false);
  const std::vector<Tensor> fast =
      function({.inputs = inputs, .outputs = roots, .allow_unused_inputs = true})(values);
  for (std::size_t k = 0; k < residuals.size(); ++k) {
    CAPTURE(residuals[k].first);
    CHECK(largest(exact[k]) <= bound);
    CHECK(largest(fast[k]) <= bound);
  }
}

std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

Expr mT(const Expr& x) {
  std::vector<std::int64_t> axes;
  for (std::int64_t k = 0; k < x.rank() - 2; ++k) axes.push_back(k);
  axes.push_back(x.rank() - 1);
  axes.push_back(x.rank() - 2);
  return transpose(x, axes);
}

/// a b for each pair of matrices, as a sum.
Expr matmul(const Expr& a, const Expr& b) {
  return sum(expand_dims(a, -1) * expand_dims(b, -3), -2);
}

}  // namespace

TEST_CASE("decompositions of small matrices are those by hand") {
  const Expr A = dmatrix("A"), b = dvector("b");
  const Tensor a = matrix_of(2, 2, {1, 2, 3, 4}), s = matrix_of(2, 2, {2, 1, 1, 2});
  const double r = std::sqrt(0.5);
  check_value(inverse(A), A, a, matrix_of(2, 2, {-2, 1, 1.5, -0.5}));
  check_value(solve(A, constant(Tensor::from<double>({2}, {5, 11}))), A, a,
              Tensor::from<double>({2}, {1, 2}));
  check_value(triangular_solve(A, constant(Tensor::from<double>({2}, {5, 11}))), A, a,
              Tensor::from<double>({2}, {5, -1}));
  check_value(triangular_solve(A, constant(Tensor::from<double>({2}, {5, 12})), {.lower = false}),
              A, a, Tensor::from<double>({2}, {-1, 3}));
  check_value(triangular_solve(A, constant(Tensor::from<double>({2}, {5, 11})),
                               {.lower = false, .unit_diagonal = true}),
              A, a, Tensor::from<double>({2}, {-17, 11}));
  check_value(det(A), A, a, Tensor(-2.));
  check_value(cofactors(A), A, a, matrix_of(2, 2, {4, -3, -2, 1}));
  check_value(slogdet(A).sign, A, a, Tensor(-1.));
  check_value(slogdet(A).log_abs, A, a, Tensor(std::log(2)));
  check_value(logdet(A), A, s, Tensor(std::log(3)));
  check_value(cholesky(A), A, matrix_of(2, 2, {4, 2, 2, 3}),
              matrix_of(2, 2, {2, 0, 1, std::sqrt(2)}));
  check_value(qr(A).Q, A, matrix_of(2, 2, {0, -2, 3, 5}), matrix_of(2, 2, {0, -1, 1, 0}));
  check_value(qr(A).R, A, matrix_of(2, 2, {0, -2, 3, 5}), matrix_of(2, 2, {3, 5, 0, 2}));
  check_value(eigvalsh(A), A, s, Tensor::from<double>({2}, {1, 3}));
  check_value(eigh(A).vectors, A, s, matrix_of(2, 2, {r, r, -r, r}));
  const Tensor c = matrix_of(2, 2, {3, 0, 4, 5});
  check_value(singular_values(A), A, c, Tensor::from<double>({2}, {std::sqrt(45), std::sqrt(5)}));
  check_value(svd(A).U, A, c,
              matrix_of(2, 2, {std::sqrt(0.1), std::sqrt(0.9), std::sqrt(0.9), -std::sqrt(0.1)}));
  check_value(svd(A).V, A, c, matrix_of(2, 2, {r, r, r, -r}));
  check_value(pinv(A), A, matrix_of(2, 2, {1, 2, 2, 4}), matrix_of(2, 2, {.04, .08, .08, .16}));
  check_value(pinv(A, 0.5), A, matrix_of(2, 2, {4, 0, 0, 1}), matrix_of(2, 2, {.25, 0, 0, 0}));
  check_value(lstsq(A, constant(Tensor::from<double>({3}, {1, 2, 6}))), A,
              matrix_of(3, 1, {1, 1, 1}), Tensor::from<double>({1}, {3}));
  check_value(expm(A), A, matrix_of(2, 2, {0, 1, 0, 0}), matrix_of(2, 2, {1, 1, 0, 1}));
  for (const double t : {0.5, 3., 40.}) {
    check_value(expm(A), A, matrix_of(2, 2, {0, -t, t, 0}),
                matrix_of(2, 2, {std::cos(t), -std::sin(t), std::sin(t), std::cos(t)}), 1e-13);
  }
  check_value(nuclear_norm(A), A, c, Tensor(std::sqrt(45) + std::sqrt(5)));
  check_value(spectral_norm(A), A, c, Tensor(std::sqrt(45)));
  check_value(frobenius_norm(A), A, c, Tensor(std::sqrt(50)));
}

TEST_CASE(
    "Hilbert matrices: inverses are integers, determinants and condition are the known ones") {
  const Expr A = dmatrix("A");
  check_value(inverse(A), A, hilbert(3),
              matrix_of(3, 3, {9, -36, 30, -36, 192, -180, 30, -180, 180}), 1e-12);
  for (const Tensor& got : in_both_modes(at(flatten(inverse(A)), -1), {{A, hilbert(6)}}))
    CHECK(got.item() == doctest::Approx(698544).epsilon(1e-9));
  struct Row {
    std::int64_t n;
    double det;
  };
  for (const Row& row : {Row{1, 1}, {2, 1 / 12.}, {3, 1 / 2160.}, {5, 1 / 266716800000.}}) {
    for (const Expr& y : {det(A), exp(slogdet(A).log_abs), exp(logdet(A))}) {
      for (const Tensor& got : in_both_modes(y, {{A, hilbert(row.n)}}))
        CHECK(got.item() == doctest::Approx(row.det).epsilon(1e-10));
    }
  }
  const Expr s = singular_values(A);
  for (const Tensor& got : in_both_modes(at(s, 0) / at(s, -1), {{A, hilbert(5)}}))
    CHECK(got.item() == doctest::Approx(476607.25024).epsilon(1e-9));
}

TEST_CASE("what defines each result holds up to 100 rows, for one matrix and many, in both modes") {
  for (const DType dtype : {DType::float64, DType::float32}) {
    const double epsilon = dtype == DType::float64 ? 2.3e-16 : 1.2e-7;
    for (const Shape& shape : {Shape{1, 1}, Shape{2, 2}, Shape{5, 5}, Shape{33, 33},
                               Shape{100, 100}, Shape{7, 6, 6}, Shape{2, 3, 4, 4}}) {
      const std::int64_t n = shape.back();
      const Expr A = variable("A", dtype, shape), B = variable("B", dtype, shape);
      const std::vector<Binding> at{{A, random(shape, 1, dtype)}, {B, random(shape, 2, dtype)}};
      const Expr I = eye(n, dtype), P = matmul(A, mT(A)) + I, S = A + mT(A);
      const auto [Q, R] = qr(A);
      const auto [w, W] = eigh(S);
      const auto [U, s, V] = svd(A);
      const Expr X = A + 3 * std::sqrt(static_cast<double>(n)) * I;  // Well conditioned.
      const Expr L = cholesky(P), lower = switch_(L + mT(L) > 1e30, 0.0, L);
      const Residuals residuals{
          {"inverse", matmul(inverse(X), X) - I},
          {"solve", matmul(X, solve(X, B)) - B},
          {"triangular_solve", matmul(L, triangular_solve(L, B)) - B},
          {"upper triangular_solve",
           matmul(mT(L), triangular_solve(mT(L), B, {.lower = false})) - B},
          {"cholesky", (matmul(lower, mT(lower)) - P) / static_cast<double>(n)},
          {"logdet", logdet(P) - slogdet(P).log_abs},
          {"det", log(abs(det(X / (3 * std::sqrt(static_cast<double>(n)))))) -
                      slogdet(X / (3 * std::sqrt(static_cast<double>(n)))).log_abs},
          {"qr", matmul(Q, R) - A},
          {"orthogonal Q", matmul(mT(Q), Q) - I},
          {"eigenvectors", matmul(S, W) - W * expand_dims(w, -2)},
          {"orthogonal eigenvectors", matmul(mT(W), W) - I},
          {"trace", sum(w, -1) - sum(S * I, {-2, -1})},
          {"svd", matmul(U * expand_dims(s, -2), mT(V)) - A},
          {"orthogonal U", matmul(mT(U), U) - I},
          {"orthogonal V", matmul(mT(V), V) - I},
          {"Frobenius", frobenius_norm(A) - sqrt(sum(square(s), -1))},
          {"pinv", matmul(pinv(X), X) - I},
          {"expm", matmul(expm(A / std::sqrt(static_cast<double>(n))),
                          expm(-A / std::sqrt(static_cast<double>(n)))) -
                       I},
      };
      CAPTURE(text(shape));
      CAPTURE(name(dtype));
      check_zero(residuals, at, 60 * static_cast<double>(n) * epsilon);
    }
  }
}

TEST_CASE("matrices that are not square: factors are thin, and pinv is the Moore-Penrose inverse") {
  for (const Shape& shape :
       {Shape{100, 40}, Shape{40, 100}, Shape{5, 1}, Shape{1, 5}, Shape{3, 6, 4}}) {
    const Expr A = variable("A", DType::float64, Shape(shape.size(), -1));
    const std::vector<Binding> at{{A, random(shape)}};
    const auto [U, s, V] = svd(A);
    const Expr P = pinv(A), AP = matmul(A, P), PA = matmul(P, A);
    const std::int64_t m = shape.end()[-2], n = shape.back(), k = std::min(m, n);
    CHECK(evaluate(U, at).shape().back() == k);
    CHECK(evaluate(s, at).shape().back() == k);
    CHECK(evaluate(V, at).shape().end()[-2] == n);
    Residuals residuals{{"svd", matmul(U * expand_dims(s, -2), mT(V)) - A},
                        {"U", matmul(mT(U), U) - eye(k)},
                        {"V", matmul(mT(V), V) - eye(k)},
                        {"A P A = A", matmul(AP, A) - A},
                        {"P A P = P", matmul(PA, P) - P},
                        {"A P symmetric", AP - mT(AP)},
                        {"P A symmetric", PA - mT(PA)}};
    for (const QrMode mode : {QrMode::reduced, QrMode::complete}) {
      const auto [Q, R] = qr(A, mode);
      const std::int64_t columns = mode == QrMode::complete ? m : std::min(m, n);
      CHECK(evaluate(Q, at).shape().back() == columns);
      CHECK(evaluate(R, at).shape().end()[-2] == columns);
      residuals.emplace_back("Q R", matmul(Q, R) - A);
      residuals.emplace_back("Q", matmul(mT(Q), Q) - eye(columns));
      residuals.emplace_back("R", R - triu(R));
    }
    CAPTURE(text(shape));
    check_zero(residuals, at, 1e-12);
  }
}

TEST_CASE("singular matrices: what exists is right, in both modes") {
  // Rank 2 of 5 by 4: the outer products of integers.
  const Expr A = dmatrix("A"), u = constant(random({5, 2}, 3)), v = constant(random({2, 4}, 4));
  const Tensor a = evaluate(dot(u, v));
  const auto [U, s, V] = svd(A);
  const auto [Q, R] = qr(A);
  check_zero({{"U", dot(transpose(U), U) - eye(4)},
              {"V", dot(transpose(V), V) - eye(4)},
              {"svd", dot(U * s, transpose(V)) - A},
              {"values", slice(s, 2, 4)},
              {"pinv", dot(dot(A, pinv(A)), A) - A},
              {"size of pinv", maximum(max(abs(pinv(A))) - 100, 0)},
              {"Q R", dot(Q, R) - A},
              {"Q", dot(transpose(Q), Q) - eye(4)}},
             {{A, a}}, 1e-13);
  const Tensor zero(DType::float64, {3, 3}), twins = matrix_of(2, 2, {1, 2, 2, 4});
  check_value(det(A), A, twins, Tensor(0.));
  check_value(slogdet(A).sign, A, twins, Tensor(0.));
  check_value(slogdet(A).log_abs, A, twins, Tensor(-std::numeric_limits<double>::infinity()));
  check_value(cofactors(A), A, twins, matrix_of(2, 2, {4, -2, -2, 1}));
  check_value(cofactors(A), A, zero, zero);
  check_value(cofactors(A), A, matrix_of(3, 3, {1, 0, 0, 0, 5, 0, 0, 0, 0}),
              matrix_of(3, 3, {0, 0, 0, 0, 0, 0, 0, 0, 5}));
  check_value(singular_values(A), A, zero, Tensor(DType::float64, {3}));
  check_value(pinv(A), A, zero, zero);
  check_value(expm(A), A, zero, evaluate(eye(3, DType::float64)));
  check_value(eigvalsh(A), A, matrix_of(3, 3, {1, 1, 1, 1, 1, 1, 1, 1, 1}),
              Tensor::from<double>({3}, {0, 0, 3}));
  check_value(eigh(A).vectors, A, zero, evaluate(eye(3, DType::float64)));
}

TEST_CASE("matrices of no size, and no matrices") {
  const Expr A = dmatrix("A"), many = variable("many", DType::float64, {-1, -1, -1});
  const Tensor none(DType::float64, {0, 0}), no_matrices(DType::float64, {0, 3, 3});
  for (const Expr& y : {inverse(A), cholesky(A), cofactors(A), expm(A), pinv(A), eigh(A).vectors,
                        svd(A).U, svd(A).V, qr(A).Q, qr(A).R, solve(A, A), triangular_solve(A, A)})
    check_value(y, A, none, none);
  for (const Expr& y : {eigvalsh(A), singular_values(A)})
    check_value(y, A, none, Tensor(DType::float64, {0}));
  for (const Expr& y : {det(A), slogdet(A).sign}) check_value(y, A, none, Tensor(1.));
  for (const Expr& y : {logdet(A), slogdet(A).log_abs, nuclear_norm(A), frobenius_norm(A)})
    check_value(y, A, none, Tensor(0.));
  for (const Expr& y : {inverse(many), cholesky(many), expm(many), svd(many).U, solve(many, many)})
    check_value(y, many, no_matrices, no_matrices);
  CHECK(evaluate(pinv(A), {{A, Tensor(DType::float64, {3, 0})}}).shape() == Shape{0, 3});
  CHECK(evaluate(svd(A).V, {{A, Tensor(DType::float64, {3, 0})}}).shape() == Shape{0, 0});
}

TEST_CASE("one matrix serves many right sides") {
  const Expr A = dmatrix("A"), B = variable("B", DType::float64, {-1, -1, -1}),
             C = variable("C", DType::float64, {-1, -1, -1}),
             D = variable("D", DType::float64, {-1, -1, -1, -1});
  const std::vector<Binding> at{{A, random({4, 4})},
                                {B, random({5, 4, 2}, 2)},
                                {C, random({5, 4, 4}, 3)},
                                {D, random({3, 5, 4, 2}, 4)}};
  check_zero({{"a matrix", matmul(expand_dims(A, 0), solve(A, B)) - B},
              {"matrices", matmul(expand_dims(C, 0), solve(C, D)) - D},
              {"triangles", solve(C * eye(4), D) - triangular_solve(C * eye(4), D)}},
             at, 1e-12);
  std::vector<Expr> each;
  for (int k = 0; k < 5; ++k) each.push_back(solve(A, cinch::at(B, k)));
  CHECK(evaluate(solve(A, B), at) == evaluate(stack(each), at));
}

TEST_CASE(
    "only the symmetric part is read where a symmetric matrix is meant, only a triangle of a "
    "triangular one") {
  const Expr A = dmatrix("A");
  const Tensor a = random({4, 4}), b = random({4, 4}, 2);
  const Expr base = dot(constant(a), transpose(constant(a))) + eye(4);
  const Expr skew = constant(b) - transpose(constant(b));
  for (const auto f :
       {+[](const Expr& x) { return cholesky(x); }, +[](const Expr& x) { return logdet(x); },
        +[](const Expr& x) { return eigvalsh(x); },
        +[](const Expr& x) { return eigh(x).vectors; }}) {
    const Tensor plain = evaluate(base);
    for (const Tensor& got : in_both_modes(f(base + skew)))
      CHECK(distance(got, evaluate(f(A), {{A, plain}})) < 1e-13);
  }
  const Expr triangle = switch_(expand_dims(arange(4), 1) >= arange(4), base, 0.0);
  check_zero({{"triangle", dot(triangle, triangular_solve(base, constant(b))) - constant(b)}}, {},
             1e-12);
}

TEST_CASE("vectors: the first element that is about the largest is positive") {
  std::mt19937 generator(9);
  for (int round = 0; round < 20; ++round) {
    const Tensor a = random_tensor(DType::float64, {4, 3}, generator);
    const Expr A = constant(a);
    for (const Expr& y : {svd(A).U, eigh(dot(A, transpose(A))).vectors}) {
      const Tensor v = evaluate(y);
      const std::int64_t n = v.shape()[0], k = v.shape()[1];
      for (std::int64_t j = 0; j < k; ++j) {
        double most = 0;
        for (std::int64_t i = 0; i < n; ++i) most = std::max(most, std::abs(v.at(i * k + j)));
        std::int64_t i = 0;
        while (std::abs(v.at(i * k + j)) < 0.9 * most) ++i;
        CHECK(v.at(i * k + j) > 0);
      }
    }
  }
}

TEST_CASE("the same bits on any number of threads, and the same matrix is blamed") {
  const Expr A = variable("A", DType::float64, {-1, -1, -1});
  Tensor a = random({300, 6, 6});
  std::vector<Tensor> first;
  const std::vector<Expr> results{inverse(A), solve(A, A),     det(A),
                                  svd(A).U,   eigh(A).vectors, expm(A)};
  for (const int n : {1, 2, 5}) {
    set_threads(n);
    const Function f = function({A}, results);
    const std::vector<Tensor> got = f({a});
    if (first.empty()) first = got;
    for (std::size_t k = 0; k < got.size(); ++k) CHECK(got[k] == first[k]);
  }
  for (const std::size_t k : {290u, 41u, 42u, 170u})
    a.data<double>()[k * 36] = std::numeric_limits<double>::quiet_NaN();
  for (const int n : {1, 2, 5}) {
    set_threads(n);
    for (int round = 0; round < 10; ++round)
      CHECK(has(error_of([&] { evaluate(inverse(A), {{A, a}}); }), "matrix 41 of 300 holds NaN"));
  }
  set_threads(0);
}

TEST_CASE("what does not fit is a TypeError that says why, where it was written") {
  const Expr v = dvector("v"), m = matrix("m"), r = variable("r", DType::float64, {2, 3}),
             A = variable("A", DType::float64, {3, 3}),
             B = variable("B", DType::float64, {2, 3, 3}),
             C = variable("C", DType::float64, {4, 3, 1});
  struct Row {
    std::function<Expr()> build;
    std::string op, message;
  };
  const Row rows[] = {
      {[&] { return inverse(v); }, "inverse: ", "must be a matrix, or have more axes in front"},
      {[&] { return inverse(r); }, "inverse: ", "must be square, it has 2 rows and 3 columns"},
      {[&] { return det(r); }, "det: ", "must be square"},
      {[&] { return cofactors(r); }, "cofactors: ", "must be square"},
      {[&] { return slogdet(r).sign; }, "slogdet: ", "must be square"},
      {[&] { return logdet(r); }, "logdet: ", "must be square"},
      {[&] { return cholesky(r); }, "cholesky: ", "must be square"},
      {[&] { return eigvalsh(r); }, "eigvalsh: ", "must be square"},
      {[&] { return eigh(v).values; }, "eigvalsh: ", "must be a matrix"},
      {[&] { return expm(r); }, "expm: ", "must be square"},
      {[&] { return qr(v).Q; }, "qr: ", "must be a matrix"},
      {[&] { return singular_values(v); }, "singular_values: ", "must be a matrix"},
      {[&] { return svd(v).U; }, "singular_vectors: ", "must be a matrix"},
      {[&] { return pinv(v); }, "pinv: ", "must be a matrix"},
      {[&] { return frobenius_norm(v); }, "frobenius_norm: ", "must be a matrix"},
      {[&] { return solve(v, v); }, "solve: ", "must be a matrix"},
      {[&] { return solve(r, A); }, "solve: ", "must be square"},
      {[&] { return solve(A, r); }, "solve: ", "the right side has 2 rows, the matrix has 3"},
      {[&] { return solve(B, v); }, "solve: ", "the right side must have as many axes"},
      {[&] { return solve(B, C); }, "solve: ", "axis 0 differ: there must be as many right sides"},
      {[&] { return triangular_solve(A, r); },
       "triangular_solve: ", "has 2 rows, the matrix has 3"},
      {[&] { return lstsq(B, v); }, "lstsq: ", "as many axes as the matrix, or one less"},
      {[&] {
         return spectral_norm(variable("E", DType::float64, {0, 3}));
       },
       "spectral_norm: ", "no elements"},
  };
  for (const Row& row : rows) {
    const std::string message = error_of([&] { row.build(); });
    CAPTURE(message);
    CHECK(has(message, row.op));
    CHECK(has(message, row.message));
    CHECK(has(message, "decompositions.cpp:"));
  }
  // Sizes that come with the values.
  for (const Expr& y : {inverse(m), cholesky(m)}) {
    const std::vector<Binding> wide{{m, Tensor(DType::float32, {2, 3})}};
    CHECK_THROWS_AS(evaluate(y, wide), TypeError);
    CHECK_THROWS_AS(cinch::running::interpret(std::span(&y, 1), wide, false), TypeError);
  }
}

TEST_CASE("matrices that an op cannot take are ValueErrors that name op, matrix and line") {
  const double inf = std::numeric_limits<double>::infinity(),
               nan = std::numeric_limits<double>::quiet_NaN();
  const Expr A = dmatrix("A"), B = variable("B", DType::float64, {-1, -1, -1}), b = dmatrix("b");
  const Tensor twins = matrix_of(2, 2, {1, 2, 2, 4}), negative = matrix_of(2, 2, {1, 2, 2, 1}),
               broken = matrix_of(2, 2, {1, nan, 2, 1}), huge = matrix_of(2, 2, {1, 2, -inf, 1}),
               fine = matrix_of(2, 2, {1, 0, 0, 1});
  struct Row {
    Expr y;
    Tensor value;
    std::string op, message;
  };
  const Row rows[] = {
      {inverse(A), twins, "inverse: ", "the matrix is singular"},
      {inverse(A), broken, "inverse: ", "the matrix holds NaN or infinity"},
      {inverse(A), huge, "inverse: ", "the matrix holds NaN or infinity"},
      {solve(A, A), twins, "solve: ", "the matrix is singular"},
      {solve(A, constant(broken)), fine, "solve: ", "the right side of the matrix holds NaN"},
      {triangular_solve(A, A), matrix_of(2, 2, {1, 0, 1, 0}),
       "triangular_solve: ", "the matrix is singular"},
      {det(A), broken, "det: ", "holds NaN"},
      {cofactors(A), broken, "cofactors: ", "holds NaN"},
      {slogdet(A).log_abs, broken, "slogdet: ", "holds NaN"},
      {logdet(A), negative, "logdet: ", "the matrix is not positive definite"},
      {logdet(A), broken, "logdet: ", "holds NaN"},
      {cholesky(A), negative, "cholesky: ", "the matrix is not positive definite"},
      {cholesky(A), Tensor(DType::float64, {2, 2}), "cholesky: ", "not positive definite"},
      {cholesky(A), broken, "cholesky: ", "holds NaN"},
      {eigvalsh(A), broken, "eigvalsh: ", "holds NaN"},
      {eigh(A).vectors, broken, "eigenvectors: ", "holds NaN"},
      {singular_values(A), huge, "singular_values: ", "holds NaN"},
      {svd(A).V, broken, "singular_vectors: ", "holds NaN"},
      {pinv(A), broken, "pinv: ", "holds NaN"},
      {qr(A).R, broken, "qr: ", "holds NaN"},
      {expm(A), broken, "expm: ", "holds NaN"},
      {grad(slogdet(A).log_abs, A), twins, "inverse: ", "the matrix is singular"},
  };
  for (const Row& row : rows) {
    const std::vector<Binding> at{{A, row.value}};
    for (const std::string& message : {error_of([&] { evaluate(row.y, at); }), error_of([&] {
                                         cinch::running::interpret(std::span(&row.y, 1), at, false);
                                       })}) {
      CAPTURE(message);
      CHECK(has(message, row.op));
      CHECK(has(message, row.message));
      CHECK(has(message, "decompositions.cpp:"));
    }
  }
  Tensor many(DType::float64, {3, 2, 2});
  for (const std::size_t k : {0u, 3u, 4u, 7u}) many.data<double>()[k] = 1;
  for (const Expr& y : {inverse(B), solve(B, B), triangular_solve(B, B)}) {
    for (const std::string& message :
         {error_of([&] {
            evaluate(y, {{B, many}});
          }),
          error_of([&] {
            cinch::running::interpret(std::span(&y, 1), std::vector<Binding>{{B, many}}, false);
          })})
      CHECK(has(message, "matrix 2 of 3 is singular"));
  }
  const Expr grid = reshape(B, Shape{3, 1, 2, 2});
  CHECK(has(error_of([&] {
              evaluate(cholesky(grid), {{B, many}});
            }),
            "matrix (2, 0) of (3, 1) is not positive definite"));
  // Constants are not computed where they would hide the line.
  CHECK(has(error_of([&] { evaluate(inverse(constant(twins))); }),
            "inverse: the matrix is singular"));
}

TEST_CASE("matrices of tiny numbers are inverted and solved as by a wider exponent") {
  for (const DType dtype : {DType::float64, DType::float32}) {
    const Expr A = variable("A", dtype, {-1, -1}), b = variable("b", dtype, {-1, -1});
    const double tiny = dtype == DType::float64 ? 1e-310 : 1e-40;
    for (const Tensor& shape : {matrix_of(2, 2, {1, 0, 0, 2}), matrix_of(2, 2, {1, 2, 3, 4}),
                                matrix_of(2, 2, {0, 2, 3, 0}), matrix_of(2, 2, {1 / tiny, 0, 0, 2}),
                                matrix_of(3, 3, {1, 2, 0, 0, 4, 1, 5, 0, 9})}) {
      const Tensor a = evaluate(tiny * constant(shape)).cast(dtype);
      const Tensor right = evaluate(3 * tiny * constant(shape)).cast(dtype);
      const std::vector<Binding> at{{A, a}, {b, right}};
      for (const Expr& y : {inverse(A), solve(A, b), triangular_solve(A, b),
                            triangular_solve(A, b, {.lower = false})}) {
        if (shape.at(0) == 0 && !(y == inverse(A)) && y.attrs().ints.size() > 0) continue;
        CAPTURE(describe(y));
        CAPTURE(text(a));
        Tensor checked, fast;
        std::string of_checked = error_of([&] {
          checked = cinch::running::interpret(std::span(&y, 1), at, false)[0];
        }),
                    of_fast = error_of([&] { fast = evaluate(y, at); });
        CHECK(of_checked == of_fast);
        if (of_checked.empty()) CHECK(distance(fast, checked) < 1e-3);
      }
    }
  }
}
