#include "cinch/ops/diagonal.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "cinch/core/derive/examples.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/records/operands.hpp"
#include "cinch/ops/records/sizes.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/reference/positions.hpp"
#include "cinch/ops/reference/xtensor_view.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

/// Where a diagonal lies in the matrices that two axes span.
struct Diagonal {
  std::size_t row, column;
  std::int64_t above, below;  ///< Columns and rows that come before the first element.

  explicit Diagonal(const DiagonalAxes& axes)
      : row(static_cast<std::size_t>(axes.row)),
        column(static_cast<std::size_t>(axes.column)),
        above(std::max<std::int64_t>(axes.offset, 0)),
        below(
            -std::clamp(axes.offset, -std::numeric_limits<std::int64_t>::max(), std::int64_t{0})) {}

  std::int64_t length(std::int64_t rows, std::int64_t columns) const {
    return std::max<std::int64_t>(std::min(rows - below, columns - above), 0);
  }
  /// Sizes without the two axes, and the diagonal's at the end.
  template <class Sizes, class Size>
  Sizes of(const Sizes& matrix, Size last) const {
    Sizes result;
    for (std::size_t k = 0; k < matrix.size(); ++k) {
      if (k != row && k != column) result.push_back(matrix[k]);
    }
    result.push_back(last);
    return result;
  }
};

Dims diagonal_dims(const Dims& matrix, const Attrs& attrs) {
  const Diagonal d(DiagonalAxes::of(attrs));
  const Dim rows = matrix[d.row], columns = matrix[d.column];
  if (rows.known() && columns.known())
    return d.of(matrix, Dim(d.length(rows.size(), columns.size())));
  return d.of(matrix,
              DiagonalAxes::of(attrs).offset == 0 && rows == columns ? rows : Dim::unknown());
}

bool diagonal_view(const Strided& in, const Expr& y, Strided& out) {
  const Diagonal d(DiagonalAxes::of(y.attrs()));
  const std::int64_t down = in.strides[d.row], right = in.strides[d.column];
  out = {in.offset, d.of(in.strides, down + right)};
  // Of none there is no first, and an offset may be further away than any memory reaches.
  if (y.type().shape().back() > 0) out.offset += d.below * down + d.above * right;
  return true;
}

/// Calls f(index in the matrices, index in the diagonals) for every element of the diagonals.
template <class F>
void for_each_on_diagonal(const Shape& matrix, const Attrs& attrs, F&& f) {
  const Diagonal d(DiagonalAxes::of(attrs));
  references::for_each_index(matrix, [&](const std::vector<std::size_t>& index) {
    const auto row = static_cast<std::int64_t>(index[d.row]),
               column = static_cast<std::int64_t>(index[d.column]);
    if (column - row == d.above - d.below)
      f(index, d.of(index, static_cast<std::size_t>(row - d.below)));
  });
}

Tensor diagonal_reference(Values in, const Attrs& attrs) {
  const Diagonal d(DiagonalAxes::of(attrs));
  const Shape& matrix = in[0]->shape();
  Tensor result(in[0]->dtype(), d.of(matrix, d.length(matrix[d.row], matrix[d.column])));
  dispatch(result.dtype(), [&]<class T> {
    const auto from = references::view<T>(*in[0]);
    auto to = references::view<T>(result);
    for_each_on_diagonal(matrix, attrs, [&](const auto& here, const auto& there) {
      to.element(there.begin(), there.end()) = from.element(here.begin(), here.end());
    });
  });
  return result;
}

Type embed_diagonal_type(Args x, const Attrs& attrs) {
  const Dims& matrix = x[1].dims();
  const Dims expected = diagonal_dims(matrix, attrs);
  if (x[0].dims().size() != expected.size())
    throw TypeError(text("the diagonals of the second operand have ", expected.size(), " axes"));
  for (std::size_t k = 0; k < expected.size(); ++k) {
    const Dim mine = x[0].dims()[k];
    if (mine.known() && expected[k].known() && !(mine == expected[k]))
      throw TypeError("the diagonals of the second operand have sizes " + text(expected));
  }
  return {x[0].dtype(), matrix};
}

Tensor embed_diagonal_reference(Values in, const Attrs& attrs) {
  Tensor result(in[0]->dtype(), in[1]->shape());
  dispatch(result.dtype(), [&]<class T> {
    const auto from = references::view<T>(*in[0]);
    auto to = references::view<T>(result);
    for_each_on_diagonal(in[1]->shape(), attrs, [&](const auto& there, const auto& here) {
      to.element(there.begin(), there.end()) = from.element(here.begin(), here.end());
    });
  });
  return result;
}

void embed_diagonal_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs) {
  const Diagonal d(DiagonalAxes::of(attrs));
  std::memset(out.data, 0, static_cast<std::size_t>(out.size()) * size_of(out.dtype));
  // The other axes in row-major order, those of the operand but the last.
  const auto others = in[0].shape.first(in[0].shape.size() - 1);
  const std::int64_t length = in[0].shape.back(), step = out.strides[d.row] + out.strides[d.column],
                     start = d.below * out.strides[d.row] + d.above * out.strides[d.column];
  const std::int64_t matrices = length == 0 ? 0 : in[0].size() / length;
  dispatch(out.dtype, [&]<class T> {
    const T* from = in[0].as<T>();
    for (std::int64_t m = 0; m < matrices; ++m) {
      std::int64_t left = m, at = start;
      std::size_t k = others.size();
      for (std::size_t axis = out.shape.size(); axis-- > 0;) {
        if (axis == d.row || axis == d.column) continue;
        --k;
        at += left % others[k] * out.strides[axis];
        left /= others[k];
      }
      for (std::int64_t i = 0; i < length; ++i) out.as<T>()[at + i * step] = from[m * length + i];
    }
  });
}

Attrs with_batch(const Attrs& attrs) {
  const auto [row, column, offset] = DiagonalAxes::of(attrs);
  return DiagonalAxes{row + 1, column + 1, offset}.attrs();
}

/// Whether position k of an axis of matrices meets element k of the diagonal, for each k.
bool runs_along(const deriving::Flow& flow, std::int64_t axis, const Expr& matrices,
                const deriving::Count& diagonal) {
  const auto [row, column, offset] = DiagonalAxes::of(flow.y.attrs());
  const bool from_the_first = axis == row ? offset >= 0 : offset <= 0;
  const deriving::Count rows = flow.size(matrices, row), columns = flow.size(matrices, column);
  const deriving::Count& mine = axis == row ? rows : columns;
  return from_the_first && (mine == diagonal || (offset == 0 && rows == columns));
}

deriving::Place trace_diagonal(const deriving::Flow& flow) {
  const DiagonalAxes d = DiagonalAxes::of(flow.y.attrs());
  deriving::Place place = flow.place(0);
  if (place.axis != d.row && place.axis != d.column) {
    place.axis -= (d.row < place.axis) + (d.column < place.axis);
    return place;
  }
  const std::int64_t last = flow.y.rank() - 1;
  if (!runs_along(flow, place.axis, flow.inputs()[0], flow.size(flow.y, last))) return {};
  place.axis = last;
  return place;
}

/// Zeros are anybody's: an example's element is in its row and in its column.
deriving::Place trace_embed_diagonal(const deriving::Flow& flow) {
  const DiagonalAxes d = DiagonalAxes::of(flow.y.attrs());
  const Expr& x = flow.inputs()[0];
  deriving::Place place = flow.place(0);
  if (place.axis == x.rank() - 1) {
    for (const std::int64_t axis : {d.row, d.column}) {
      if (runs_along(flow, axis, flow.y, flow.size(x, place.axis)))
        return {axis, place.outer, place.inner};
    }
    return {};
  }
  std::int64_t left = place.axis;
  for (place.axis = 0;; ++place.axis) {
    if (place.axis == d.row || place.axis == d.column) continue;
    if (left-- == 0) return place;
  }
}

/// The diagonal of what is computed element by element, computed from diagonals.
Expr of_diagonals(const Expr& y) {
  const Expr& x = y.inputs()[0];
  const auto [row, column, offset] = DiagonalAxes::of(y.attrs());
  if (!x.op().elementwise() || x.op().observes || offset != 0 || !x.type().is_static()) return {};
  const Shape shape = x.type().shape();
  if (shape[static_cast<std::size_t>(row)] != shape[static_cast<std::size_t>(column)]) return {};
  // What is stored narrow is widened first.
  const auto is_narrow = [](const Expr& a) { return is_storage(a.dtype()); };
  if (std::ranges::any_of(x.inputs(), is_narrow)) return {};
  // One of unknown sizes may repeat itself, where another one's sizes are those of the result.
  const auto is_known = [](const Expr& a) { return a.type().is_static(); };
  if (!std::ranges::all_of(x.inputs(), is_known)) return {};
  std::vector<Expr> operands;
  for (const Expr& a : x.inputs()) {
    const std::int64_t lead = x.rank() - a.rank();
    const auto varies = [&](std::int64_t axis) {
      return axis >= lead && a.dims()[axis - lead].size() != 1;
    };
    if (varies(row) && varies(column)) {
      operands.push_back(
          apply(diagonal_op, {a}, DiagonalAxes{row - lead, column - lead, 0}.attrs()));
      continue;
    }
    // It repeats itself along one of them, or both.
    std::vector<std::int64_t> pattern;
    for (std::int64_t axis = 0; axis < x.rank(); ++axis) {
      if (axis != row && axis != column) pattern.push_back(axis < lead ? -1 : axis - lead);
    }
    pattern.push_back(varies(row) ? row - lead : varies(column) ? column - lead : -1);
    operands.push_back(a.rank() == 0 ? a : dimshuffle(a, pattern));
  }
  return apply(x.op(), std::move(operands), x.attrs());
}

/// Matrices of known sizes need not be there for them to be seen.
Expr of_known_shape(const Expr& y) {
  const Expr& like = y.inputs()[1];
  if (!like.type().is_static() || like.op().algebra == Algebra::repeat || like.inputs().empty())
    return {};
  const Expr zeros = broadcast_to(constant(Tensor(y.dtype(), {})), like.type().shape());
  return apply(embed_diagonal_op, {y.inputs()[0], zeros}, y.attrs());
}

const Type matrix45{DType::float64, {4, 5}}, batch{DType::float64, {2, 3, 4}};

}  // namespace

constinit const Op diagonal_op{
    .name = "diagonal",
    .type =
        [](Args x, const Attrs& attrs) {
          return Type{x[0].dtype(), diagonal_dims(x[0].dims(), attrs)};
        },
    .reference = diagonal_reference,
    .algebra = Algebra::diagonal,
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      return {apply(embed_diagonal_op, {gy, x[0]}, y.attrs())};
    },
    .batch = [](Args x, const std::vector<bool>&,
                const Expr& y) { return apply(diagonal_op, {x[0]}, with_batch(y.attrs())); },
    .trace = trace_diagonal,
    .simplify = of_diagonals,
    .size_of =
        [](const Expr& y, std::int64_t) {
          const Diagonal d(DiagonalAxes::of(y.attrs()));
          const Expr& x = y.inputs()[0];
          const auto [row, column, offset] = DiagonalAxes::of(y.attrs());
          return maximum(minimum(size(x, row) - d.below, size(x, column) - d.above), 0);
        },
    .runs = View{.show = diagonal_view},
    .examples = []() -> std::vector<Example> {
      const auto f = [](std::int64_t offset, std::int64_t axis1, std::int64_t axis2) {
        return [=](Args x) { return diagonal(x[0], offset, axis1, axis2); };
      };
      return {{{matrix45}, f(0, 0, 1)},
              {{matrix45}, f(2, 0, 1)},
              {{matrix45}, f(-1, 0, 1)},
              {{matrix45}, f(7, 0, 1)},
              {{batch}, f(1, 1, 2)},
              {{batch}, f(0, -1, 0)},
              {{Type{DType::float64, {3, 3}}}, [](Args x) { return diagonal(x[0] * x[0]); }},
              {{Type{DType::float64, {2, 3, 3}}, Type{DType::float64, {3}}},
               [](Args x) { return diagonal((x[0] + x[1]) * expand_dims(x[1], 1), 0, 1, 2); }},
              {{Type{DType::float64, {1, 1}}}, f(0, 0, 1)},
              {{Type{DType::float64, {0, 3}}}, f(0, 0, 1)},
              {{Type{DType::float64, {3, 3}}},
               [](Args x) { return trace(dot(x[0], transpose(x[0]))); }},
              {{Type{DType::float64, {2, 3, 3}}}, [](Args x) { return trace(x[0], 1, 1, 2); }}};
    },
};

constinit const Op embed_diagonal_op{
    .name = "embed_diagonal",
    .type = embed_diagonal_type,
    .reference = embed_diagonal_reference,
    .algebra = Algebra::embed_diagonal,
    .shape_only = 2,
    .grad = [](Args, const Expr& y, const Expr& gy) -> Grads {
      return {apply(diagonal_op, {gy}, y.attrs()), Expr()};
    },
    .batch =
        [](Args x, const std::vector<bool>&, const Expr& y) {
          const Expr like = broadcast_to(cast(Arg(0.0), y.dtype()),
                                         records::with_leading_size(size(x[0], 0), y.inputs()[1]));
          return apply(embed_diagonal_op, {x[0], like}, with_batch(y.attrs()));
        },
    .trace = trace_embed_diagonal,
    .simplify = of_known_shape,
    .runs = Kernel{.run = embed_diagonal_kernel},
    .examples = []() -> std::vector<Example> {
      const Type v{DType::float64, {3}}, square{DType::float64, {3, 3}};
      const auto f = [](std::int64_t offset, std::int64_t axis1, std::int64_t axis2) {
        return [=](Args x) { return embed_diagonal(x[0], x[1], offset, axis1, axis2); };
      };
      return {{{v, square}, f(0, 0, 1)},
              {{v, matrix45}, f(2, 0, 1)},
              {{v, matrix45}, f(-1, 0, 1)},
              {{Type{DType::float64, {2, 3}}, batch}, f(1, 1, 2)},
              {{Type{DType::float64, {3, 2}}, batch}, f(0, 2, 0)},
              {{Type{DType::float64, {0}}, Type{DType::float64, {0, 3}}}, f(0, 0, 1)},
              {{v}, [](Args x) { return diag(x[0], -2); }},
              {{v, square}, [](Args x) { return dot(diag(x[0]), x[1]); }},
              {{v, square}, [](Args x) { return diag(diag(dot(x[1], diag(x[0])))); }}};
    },
};

namespace {

Attrs diagonal_attrs(std::string_view name, const Arg& x, std::int64_t offset, std::int64_t axis1,
                     std::int64_t axis2) {
  const std::int64_t row = axis_of(name, x, axis1), column = axis_of(name, x, axis2);
  if (row == column) {
    refuse(name, text("the two axes are both axis ", row), x);
  }
  return DiagonalAxes{row, column, offset}.attrs();
}

/// `x` where `kept` of (row, column) is true, `other` elsewhere.
template <class F>
Expr masked(std::string_view name, const Arg& x, const Expr& other, F&& kept) {
  if (x->rank() < 2) {
    refuse(name, "needs two axes or more", x);
  }
  const Expr rows = expand_dims(arange(size(x, -2)), 1), columns = arange(size(x, -1));
  return switch_(kept(rows, columns), x, other);
}

}  // namespace

Expr diagonal(const Arg& x, std::int64_t offset, std::int64_t axis1, std::int64_t axis2) {
  const Attribution as(x.where());
  return apply(diagonal_op, {x}, diagonal_attrs("diagonal", x, offset, axis1, axis2), x.where());
}

Expr embed_diagonal(const Arg& x, const Arg& like, std::int64_t offset, std::int64_t axis1,
                    std::int64_t axis2) {
  const Attribution as(x.where());
  return apply(embed_diagonal_op, {x, like},
               diagonal_attrs("embed_diagonal", like, offset, axis1, axis2), x.where());
}

Expr diag(const Arg& x, std::int64_t offset) {
  const Attribution as(x.where());
  if (x->rank() == 2) return diagonal(x, offset);
  if (x->rank() != 1) {
    refuse("diag", "takes a vector or a matrix", x);
  }
  const Diagonal d(DiagonalAxes{0, 1, offset});
  const Expr n = offset == 0 ? size(x, 0) : records::computed(size(x, 0) + (d.above + d.below));
  return embed_diagonal(x, broadcast_to(cast(Arg(0.0), x->dtype()), {n, n}), offset);
}

Expr trace(const Arg& x, std::int64_t offset, std::int64_t axis1, std::int64_t axis2) {
  const Attribution as(x.where());
  return sum(apply(diagonal_op, {x}, diagonal_attrs("trace", x, offset, axis1, axis2), x.where()),
             -1);
}

Expr tril(const Arg& x, std::int64_t offset) {
  const Attribution as(x.where());
  return masked("tril", x, cast(Arg(0.0), x->dtype()),
                [&](const Expr& i, const Expr& j) { return j <= i + offset; });
}

Expr triu(const Arg& x, std::int64_t offset) {
  const Attribution as(x.where());
  return masked("triu", x, cast(Arg(0.0), x->dtype()),
                [&](const Expr& i, const Expr& j) { return j >= i + offset; });
}

Expr fill_diagonal(const Arg& x, const Arg& value) {
  const Attribution as(x.where());
  Expr other = cast(value, x->dtype());
  if (other.rank() > 0 && x->rank() >= 2) {
    const std::int64_t rank = x->rank();
    const Expr there = diagonal(x, 0, -2, -1);
    other = records::beside("fill_diagonal", other, there);
    other = embed_diagonal(broadcast_like(other, there), x, 0, rank - 2, rank - 1);
  }
  return masked("fill_diagonal", x, other,
                [](const Expr& i, const Expr& j) { return not_equal(i, j); });
}

}  // namespace cinch
