#include "cinch/ops/factor.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cinch/core/run/cost.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/diagonal.hpp"
#include "cinch/ops/eigen.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/linalg/lapack.hpp"
#include "cinch/ops/linalg/matrices.hpp"
#include "cinch/ops/linalg/textbook.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/solve.hpp"

namespace cinch {

namespace {

// cholesky
// -------------------------------------------------------------------------------------------------

Type cholesky_type(Args x, const Attrs&) {
  linalg::require_matrices(x[0], /*square=*/true);
  return {x[0].dtype(), x[0].dims()};
}

Tensor cholesky_reference(Values in, const Attrs&) {
  const std::int64_t n = in[0]->shape().back();
  return textbook::for_each(*in[0], {n, n}, [](const textbook::Matrix& a, std::int64_t) {
    return textbook::Result(textbook::cholesky(textbook::symmetric_part(a)),
                            linalg::MatrixFault::indefinite);
  });
}

void cholesky_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  const std::int64_t n = out.shape.back();
  if (n == 0) return;
  dispatch_float(out.dtype, [&]<class T> {
    const auto each = [&](std::int64_t k) {
      linalg::Workspace space(linalg::Workspace::room<T>(n * n));
      T* a = space.take<T>(n * n);
      if (!load_symmetric(linalg::matrix_at<T>(in[0], k), a))
        return linalg::MatrixFault::not_finite;
      // The upper factor by columns is the lower one by rows.
      if (!linalg::Lapack<T>::cholesky(n, a)) return linalg::MatrixFault::indefinite;
      T* to = out.as<T>() + k * n * n;
      for (std::int64_t i = 0; i < n; ++i) {
        std::copy_n(a + i * n, i + 1, to + i * n);
        std::fill(to + i * n + i + 1, to + (i + 1) * n, T(0));
      }
      return linalg::MatrixFault::none;
    };
    linalg::for_each_matrix(linalg::leading_shape(in[0]), linalg::matrix_count(in[0]),
                            running::cost::cubic(n, 0.5), each);
  });
}

/// L^-T P L^-1, symmetrised, with P the lower triangle of L' gL and half its diagonal.
Grads cholesky_grad(Args, const Expr& L, const Expr& gL) {
  const Expr inner = linalg::matrix_product(linalg::transposed(L), gL);
  const Expr P = 0.5 * (linalg::lower_triangle(inner) + linalg::lower_triangle(inner, -1));
  const Expr Lt = linalg::transposed(L);
  const Expr left = triangular_solve(Lt, P, {.lower = false});
  return {linalg::symmetric_part(triangular_solve(Lt, linalg::transposed(left), {.lower = false}))};
}

// qr
// -------------------------------------------------------------------------------------------------

/// Q's rows and below them R's: (..., m + n, n).
Type qr_type(Args x, const Attrs&) {
  linalg::require_matrices(x[0], /*square=*/false);
  const Dim m = x[0].dims().end()[-2], n = x[0].dims().back();
  Type result{x[0].dtype(), x[0].dims()};
  if (m.known() && n.known() && m.size() < n.size()) {
    throw TypeError(text("the matrix must not have fewer rows than columns, it has ", m.size(),
                         " and ", n.size()));
  }
  result.dims.end()[-2] = m.known() && n.known() ? Dim(m.size() + n.size()) : Dim::unknown();
  return result;
}

/// Whether what is left of column j of a matrix of m rows, once the columns before it are taken
/// out, is no more than rounding; it becomes 0, so that the gradient cannot take it for a number. R
/// is (n, n), element (i, j) at r[i * row + j * column].
template <class T>
bool depends(const T* r, std::int64_t j, std::int64_t row, std::int64_t column, std::int64_t m,
             double epsilon) {
  double length = 0;
  for (std::int64_t i = 0; i <= j; ++i)
    length = std::hypot(length, static_cast<double>(r[i * row + j * column]));
  const auto left = std::abs(static_cast<double>(r[j * (row + column)]));
  return !(left > 2 * static_cast<double>(m) * epsilon * length);
}

Tensor qr_reference(Values in, const Attrs&) {
  const std::int64_t m = in[0]->shape().end()[-2], n = in[0]->shape().back();
  const double epsilon = in[0]->dtype() == DType::float32 ? std::numeric_limits<float>::epsilon()
                                                          : std::numeric_limits<double>::epsilon();
  return textbook::for_each(*in[0], {m + n, n}, [&](const textbook::Matrix& a, std::int64_t) {
    textbook::Qr factors = textbook::qr(a);
    for (std::int64_t j = 0; j < n; ++j) {
      if (depends(factors.R.elements.data(), j, n, 1, m, epsilon)) factors.R(j, j) = 0;
    }
    return textbook::Result(textbook::stacked(factors.Q, factors.R));
  });
}

void qr_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  const std::int64_t n = out.shape.back(), m = out.shape.end()[-2] - n;
  if (n == 0) return;
  dispatch_float(out.dtype, [&]<class T> {
    const auto each = [&](std::int64_t k) {
      const std::int64_t work = n * (linalg::Lapack<T>::block + 1);
      linalg::Workspace space(linalg::Workspace::room<T>(m * n) +
                              linalg::Workspace::room<T>(n * n) + linalg::Workspace::room<T>(work));
      T *a = space.take<T>(m * n), *r = space.take<T>(n * n), *scratch = space.take<T>(work);
      if (!load_columns(linalg::matrix_at<T>(in[0], k), a)) return linalg::MatrixFault::not_finite;
      linalg::Lapack<T>::qr(m, n, a, r, scratch);
      for (std::int64_t j = 0; j < n; ++j) {
        if (depends(r, j, 1, n, m, std::numeric_limits<T>::epsilon())) r[j * (n + 1)] = 0;
        if (r[j * (n + 1)] >= 0) continue;
        for (std::int64_t i = 0; i < m; ++i) a[j * m + i] = -a[j * m + i];
        for (std::int64_t i = j; i < n; ++i) r[i * n + j] = -r[i * n + j];
      }
      T* to = out.as<T>() + k * (m + n) * n;
      load_rows(linalg::MatrixView<T>{a, m, n, 1, m}, to);
      load_rows(linalg::MatrixView<T>{r, n, n, 1, n}, to + m * n);
      return linalg::MatrixFault::none;
    };
    const double steps = 4 * static_cast<double>(m) / static_cast<double>(n);
    linalg::for_each_matrix(linalg::leading_shape(in[0]), linalg::matrix_count(in[0]),
                            running::cost::cubic(n, steps), each);
  });
}

QR unpacked_qr(const Expr& packed, const Expr& A) {
  const Expr m = size(A, -2), n = size(A, -1);
  return {narrow(packed, -2, 0, m), narrow(packed, -2, m, n)};
}

/// (gQ + Q copy(M)) R^-T with M = R gR' - gQ' Q, of which copy() mirrors the lower triangle.
Grads qr_grad(Args x, const Expr& y, const Expr& gy) {
  const auto [Q, R] = unpacked_qr(y, x[0]);
  const auto [gQ, all_gR] = unpacked_qr(gy, x[0]);
  const Expr gR = linalg::upper_triangle(all_gR);
  const Expr M = linalg::matrix_product(R, linalg::transposed(gR)) -
                 linalg::matrix_product(linalg::transposed(gQ), Q);
  const Expr mirrored =
      linalg::lower_triangle(M) + linalg::transposed(linalg::lower_triangle(M, -1));
  const Expr inner = gQ + linalg::matrix_product(Q, mirrored);
  const linalg::Triangular upper{.lower = false, .unit = false, .of_qr = true};
  return {linalg::transposed(
      apply(triangular_solve_op, {R, linalg::transposed(inner)}, upper.attrs()))};
}

/// Columns orthonormal to those of Q and to each other. One such basis, N, is held; what is left of
/// it where Q moves is (I - Q Q') N, which is made orthonormal again.
Expr orthogonal_complement(const Expr& Q) {
  const Expr m = size(Q, -2), n = size(Q, -1);
  const auto rejected = [&](const Expr& x) {
    return x - linalg::matrix_product(Q, linalg::matrix_product(linalg::transposed(Q), x));
  };
  const Expr one =
      broadcast_like(eye(m, Q.dtype()), linalg::matrix_product(Q, linalg::transposed(Q)));
  // Eigenvalues of the projection: n times 0, then m - n times 1.
  const Expr N = narrow(eigh(rejected(one)).vectors, -1, n, m - n);
  return qr(rejected(stop_gradient(N))).Q;
}

QR completed(const QR& reduced, const Expr& A) {
  const auto& [Q, R] = reduced;
  const Expr N = orthogonal_complement(Q);
  return {concatenate({Q, N}, -1),
          concatenate({R, zeros_like(linalg::matrix_product(linalg::transposed(N), A))}, -2)};
}

}  // namespace

constinit const Op cholesky_op{
    .name = "cholesky",
    .type = cholesky_type,
    .reference = cholesky_reference,
    .operands = Operands::real,
    .grad = cholesky_grad,
    .batch = linalg::batch_matrices,
    .follow = linalg::follow_matrices,
    .runs = Kernel{.run = cholesky_kernel,
                   .accepts = linalg::accepts_anything,
                   .flops =
                       [](const Expr& y) {
                         const Shape shape = y.type().shape();
                         return static_cast<double>(shape.back()) *
                                static_cast<double>(element_count(shape)) / 3;
                       }},
    .probe = {-3, 3},
    .examples = []() -> std::vector<Example> {
      std::vector<Example> result;
      for (const Dims& dims : std::vector<Dims>{
               {3, 3}, {1, 1}, {0, 0}, {4, 4}, {2, 3, 3}, {2, 2, 2, 2}, {0, 3, 3}, {2, 0, 0}})
        result.push_back({{{DType::float64, dims}},
                          [](Args x) { return cholesky(x[0] + 15 * eye(size(x[0], -1))); }});
      result.push_back({{Type{DType::float64, {3, 5}}},
                        [](Args x) { return cholesky(dot(x[0], transpose(x[0])) + eye(3)); }});
      return result;
    },
};

constinit const Op qr_op{
    .name = "qr",
    .type = qr_type,
    .reference = qr_reference,
    .operands = Operands::real,
    .grad = qr_grad,
    .batch = linalg::batch_matrices,
    .follow = linalg::follow_matrices,
    .size_of =
        [](const Expr& y, std::int64_t) {
          const Expr& A = y.inputs()[0];
          return size(A, -2) + size(A, -1);
        },
    .runs = Kernel{.run = qr_kernel,
                   .accepts = linalg::accepts_anything,
                   .flops =
                       [](const Expr& y) {
                         const Shape shape = y.inputs()[0].type().shape();
                         return static_cast<double>(shape.back()) *
                                static_cast<double>(element_count(shape)) * 4;
                       }},
    .probe = {-3, 3},
    .examples = []() -> std::vector<Example> {
      const auto both = [](Args x) {
        const Expr columns = arange(size(x[0], -1)), rows = arange(size(x[0], -2));
        const Expr A = x[0] + switch_(equal(expand_dims(rows, 1), expand_dims(columns, 0)), 10, 0);
        return apply(qr_op, {A});
      };
      std::vector<Example> result;
      for (const Dims& dims : std::vector<Dims>{
               {3, 3}, {5, 2}, {1, 1}, {0, 0}, {3, 0}, {2, 3, 2}, {2, 2, 2, 2}, {0, 3, 2}})
        result.push_back({{{DType::float64, dims}}, both});
      result.push_back({{Type{DType::float64, {2, 3}}}, [](Args x) {
                          const auto [Q, R] = qr(transpose(x[0]) + 0.1);
                          return dot(Q, R + R);
                        }});
      return result;
    },
};

Expr cholesky(const Arg& A) { return apply(cholesky_op, {A}, {}, A.where()); }

QR qr(const Arg& A, QrMode mode) {
  const Attribution as(A.where());
  const auto factors = [&](const Expr& x) {
    return unpacked_qr(apply(qr_op, {x}, {}, A.where()), x);
  };
  if (A->rank() < 2) return factors(A);  // Which the op refuses.
  const Dim rows = A->dims().end()[-2], columns = A->dims().back();
  const bool known = rows.known() && columns.known();
  const bool tall = known && rows.size() >= columns.size();
  const Expr m = size(A, -2), n = size(A, -1), k = tall ? n : minimum(m, n);
  QR result = factors(tall ? Expr(A) : narrow(A, -1, 0, k));
  if (!tall) {
    const Expr rest = linalg::matrix_product(linalg::transposed(result.Q), narrow(A, -1, k, n - k));
    result.R = concatenate({result.R, rest}, -1);
  }
  const bool complete = known && rows.size() <= columns.size();
  return mode == QrMode::reduced || complete ? result : completed(result, A);
}

}  // namespace cinch
