#include "cinch/ops/svd.hpp"

#include <algorithm>

#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/linalg/lapack.hpp"
#include "cinch/ops/linalg/matrices.hpp"
#include "cinch/ops/linalg/svd_kernel.hpp"
#include "cinch/ops/linalg/textbook.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/rules/root.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

Type singular_values_type(Args x, const Attrs&) {
  linalg::require_matrices(x[0], /*square=*/false);
  Type result{x[0].dtype(), linalg::leading_dims(x[0])};
  result.dims.push_back(linalg::smaller_side(x[0]));
  return result;
}

/// U's rows and below them V's: (..., m + n, k).
Type singular_vectors_type(Args x, const Attrs&) {
  linalg::require_matrices(x[0], /*square=*/false);
  const Dim m = x[0].dims().end()[-2], n = x[0].dims().back();
  Type result{x[0].dtype(), linalg::leading_dims(x[0])};
  result.dims.push_back(m.known() && n.known() ? Dim(m.size() + n.size()) : Dim::unknown());
  result.dims.push_back(linalg::smaller_side(x[0]));
  return result;
}

Expr smaller_size(const Expr& A) { return minimum(size(A, -2), size(A, -1)); }

Tensor singular_values_reference(Values in, const Attrs&) {
  const std::int64_t k = std::min(in[0]->shape().end()[-2], in[0]->shape().back());
  return textbook::for_each(*in[0], {k}, [k](const textbook::Matrix& a, std::int64_t) {
    textbook::Matrix values(1, k);
    values.elements = textbook::svd(a).s;
    return textbook::Result(values);
  });
}

Tensor singular_vectors_reference(Values in, const Attrs&) {
  const std::int64_t m = in[0]->shape().end()[-2], n = in[0]->shape().back();
  return textbook::for_each(*in[0], {m + n, std::min(m, n)},
                            [](const textbook::Matrix& a, std::int64_t) {
                              const textbook::Svd factors = textbook::svd(a);
                              return textbook::Result(textbook::stacked(factors.U, factors.V));
                            });
}

void singular_values_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  const std::int64_t k = out.shape.back();
  dispatch_float(out.dtype, [&]<class T> {
    linalg::for_each_decomposed<T>(in[0], false, [&](std::int64_t number, const T* s, T*, T*) {
      std::copy_n(s, k, out.as<T>() + number * k);
    });
  });
}

void singular_vectors_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  const std::int64_t m = in[0].shape.end()[-2], n = in[0].shape.back(), k = out.shape.back();
  dispatch_float(out.dtype, [&]<class T> {
    linalg::for_each_decomposed<T>(in[0], true, [&](std::int64_t number, const T*, T* u, T* v) {
      T* to = out.as<T>() + number * (m + n) * k;
      for (std::int64_t j = 0; j < k; ++j) {
        const T sign = linalg::points_backwards(u + j, m, k) ? T(-1) : T(1);
        for (std::int64_t i = 0; i < m; ++i) to[i * k + j] = sign * u[i * k + j];
        for (std::int64_t i = 0; i < n; ++i) to[(m + i) * k + j] = sign * v[j * n + i];
      }
    });
  });
}

struct Vectors {
  Expr U, V;
};
Vectors unpacked_vectors(const Expr& packed, const Expr& A) {
  const Expr m = size(A, -2), n = size(A, -1);
  return {narrow(packed, -2, 0, m), narrow(packed, -2, m, n)};
}

/// Values only: U diag(g) V'.
Grads singular_values_grad(Args x, const Expr&, const Expr& gy) {
  const auto [U, V] = unpacked_vectors(apply(singular_vectors_op, {x[0]}), x[0]);
  return {linalg::matrix_product(U * linalg::as_row(gy), linalg::transposed(V))};
}

/// 1 / s where `long_side` is longer than s has elements: else its factor is 0, also where s is.
Expr reciprocal_if_longer(const Expr& s, const Expr& long_side) {
  return switch_(long_side > size(s, -1), 1 / s, 0.0);
}

/// U (F * skew(U' gU) S + S F * skew(V' gV)) V' + (1 - U U') gU S^-1 V' + U S^-1 gV' (1 - V V'),
/// with skew(X) = X - X' and F_ij = 1 / (s_j^2 - s_i^2) off the diagonal.
Grads singular_vectors_grad(Args x, const Expr& y, const Expr& gy) {
  const auto [U, V] = unpacked_vectors(y, x[0]);
  const auto [gU, gV] = unpacked_vectors(gy, x[0]);
  const Expr s = apply(singular_values_op, {x[0]});
  const Expr F = linalg::reciprocal_off_diagonal((linalg::as_row(s) - linalg::as_column(s)) *
                                                 (linalg::as_row(s) + linalg::as_column(s)));
  const Expr by_U = linalg::matrix_product(linalg::transposed(U), gU),
             by_V = linalg::matrix_product(linalg::transposed(V), gV);
  const Expr inner = F * (by_U - linalg::transposed(by_U)) * linalg::as_row(s) +
                     linalg::as_column(s) * F * (by_V - linalg::transposed(by_V));
  // What lies outside the spaces that U and V span.
  const Expr m = size(x[0], -2), n = size(x[0], -1);
  const Expr left =
      (gU - linalg::matrix_product(U, by_U)) * linalg::as_row(reciprocal_if_longer(s, m));
  const Expr right =
      (gV - linalg::matrix_product(V, by_V)) * linalg::as_row(reciprocal_if_longer(s, n));
  return {linalg::matrix_product(linalg::matrix_product(U, inner) + left, linalg::transposed(V)) +
          linalg::matrix_product(U, linalg::transposed(right))};
}

}  // namespace

double linalg::svd_flops(const Expr& y, double factor) {
  const Shape shape = y.inputs()[0].type().shape();
  return factor * static_cast<double>(std::min(shape.end()[-2], shape.back())) *
         static_cast<double>(element_count(shape));
}

Expr linalg::separated(const Expr& x) {
  const Expr rows = expand_dims(arange(size(x, -2)), 1),
             columns = expand_dims(arange(size(x, -1)), 0);
  return x + 15 * switch_(equal(rows, columns), rows + 1, 0);
}

std::vector<Example> linalg::rectangular_examples(Expr (*f)(Args)) {
  std::vector<Example> result;
  for (const Dims& dims : std::vector<Dims>{{3, 3},
                                            {4, 2},
                                            {2, 4},
                                            {1, 1},
                                            {1, 3},
                                            {0, 0},
                                            {3, 0},
                                            {2, 3, 2},
                                            {2, 2, 2, 3},
                                            {0, 3, 2}})
    result.push_back({{{DType::float64, dims}}, f});
  return result;
}

constinit const Op singular_values_op{
    .name = "singular_values",
    .type = singular_values_type,
    .reference = singular_values_reference,
    .operands = Operands::real,
    .grad = singular_values_grad,
    .batch = linalg::batch_matrices,
    .follow = linalg::follow_matrices,
    .size_of = [](const Expr& y, std::int64_t) { return smaller_size(y.inputs()[0]); },
    .runs = Kernel{.run = singular_values_kernel,
                   .accepts = linalg::accepts_anything,
                   .flops = [](const Expr& y) { return linalg::svd_flops(y, 8. / 3); }},
    .probe = {-3, 3},
    .examples = []() -> std::vector<Example> {
      return linalg::rectangular_examples(
          [](Args x) { return singular_values(linalg::separated(x[0])); });
    },
};

constinit const Op singular_vectors_op{
    .name = "singular_vectors",
    .type = singular_vectors_type,
    .reference = singular_vectors_reference,
    .operands = Operands::real,
    .grad = singular_vectors_grad,
    .batch = linalg::batch_matrices,
    .follow = linalg::follow_matrices,
    .size_of =
        [](const Expr& y, std::int64_t axis) {
          const Expr& A = y.inputs()[0];
          return axis == y.rank() - 1 ? smaller_size(A) : size(A, -2) + size(A, -1);
        },
    .runs = Kernel{.run = singular_vectors_kernel,
                   .accepts = linalg::accepts_anything,
                   .flops = [](const Expr& y) { return linalg::svd_flops(y, 20); }},
    .probe = {-3, 3},
    .examples = []() -> std::vector<Example> {
      std::vector<Example> result = linalg::rectangular_examples(
          [](Args x) { return apply(singular_vectors_op, {linalg::separated(x[0])}); });
      result.push_back({{Type{DType::float64, {3, 2}}}, [](Args x) {
                          const auto [U, s, V] = svd(transpose(linalg::separated(x[0])));
                          return dot(U * square(s), transpose(V));
                        }});
      return result;
    },
};

Expr singular_values(const Arg& A) { return apply(singular_values_op, {A}, {}, A.where()); }

Svd svd(const Arg& A) {
  const Attribution as(A.where());
  const Expr packed = apply(singular_vectors_op, {A}, {}, A.where());
  const auto [U, V] = unpacked_vectors(packed, packed.inputs()[0]);
  return {U, singular_values(A), V};
}

Expr nuclear_norm(const Arg& A) {
  const Attribution as(A.where());
  return sum(singular_values(A), -1);
}

Expr spectral_norm(const Arg& A) {
  const Attribution as(A.where());
  const Expr s = singular_values(A);
  if (s.dims().back() == Dim(0)) refuse("spectral_norm", "the matrix has no elements", A);
  return at(s, 0, -1);
}

Expr frobenius_norm(const Arg& A) {
  const Attribution as(A.where());
  if (A->rank() < 2)
    refuse("frobenius_norm", "the operand must be a matrix, or have more axes in front", A);
  return rules::length_of(sum(square(A), {-2, -1}));
}

}  // namespace cinch
