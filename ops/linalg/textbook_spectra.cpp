// Orthogonal factors: QR, eigenvectors, singular vectors.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "cinch/ops/linalg/textbook.hpp"

namespace cinch::textbook {

namespace {

constexpr Real epsilon = std::numeric_limits<Real>::epsilon();
constexpr int most_sweeps = 60;  // Ten are usual.

Real dot(const Matrix& a, std::int64_t i, const Matrix& b, std::int64_t j) {
  Real total = 0;
  for (std::int64_t r = 0; r < a.rows; ++r) total += a(r, i) * b(r, j);
  return total;
}

/// Columns i and j become c a_i - s a_j and s a_i + c a_j.
void rotate(Matrix& a, std::int64_t i, std::int64_t j, Real c, Real s) {
  for (std::int64_t r = 0; r < a.rows; ++r) {
    const Real x = a(r, i), y = a(r, j);
    a(r, i) = c * x - s * y;
    a(r, j) = s * x + c * y;
  }
}

/// Cosine and sine of the rotation that makes [p q; q r] diagonal.
std::pair<Real, Real> rotation(Real p, Real q, Real r) {
  const Real zeta = (r - p) / (2 * q);
  const Real t = (zeta < 0 ? -1 : 1) / (std::abs(zeta) + std::hypot(Real(1), zeta));
  const Real c = 1 / std::hypot(Real(1), t);
  return {c, c * t};
}

/// Columns in the order of `by`, each with the sign that ours have.
Matrix ordered(const Matrix& a, const std::vector<std::int64_t>& by) {
  Matrix result(a.rows, static_cast<std::int64_t>(by.size()));
  for (std::int64_t j = 0; j < result.columns; ++j) {
    for (std::int64_t i = 0; i < a.rows; ++i) result(i, j) = a(i, by[static_cast<std::size_t>(j)]);
  }
  return result;
}

void negate_column(Matrix& a, std::int64_t j) {
  for (std::int64_t i = 0; i < a.rows; ++i) a(i, j) = -a(i, j);
}

/// Makes column j, which counts for nothing, a unit vector orthogonal to the columns before it.
void complete(Matrix& a, std::int64_t j) {
  Real best = 0;
  Vector column(static_cast<std::size_t>(a.rows));
  for (std::int64_t unit = 0; unit < a.rows; ++unit) {
    for (std::int64_t i = 0; i < a.rows; ++i) a(i, j) = i == unit;
    for (int twice = 0; twice < 2; ++twice) {
      for (std::int64_t k = 0; k < j; ++k) {
        const Real part = dot(a, k, a, j);
        for (std::int64_t i = 0; i < a.rows; ++i) a(i, j) -= part * a(i, k);
      }
    }
    const Real norm = std::sqrt(dot(a, j, a, j));
    if (norm <= best) continue;
    best = norm;
    for (std::int64_t i = 0; i < a.rows; ++i) column[static_cast<std::size_t>(i)] = a(i, j) / norm;
  }
  for (std::int64_t i = 0; i < a.rows; ++i) a(i, j) = column[static_cast<std::size_t>(i)];
}

}  // namespace

Qr qr(const Matrix& a) {
  Qr result{a, Matrix(a.columns, a.columns)};
  auto& [Q, R] = result;
  for (std::int64_t j = 0; j < a.columns; ++j) {
    const Real before = std::sqrt(dot(Q, j, Q, j));
    for (int twice = 0; twice < 2; ++twice) {
      for (std::int64_t k = 0; k < j; ++k) {
        const Real part = dot(Q, k, Q, j);
        R(k, j) += part;
        for (std::int64_t i = 0; i < a.rows; ++i) Q(i, j) -= part * Q(i, k);
      }
    }
    R(j, j) = std::sqrt(dot(Q, j, Q, j));
    if (R(j, j) <= before * epsilon * 64) {
      R(j, j) = 0;
      complete(Q, j);
    } else {
      for (std::int64_t i = 0; i < a.rows; ++i) Q(i, j) /= R(j, j);
    }
  }
  return result;
}

Eigen eigen(Matrix a) {
  const std::int64_t n = a.rows;
  Matrix V = identity(n);
  Real scale = 0;
  for (const Real x : a.elements) scale = std::max(scale, std::abs(x));
  for (int sweep = 0, rotations = 1; rotations > 0 && sweep < most_sweeps; ++sweep) {
    rotations = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = i + 1; j < n; ++j) {
        if (std::abs(a(i, j)) <= scale * epsilon / 8) continue;
        ++rotations;
        const auto [c, s] = rotation(a(i, i), a(i, j), a(j, j));
        rotate(a, i, j, c, s);  // a J, then J' of that by its rows.
        for (std::int64_t k = 0; k < n; ++k) {
          const Real x = a(i, k), y = a(j, k);
          a(i, k) = c * x - s * y;
          a(j, k) = s * x + c * y;
        }
        rotate(V, i, j, c, s);
      }
    }
  }
  std::vector<std::int64_t> by(static_cast<std::size_t>(n));
  std::iota(by.begin(), by.end(), 0);
  std::ranges::stable_sort(by, [&](std::int64_t i, std::int64_t j) { return a(i, i) < a(j, j); });
  Eigen result{{}, ordered(V, by)};
  for (const std::int64_t i : by) result.values.push_back(a(i, i));
  for (std::int64_t j = 0; j < n; ++j) {
    if (linalg::points_backwards(result.vectors.elements.data() + j, n, n))
      negate_column(result.vectors, j);
  }
  return result;
}

Svd svd(const Matrix& a) {
  if (a.rows < a.columns) {
    Svd of_transposed = svd(transposed(a));
    Svd result{of_transposed.V, of_transposed.s, of_transposed.U};
    for (std::int64_t j = 0; j < a.rows; ++j) {
      if (!linalg::points_backwards(result.U.elements.data() + j, result.U.rows, result.U.columns))
        continue;
      negate_column(result.U, j);
      negate_column(result.V, j);
    }
    return result;
  }
  const std::int64_t n = a.columns;
  Matrix W = a, V = identity(n);
  for (int sweep = 0, rotations = 1; rotations > 0 && sweep < most_sweeps; ++sweep) {
    rotations = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = i + 1; j < n; ++j) {
        const Real p = dot(W, i, W, i), q = dot(W, i, W, j), r = dot(W, j, W, j);
        if (std::abs(q) <= epsilon * std::sqrt(p) * std::sqrt(r)) continue;
        ++rotations;
        const auto [c, s] = rotation(p, q, r);
        rotate(W, i, j, c, s);
        rotate(V, i, j, c, s);
      }
    }
  }
  Vector norm;
  for (std::int64_t j = 0; j < n; ++j) norm.push_back(std::sqrt(dot(W, j, W, j)));
  std::vector<std::int64_t> by(static_cast<std::size_t>(n));
  std::iota(by.begin(), by.end(), 0);
  std::ranges::stable_sort(by, [&](std::int64_t i, std::int64_t j) {
    return norm[static_cast<std::size_t>(i)] > norm[static_cast<std::size_t>(j)];
  });
  Svd result{ordered(W, by), {}, ordered(V, by)};
  for (const std::int64_t j : by) result.s.push_back(norm[static_cast<std::size_t>(j)]);
  const Real least = result.s.empty() ? 0 : result.s.front() * epsilon * static_cast<Real>(a.rows);
  for (std::int64_t j = 0; j < n; ++j) {
    const Real s = result.s[static_cast<std::size_t>(j)];
    if (s <= least) {
      complete(result.U, j);
    } else {
      for (std::int64_t i = 0; i < a.rows; ++i) result.U(i, j) /= s;
    }
    if (!linalg::points_backwards(result.U.elements.data() + j, a.rows, n)) continue;
    negate_column(result.U, j);
    negate_column(result.V, j);
  }
  return result;
}

}  // namespace cinch::textbook
