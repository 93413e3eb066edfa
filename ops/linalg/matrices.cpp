#include "cinch/ops/linalg/matrices.hpp"

#include <algorithm>
#include <atomic>
#include <limits>

#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch::linalg {

void require_matrices(const Expr& x, bool square) {
  if (x.rank() < 2) throw TypeError("the operand must be a matrix, or have more axes in front");
  const Dim rows = x.dims().end()[-2], columns = x.dims().back();
  if (square && rows.known() && columns.known() && !(rows == columns)) {
    throw TypeError(text("the matrix must be square, it has ", rows.size(), " rows and ",
                         columns.size(), " columns"));
  }
}

Dims leading_dims(const Expr& x) { return {x.dims().begin(), x.dims().end() - 2}; }

Dim smaller_side(const Expr& x) {
  const Dim rows = x.dims().end()[-2], columns = x.dims().back();
  if (rows == columns) return rows;
  if (rows.known() && columns.known()) return std::min(rows.size(), columns.size());
  return Dim::unknown();
}

Expr batch_matrices(Args x, const std::vector<bool>&, const Expr& y) {
  return apply(y.op(), {x.begin(), x.end()}, y.attrs(), y->where);
}

std::int64_t follow_matrices(Args x, std::span<const std::int64_t> axes, const Expr&) {
  return axes[0] < x[0].rank() - 2 ? axes[0] : -1;
}

Expr transposed(const Expr& x) {
  std::vector<std::int64_t> pattern;
  for (std::int64_t axis = 0; axis < x.rank() - 2; ++axis) pattern.push_back(axis);
  pattern.push_back(x.rank() - 1);
  pattern.push_back(x.rank() - 2);
  return dimshuffle(x, pattern);
}

Expr matrix_product(const Expr& a, const Expr& b) {
  if (a.rank() == 2) return dot(a, b);
  if (a.rank() == 3) return batched_dot(a, b);
  std::vector<Expr> all = sizes(a);
  const Expr count = product({all.begin(), all.end() - 2});
  const auto flat = [&](const Expr& x) {
    return reshape(x, std::vector<Expr>{count, size(x, -2), size(x, -1)});
  };
  all.back() = size(b, -1);
  return reshape(batched_dot(flat(a), flat(b)), all);
}

Expr symmetric_part(const Expr& x) { return 0.5 * (x + transposed(x)); }

namespace {

/// Column minus row, for each element of a matrix.
Expr offsets(const Expr& x) {
  return expand_dims(arange(size(x, -1)), 0) - expand_dims(arange(size(x, -2)), 1);
}

}  // namespace

Expr lower_triangle(const Expr& x, std::int64_t k) { return switch_(offsets(x) <= k, x, 0.0); }
Expr upper_triangle(const Expr& x, std::int64_t k) { return switch_(offsets(x) >= k, x, 0.0); }

Expr reciprocal_off_diagonal(const Expr& x) {
  const Expr diagonal = eye(size(x, -1), x.dtype());
  return (1 - diagonal) / (x + diagonal);  // No choice of values: every order is finite.
}

Expr as_row(const Expr& v) { return expand_dims(v, v.rank() - 1); }
Expr as_column(const Expr& v) { return expand_dims(v, v.rank()); }

void require_sound(MatrixFault fault, std::span<const std::int64_t> leading, std::int64_t k) {
  if (fault == MatrixFault::none) return;
  std::string which = "the matrix";
  if (!leading.empty()) {
    Shape at(leading.size());
    for (std::size_t axis = leading.size(); axis-- > 0; k /= leading[axis])
      at[axis] = k % leading[axis];
    which = leading.size() == 1
                ? text("matrix ", at[0], " of ", leading[0])
                : text("matrix ", text(at), " of ", text(Shape(leading.begin(), leading.end())));
  }
  switch (fault) {
    case MatrixFault::none:
      break;
    case MatrixFault::not_finite:
      throw ValueError(which + " holds NaN or infinity");
    case MatrixFault::right_not_finite:
      throw ValueError("the right side of " + which + " holds NaN or infinity");
    case MatrixFault::direction_not_finite:
      throw ValueError("the direction of the derivative by " + which + " holds NaN or infinity");
    case MatrixFault::dependent:
      throw ValueError("the columns of " + which +
                       " are not independent, so its Q and R have no derivative");
    case MatrixFault::singular:
      throw ValueError(which + " is singular");
    case MatrixFault::indefinite:
      throw ValueError(which + " is not positive definite");
    case MatrixFault::no_convergence:
      throw ValueError("the iteration for " + which + " did not converge");
  }
}

void for_each_matrix(std::span<const std::int64_t> leading, std::int64_t count,
                     double nanoseconds_each, MatrixFault (*work)(void*, std::int64_t&),
                     void* context) {
  // The number of the first with a fault, and the fault, in one.
  constexpr std::int64_t kinds = 8;
  std::atomic<std::int64_t> first = std::numeric_limits<std::int64_t>::max();
  const std::int64_t parts =
      running::parts_for(nanoseconds_each * static_cast<double>(count), count);
  running::share_work(parts, [&](std::int64_t part) {
    const running::Span own = running::part_of(count, 1, parts, part);
    for (std::int64_t k = own.begin; k < own.end; ++k) {
      std::int64_t number = k;
      const MatrixFault fault = work(context, number);
      if (fault == MatrixFault::none) continue;
      const std::int64_t mine = number * kinds + static_cast<std::int64_t>(fault);
      std::int64_t known = first.load();
      while (mine < known && !first.compare_exchange_weak(known, mine)) {
      }
      return;
    }
  });
  const std::int64_t found = first.load();
  if (found != std::numeric_limits<std::int64_t>::max())
    require_sound(static_cast<MatrixFault>(found % kinds), leading, found / kinds);
}

}  // namespace cinch::linalg
