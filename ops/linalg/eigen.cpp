#include "cinch/ops/eigen.hpp"

#include <algorithm>

#include "cinch/core/run/cost.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/linalg/lapack.hpp"
#include "cinch/ops/linalg/matrices.hpp"
#include "cinch/ops/linalg/textbook.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

Type eigvalsh_type(Args x, const Attrs&) {
  linalg::require_matrices(x[0], /*square=*/true);
  Type result{x[0].dtype(), x[0].dims()};
  result.dims.pop_back();
  return result;
}

Type eigenvectors_type(Args x, const Attrs&) {
  linalg::require_matrices(x[0], /*square=*/true);
  return {x[0].dtype(), x[0].dims()};
}

Tensor eigvalsh_reference(Values in, const Attrs&) {
  const std::int64_t n = in[0]->shape().back();
  return textbook::for_each(*in[0], {n}, [n](const textbook::Matrix& a, std::int64_t) {
    textbook::Matrix values(1, n);
    values.elements = textbook::eigen(textbook::symmetric_part(a)).values;
    return textbook::Result(values);
  });
}

Tensor eigenvectors_reference(Values in, const Attrs&) {
  const std::int64_t n = in[0]->shape().back();
  return textbook::for_each(*in[0], {n, n}, [](const textbook::Matrix& a, std::int64_t) {
    return textbook::Result(textbook::eigen(textbook::symmetric_part(a)).vectors);
  });
}

/// Calls put(k, values, vectors by columns) for each matrix; without vectors, they are rubbish.
template <class T>
void for_each_spectrum(const Operand& x, bool vectors, const auto& put) {
  const std::int64_t n = x.shape.back();
  if (n == 0) return;
  const std::int64_t work = linalg::Lapack<T>::eigen_work(vectors, n);
  const auto each = [&](std::int64_t k) {
    linalg::Workspace space(linalg::Workspace::room<T>(n * n) + linalg::Workspace::room<T>(n) +
                            linalg::Workspace::room<T>(work) +
                            linalg::Workspace::room<int>(5 * n + 3));
    T *a = space.take<T>(n * n), *values = space.take<T>(n), *scratch = space.take<T>(work);
    int* integers = space.take<int>(5 * n + 3);
    if (!load_symmetric(linalg::matrix_at<T>(x, k), a)) return linalg::MatrixFault::not_finite;
    if (!linalg::Lapack<T>::eigen(vectors, n, a, values, scratch, work, integers))
      return linalg::MatrixFault::no_convergence;
    put(k, values, a);
    return linalg::MatrixFault::none;
  };
  linalg::for_each_matrix(linalg::leading_shape(x), linalg::matrix_count(x),
                          running::cost::cubic(n, vectors ? 8 : 3), each);
}

void eigvalsh_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  const std::int64_t n = out.shape.back();
  dispatch_float(out.dtype, [&]<class T> {
    for_each_spectrum<T>(in[0], false, [&](std::int64_t k, const T* values, const T*) {
      std::copy_n(values, n, out.as<T>() + k * n);
    });
  });
}

void eigenvectors_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  const std::int64_t n = out.shape.back();
  dispatch_float(out.dtype, [&]<class T> {
    for_each_spectrum<T>(in[0], true, [&](std::int64_t k, const T*, const T* vectors) {
      T* to = out.as<T>() + k * n * n;
      for (std::int64_t j = 0; j < n; ++j) {
        const T* v = vectors + j * n;
        const T sign = linalg::points_backwards(v, n, 1) ? T(-1) : T(1);
        for (std::int64_t i = 0; i < n; ++i) to[i * n + j] = sign * v[i];
      }
    });
  });
}

/// Values only: V diag(g) V'.
Grads eigvalsh_grad(Args x, const Expr&, const Expr& gy) {
  const Expr V = apply(eigenvectors_op, {x[0]});
  return {linalg::matrix_product(V * linalg::as_row(gy), linalg::transposed(V))};
}

/// V (F * (V' gV)) V', symmetrised, with F_ij = 1 / (w_j - w_i) off the diagonal.
Grads eigenvectors_grad(Args x, const Expr& V, const Expr& gV) {
  const Expr w = apply(eigvalsh_op, {x[0]});
  const Expr F = linalg::reciprocal_off_diagonal(linalg::as_row(w) - linalg::as_column(w));
  const Expr inner = F * linalg::matrix_product(linalg::transposed(V), gV);
  return {linalg::symmetric_part(
      linalg::matrix_product(V, linalg::matrix_product(inner, linalg::transposed(V))))};
}

double spectrum_flops(const Expr& y, double factor) {
  const Shape shape = y.inputs()[0].type().shape();
  return factor * static_cast<double>(shape.back()) * static_cast<double>(element_count(shape));
}

/// Eigenvalues stay apart, so that vectors are well determined.
Expr separated(const Expr& x) {
  const Expr n = size(x, -1);
  return x + 20 * eye(n) * arange(n);
}

std::vector<Example> symmetric_examples(Expr (*f)(Args)) {
  std::vector<Example> result;
  for (const Dims& dims : std::vector<Dims>{
           {3, 3}, {4, 4}, {1, 1}, {0, 0}, {2, 3, 3}, {2, 2, 2, 2}, {0, 3, 3}, {2, 0, 0}})
    result.push_back({{{DType::float64, dims}}, f});
  return result;
}

}  // namespace

constinit const Op eigvalsh_op{
    .name = "eigvalsh",
    .type = eigvalsh_type,
    .reference = eigvalsh_reference,
    .operands = Operands::real,
    .grad = eigvalsh_grad,
    .batch = linalg::batch_matrices,
    .follow = linalg::follow_matrices,
    .runs = Kernel{.run = eigvalsh_kernel,
                   .accepts = linalg::accepts_anything,
                   .flops = [](const Expr& y) { return spectrum_flops(y, 4. / 3); }},
    .probe = {-3, 3},
    .examples = []() -> std::vector<Example> {
      std::vector<Example> result =
          symmetric_examples([](Args x) { return eigvalsh(separated(x[0])); });
      result.push_back({{Type{DType::float64, {3, 5}}},
                        [](Args x) { return eigvalsh(dot(x[0], transpose(x[0]))); }});
      return result;
    },
};

constinit const Op eigenvectors_op{
    .name = "eigenvectors",
    .type = eigenvectors_type,
    .reference = eigenvectors_reference,
    .operands = Operands::real,
    .grad = eigenvectors_grad,
    .batch = linalg::batch_matrices,
    .follow = linalg::follow_matrices,
    .runs = Kernel{.run = eigenvectors_kernel,
                   .accepts = linalg::accepts_anything,
                   .flops = [](const Expr& y) { return spectrum_flops(y, 9); }},
    .probe = {-3, 3},
    .examples = []() -> std::vector<Example> {
      return symmetric_examples([](Args x) { return eigh(separated(x[0])).vectors; });
    },
};

Expr eigvalsh(const Arg& A) { return apply(eigvalsh_op, {A}, {}, A.where()); }

Eigh eigh(const Arg& A) {
  const Attribution as(A.where());
  return {eigvalsh(A), apply(eigenvectors_op, {A}, {}, A.where())};
}

}  // namespace cinch
