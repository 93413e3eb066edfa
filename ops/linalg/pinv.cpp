#include <algorithm>
#include <limits>

#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/linalg/lapack.hpp"
#include "cinch/ops/linalg/matrices.hpp"
#include "cinch/ops/linalg/svd_kernel.hpp"
#include "cinch/ops/linalg/textbook.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/svd.hpp"

namespace cinch {

namespace {

Type pinv_type(Args x, const Attrs&) {
  linalg::require_matrices(x[0], /*square=*/false);
  Type result{x[0].dtype(), x[0].dims()};
  std::swap(result.dims.end()[-1], result.dims.end()[-2]);
  return result;
}

/// Up to which value singular ones count as 0.
template <class T>
double least_value(double cutoff, std::int64_t m, std::int64_t n, double largest) {
  if (cutoff < 0)
    cutoff = static_cast<double>(std::max(m, n)) *
             static_cast<double>(std::numeric_limits<T>::epsilon());
  return cutoff * largest;
}

Tensor pinv_reference(Values in, const Attrs&) {
  const std::int64_t m = in[0]->shape().end()[-2], n = in[0]->shape().back();
  return dispatch_float(in[0]->dtype(), [&]<class T> {
    return textbook::for_each(*in[0], {n, m}, [&](const textbook::Matrix& a, std::int64_t) {
      textbook::Svd factors = textbook::svd(a);
      for (std::size_t j = 0; j < factors.s.size(); ++j) {
        const double largest = static_cast<double>(factors.s[0]);
        const bool counts = factors.s[j] > least_value<T>(in[1]->item(), m, n, largest);
        for (std::int64_t i = 0; i < n; ++i) {
          textbook::Real& v = factors.V(i, static_cast<std::int64_t>(j));
          v = counts ? v / factors.s[j] : 0;
        }
      }
      return textbook::Result(factors.V * textbook::transposed(factors.U));
    });
  });
}

void pinv_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  const std::int64_t m = in[0].shape.end()[-2], n = in[0].shape.back(), k = std::min(m, n);
  dispatch_float(out.dtype, [&]<class T> {
    const auto cutoff = static_cast<double>(in[1].as<T>()[0]);
    linalg::for_each_decomposed<T>(in[0], true, [&](std::int64_t number, const T* s, T* u, T* v) {
      const double least = least_value<T>(cutoff, m, n, static_cast<double>(s[0]));
      for (std::int64_t j = 0; j < k; ++j) {
        const bool counts = static_cast<double>(s[j]) > least;
        for (std::int64_t i = 0; i < n; ++i) v[j * n + i] = counts ? v[j * n + i] / s[j] : T(0);
      }
      // (V S^-1 U')' by columns is the result by rows.
      linalg::Lapack<T>::product(true, true, m, n, k, u, v, out.as<T>() + number * m * n);
    });
  });
}

/// (1 - A P) B. Once leaves rounding as large as the condition of A makes it, in directions that a
/// second time takes away: without that a second derivative loses twice the digits that A costs.
Expr outside_of_range(const Expr& A, const Expr& P, Expr B) {
  for (int times = 0; times < 2; ++times)
    B = B - linalg::matrix_product(A, linalg::matrix_product(P, B));
  return B;
}

/// With P = pinv(A): -P' g P' + (1 - A P) g' P P' + P' P g' (1 - P A).
Grads pinv_grad(Args x, const Expr& P, const Expr& g) {
  const Expr &A = x[0], Pt = linalg::transposed(P), gt = linalg::transposed(g);
  const auto times = linalg::matrix_product;
  const Expr left = outside_of_range(A, P, times(gt, times(P, Pt)));
  const Expr right = outside_of_range(linalg::transposed(A), Pt, times(g, times(Pt, P)));
  return {left + linalg::transposed(right) - times(Pt, times(g, Pt)), Expr()};
}

Expr batch_pinv(Args x, const std::vector<bool>& batched, const Expr&) {
  if (batched[1]) throw GradError("vectorize: the cutoff of pinv cannot differ");
  return apply(pinv_op, {x.begin(), x.end()});
}

}  // namespace

constinit const Op pinv_op{
    .name = "pinv",
    .type = pinv_type,
    .reference = pinv_reference,
    .operands = Operands::real,
    .grad = pinv_grad,
    .batch = batch_pinv,
    .follow = [](Args x, std::span<const std::int64_t> axes, const Expr& y) -> std::int64_t {
      return axes[1] >= 0 ? -1 : linalg::follow_matrices(x, axes, y);
    },
    .runs = Kernel{.run = pinv_kernel,
                   .accepts = linalg::accepts_anything,
                   .flops = [](const Expr& y) { return linalg::svd_flops(y, 22); }},
    .probe = {-3, 3},
    .examples = []() -> std::vector<Example> {
      return linalg::rectangular_examples([](Args x) { return pinv(linalg::separated(x[0])); });
    },
};

Expr pinv(const Arg& A, double cutoff) {
  const Attribution as(A.where());
  return apply(pinv_op, {A, literal(cutoff)}, {}, A.where());
}

Expr lstsq(const Arg& A, const Arg& b) {
  const Attribution as(A.where());
  const Expr P = pinv(A);
  if (b->rank() == A->rank()) return linalg::matrix_product(P, b);
  if (b->rank() == A->rank() - 1) return squeeze(linalg::matrix_product(P, expand_dims(b, -1)), -1);
  refuse("lstsq", "the right side must have as many axes as the matrix, or one less", A, {b});
}

}  // namespace cinch
