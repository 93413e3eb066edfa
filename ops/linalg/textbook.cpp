#include "cinch/ops/linalg/textbook.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace cinch::textbook {

namespace {

void swap_rows(Matrix& a, std::int64_t i, std::int64_t j) {
  for (std::int64_t c = 0; c < a.columns; ++c) std::swap(a(i, c), a(j, c));
}

/// Brings the largest element of column k, from row k on, to row k. Whether rows changed places.
bool pivot(Matrix& a, std::int64_t k, Matrix* b = nullptr) {
  std::int64_t best = k;
  for (std::int64_t i = k + 1; i < a.rows; ++i) {
    if (std::abs(a(i, k)) > std::abs(a(best, k))) best = i;
  }
  if (best == k) return false;
  swap_rows(a, k, best);
  if (b) swap_rows(*b, k, best);
  return true;
}

/// Subtracts `factor` times row `from` from row `to`, from column `start` on.
void eliminate(Matrix& a, std::int64_t to, std::int64_t from, Real factor, std::int64_t start) {
  for (std::int64_t c = start; c < a.columns; ++c) a(to, c) -= factor * a(from, c);
}

}  // namespace

Matrix identity(std::int64_t n) {
  Matrix result(n, n);
  for (std::int64_t i = 0; i < n; ++i) result(i, i) = 1;
  return result;
}

Matrix transposed(const Matrix& a) {
  Matrix result(a.columns, a.rows);
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j < a.columns; ++j) result(j, i) = a(i, j);
  }
  return result;
}

Matrix operator*(const Matrix& a, const Matrix& b) {
  Matrix result(a.rows, b.columns);
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t k = 0; k < a.columns; ++k) {
      for (std::int64_t j = 0; j < b.columns; ++j) result(i, j) += a(i, k) * b(k, j);
    }
  }
  return result;
}

std::optional<Matrix> solve(Matrix a, Matrix b) {
  for (std::int64_t k = 0; k < a.rows; ++k) {
    pivot(a, k, &b);
    if (a(k, k) == 0) return {};
    for (std::int64_t i = 0; i < a.rows; ++i) {  // Gauss and Jordan: above the diagonal too.
      if (i == k) continue;
      const Real factor = a(i, k) / a(k, k);
      eliminate(a, i, k, factor, k);
      eliminate(b, i, k, factor, 0);
    }
  }
  for (std::int64_t i = 0; i < b.rows; ++i) {
    for (std::int64_t j = 0; j < b.columns; ++j) b(i, j) /= a(i, i);
  }
  return b;
}

std::optional<Matrix> triangular_solve(const Matrix& a, Matrix b, bool lower, bool unit) {
  for (std::int64_t step = 0; step < a.rows; ++step) {
    const std::int64_t i = lower ? step : a.rows - 1 - step;
    if (!unit && a(i, i) == 0) return {};
    for (std::int64_t c = 0; c < b.columns; ++c) {
      Real rest = b(i, c);
      for (std::int64_t j = lower ? 0 : i + 1; j < (lower ? i : a.rows); ++j)
        rest -= a(i, j) * b(j, c);
      b(i, c) = unit ? rest : rest / a(i, i);
    }
  }
  return b;
}

Determinant determinant(Matrix a) {
  Determinant result{1, 0, 1};
  for (std::int64_t k = 0; k < a.rows; ++k) {
    if (pivot(a, k)) result = {-result.sign, result.log, -result.value};
    const Real p = a(k, k);
    if (p == 0) return {0, -std::numeric_limits<Real>::infinity(), 0};
    result = {p < 0 ? -result.sign : result.sign, result.log + std::log(std::abs(p)),
              result.value * p};
    for (std::int64_t i = k + 1; i < a.rows; ++i) eliminate(a, i, k, a(i, k) / p, k);
  }
  return result;
}

Matrix cofactors(Matrix a) {
  // P a Q = L U, so cof(a)' = adj(a) = s Q adj(U) L^-1 P with s = det(P) det(Q).
  const std::int64_t n = a.rows;
  if (n == 0) return a;
  Matrix right = identity(n);                                    // L^-1 P.
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));  // Column j of U was order[j].
  std::iota(order.begin(), order.end(), 0);
  Real sign = 1;
  for (std::int64_t k = 0; k + 1 < n; ++k) {
    std::int64_t row = k, column = k;
    for (std::int64_t i = k; i < n; ++i) {
      for (std::int64_t j = k; j < n; ++j) {
        if (std::abs(a(i, j)) > std::abs(a(row, column))) row = i, column = j;
      }
    }
    if (a(row, column) == 0) return Matrix(n, n);  // The rank is n - 2 or less.
    if (row != k) swap_rows(a, k, row), swap_rows(right, k, row), sign = -sign;
    if (column != k) {
      for (std::int64_t i = 0; i < n; ++i) std::swap(a(i, k), a(i, column));
      std::swap(order[static_cast<std::size_t>(k)], order[static_cast<std::size_t>(column)]);
      sign = -sign;
    }
    for (std::int64_t i = k + 1; i < n; ++i) {
      const Real factor = a(i, k) / a(k, k);
      eliminate(a, i, k, factor, k);
      eliminate(right, i, k, factor, 0);
    }
  }
  // U = [W w; 0 t], so adj(U) = det(W) [t W^-1, -W^-1 w; 0, 1]: nothing is divided by t.
  const Real t = a(n - 1, n - 1);
  Real product = sign;
  for (std::int64_t k = 0; k + 1 < n; ++k) product *= a(k, k);
  Matrix adjugate(n, n);
  for (std::int64_t j = 0; j < n; ++j) {
    for (std::int64_t i = n - 1; i >= 0; --i) {
      if (i == n - 1) {
        adjugate(i, j) = i == j ? product : 0;
        continue;
      }
      Real rest = j == n - 1 ? -a(i, j) * product : i == j ? t * product : 0;
      for (std::int64_t k = i + 1; k + 1 < n; ++k) rest -= a(i, k) * adjugate(k, j);
      adjugate(i, j) = rest / a(i, i);
    }
  }
  adjugate = adjugate * right;
  Matrix result(n, n);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j)
      result(j, order[static_cast<std::size_t>(i)]) = adjugate(i, j);
  }
  return result;
}

std::optional<Matrix> cholesky(const Matrix& a) {
  Matrix L(a.rows, a.rows);
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j <= i; ++j) {
      Real rest = a(i, j);
      for (std::int64_t k = 0; k < j; ++k) rest -= L(i, k) * L(j, k);
      if (i == j && !(rest > 0)) return {};
      L(i, j) = i == j ? std::sqrt(rest) : rest / L(j, j);
    }
  }
  return L;
}

Matrix exponential(Matrix a) {
  Real norm = 0;
  for (std::int64_t i = 0; i < a.rows; ++i) {
    Real row = 0;
    for (std::int64_t j = 0; j < a.columns; ++j) row += std::abs(a(i, j));
    norm = std::max(norm, row);
  }
  int halvings = 0;
  for (; norm > 0.5L; norm /= 2) ++halvings;
  for (Real& x : a.elements) x = std::ldexp(x, -halvings);
  Matrix result = identity(a.rows), term = result;
  for (int k = 1; k < 22; ++k) {  // 0.5^22 / 22! < 1e-27
    term = term * a;
    for (std::size_t i = 0; i < term.elements.size(); ++i)
      result.elements[i] += term.elements[i] /= k;
  }
  for (; halvings > 0; --halvings) result = result * result;
  return result;
}

Matrix matrix_of(const Tensor& x, std::int64_t k) {
  Matrix result(x.shape().end()[-2], x.shape().back());
  const std::int64_t size = result.rows * result.columns;
  dispatch_float(x.dtype(), [&]<class T> {
    std::copy_n(x.data<T>().begin() + k * size, size, result.elements.begin());
  });
  return result;
}

Matrix symmetric_part(const Matrix& a) {
  Matrix result(a.rows, a.rows);
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j < a.rows; ++j) result(i, j) = (a(i, j) + a(j, i)) / 2;
  }
  return result;
}

Matrix stacked(const Matrix& a, const Matrix& b) {
  Matrix result(a.rows + b.rows, a.columns);
  const auto rest = std::ranges::copy(a.elements, result.elements.begin()).out;
  std::ranges::copy(b.elements, rest);
  return result;
}

Shape leading_of(const Tensor& x) { return {x.shape().begin(), x.shape().end() - 2}; }

bool all_finite(const Matrix& a) {
  return std::ranges::all_of(a.elements, [](Real x) { return std::isfinite(x); });
}

void store(Tensor& to, std::int64_t at, const Matrix& from) {
  dispatch_float(to.dtype(), [&]<class T> {
    std::ranges::transform(from.elements, to.data<T>().begin() + at,
                           [](Real x) { return static_cast<T>(x); });
  });
}

}  // namespace cinch::textbook
