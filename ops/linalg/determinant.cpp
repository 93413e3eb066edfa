#include "cinch/ops/determinant.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "cinch/core/run/cost.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/linalg/lapack.hpp"
#include "cinch/ops/linalg/matrices.hpp"
#include "cinch/ops/linalg/textbook.hpp"
#include "cinch/ops/records/sizes.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/solve.hpp"

namespace cinch {

namespace {

/// One number for each matrix.
Type number_type(Args x, const Attrs&) {
  linalg::require_matrices(x[0], /*square=*/true);
  return {x[0].dtype(), linalg::leading_dims(x[0])};
}

textbook::Matrix numbers(std::initializer_list<textbook::Real> values) {
  textbook::Matrix result(1, static_cast<std::int64_t>(values.size()));
  std::ranges::copy(values, result.elements.begin());
  return result;
}

/// The factors of `from` in `a`, and the sign of their exchanges of rows: 0 where one is singular.
template <class T>
T factor(std::int64_t n, T* a, int* pivots) {
  if (!linalg::Lapack<T>::lu(n, a, pivots)) return 0;
  T sign = 1;
  for (std::int64_t i = 0; i < n; ++i) sign = pivots[i] == i + 1 ? sign : -sign;
  return sign;
}

/// Calls put(k, sign of the exchanges, factors) for each matrix.
template <class T>
void for_each_factored(const Operand& x, const auto& put) {
  const std::int64_t n = x.shape.back();
  const auto each = [&](std::int64_t k) {
    linalg::Workspace space(linalg::Workspace::room<T>(n * n) + linalg::Workspace::room<int>(n));
    T* a = space.take<T>(n * n);
    int* pivots = space.take<int>(n);
    if (!load_rows(linalg::matrix_at<T>(x, k), a)) return linalg::MatrixFault::not_finite;
    const T sign = n == 0 ? T(1) : factor(n, a, pivots);
    put(k, sign, a);
    return linalg::MatrixFault::none;
  };
  linalg::for_each_matrix(linalg::leading_shape(x), linalg::matrix_count(x),
                          running::cost::cubic(n, 1), each);
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
      linalg::Workspace space(linalg::Workspace::room<T>(n * n));
      T* a = space.take<T>(n * n);
      if (!load_symmetric(linalg::matrix_at<T>(in[0], k), a))
        return linalg::MatrixFault::not_finite;
      if (n > 0 && !linalg::Lapack<T>::cholesky(n, a)) return linalg::MatrixFault::indefinite;
      T log = 0;
      for (std::int64_t i = 0; i < n; ++i) log += 2 * std::log(a[i * (n + 1)]);
      out.as<T>()[k] = log;
      return linalg::MatrixFault::none;
    };
    linalg::for_each_matrix(linalg::leading_shape(in[0]), linalg::matrix_count(in[0]),
                            running::cost::cubic(n, 0.5), each);
  });
}

Tensor logdet_reference(Values in, const Attrs&) {
  return textbook::for_each(*in[0], {}, [](const textbook::Matrix& a, std::int64_t) {
    const auto L = textbook::cholesky(textbook::symmetric_part(a));
    if (!L) return textbook::Result(linalg::MatrixFault::indefinite);
    textbook::Real log = 0;
    for (std::int64_t i = 0; i < a.rows; ++i) log += 2 * std::log((*L)(i, i));
    return textbook::Result(numbers({log}));
  });
}

// cofactors: inputs A, and as many matrices H as derivatives were taken: the derivative of cof(A)
// in the directions H, which is that of det(A) in these and one more, as a function of the last

constexpr std::size_t most_directions = 12;

Type cofactors_type(Args x, const Attrs&) {
  Type result{x[0].dtype(), x[0].dims()};
  for (const Expr& matrix : x) {
    linalg::require_matrices(matrix, /*square=*/true);
    if (matrix.rank() != x[0].rank()) throw TypeError("the directions must have as many axes");
    for (std::size_t axis = 0; axis < result.dims.size(); ++axis) {
      const Dim a = result.dims[axis], b = matrix.dims()[axis];
      if (a.known() && b.known() && !(a == b))
        throw TypeError(text("the sizes of axis ", axis, " differ: a direction is as the matrix"));
      if (!a.known()) result.dims[axis] = b;
    }
  }
  if (x.size() > most_directions + 1)
    throw TypeError(text("there are derivatives up to order ", most_directions, " only"));
  return result;
}

/// The sign of the determinant of an orthogonal matrix, which becomes rubbish.
template <class T>
T orientation(std::int64_t n, T* a, int* pivots) {
  T sign = factor(n, a, pivots);
  for (std::int64_t i = 0; i < n; ++i) sign = a[i * (n + 1)] < 0 ? -sign : sign;
  return sign;
}

/// The next list of numbers below n that are all different, after one that begins with -1; false
/// after the last.
bool next_choice(std::span<std::int64_t> rows, std::int64_t n) {
  const auto repeats = [&] {
    for (std::size_t a = 0; a < rows.size(); ++a) {
      if (std::ranges::find(rows.first(a), rows[a]) !=
          rows.begin() + static_cast<std::ptrdiff_t>(a))
        return true;
    }
    return false;
  };
  do {
    std::size_t a = 0;
    while (a < rows.size() && ++rows[a] == n) rows[a++] = 0;
    if (a == rows.size()) return false;
  } while (repeats());
  return true;
}

/// The derivative of cof(diag(s)) in the directions K (each n by n, one behind the other), added to
/// `to`. A product of the elements in a set J of rows and columns, permuted, goes with the product
/// of all s outside J: nothing is divided.
template <class T>
void add_diagonal_cofactors(std::int64_t n, const T* s, std::span<const T* const> K, T* to) {
  std::int64_t numbers[most_directions + 1] = {-1};
  int orders[most_directions + 1];
  const std::span<std::int64_t> rows(numbers, K.size() + 1);
  const std::span<int> order(orders, K.size() + 1);
  if (std::ssize(rows) > n) return;
  while (next_choice(rows, n)) {
    T outside = 1;
    for (std::int64_t k = 0; k < n; ++k)
      outside *= std::ranges::find(rows, k) == rows.end() ? s[k] : T(1);
    std::iota(order.begin(), order.end(), 0);
    do {
      T product = outside;
      for (std::size_t a = 0; a < order.size(); ++a) {
        for (std::size_t b = a + 1; b < order.size(); ++b)
          product = order[a] > order[b] ? -product : product;
        if (a > 0) product *= K[a - 1][rows[a] * n + rows[static_cast<std::size_t>(order[a])]];
      }
      to[rows[0] * n + rows[static_cast<std::size_t>(order[0])]] += product;
    } while (std::ranges::next_permutation(order).found);
  }
}

/// From A = U diag(s) V': the derivative of cof(A) in the directions H is that of cof(diag(s)) in
/// U' H V, times det(U) det(V), between U and V'.
void cofactors_derivative_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  const std::int64_t n = out.shape.back(), count = std::ssize(in) - 1;
  if (n == 0) return;
  dispatch_float(out.dtype, [&]<class T> {
    const std::int64_t work = linalg::Lapack<T>::svd_work(true, n, n);
    const auto each = [&](std::int64_t k) {
      linalg::Workspace space((6 + static_cast<std::size_t>(count)) *
                                  linalg::Workspace::room<T>(n * n) +
                              linalg::Workspace::room<T>(n) + linalg::Workspace::room<T>(work) +
                              2 * linalg::Workspace::room<int>(8 * n));
      T *a = space.take<T>(n * n), *u = space.take<T>(n * n), *v = space.take<T>(n * n),
        *copy = space.take<T>(n * n), *between = space.take<T>(n * n), *half = space.take<T>(n * n),
        *s = space.take<T>(n), *scratch = space.take<T>(work);
      int *integers = space.take<int>(8 * n), *pivots = space.take<int>(n);
      if (!load_rows(linalg::matrix_at<T>(in[0], k), a)) return linalg::MatrixFault::not_finite;
      // The factors of the transpose: u holds V by columns, v holds U by rows.
      if (!linalg::Lapack<T>::svd(true, n, n, a, s, u, v, scratch, work, integers))
        return linalg::MatrixFault::no_convergence;
      const T* K[most_directions];
      for (std::int64_t d = 0; d < count; ++d) {
        T* rotated = space.take<T>(n * n);
        if (!load_rows(linalg::matrix_at<T>(in[static_cast<std::size_t>(d) + 1], k), a))
          return linalg::MatrixFault::direction_not_finite;
        // All by columns, that is transposed: V' H' and then that times U.
        linalg::Lapack<T>::product(true, false, n, n, n, u, a, half);
        linalg::Lapack<T>::product(false, true, n, n, n, half, v, rotated);
        K[d] = rotated;
      }
      std::fill_n(between, n * n, T(0));
      add_diagonal_cofactors<T>(n, s, {K, static_cast<std::size_t>(count)}, between);
      std::copy_n(u, n * n, copy);
      T sign = orientation(n, copy, pivots);
      std::copy_n(v, n * n, copy);
      sign *= orientation(n, copy, pivots);
      for (std::int64_t i = 0; i < n * n; ++i) between[i] *= sign;
      linalg::Lapack<T>::product(false, false, n, n, n, u, between, half);
      linalg::Lapack<T>::product(false, false, n, n, n, half, v, out.as<T>() + k * n * n);
      return linalg::MatrixFault::none;
    };
    linalg::for_each_matrix(linalg::leading_shape(in[0]), linalg::matrix_count(in[0]),
                            running::cost::cubic(n, 25), each);
  });
}

/// From A = U diag(s) V': cof(A) = det(U) det(V) U diag(products of all s but one) V'. Nothing is
/// divided, so A may be singular.
void cofactors_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs) {
  if (in.size() > 1) return cofactors_derivative_kernel(in, out, attrs);
  const std::int64_t n = out.shape.back();
  if (n == 0) return;
  dispatch_float(out.dtype, [&]<class T> {
    const std::int64_t work = linalg::Lapack<T>::svd_work(true, n, n);
    const auto each = [&](std::int64_t k) {
      linalg::Workspace space(5 * linalg::Workspace::room<T>(n * n) +
                              2 * linalg::Workspace::room<T>(n) + linalg::Workspace::room<T>(work) +
                              2 * linalg::Workspace::room<int>(8 * n));
      T *a = space.take<T>(n * n), *u = space.take<T>(n * n), *v = space.take<T>(n * n),
        *copy = space.take<T>(n * n), *s = space.take<T>(n), *others = space.take<T>(n),
        *scratch = space.take<T>(work);
      int *integers = space.take<int>(8 * n), *pivots = space.take<int>(n);
      if (!load_rows(linalg::matrix_at<T>(in[0], k), a)) return linalg::MatrixFault::not_finite;
      // The factors of the transpose: u holds V by columns, v holds U by rows.
      if (!linalg::Lapack<T>::svd(true, n, n, a, s, u, v, scratch, work, integers))
        return linalg::MatrixFault::no_convergence;
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
      linalg::Lapack<T>::product(false, false, n, n, n, u, v, to);
      return linalg::MatrixFault::none;
    };
    linalg::for_each_matrix(linalg::leading_shape(in[0]), linalg::matrix_count(in[0]),
                            running::cost::cubic(n, 20), each);
  });
}

double factoring_flops(const Expr& y) {
  const Shape shape = y.inputs()[0].type().shape();
  return static_cast<double>(shape.back()) * static_cast<double>(element_count(shape)) * 2 / 3;
}

/// `g` (...) at every element of a matrix (..., 1, 1).
Expr for_elements(const Expr& g) { return linalg::as_column(linalg::as_column(g)); }

/// The derivative of a determinant in several directions does not depend on their order, so one
/// direction more, or another one, is all there is to it.
Grads cofactors_grad(Args x, const Expr& y, const Expr& gy) {
  Grads result;
  for (std::size_t k = 0; k < x.size(); ++k) {
    std::vector<Expr> inputs(x.begin(), x.end());
    if (k == 0) {
      inputs.push_back(gy);
    } else {
      inputs[k] = gy;
    }
    result.push_back(apply(y.op(), std::move(inputs)));
  }
  return result;
}

Expr batch_cofactors(Args x, const std::vector<bool>& batched, const Expr& y) {
  std::vector<Expr> operands(x.begin(), x.end());
  const auto first = static_cast<std::size_t>(std::ranges::find(batched, true) - batched.begin());
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!batched[i])
      operands[i] = broadcast_to(x[i], records::with_leading_size(size(x[first], 0), x[i]));
  }
  return apply(y.op(), std::move(operands), y.attrs(), y->where);
}

std::int64_t follow_cofactors(Args x, std::span<const std::int64_t> axes, const Expr&) {
  std::int64_t result = -1;
  for (const std::int64_t axis : axes) {
    if (axis < 0) continue;
    if (axis >= x[0].rank() - 2 || (result >= 0 && result != axis)) return -1;
    result = axis;
  }
  return result;
}

/// A determinant is linear in each row: cof(A) with rows of A replaced by those of the directions,
/// for every choice of rows.
Tensor cofactors_reference(Values in, const Attrs&) {
  const std::int64_t n = in[0]->shape().back();
  return textbook::for_each(*in[0], {n, n}, [&](const textbook::Matrix& a, std::int64_t number) {
    if (in.size() == 1) return textbook::Result(textbook::cofactors(a));
    std::vector<textbook::Matrix> directions;
    for (const Tensor* direction : in.subspan(1)) {
      directions.push_back(textbook::matrix_of(*direction, number));
      if (!textbook::all_finite(directions.back()))
        return textbook::Result(linalg::MatrixFault::direction_not_finite);
    }
    textbook::Matrix total(n, n);
    std::vector<std::int64_t> rows(directions.size());
    rows[0] = -1;
    while (std::ssize(rows) <= n && next_choice(rows, n)) {
      textbook::Matrix replaced = a;
      for (std::size_t d = 0; d < rows.size(); ++d) {
        for (std::int64_t c = 0; c < n; ++c) replaced(rows[d], c) = directions[d](rows[d], c);
      }
      const textbook::Matrix one = textbook::cofactors(replaced);
      for (std::int64_t r = 0; r < n; ++r) {
        if (std::ranges::find(rows, r) != rows.end()) continue;
        for (std::int64_t c = 0; c < n; ++c) total(r, c) += one(r, c);
      }
    }
    return textbook::Result(total);
  });
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
    .batch = linalg::batch_matrices,
    .follow = linalg::follow_matrices,
    .runs =
        Kernel{.run = det_kernel, .accepts = linalg::accepts_anything, .flops = factoring_flops},
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
    .reference = cofactors_reference,
    .operands = Operands::real,
    .grad = cofactors_grad,
    .batch = batch_cofactors,
    .follow = follow_cofactors,
    .runs = Kernel{.run = cofactors_kernel,
                   .accepts = linalg::accepts_anything,
                   .flops = [](const Expr& y) { return 30 * factoring_flops(y); }},
    .probe = {-3, 3},
    .examples = []() -> std::vector<Example> {
      std::vector<Example> result =
          square_examples([](Args x) { return cofactors(well_conditioned(x[0]) / 12); });
      // As a derivative of its own.
      const Type matrix{DType::float64, {3, 3}};
      result.push_back({{matrix, matrix}, [](Args x) {
                          return apply(cofactors_op, {x[0], x[1]});
                        }});
      return result;
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
      return {for_elements(at(gy, 1, -1)) * linalg::transposed(inverse(x[0]))};
    },
    .batch = linalg::batch_matrices,
    .follow = linalg::follow_matrices,
    .runs =
        Kernel{
            .run = slogdet_kernel, .accepts = linalg::accepts_anything, .flops = factoring_flops},
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
      return {for_elements(gy) * inverse(linalg::symmetric_part(x[0]))};
    },
    .batch = linalg::batch_matrices,
    .follow = linalg::follow_matrices,
    .runs =
        Kernel{.run = logdet_kernel, .accepts = linalg::accepts_anything, .flops = factoring_flops},
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
