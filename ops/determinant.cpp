#include "ops/determinant.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/arithmetic.hpp"
#include "ops/index.hpp"
#include "ops/lapack.hpp"
#include "ops/matrices.hpp"
#include "ops/reduce.hpp"
#include "ops/shape.hpp"
#include "ops/solve.hpp"
#include "ops/textbook.hpp"

namespace cinch {

namespace {

/// One number for each matrix.
Type number_type(Args x, const Attrs&) {
  require_matrices(x[0], /*square=*/true);
  return {x[0].dtype(), leading_dims(x[0])};
}

textbook::Matrix numbers(std::initializer_list<textbook::Real> values) {
  textbook::Matrix result(1, static_cast<std::int64_t>(values.size()));
  std::ranges::copy(values, result.elements.begin());
  return result;
}

/// The factors of `from` in `a`, and the sign of their exchanges of rows: 0 where one is singular.
template <class T>
T factor(std::int64_t n, T* a, int* pivots) {
  if (!Lapack<T>::lu(n, a, pivots)) return 0;
  T sign = 1;
  for (std::int64_t i = 0; i < n; ++i) sign = pivots[i] == i + 1 ? sign : -sign;
  return sign;
}

/// Calls put(k, sign of the exchanges, factors) for each matrix.
template <class T>
void for_each_factored(const Operand& x, const auto& put) {
  const std::int64_t n = x.shape.back();
  const auto each = [&](std::int64_t k) {
    Workspace space(Workspace::room<T>(n * n) + Workspace::room<int>(n));
    T* a = space.take<T>(n * n);
    int* pivots = space.take<int>(n);
    if (!load_rows(matrix_at<T>(x, k), a)) return Fault::not_finite;
    const T sign = n == 0 ? T(1) : factor(n, a, pivots);
    put(k, sign, a);
    return Fault::none;
  };
  for_each_matrix(leading_shape(x), matrix_count(x), cubic_nanoseconds(n, 1), each);
}

void det_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  const std::int64_t n = in[0].shape.back();
  dispatch_float(out.dtype, [&]<class T> {
    for_each_factored<T>(in[0], [&](std::int64_t k, T sign, const T* a) {
      T product = sign;
      if (sign != 0) {
        for (std::int64_t i = 0; i < n; ++i) product *= a[i * (n + 1)];
      }
      out.as<T>()[k] = product;
    });
  });
}

void slogdet_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  const std::int64_t n = in[0].shape.back();
  dispatch_float(out.dtype, [&]<class T> {
    for_each_factored<T>(in[0], [&](std::int64_t k, T sign, const T* a) {
      T log = sign == 0 ? -std::numeric_limits<T>::infinity() : T(0);
      if (sign != 0) {
        for (std::int64_t i = 0; i < n; ++i) {
          const T pivot = a[i * (n + 1)];
          if (pivot < 0) sign = -sign;
          log += std::log(std::abs(pivot));
        }
      }
      out.as<T>()[2 * k] = sign;
      out.as<T>()[2 * k + 1] = log;
    });
  });
}

/// (..., 2): sign and logarithm.
Type slogdet_type(Args x, const Attrs& attrs) {
  Type result = number_type(x, attrs);
  result.dims.push_back(2);
  return result;
}

void logdet_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  const std::int64_t n = in[0].shape.back();
  dispatch_float(out.dtype, [&]<class T> {
    const auto each = [&](std::int64_t k) {
      Workspace space(Workspace::room<T>(n * n));
      T* a = space.take<T>(n * n);
      if (!load_symmetric(matrix_at<T>(in[0], k), a)) return Fault::not_finite;
      if (n > 0 && !Lapack<T>::cholesky(n, a)) return Fault::indefinite;
      T log = 0;
      for (std::int64_t i = 0; i < n; ++i) log += 2 * std::log(a[i * (n + 1)]);
      out.as<T>()[k] = log;
      return Fault::none;
    };
    for_each_matrix(leading_shape(in[0]), matrix_count(in[0]), cubic_nanoseconds(n, 0.5), each);
  });
}

Tensor logdet_reference(Values in, const Attrs&) {
  return textbook::for_each(*in[0], {}, [](const textbook::Matrix& a, std::int64_t) {
    const auto L = textbook::cholesky(textbook::symmetric_part(a));
    if (!L) return textbook::Result(Fault::indefinite);
    textbook::Real log = 0;
    for (std::int64_t i = 0; i < a.rows; ++i) log += 2 * std::log((*L)(i, i));
    return textbook::Result(numbers({log}));
  });
}

Type cofactors_type(Args x, const Attrs&) {
  require_matrices(x[0], /*square=*/true);
  return {x[0].dtype(), x[0].dims()};
}

/// The sign of the determinant of an orthogonal matrix, which becomes rubbish.
template <class T>
T orientation(std::int64_t n, T* a, int* pivots) {
  T sign = factor(n, a, pivots);
  for (std::int64_t i = 0; i < n; ++i) sign = a[i * (n + 1)] < 0 ? -sign : sign;
  return sign;
}

/// From A = U diag(s) V': cof(A) = det(U) det(V) U diag(products of all s but one) V'. Nothing is
/// divided, so A may be singular.
void cofactors_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  const std::int64_t n = out.shape.back();
  if (n == 0) return;
  dispatch_float(out.dtype, [&]<class T> {
    const std::int64_t work = Lapack<T>::svd_work(true, n, n);
    const auto each = [&](std::int64_t k) {
      Workspace space(5 * Workspace::room<T>(n * n) + 2 * Workspace::room<T>(n) +
                      Workspace::room<T>(work) + 2 * Workspace::room<int>(8 * n));
      T *a = space.take<T>(n * n), *u = space.take<T>(n * n), *v = space.take<T>(n * n),
        *copy = space.take<T>(n * n), *s = space.take<T>(n), *others = space.take<T>(n),
        *scratch = space.take<T>(work);
      int *integers = space.take<int>(8 * n), *pivots = space.take<int>(n);
      if (!load_rows(matrix_at<T>(in[0], k), a)) return Fault::not_finite;
      // The factors of the transpose: u holds V by columns, v holds U by rows.
      if (!Lapack<T>::svd(true, n, n, a, s, u, v, scratch, work, integers))
        return Fault::no_convergence;
      std::copy_n(u, n * n, copy);
      T sign = orientation(n, copy, pivots);
      std::copy_n(v, n * n, copy);
      sign *= orientation(n, copy, pivots);
      T before = sign;
      for (std::int64_t i = 0; i < n; ++i) others[i] = before, before *= s[i];
      T after = 1;
      for (std::int64_t i = n; i-- > 0;) others[i] *= after, after *= s[i];
      T* to = out.as<T>() + k * n * n;
      for (std::int64_t i = 0; i < n; ++i) {
        for (std::int64_t r = 0; r < n; ++r) u[i * n + r] *= others[i];
      }
      // Column-major u v is the transpose of the result, as it should be.
      Lapack<T>::product(false, false, n, n, n, u, v, to);
      return Fault::none;
    };
    for_each_matrix(leading_shape(in[0]), matrix_count(in[0]), cubic_nanoseconds(n, 20), each);
  });
}

double factoring_flops(const Expr& y) {
  const Shape shape = y.inputs()[0].type().shape();
  return static_cast<double>(shape.back()) * static_cast<double>(element_count(shape)) * 2 / 3;
}

/// `g` (...) at every element of a matrix (..., 1, 1).
Expr for_elements(const Expr& g) { return as_column(as_column(g)); }

/// With G = gy, <G, d cof(A)> for cof(A) = C: d C = (tr(A^-1 dA) C - C dA' A^-T).
Grads cofactors_grad(Args x, const Expr& y, const Expr& gy) {
  const Expr inverse_t = transposed(inverse(x[0]));
  return {inverse_t * for_elements(sum(gy * y, {-2, -1})) -
          matrix_product(inverse_t, matrix_product(transposed(gy), y))};
}

std::vector<Example> square_examples(Expr (*f)(Args)) {
  std::vector<Example> result;
  for (const Dims& dims : std::vector<Dims>{
           {3, 3}, {1, 1}, {0, 0}, {4, 4}, {2, 3, 3}, {2, 2, 2, 2}, {0, 3, 3}, {2, 0, 0}})
    result.push_back({{{DType::float64, dims}}, f});
  return result;
}

Expr well_conditioned(const Expr& x) { return x + 12 * eye(size(x, -1)); }

}  // namespace

constinit const Op det_op{
    .name = "det",
    .type = number_type,
    .reference =
        [](Values in, const Attrs&) {
          return textbook::for_each(*in[0], {}, [](const textbook::Matrix& a, std::int64_t) {
            return textbook::Result(numbers({textbook::determinant(a).value}));
          });
        },
    .operands = Operands::real,
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {for_elements(gy) * cofactors(x[0])};
    },
    .batch = batch_matrices,
    .follow = follow_matrices,
    .kernel = det_kernel,
    .accepts = accepts_anything,
    .flops = factoring_flops,
    .probe = {-1, 1},
    .examples = []() -> std::vector<Example> {
      std::vector<Example> result = square_examples([](Args x) { return det(x[0]); });
      result.push_back(
          {{Type{DType::float64, {3, 3}}}, [](Args x) { return det(transpose(x[0])); }});
      return result;
    },
};

constinit const Op cofactors_op{
    .name = "cofactors",
    .type = cofactors_type,
    .reference =
        [](Values in, const Attrs&) {
          const std::int64_t n = in[0]->shape().back();
          return textbook::for_each(*in[0], {n, n}, [](const textbook::Matrix& a, std::int64_t) {
            return textbook::Result(textbook::cofactors(a));
          });
        },
    .operands = Operands::real,
    .grad = cofactors_grad,
    .batch = batch_matrices,
    .follow = follow_matrices,
    .kernel = cofactors_kernel,
    .accepts = accepts_anything,
    .flops = [](const Expr& y) { return 30 * factoring_flops(y); },
    .probe = {-3, 3},
    .examples = []() -> std::vector<Example> {
      return square_examples([](Args x) { return cofactors(well_conditioned(x[0]) / 12); });
    },
};

constinit const Op slogdet_op{
    .name = "slogdet",
    .type = slogdet_type,
    .reference =
        [](Values in, const Attrs&) {
          return textbook::for_each(*in[0], {2}, [](const textbook::Matrix& a, std::int64_t) {
            const textbook::Determinant d = textbook::determinant(a);
            return textbook::Result(numbers({d.sign, d.log}));
          });
        },
    .operands = Operands::real,
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {for_elements(at(gy, 1, -1)) * transposed(inverse(x[0]))};
    },
    .batch = batch_matrices,
    .follow = follow_matrices,
    .kernel = slogdet_kernel,
    .accepts = accepts_anything,
    .flops = factoring_flops,
    .probe = {-3, 3},
    .examples = []() -> std::vector<Example> {
      std::vector<Example> result =
          square_examples([](Args x) { return slogdet(well_conditioned(x[0])).log_abs; });
      result.push_back({{Type{DType::float64, {5, 3, 3}}},
                        [](Args x) { return slogdet(x[0] + 0.5 * eye(3)).log_abs; }});
      result.push_back({{Type{DType::float64, {5, 3, 3}}},
                        [](Args x) { return apply(slogdet_op, {x[0] + 0.5 * eye(3)}); }});
      return result;
    },
};

constinit const Op logdet_op{
    .name = "logdet",
    .type = number_type,
    .reference = logdet_reference,
    .operands = Operands::real,
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {for_elements(gy) * inverse(symmetric_part(x[0]))};
    },
    .batch = batch_matrices,
    .follow = follow_matrices,
    .kernel = logdet_kernel,
    .accepts = accepts_anything,
    .flops = factoring_flops,
    .probe = {-3, 3},
    .examples = []() -> std::vector<Example> {
      return square_examples([](Args x) { return logdet(well_conditioned(x[0])); });
    },
};

Expr det(const Arg& A) { return apply(det_op, {A}, {}, A.where()); }

Expr cofactors(const Arg& A) { return apply(cofactors_op, {A}, {}, A.where()); }

SignAndLog slogdet(const Arg& A) {
  const Attribution as(A.where());
  const Expr both = apply(slogdet_op, {A}, {}, A.where());
  return {stop_gradient(at(both, 0, -1)), at(both, 1, -1)};
}

Expr logdet(const Arg& A) { return apply(logdet_op, {A}, {}, A.where()); }

}  // namespace cinch
