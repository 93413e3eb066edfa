// What singular_values, singular_vectors and pinv share.
#pragma once

#include <algorithm>
#include <vector>

#include "cinch/core/run/cost.hpp"
#include "cinch/ops/linalg/lapack.hpp"
#include "cinch/ops/linalg/matrices.hpp"

namespace cinch::linalg {

/// Calls put(number, s, U by rows, V by columns) for each matrix; without vectors, they are
/// rubbish.
template <class T>
void for_each_decomposed(const Operand& x, bool vectors, const auto& put) {
  const std::int64_t m = x.shape.end()[-2], n = x.shape.back(), k = std::min(m, n);
  if (k == 0) return;
  // LAPACK sees the transpose, whose factors are V by columns and U' by columns, which is U by
  // rows.
  const std::int64_t work = Lapack<T>::svd_work(vectors, n, m);
  const std::int64_t of_u = vectors ? m * k : 1, of_v = vectors ? n * k : 1;
  const auto each = [&](std::int64_t number) {
    Workspace space(Workspace::room<T>(m * n) + Workspace::room<T>(k) + Workspace::room<T>(of_u) +
                    Workspace::room<T>(of_v) + Workspace::room<T>(work) +
                    Workspace::room<int>(8 * k));
    T *a = space.take<T>(m * n), *s = space.take<T>(k), *u = space.take<T>(of_u),
      *v = space.take<T>(of_v), *scratch = space.take<T>(work);
    int* integers = space.take<int>(8 * k);
    if (!load_rows(matrix_at<T>(x, number), a)) return MatrixFault::not_finite;
    if (!Lapack<T>::svd(vectors, n, m, a, s, v, u, scratch, work, integers))
      return MatrixFault::no_convergence;
    put(number, s, u, v);
    return MatrixFault::none;
  };
  const double steps =
      (vectors ? 20 : 5) * static_cast<double>(std::max(m, n)) / static_cast<double>(k);
  for_each_matrix(leading_shape(x), matrix_count(x), running::cost::cubic(k, steps), each);
}

/// Arithmetic operations: `factor` times what a product with the smaller side would take.
double svd_flops(const Expr& y, double factor);
/// Matrices of both shapes and of none, for tests.
std::vector<Example> rectangular_examples(Expr (*f)(Args));
/// x with singular values that stay apart, so that vectors are well determined.
Expr separated(const Expr& x);

}  // namespace cinch::linalg
