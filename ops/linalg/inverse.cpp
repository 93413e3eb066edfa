#include <algorithm>
#include <cmath>

#include "cinch/core/run/cost.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/linalg/lapack.hpp"
#include "cinch/ops/linalg/matrices.hpp"
#include "cinch/ops/linalg/textbook.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/solve.hpp"

namespace cinch {

namespace {

Type inverse_type(Args x, const Attrs&) {
  linalg::require_matrices(x[0], /*square=*/true);
  return {x[0].dtype(), x[0].dims()};
}

Tensor inverse_reference(Values in, const Attrs&) {
  const std::int64_t n = in[0]->shape().back();
  return textbook::for_each(*in[0], {n, n}, [n](const textbook::Matrix& a, std::int64_t) {
    return textbook::Result(textbook::solve(a, textbook::identity(n)),
                            linalg::MatrixFault::singular);
  });
}

void inverse_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  const std::int64_t n = out.shape.back();
  if (n == 0) return;
  dispatch_float(out.dtype, [&]<class T> {
    const auto each = [&](std::int64_t k) {
      const std::int64_t work = n * linalg::Lapack<T>::block;
      linalg::Workspace space(linalg::Workspace::room<T>(n * n) + linalg::Workspace::room<T>(work) +
                              linalg::Workspace::room<int>(n));
      T *a = space.take<T>(n * n), *scratch = space.take<T>(work);
      int* pivots = space.take<int>(n);
      // Row-major or column-major is the same here: the inverse of the transpose is the transpose
      // of the inverse.
      if (!load_rows(linalg::matrix_at<T>(in[0], k), a)) return linalg::MatrixFault::not_finite;
      if (!linalg::Lapack<T>::lu(n, a, pivots) ||
          !linalg::Lapack<T>::lu_inverse(n, a, pivots, scratch))
        return linalg::MatrixFault::singular;
      if (!std::all_of(a, a + n * n, [](T e) { return std::isfinite(e); })) {
        // The reciprocal of a tiny pivot is infinite; a wider exponent can do without.
        const auto result = textbook::solve(textbook::matrix_of(linalg::matrix_at<T>(in[0], k)),
                                            textbook::identity(n));
        if (!result) return linalg::MatrixFault::singular;
        std::ranges::transform(result->elements, a,
                               [](textbook::Real e) { return static_cast<T>(e); });
      }
      std::copy_n(a, n * n, out.as<T>() + k * n * n);
      return linalg::MatrixFault::none;
    };
    linalg::for_each_matrix(linalg::leading_shape(in[0]), linalg::matrix_count(in[0]),
                            running::cost::cubic(n, 2), each);
  });
}

Expr well_conditioned(const Expr& x) { return x + 10 * eye(size(x, -1)); }

}  // namespace

constinit const Op inverse_op{
    .name = "inverse",
    .type = inverse_type,
    .reference = inverse_reference,
    .operands = Operands::real,
    .grad = [](Args, const Expr& y, const Expr& gy) -> Grads {
      const Expr yt = linalg::transposed(y);
      return {-linalg::matrix_product(yt, linalg::matrix_product(gy, yt))};
    },
    .batch = linalg::batch_matrices,
    .follow = linalg::follow_matrices,
    .runs = Kernel{.run = inverse_kernel,
                   .accepts = linalg::accepts_anything,
                   .flops =
                       [](const Expr& y) {
                         const auto n = static_cast<double>(y.type().shape().back());
                         return 2 * n * static_cast<double>(element_count(y.type().shape()));
                       }},
    .probe = {-3, 3},
    .examples = []() -> std::vector<Example> {
      std::vector<Example> result;
      for (const Dims& dims :
           std::vector<Dims>{{3, 3}, {1, 1}, {0, 0}, {2, 3, 3}, {2, 2, 2, 2}, {0, 3, 3}, {2, 0, 0}})
        result.push_back(
            {{{DType::float64, dims}}, [](Args x) { return inverse(well_conditioned(x[0])); }});
      result.push_back({{{DType::float64, {3, 3}}},
                        [](Args x) { return inverse(transpose(well_conditioned(x[0]))); }});
      return result;
    },
};

Expr inverse(const Arg& A) { return apply(inverse_op, {A}, {}, A.where()); }

}  // namespace cinch
