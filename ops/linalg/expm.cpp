#include "cinch/ops/expm.hpp"

#include <algorithm>
#include <cmath>

#include "cinch/core/run/cost.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/linalg/lapack.hpp"
#include "cinch/ops/linalg/matrices.hpp"
#include "cinch/ops/linalg/textbook.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

Type expm_type(Args x, const Attrs&) {
  linalg::require_matrices(x[0], /*square=*/true);
  return {x[0].dtype(), x[0].dims()};
}

Tensor expm_reference(Values in, const Attrs&) {
  const std::int64_t n = in[0]->shape().back();
  return textbook::for_each(*in[0], {n, n}, [](const textbook::Matrix& a, std::int64_t) {
    return textbook::Result(textbook::exponential(a));
  });
}

/// Coefficients of the approximant p(A) / p(-A) of degree 13, and up to which norm it is exact to
/// the last digit of a double.
constexpr double pade[] = {64764752532480000,
                           32382376266240000,
                           7771770303897600,
                           1187353796428800,
                           129060195264000,
                           10559470521600,
                           670442572800,
                           33522128640,
                           1323241920,
                           40840800,
                           960960,
                           16380,
                           182,
                           1};
constexpr double pade_norm = 5.371920351148152;

/// Halves `a` until the approximant holds; how often.
template <class T>
int scale_down(std::int64_t n, T* a) {
  double norm = 0;
  for (std::int64_t j = 0; j < n; ++j) {
    double column = 0;
    for (std::int64_t i = 0; i < n; ++i) column += std::abs(static_cast<double>(a[j * n + i]));
    norm = std::max(norm, column);
  }
  constexpr int most = 1024;
  int halvings = 0;
  for (; norm > pade_norm && halvings < most; norm /= 2) ++halvings;
  for (std::int64_t i = 0; i < n * n; ++i) a[i] = std::ldexp(a[i], -halvings);
  return halvings;
}

/// c[0] I + c[2] A^2 + c[4] A^4 + c[6] A^6, to which `higher` is added.
template <class T>
void add_even_powers(std::int64_t n, const double* c, const T* a2, const T* a4, const T* a6,
                     T* higher) {
  for (std::int64_t i = 0; i < n * n; ++i)
    higher[i] +=
        static_cast<T>(c[2]) * a2[i] + static_cast<T>(c[4]) * a4[i] + static_cast<T>(c[6]) * a6[i];
  for (std::int64_t i = 0; i < n; ++i) higher[i * (n + 1)] += static_cast<T>(c[0]);
}

/// The even part, or the odd part over A, of the approximant: (c8 A^2 + c10 A^4 + c12 A^6) A^6 and
/// the lower powers.
template <class T>
void half_polynomial(std::int64_t n, const double* c, const T* a2, const T* a4, const T* a6,
                     T* scratch, T* to) {
  for (std::int64_t i = 0; i < n * n; ++i)
    scratch[i] = static_cast<T>(c[8]) * a2[i] + static_cast<T>(c[10]) * a4[i] +
                 static_cast<T>(c[12]) * a6[i];
  linalg::Lapack<T>::product(false, false, n, n, n, a6, scratch, to);
  add_even_powers(n, c, a2, a4, a6, to);
}

void expm_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  const std::int64_t n = out.shape.back(), size = n * n;
  if (n == 0) return;
  dispatch_float(out.dtype, [&]<class T> {
    const auto multiply = [n](const T* a, const T* b, T* c) {
      linalg::Lapack<T>::product(false, false, n, n, n, a, b, c);
    };
    const auto each = [&](std::int64_t k) {
      linalg::Workspace space(7 * linalg::Workspace::room<T>(size) +
                              linalg::Workspace::room<int>(n));
      T *a = space.take<T>(size), *a2 = space.take<T>(size), *a4 = space.take<T>(size),
        *a6 = space.take<T>(size), *even = space.take<T>(size), *odd = space.take<T>(size),
        *scratch = space.take<T>(size);
      int* pivots = space.take<int>(n);
      // The exponential of the transpose is the transpose of the exponential.
      if (!load_rows(linalg::matrix_at<T>(in[0], k), a)) return linalg::MatrixFault::not_finite;
      const int halvings = scale_down(n, a);
      multiply(a, a, a2);
      multiply(a2, a2, a4);
      multiply(a2, a4, a6);
      half_polynomial(n, pade, a2, a4, a6, scratch, even);
      half_polynomial(n, pade + 1, a2, a4, a6, scratch, odd);
      multiply(a, odd, scratch);
      T *below = a2, *result = a4, *squared = a6;
      for (std::int64_t i = 0; i < size; ++i) {
        below[i] = even[i] - scratch[i];
        result[i] = even[i] + scratch[i];
      }
      if (!linalg::Lapack<T>::lu(n, below, pivots)) return linalg::MatrixFault::no_convergence;
      linalg::Lapack<T>::lu_solve(false, n, n, below, pivots, result);
      for (int square = 0; square < halvings; ++square) {
        multiply(result, result, squared);
        std::swap(result, squared);
      }
      std::copy_n(result, size, out.as<T>() + k * size);
      return linalg::MatrixFault::none;
    };
    linalg::for_each_matrix(linalg::leading_shape(in[0]), linalg::matrix_count(in[0]),
                            running::cost::cubic(n, 12), each);
  });
}

/// The derivative of exp at A' along gy, which is the upper right block of exp([A' gy; 0 A']).
/// It is linear in gy, which is brought to the norm 1 so that it does not decide on the scaling.
Grads expm_grad(Args x, const Expr&, const Expr& gy) {
  const Expr At = linalg::transposed(x[0]), n = size(x[0], -1);
  const Expr total = sum(abs(gy), {-2, -1}, /*keepdims=*/true);
  const Expr norm = stop_gradient(switch_(equal(total, 0), 1.0, total));
  const Expr upper = concatenate({At, gy / norm}, -1);
  const Expr lower = concatenate({zeros_like(At), At}, -1);
  const Expr both = expm(concatenate({upper, lower}, -2));
  return {norm * narrow(narrow(both, -2, 0, n), -1, n, n)};
}

}  // namespace

constinit const Op expm_op{
    .name = "expm",
    .type = expm_type,
    .reference = expm_reference,
    .operands = Operands::real,
    .grad = expm_grad,
    .batch = linalg::batch_matrices,
    .follow = linalg::follow_matrices,
    .runs = Kernel{.run = expm_kernel,
                   .accepts = linalg::accepts_anything,
                   .flops =
                       [](const Expr& y) {
                         const Shape shape = y.type().shape();
                         return 16 * static_cast<double>(shape.back()) *
                                static_cast<double>(element_count(shape));
                       }},
    .probe = {-1, 1},
    .examples = []() -> std::vector<Example> {
      std::vector<Example> result;
      for (const Dims& dims :
           std::vector<Dims>{{3, 3}, {1, 1}, {0, 0}, {2, 3, 3}, {2, 2, 2, 2}, {0, 3, 3}, {2, 0, 0}})
        result.push_back({{{DType::float64, dims}}, [](Args x) { return expm(x[0] / 2); }});
      result.push_back(
          {{Type{DType::float64, {2, 2}}}, [](Args x) { return expm(transpose(x[0]) / 8) * 8; }});
      return result;
    },
};

Expr expm(const Arg& A) { return apply(expm_op, {A}, {}, A.where()); }

}  // namespace cinch
