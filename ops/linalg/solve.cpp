#include "cinch/ops/solve.hpp"

#include <algorithm>
#include <cmath>

#include "cinch/core/run/cost.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/linalg/lapack.hpp"
#include "cinch/ops/linalg/matrices.hpp"
#include "cinch/ops/linalg/textbook.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

Type solve_type(Args x, const Attrs&) {
  linalg::require_matrices(x[0], /*square=*/true);
  if (x[1].rank() != x[0].rank()) throw TypeError("the right side must have as many axes");
  Type result{x[0].dtype(), x[1].dims()};
  const std::size_t lead = result.dims.size() - 2;
  for (std::size_t axis = 0; axis < lead; ++axis) {
    const Dim a = x[0].dims()[axis], b = result.dims[axis];
    if (a.known() && b.known() && !(a == b))
      throw TypeError(text("the sizes of axis ", axis,
                           " differ: there must be as many right sides "
                           "as matrices"));
    if (!b.known()) result.dims[axis] = a;
  }
  // The matrix is square: either of its sizes will do.
  for (const Dim n : {x[0].dims()[lead], x[0].dims()[lead + 1]}) {
    const Dim rows = x[1].dims()[lead];
    if (!rows.known()) result.dims[lead] = n;
    if (n.known() && rows.known() && !(n == rows)) {
      throw TypeError(text("the right side has ", rows.size(), " rows, the matrix has ", n.size()));
    }
  }
  return result;
}

Tensor solve_by(Values in, linalg::MatrixFault fault, const auto& solver) {
  const Tensor& b = *in[1];
  return textbook::for_each(*in[0], {b.shape().end()[-2], b.shape().back()},
                            [&](const textbook::Matrix& a, std::int64_t k) {
                              const textbook::Matrix right = textbook::matrix_of(b, k);
                              if (!textbook::all_finite(right))
                                return textbook::Result(linalg::MatrixFault::right_not_finite);
                              return textbook::Result(solver(a, right), fault);
                            });
}

Tensor solve_reference(Values in, const Attrs&) {
  return solve_by(
      in, linalg::MatrixFault::singular,
      [](const textbook::Matrix& a, const textbook::Matrix& b) { return textbook::solve(a, b); });
}

/// What a 0 on the diagonal means.
linalg::MatrixFault fault_of(const linalg::Triangular& t) {
  return t.of_qr ? linalg::MatrixFault::dependent : linalg::MatrixFault::singular;
}

Tensor triangular_solve_reference(Values in, const Attrs& attrs) {
  const auto t = linalg::Triangular::of(attrs);
  return solve_by(in, fault_of(t), [&](const textbook::Matrix& a, const textbook::Matrix& b) {
    return textbook::triangular_solve(a, b, t.lower, t.unit);
  });
}

/// Numbers a group of right sides that share one matrix, because its operand is repeated along some
/// axes: it is prepared once for all of them.
class SharedMatrices {
 public:
  explicit SharedMatrices(const Operand& a) : a_(a) {
    for (std::size_t axis = 0; axis < a.shape.size() - 2; ++axis)
      (repeated(axis) ? uses_ : matrices_) *= a.shape[axis];
  }
  std::int64_t matrices() const { return matrices_; }
  std::int64_t uses() const { return uses_; }
  /// Number, in row-major order of the leading axes, of one use of a matrix.
  std::int64_t number(std::int64_t matrix, std::int64_t use) const {
    std::int64_t result = 0, step = 1;
    for (std::size_t axis = a_.shape.size() - 2; axis-- > 0;) {
      const std::int64_t n = a_.shape[axis];
      std::int64_t& rest = repeated(axis) ? use : matrix;
      result += rest % n * step;
      rest /= n;
      step *= n;
    }
    return result;
  }

 private:
  bool repeated(std::size_t axis) const { return a_.strides[axis] == 0; }

  const Operand& a_;
  std::int64_t matrices_ = 1, uses_ = 1;
};

template <class T>
bool all_finite(const T* x, std::int64_t n) {
  return std::all_of(x, x + n, [](T e) { return std::isfinite(e); });
}

/// `prepare(matrix, memory)` and `finish(memory, b)` for column-major b. What they cannot, because
/// the reciprocal of a tiny pivot is infinite, `textbook_solver` does with a wider exponent.
template <class T>
void solve_all(std::span<const Operand> in, const Operand& out, const auto& prepare,
               const auto& finish, const auto& textbook_solver, double preparing) {
  const std::int64_t n = out.shape.end()[-2], columns = out.shape.back();
  if (out.size() == 0) return;
  const SharedMatrices shared(in[0]);
  const double applying = 1.5 * static_cast<double>(n * n * columns) / 2;
  const auto slowly = [&](std::int64_t k, T* b) {
    const auto solved = textbook_solver(textbook::matrix_of(linalg::matrix_at<T>(in[0], k)),
                                        textbook::matrix_of(linalg::matrix_at<T>(in[1], k)));
    if (!solved) return linalg::MatrixFault::singular;
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j < columns; ++j) b[j * n + i] = static_cast<T>((*solved)(i, j));
    }
    return linalg::MatrixFault::none;
  };
  const auto each = [&](std::int64_t& k) {
    const std::int64_t matrix = k;
    k = shared.number(matrix, 0);
    linalg::Workspace space(linalg::Workspace::room<T>(n * n) +
                            linalg::Workspace::room<T>(n * columns) +
                            linalg::Workspace::room<int>(n));
    T *a = space.take<T>(n * n), *b = space.take<T>(n * columns);
    int* pivots = space.take<int>(n);
    const linalg::MatrixFault fault = prepare(linalg::matrix_at<T>(in[0], k), a, pivots);
    if (fault != linalg::MatrixFault::none) return fault;
    for (std::int64_t use = 0; use < shared.uses(); ++use) {
      k = shared.number(matrix, use);
      if (!load_columns(linalg::matrix_at<T>(in[1], k), b))
        return linalg::MatrixFault::right_not_finite;
      if (const linalg::MatrixFault found = finish(a, pivots, b);
          found != linalg::MatrixFault::none)
        return found;
      if (!all_finite(b, n * columns)) {
        if (const linalg::MatrixFault found = slowly(k, b); found != linalg::MatrixFault::none)
          return found;
      }
      load_rows(linalg::MatrixView<T>{b, n, columns, 1, n}, out.as<T>() + k * n * columns);
    }
    return linalg::MatrixFault::none;
  };
  linalg::for_each_matrix(linalg::leading_shape(out), shared.matrices(),
                          preparing + static_cast<double>(shared.uses()) * applying, each);
}

void solve_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  const std::int64_t n = out.shape.end()[-2], columns = out.shape.back();
  dispatch_float(out.dtype, [&]<class T> {
    // The matrix is read as its own transpose.
    const auto prepare = [&](const linalg::MatrixView<T>& from, T* a, int* pivots) {
      if (!load_rows(from, a)) return linalg::MatrixFault::not_finite;
      return linalg::Lapack<T>::lu(n, a, pivots) ? linalg::MatrixFault::none
                                                 : linalg::MatrixFault::singular;
    };
    const auto finish = [&](const T* a, const int* pivots, T* b) {
      linalg::Lapack<T>::lu_solve(/*transposed=*/true, n, columns, a, pivots, b);
      return linalg::MatrixFault::none;
    };
    const auto textbook_solver = [](const textbook::Matrix& a, const textbook::Matrix& b) {
      return textbook::solve(a, b);
    };
    solve_all<T>(in, out, prepare, finish, textbook_solver, running::cost::cubic(n, 1));
  });
}

void triangular_solve_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs) {
  const std::int64_t n = out.shape.end()[-2], columns = out.shape.back();
  const auto t = linalg::Triangular::of(attrs);
  dispatch_float(out.dtype, [&]<class T> {
    const auto prepare = [&](const linalg::MatrixView<T>& from, T* a, int*) {
      return load_rows(from, a) ? linalg::MatrixFault::none : linalg::MatrixFault::not_finite;
    };
    const auto finish = [&](const T* a, const int*, T* b) {
      const bool done = linalg::Lapack<T>::triangular_solve(!t.lower, /*transposed=*/true, t.unit,
                                                            n, columns, a, b);
      return done ? linalg::MatrixFault::none : fault_of(t);
    };
    const auto textbook_solver = [&](const textbook::Matrix& a, const textbook::Matrix& b) {
      return textbook::triangular_solve(a, b, t.lower, t.unit);
    };
    solve_all<T>(in, out, prepare, finish, textbook_solver, static_cast<double>(n * n) / 2);
  });
}

Grads solve_grad(Args x, const Expr& y, const Expr& gy) {
  const Expr gb = apply(solve_op, {linalg::transposed(x[0]), gy});
  return {-linalg::matrix_product(gb, linalg::transposed(y)), gb};
}

Grads triangular_solve_grad(Args x, const Expr& y, const Expr& gy) {
  const auto t = linalg::Triangular::of(y.attrs());
  const std::int64_t first = t.unit ? 1 : 0;  // Off the diagonal.
  linalg::Triangular other_way = t;
  other_way.lower = !t.lower;
  const Expr gb = apply(triangular_solve_op, {linalg::transposed(x[0]), gy}, other_way.attrs());
  const Expr ga = -linalg::matrix_product(gb, linalg::transposed(y));
  return {t.lower ? linalg::lower_triangle(ga, -first) : linalg::upper_triangle(ga, first), gb};
}

Expr batch_solve(Args x, const std::vector<bool>& batched, const Expr& y) {
  std::vector<Expr> operands{x.begin(), x.end()};
  for (std::size_t i = 0; i < 2; ++i) {
    if (batched[i]) continue;
    std::vector<Expr> all = sizes(x[i]);
    all.insert(all.begin(), size(x[1 - i], 0));
    operands[i] = broadcast_to(x[i], all);
  }
  return apply(y.op(), operands, y.attrs(), y->where);
}

std::int64_t follow_solve(Args x, std::span<const std::int64_t> axes, const Expr&) {
  const std::int64_t rows = x[0].rank() - 2;
  if (axes[0] < 0) return axes[1] == rows ? -1 : axes[1];  // Each column is a system of its own.
  if (axes[0] >= rows) return -1;
  return axes[1] < 0 || axes[1] == axes[0] ? axes[0] : -1;
}

/// Brings the shapes that users may give to what the ops take, and back.
template <class F>
Expr with_aligned(const Arg& A, const Arg& b, F&& system) {
  if (A->rank() < 2 || b->rank() < A->rank() - 1) return system(A, b);  // Throws.
  if (b->rank() == A->rank() - 1) return squeeze(system(A, expand_dims(b, -1)), -1);
  if (b->rank() == A->rank()) return system(A, b);
  std::vector<Expr> all = sizes(A);
  const std::vector<Expr> of_b = sizes(b);
  all.insert(all.begin(), of_b.begin(), of_b.begin() + (b->rank() - A->rank()));
  return system(broadcast_to(A, all), b);
}

Expr well_conditioned(const Expr& x) { return x + 10 * eye(size(x, -1)); }

std::vector<Example> solve_examples(Expr (*f)(Args)) {
  std::vector<Example> result;
  for (const auto& [a, b] : std::vector<std::pair<Dims, Dims>>{{{3, 3}, {3, 2}},
                                                               {{3, 3}, {3}},
                                                               {{2, 3, 3}, {2, 3, 2}},
                                                               {{2, 3, 3}, {2, 3}},
                                                               {{3, 3}, {4, 3, 2}},
                                                               {{2, 3, 3}, {2, 2, 3, 1}},
                                                               {{1, 1}, {1, 3}},
                                                               {{0, 0}, {0, 2}},
                                                               {{2, 2}, {2, 0}},
                                                               {{0, 2, 2}, {0, 2}}})
    result.push_back({{{DType::float64, a}, {DType::float64, b}}, f});
  return result;
}

}  // namespace

constinit const Op solve_op{
    .name = "solve",
    .type = solve_type,
    .reference = solve_reference,
    .operands = Operands::real,
    .grad = solve_grad,
    .batch = batch_solve,
    .follow = follow_solve,
    .runs =
        Kernel{.run = solve_kernel,
               .accepts = linalg::accepts_anything,
               .flops =
                   [](const Expr& y) {
                     const auto n = static_cast<double>(y.inputs()[0].type().shape().back());
                     return 2 * n * static_cast<double>(element_count(y.type().shape())) +
                            n * static_cast<double>(element_count(y.inputs()[0].type().shape())) *
                                2 / 3;
                   }},
    .probe = {-3, 3},
    .examples = []() -> std::vector<Example> {
      std::vector<Example> result =
          solve_examples([](Args x) { return solve(well_conditioned(x[0]), x[1]); });
      result.push_back({{Type{DType::float64, {3, 3}}, Type{DType::float64, {2, 3}}}, [](Args x) {
                          return solve(transpose(well_conditioned(x[0])), transpose(x[1]));
                        }});
      return result;
    },
};

constinit const Op triangular_solve_op{
    .name = "triangular_solve",
    .type = solve_type,
    .reference = triangular_solve_reference,
    .operands = Operands::real,
    .grad = triangular_solve_grad,
    .batch = batch_solve,
    .follow = follow_solve,
    .runs = Kernel{.run = triangular_solve_kernel,
                   .accepts = linalg::accepts_anything,
                   .flops =
                       [](const Expr& y) {
                         return static_cast<double>(y.inputs()[0].type().shape().back()) *
                                static_cast<double>(element_count(y.type().shape()));
                       }},
    .probe = {-3, 3},
    .examples = []() -> std::vector<Example> {
      std::vector<Example> result =
          solve_examples([](Args x) { return triangular_solve(well_conditioned(x[0]), x[1]); });
      const Type a{DType::float64, {3, 3}}, b{DType::float64, {3, 2}};
      result.push_back({{a, b}, [](Args x) {
                          return triangular_solve(well_conditioned(x[0]), x[1], {.lower = false});
                        }});
      result.push_back({{a, b}, [](Args x) {
                          return triangular_solve(x[0] / 4, x[1], {.unit_diagonal = true});
                        }});
      result.push_back({{a, b}, [](Args x) {
                          return triangular_solve(transpose(x[0]) / 4, x[1],
                                                  {.lower = false, .unit_diagonal = true});
                        }});
      return result;
    },
};

Expr solve(const Arg& A, const Arg& b) {
  const Attribution as(A.where());
  return with_aligned(A, b, [&](const Expr& a, const Expr& right) {
    return apply(solve_op, {a, right}, {}, A.where());
  });
}

Expr triangular_solve(const Arg& A, const Arg& b, const TriangularOptions& options) {
  const Attribution as(A.where());
  return with_aligned(A, b, [&](const Expr& a, const Expr& right) {
    const linalg::Triangular t{options.lower, options.unit_diagonal};
    return apply(triangular_solve_op, {a, right}, t.attrs(), A.where());
  });
}

}  // namespace cinch
