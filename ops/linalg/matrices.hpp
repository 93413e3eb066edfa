// What the ops on matrices share: the last two axes are the matrix, those before count matrices.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "cinch/core/op.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/run/team.hpp"

namespace cinch::linalg {

// Type rules, batch and follow
// -------------------------------------------------------------------------------------------------

/// Throws TypeError unless x has two axes or more, and the last two are equal if `square`.
void require_matrices(const Expr& x, bool square);
/// The sizes before the last two.
Dims leading_dims(const Expr& x);
/// The smaller of a matrix's two sizes: a symbol of its own where neither is known.
Dim smaller_side(const Expr& x);

/// Op::batch of an op with one operand: another leading axis is nothing new.
Expr batch_matrices(Args x, const std::vector<bool>& batched, const Expr& y);
/// Op::follow of such an op: the leading axes stay, the others mix.
std::int64_t follow_matrices(Args x, std::span<const std::int64_t> axes, const Expr& y);
/// Op::accepts: the kernels read every element once, wherever it lies.
inline bool accepts_anything(const Strided&, const Shape&) { return true; }

/// What triangular_solve is told of its first operand.
struct Triangular {
  bool lower, unit;
  bool of_qr = false;  ///< It is R of Q R: a 0 on its diagonal means dependent columns.

  static Triangular of(const Attrs& a) {
    return {a.ints[0] != 0, a.ints[1] != 0, a.ints.size() > 2 && a.ints[2] != 0};
  }
  Attrs attrs() const {
    if (of_qr) return {.ints = {lower, unit, of_qr}};
    return {.ints = {lower, unit}};
  }
};

// Formulas
// -------------------------------------------------------------------------------------------------

/// Each matrix transposed.
Expr transposed(const Expr& x);
/// a b for each pair of matrices; both have the same leading axes.
Expr matrix_product(const Expr& a, const Expr& b);
/// (x + x') / 2.
Expr symmetric_part(const Expr& x);
/// x where column <= row + k (lower) or column >= row + k (upper), else 0, as NumPy's tril and
/// triu.
Expr lower_triangle(const Expr& x, std::int64_t k = 0);
Expr upper_triangle(const Expr& x, std::int64_t k = 0);
/// 1 / x off the diagonal of square matrices, and 0 on it, where x must be 0.
Expr reciprocal_off_diagonal(const Expr& x);
/// Element j (or i) of `v` (..., n) at every (i, j) of a matrix: as a row (or column) to broadcast.
Expr as_row(const Expr& v);
Expr as_column(const Expr& v);

// Running
// -------------------------------------------------------------------------------------------------

/// What can be wrong with a matrix; each op knows which apply to it.
enum class MatrixFault : std::uint8_t {
  none,
  not_finite,
  right_not_finite,      ///< The right side that belongs to it.
  direction_not_finite,  ///< The direction in which it changes.
  singular,
  dependent,  ///< Its columns.
  indefinite,
  no_convergence
};

/// Throws the ValueError for matrix number `k` of those that `leading` counts; nothing for none.
void require_sound(MatrixFault fault, std::span<const std::int64_t> leading, std::int64_t k);

/// Calls work(context, k) for k < count, on several threads where it takes long enough. It returns
/// a MatrixFault, and may set k to the number in `leading` to report it by. The one with the
/// smallest number is reported as by require_sound.
void for_each_matrix(std::span<const std::int64_t> leading, std::int64_t count,
                     double nanoseconds_each, MatrixFault (*work)(void* context, std::int64_t& k),
                     void* context);
/// The same for a callable taking the number.
template <class F>
void for_each_matrix(std::span<const std::int64_t> leading, std::int64_t count,
                     double nanoseconds_each, F&& work) {
  for_each_matrix(
      leading, count, nanoseconds_each,
      [](void* context, std::int64_t& k) {
        return (*static_cast<std::remove_reference_t<F>*>(context))(k);
      },
      const_cast<void*>(static_cast<const void*>(std::addressof(work))));
}

/// One matrix of an operand.
template <class T>
struct MatrixView {
  const T* data;
  std::int64_t rows, columns, row, column;  ///< Sizes and strides.

  T operator()(std::int64_t i, std::int64_t j) const { return data[i * row + j * column]; }
};

/// Axes before the last two, and how many matrices they count.
inline std::span<const std::int64_t> leading_shape(const Operand& x) {
  return x.shape.first(x.shape.size() - 2);
}
inline std::int64_t matrix_count(const Operand& x) {
  std::int64_t count = 1;
  for (const std::int64_t n : leading_shape(x)) count *= n;
  return count;
}

/// Matrix number k in row-major order of the leading axes.
template <class T>
MatrixView<T> matrix_at(const Operand& x, std::int64_t k) {
  const std::size_t lead = x.shape.size() - 2;
  const T* data = x.as<const T>();
  for (std::size_t axis = lead; axis-- > 0; k /= x.shape[axis])
    data += k % x.shape[axis] * x.strides[axis];
  return {data, x.shape[lead], x.shape[lead + 1], x.strides[lead], x.strides[lead + 1]};
}

/// Copies x to memory with these strides. False if an element is NaN or infinite.
template <class T>
bool load(const MatrixView<T>& x, T* to, std::int64_t row, std::int64_t column) {
  bool finite = true;
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int64_t j = 0; j < x.columns; ++j) {
      const T element = x(i, j);
      finite = finite && std::isfinite(element);
      to[i * row + j * column] = element;
    }
  }
  return finite;
}
template <class T>
bool load_rows(const MatrixView<T>& x, T* to) {
  return load(x, to, x.columns, 1);
}
template <class T>
bool load_columns(const MatrixView<T>& x, T* to) {
  return load(x, to, 1, x.rows);
}
/// The symmetric part of a square matrix.
template <class T>
bool load_symmetric(const MatrixView<T>& x, T* to) {
  bool finite = true;
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int64_t j = 0; j <= i; ++j) {
      const T element = x(i, j) / 2 + x(j, i) / 2;
      finite = finite && std::isfinite(element);
      to[i * x.columns + j] = to[j * x.columns + i] = element;
    }
  }
  return finite;
}

/// Parts of the thread's scratch memory, one after the other, each aligned to a cache line.
class Workspace {
 public:
  /// `bytes` in all, which the takes must not exceed: see room().
  explicit Workspace(std::size_t bytes) : next_(running::thread_scratch(bytes)) {}

  template <class T>
  T* take(std::int64_t count) {
    T* result = reinterpret_cast<T*>(next_);
    next_ += room<T>(count);
    return result;
  }
  /// Bytes that a take of so many elements uses.
  template <class T>
  static std::size_t room(std::int64_t count) {
    return (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64;
  }

 private:
  std::byte* next_;
};

/// Vectors that are only determined up to their sign get one: the first element that is about the
/// largest is positive. "About", so that rounding does not choose between equal ones. Returns
/// whether the sign has to change.
template <class T>
bool points_backwards(const T* v, std::int64_t n, std::int64_t stride) {
  using std::abs;
  T most = 0;
  for (std::int64_t i = 0; i < n; ++i) most = std::max(most, abs(v[i * stride]));
  for (std::int64_t i = 0; i < n; ++i) {
    if (abs(v[i * stride]) >= most * T(0.9)) return v[i * stride] < 0;
  }
  return false;
}

}  // namespace cinch::linalg
