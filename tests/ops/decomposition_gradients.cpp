// Gradients of linear systems and decompositions beyond what the catalog's tests see: singular
// matrices, equal eigenvalues, two ways to one function, per-example Jacobians.
#include <doctest/doctest.h>

#include <cmath>
#include <tuple>

#include "cinch/cinch.hpp"
#include "cinch/core/run/interpret.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

Tensor random(const Shape& shape, unsigned seed = 1, double low = -1, double high = 1) {
  std::mt19937 generator(seed);
  return random_tensor(DType::float64, shape, generator, low, high);
}

Expr numbers(const Shape& shape, unsigned seed) { return constant(random(shape, seed)); }

/// Both have the same gradients in x, and the gradients of these along a direction are the same.
void check_same_derivatives(const Expr& a, const Expr& b, const Expr& x, const Tensor& value,
                            double tolerance = 1e-11) {
  const Expr along = numbers(value.shape(), 99);
  std::vector<std::vector<Expr>> both;
  for (const Expr& f : {a, b}) {
    const Expr first = grad(f, x);
    both.push_back({f, first, grad(sum(first * along), x)});
  }
  for (std::size_t order = 0; order < 3; ++order) {
    CAPTURE(order);
    CHECK(distance(evaluate(both[0][order], {{x, value}}), evaluate(both[1][order], {{x, value}})) <
          tolerance);
  }
}

}  // namespace

TEST_CASE("the gradient of a determinant is right at singular matrices of any rank") {
  const Expr A = dmatrix("A");
  const Expr rank3 = dot(numbers({4, 3}, 1), numbers({3, 4}, 2)),
             rank2 = dot(numbers({4, 2}, 1), numbers({2, 4}, 2)),
             rank1 = dot(numbers({4, 1}, 1), numbers({1, 4}, 2));
  for (const Expr& singular : {rank3, rank2, rank1, zeros_like(rank1)}) {
    const Tensor a = evaluate(singular);
    const GradCheck check = check_grad(det(A), std::vector<Expr>{A}, {{A, a}});
    CHECK_MESSAGE(check.ok, check.report);
  }
}

namespace {

/// By the first row, down to the elements: a polynomial, in which nothing is divided.
Expr laplace(const Expr& A, std::int64_t n) {
  if (n == 0) return constant(Tensor(1.0));
  if (n == 1) return at(at(A, 0), 0);
  Expr total = constant(Tensor(0.0));
  for (std::int64_t j = 0; j < n; ++j) {
    std::vector<Expr> columns;
    for (std::int64_t k = 0; k < n; ++k) {
      if (k != j) columns.push_back(narrow(narrow(A, 0, 1, n - 1), 1, k, 1));
    }
    const Expr term = at(at(A, 0), j) * laplace(concatenate(columns, 1), n - 1);
    total = j % 2 ? total - term : total + term;
  }
  return total;
}

}  // namespace

TEST_CASE("derivatives of determinants to any order are those of the polynomial, for every rank") {
  for (std::int64_t n = 1; n <= 4; ++n) {
    const Expr A = variable("A", DType::float64, {n, n});
    for (std::int64_t rank = 0; rank <= n; ++rank) {
      const Tensor value = rank == 0 ? Tensor(DType::float64, {n, n})
                                     : evaluate(dot(numbers({n, rank}, 1), numbers({rank, n}, 2)));
      Expr f = det(A), g = laplace(A, n);
      for (int order = 1; order <= (n == 4 ? 4 : 5); ++order) {
        const Expr df = grad(f, A, {.disconnected = Disconnected::zero}),
                   dg = grad(g, A, {.disconnected = Disconnected::zero});
        const Tensor expected = evaluate(dg, {{A, value}});
        CAPTURE(n);
        CAPTURE(rank);
        CAPTURE(order);
        CHECK(distance(evaluate(df, {{A, value}}), expected) < 1e-11);
        CHECK(distance(cinch::running::interpret(std::span(&df, 1),
                                                 std::vector<Binding>{{A, value}}, false)[0],
                       expected) < 1e-11);
        const Expr along = numbers({n, n}, static_cast<unsigned>(10 + order));
        f = sum(df * along);
        g = sum(dg * along);
      }
    }
  }
}

TEST_CASE("derivatives of determinants of products that have no inverse, of many, per example") {
  const Expr tall = dmatrix("tall"), wide = dmatrix("wide");
  const std::vector<Binding> at{{tall, random({4, 2}, 3)}, {wide, random({2, 4}, 4)}};
  const GradCheck check = check_grad(det(dot(tall, wide)) + sum(square(tall)) * sum(wide),
                                     {tall, wide}, at, {.order = 3});
  CHECK_MESSAGE(check.ok, check.report);
  const Expr many = variable("many", DType::float64, {-1, 3, 3});
  Tensor values = random({4, 3, 3}, 5);
  for (std::size_t k = 0; k < 18; ++k)
    values.data<double>()[k] = k < 9 ? 0 : static_cast<double>(k % 3);
  const Expr J = jacobian(grad(sum(det(many)), many), many);
  const Expr one = dmatrix("one");
  const Expr H = hessian(det(one), one);
  for (std::int64_t k = 0; k < 4; ++k) {
    const Tensor a = evaluate(cinch::at(many, k), {{many, values}});
    CHECK(distance(evaluate(cinch::at(J, k), {{many, values}}), evaluate(H, {{one, a}})) < 1e-12);
  }
}

TEST_CASE("Q and R have no derivative where a column depends on others, and say so") {
  const Expr A = dmatrix("A");
  const auto error_of = [](auto&& f) -> std::string {
    try {
      f();
    } catch (const ValueError& e) {
      return e.what();
    }
    return "no error";
  };
  for (const double scale : {1.0, 1e-200, 1e150}) {
    for (const auto& [of_rows, of_columns, of_rank] :
         std::vector<std::tuple<std::int64_t, std::int64_t, std::int64_t>>{
             {3, 3, 2}, {5, 3, 2}, {5, 4, 1}, {2, 2, 0}, {40, 7, 6}}) {
      const std::int64_t m = of_rows, n = of_columns, rank = of_rank;
      const Tensor value =
          rank == 0 ? Tensor(DType::float64, {m, n})
                    : evaluate(scale * dot(numbers({m, rank}, 1), numbers({rank, n}, 2)));
      const auto [Q, R] = qr(A);
      for (const Expr& cost : {sum(Q), sum(R), sum(square(Q)) + sum(R)}) {
        const Expr g = grad(cost, A);
        const std::vector<Binding> at{{A, value}};
        for (const std::string& message : {error_of([&] { evaluate(g, at); }), error_of([&] {
                                             cinch::running::interpret(std::span(&g, 1), at, false);
                                           })}) {
          CAPTURE(m);
          CAPTURE(rank);
          CHECK_MESSAGE(
              message.find("columns of the matrix are not independent") != std::string::npos,
              message);
        }
        const std::vector<Binding> independent{{A, evaluate(scale * numbers({m, n}, 7))}};
        CHECK(error_of([&] { evaluate(g, independent); }) == "no error");
      }
    }
  }
}

TEST_CASE("two ways to one function have the same first and second derivatives") {
  const Expr x = dmatrix("x");
  const Tensor value = random({4, 6});
  const Expr P = dot(x, transpose(x)) + eye(4);  // Positive definite.
  const Expr C = numbers({4, 4}, 5), b = numbers({4}, 6);
  const auto [w, V] = eigh(P);
  const auto [U, s, W] = svd(x);
  const auto [Q, R] = qr(transpose(x));
  const auto [all_Q, all_R] = qr(transpose(x), QrMode::complete);
  const auto [left_Q, wide_R] = qr(x);
  const Expr rest = slice(all_Q, 4, 6, 1), Z = numbers({6, 6}, 9);
  const Expr L = cholesky(P);
  struct Row {
    std::string what;
    Expr a, b;
  };
  const Row rows[] = {
      {"log det: Cholesky and LU", logdet(P), slogdet(P).log_abs},
      {"log det: eigenvalues", logdet(P), sum(log(eigvalsh(P)))},
      {"log det: the factor", logdet(P), 2 * sum(log(sum(L * eye(4), 0)))},
      {"log det: det", logdet(P), log(det(P))},
      {"log det: singular values", logdet(P), sum(log1p(square(s)))},
      {"log det: QR of the stack", logdet(P),
       2 * sum(log(sum(qr(concatenate({transpose(x), eye(4, DType::float64)}, 0)).R * eye(4), 0)))},
      {"inverse and solve", sum(C * inverse(P)), sum(C * solve(P, eye(4)))},
      {"solve by a factor", sum(solve(P, b) * sin(b)),
       sum(triangular_solve(transpose(L), triangular_solve(L, b), {.lower = false}) * sin(b))},
      {"inverse by eigenvectors", sum(C * inverse(P)), sum(C * dot(V / w, transpose(V)))},
      {"exponential by eigenvectors", sum(C * expm(P / 4)),
       sum(C * dot(V * exp(w / 4), transpose(V)))},
      {"exponential of a trace", log(det(expm(P / 4))), sum(P * eye(4)) / 4},
      {"pinv by singular vectors", sum(numbers({6, 4}, 7) * pinv(x)),
       sum(numbers({6, 4}, 7) * dot(W / s, transpose(U)))},
      {"pinv by normal equations", sum(numbers({6, 4}, 7) * pinv(x)),
       sum(numbers({6, 4}, 7) * dot(transpose(x), inverse(P - eye(4))))},
      {"least squares by QR", sum(sin(lstsq(transpose(x), numbers({6}, 8)))),
       sum(sin(triangular_solve(R, dot(transpose(Q), numbers({6}, 8)), {.lower = false})))},
      {"complete QR: the rest's projection", sum(Z * exp(dot(rest, transpose(rest)))),
       sum(Z * exp(eye(6) - dot(Q, transpose(Q))))},
      {"complete QR: lengths in the rest", sum(square(dot(transpose(rest), Z))),
       sum(square(dot(eye(6) - dot(Q, transpose(Q)), Z)))},
      {"complete QR: the product", sum(sin(dot(all_Q, all_R))), sum(sin(x))},
      {"wide QR", sum(sin(dot(left_Q, wide_R))) + sum(square(wide_R)),
       sum(sin(x)) + sum(square(x))},
      {"nuclear norm by eigenvalues", nuclear_norm(x), sum(sqrt(eigvalsh(P - eye(4))))},
      {"spectral norm by eigenvalues", spectral_norm(x), sqrt(max(eigvalsh(P - eye(4))))},
      {"Frobenius norm", square(frobenius_norm(x)), sum(square(singular_values(x)))},
      {"cofactors", sum(C * cofactors(P / 4)), sum(C * transpose(inverse(P / 4))) * det(P / 4)},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    check_same_derivatives(row.a, row.b, x, value, 1e-9);
  }
}

TEST_CASE("third derivatives agree with differences") {
  const Expr x = dmatrix("x");
  const Tensor value = random({3, 3});
  const Expr P = dot(x, transpose(x)) + 0.5 * eye(3), C = numbers({3, 3}, 5);
  for (const Expr& f :
       {sum(C * inverse(P)), sum(C * cholesky(P)), logdet(P), sum(C * eigh(P).vectors),
        sum(C * svd(x).U), sum(C * expm(x)), sum(C * pinv(x)), sum(C * qr(x).Q), det(x)}) {
    const GradCheck check =
        check_grad(f, std::vector<Expr>{x}, {{x, value}}, {.order = 3, .tolerance = 1e-6});
    CHECK_MESSAGE(check.ok, describe(f) << "\n" << check.report);
  }
}

TEST_CASE("values have gradients where they are equal, vectors do not") {
  const Expr A = dmatrix("A");
  const Tensor I = evaluate(eye(3, DType::float64));
  CHECK(distance(evaluate(grad(sum(eigvalsh(A)), A), {{A, I}}), I) < 1e-15);
  CHECK(distance(evaluate(grad(sum(square(eigvalsh(A))), A), {{A, I}}), evaluate(constant(I) * 2)) <
        1e-15);
  CHECK(distance(evaluate(grad(nuclear_norm(A), A), {{A, I}}), I) < 1e-15);
  const Tensor g = evaluate(grad(sum(eigh(A).vectors * numbers({3, 3}, 1)), A), {{A, I}});
  bool all_finite = true;
  for (std::int64_t i = 0; i < g.size(); ++i) all_finite = all_finite && std::isfinite(g.at(i));
  CHECK_FALSE(all_finite);
}

TEST_CASE("at rank-deficient matrices norms have a subgradient, singular vectors their gradient") {
  const Expr A = dmatrix("A");
  const Tensor zero(DType::float64, {2, 3});
  CHECK(evaluate(grad(frobenius_norm(A), A), {{A, zero}}) == zero);
  // Of the nuclear norm: U V' + W with W orthogonal to both and of norm 1 at most.
  const Tensor a = evaluate(dot(numbers({4, 2}, 1), numbers({2, 3}, 2)));
  const Expr g = grad(nuclear_norm(A), A);
  CHECK(evaluate(sum(g * A), {{A, a}}).item() ==
        doctest::Approx(evaluate(nuclear_norm(A), {{A, a}}).item()));
  CHECK(evaluate(spectral_norm(g), {{A, a}}).item() <= 1 + 1e-12);
  // One singular value of 0 is not equal to another: the vectors of a square matrix are smooth.
  const Tensor flat = Tensor::from<double>({2, 2}, {3, 0, 0, 0});
  const auto [U, s, V] = svd(A);
  const GradCheck check = check_grad(sum(U * numbers({2, 2}, 3)), std::vector<Expr>{A},
                                     {{A, Tensor::from<double>({2, 2}, {3, 1, 2, 1})}});
  CHECK_MESSAGE(check.ok, check.report);
  const Tensor at_zero = evaluate(grad(sum(at(U, 0, 1)), A), {{A, flat}});
  for (std::int64_t i = 0; i < 4; ++i) CHECK(std::isfinite(at_zero.at(i)));
  CHECK(at_zero.at(2) == doctest::Approx(1. / 3));  // u = (3, a_21) / |.| to first order.
}

TEST_CASE("what has no gradient says so") {
  const Expr A = dmatrix("A");
  CHECK_THROWS_WITH_AS(grad(sum(slogdet(A).sign), A), doctest::Contains("stop_gradient"),
                       GradError);
}

TEST_CASE("Jacobians per example are those of each example") {
  const Expr A = variable("A", DType::float64, {-1, 3, 3}),
             B = variable("B", DType::float64, {-1, 3, 2}), one = dmatrix("one"),
             fixed = numbers({3, 3}, 4) + 4 * eye(3);
  const Tensor a = evaluate(numbers({4, 3, 3}, 3) + 4 * eye(3) * (arange(3) + 1)),
               b = random({4, 3, 2}, 5);
  struct Row {
    std::string what;
    Expr many, x, single;  ///< `single` in terms of `one`, a matrix of x.
    Tensor value;
  };
  const Row rows[] = {
      {"inverse", inverse(A), A, inverse(one), a},
      {"det", det(A), A, det(one), a},
      {"logdet", logdet(A), A, logdet(one), a},
      {"slogdet", slogdet(A).log_abs, A, slogdet(one).log_abs, a},
      {"cholesky", cholesky(A), A, cholesky(one), a},
      {"qr", qr(A).R, A, qr(one).R, a},
      {"eigenvalues", eigvalsh(A), A, eigvalsh(one), a},
      {"eigenvectors", eigh(A).vectors, A, eigh(one).vectors, a},
      {"singular values", singular_values(B), B, singular_values(one), b},
      {"singular vectors", svd(B).V, B, svd(one).V, b},
      {"nuclear norm", nuclear_norm(B), B, nuclear_norm(one), b},
      {"pinv", pinv(B), B, pinv(one), b},
      {"expm", expm(A / 4), A, expm(one / 4), a},
      {"solve, of the right side", solve(constant(a), B), B, {}, b},
      {"solve, of the matrix", solve(A, constant(b)), A, {}, a},
      {"solve, one matrix", solve(fixed, B), B, solve(fixed, one), b},
      {"solve, examples as columns", transpose(solve(fixed, transpose(at(B, 0, 2)))), B,
       solve(fixed, at(one, 0, 1)), b},
      {"triangular_solve", triangular_solve(fixed, B), B, triangular_solve(fixed, one), b},
      {"lstsq", lstsq(B, constant(random({4, 3}, 6))), B, {}, b},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    const Expr many = row.many.rank() == 1 ? expand_dims(row.many, 1) : row.many;
    const Tensor all = evaluate(jacobian(many, row.x), {{row.x, row.value}});
    REQUIRE(all.shape()[0] == 4);
    const Expr J = constant(all), values = constant(row.value);
    for (std::int64_t i = 0; i < 4; ++i) {
      const Tensor here = evaluate(at(values, i));
      if (!row.single.has_value()) continue;
      const Expr outputs = flatten(row.single);
      const Tensor expected_rows = evaluate(flatten(at(J, i)));
      const std::int64_t count = evaluate(size(outputs, 0), {{one, here}}).data<std::int64_t>()[0];
      for (std::int64_t k = 0; k < count; ++k) {
        const Tensor g = evaluate(grad(at(outputs, k), one), {{one, here}});
        for (std::int64_t e = 0; e < g.size(); ++e)
          CHECK(expected_rows.at(k * g.size() + e) ==
                doctest::Approx(g.at(e)).epsilon(1e-9).scale(1));
      }
    }
    // Whatever the formula: the change along a direction.
    const Expr d = numbers(row.value.shape(), 8), y = flatten(many, 1);
    const std::int64_t outputs = all.size() / row.value.size();
    const Expr slope = batched_dot(reshape(J, {4, outputs, -1}), reshape(d, {4, -1, 1}));
    constexpr double h = 1e-5;
    const auto moved = [&](double by) { return evaluate(y, {{row.x, evaluate(values + by * d)}}); };
    const Expr change = (constant(moved(h)) - constant(moved(-h))) / (2 * h);
    CHECK(distance(evaluate(flatten(slope)), evaluate(flatten(change))) < 1e-8);
  }
}

TEST_CASE("the nuclear norm of an encoder's Jacobian is a penalty with a gradient") {
  const Expr x = dmatrix("x");
  const Shared W(random({5, 3}, 1), "W"), b(random({3}, 2), "b");
  const Expr h = sigmoid(dot(x, W) + b);
  const Expr J = jacobian(h, x);  // (batch, 3, 5)
  for (const Expr& penalty :
       {sum(nuclear_norm(J)), sum(spectral_norm(J)), sum(frobenius_norm(J)),
        sum(logdet(batched_dot(J, transpose(J, {0, 2, 1})) + 0.1 * eye(3)))}) {
    const GradCheck check =
        check_grad(penalty, std::vector<Expr>{W, b}, {{x, random({4, 5}, 3)}}, {.order = 2});
    CHECK_MESSAGE(check.ok, check.report);
  }
}

TEST_CASE("float32 models keep float32, integers are taken as float64") {
  const Expr A = matrix("A"), n = variable("n", DType::int64, {2, 2});
  for (const Expr& y : {inverse(A), det(A), eigvalsh(A), nuclear_norm(A), expm(A), pinv(A),
                        frobenius_norm(A), solve(A, A), grad(sum(expm(A)), A)})
    CHECK(y.dtype() == DType::float32);
  const Tensor v = Tensor::from<std::int64_t>({2, 2}, {1, 2, 3, 4});
  CHECK(evaluate(det(n), {{n, v}}).dtype() == DType::float64);
  CHECK(evaluate(det(n), {{n, v}}).item() == doctest::Approx(-2));
}

TEST_CASE("derivatives of pinv lose the digits that the matrix costs and no more, to third order") {
  std::mt19937 random(31);
  const auto draw = [&](const Shape& shape) {
    return constant(random_tensor(DType::float64, shape, random, -1, 1));
  };
  const Expr A = dmatrix("A");
  for (const double condition : {1e2, 1e4, 1e6, 1e8}) {
    for (const auto& [rows, columns] :
         std::vector<std::pair<std::int64_t, std::int64_t>>{{4, 4}, {6, 4}, {4, 6}}) {
      const std::int64_t k = std::min(rows, columns);
      Tensor values(DType::float64, {k});
      for (std::int64_t i = 0; i < k; ++i)
        values.data<double>()[static_cast<std::size_t>(i)] =
            std::pow(condition, -static_cast<double>(i) / static_cast<double>(k - 1));
      const Expr U = qr(draw({rows, k})).Q, V = qr(draw({columns, k})).Q;
      const Tensor at = evaluate(dot(U * constant(values), transpose(V)));
      const Expr C = draw({columns, rows}), D = draw({rows, columns});
      // By other decompositions, whose derivatives divide by nothing but triangles.
      const Expr tall = rows >= columns ? A : transpose(A);
      const QR parts = qr(tall);
      const Expr by_qr = triangular_solve(parts.R, transpose(parts.Q), {.lower = false});
      const Expr other = rows == columns ? inverse(A) : rows > columns ? by_qr : transpose(by_qr);
      Expr f = sum(C * pinv(A)), g = sum(C * other);
      for (int order = 1; order <= 3; ++order) {
        f = sum(grad(f, A) * D);
        g = sum(grad(g, A) * D);
        const double got = evaluate(f, {{A, at}}).item(), expected = evaluate(g, {{A, at}}).item();
        CAPTURE(condition);
        CAPTURE(rows);
        CAPTURE(columns);
        CAPTURE(order);
        CHECK(std::abs(got - expected) <= 1e-13 * condition * std::abs(expected));
      }
    }
  }
}
