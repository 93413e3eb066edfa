#include "cinch/ops/linalg.hpp"

#include <xtensor-blas/xlinalg.hpp>
#include <xtensor/xview.hpp>

#include "cinch/core/refusal.hpp"
#include "cinch/core/run/cost.hpp"
#include "cinch/core/run/team.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/linalg/blas.hpp"
#include "cinch/ops/linalg/matrix_operand.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/reference/xtensor_view.hpp"
#include "cinch/ops/rules/placed.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

void require_inner(Dim a, Dim b, const std::string& axes) {
  if (a.known() && b.known() && !(a == b)) {
    throw TypeError(text("the ", a.size(), " columns of the left operand must match the ", b.size(),
                         " rows of the right", axes));
  }
}

Type dot_type(Args x, const Attrs&) {
  if (x[0].rank() < 2 || x[1].rank() != 2) {
    throw TypeError("the left operand must have two axes or more, the right one two");
  }
  require_inner(x[0].dims().back(), x[1].dims()[0], "");
  Dims dims = x[0].dims();
  dims.back() = x[1].dims()[1];
  return {x[0].dtype(), dims};
}

Type batched_dot_type(Args x, const Attrs&) {
  if (x[0].rank() != 3 || x[1].rank() != 3)
    throw TypeError("operands must have three axes: (n, i, k) and (n, k, j)");
  require_inner(x[0].dims()[2], x[1].dims()[1], " in each pair");
  const Dim a = x[0].dims()[0], b = x[1].dims()[0];
  if (a.known() && b.known() && !(a == b))
    throw TypeError(text("there are ", a.size(), " left and ", b.size(), " right matrices"));
  return {x[0].dtype(), {a.known() ? a : b, x[0].dims()[1], x[1].dims()[2]}};
}

/// The product of two row-major matrices by xtensor-blas, which wants containers of its own and
/// BLAS types.
template <class T>
void reference_product(const T* a, const T* b, T* c, std::size_t m, std::size_t k, std::size_t n) {
  if (m == 0 || n == 0 || k == 0) return;
  const xt::xarray<T> left =
      xt::adapt(a, m * k, xt::no_ownership(), std::vector<std::size_t>{m, k});
  const xt::xarray<T> right =
      xt::adapt(b, k * n, xt::no_ownership(), std::vector<std::size_t>{k, n});
  auto result = xt::adapt(c, m * n, xt::no_ownership(), std::vector<std::size_t>{m, n});
  if constexpr (std::is_floating_point_v<T>) {
    const blas::Use use;
    result = xt::linalg::dot(left, right);
  } else {
    const auto products =
        xt::view(left, xt::all(), xt::all(), xt::newaxis()) * xt::view(right, xt::newaxis());
    result = xt::sum(products, std::vector<std::size_t>{1});
  }
}

Tensor dot_reference(Values in, const Attrs&) {
  return dispatch(in[0]->dtype(), [&]<class T> {
    const Shape& b = in[1]->shape();
    Shape shape = in[0]->shape();
    shape.back() = 1;
    const std::int64_t rows = element_count(shape);
    shape.back() = b[1];
    Tensor result(dtype_of<T>(), shape);
    reference_product(in[0]->data<T>().data(), in[1]->data<T>().data(), result.data<T>().data(),
                      static_cast<std::size_t>(rows), static_cast<std::size_t>(b[0]),
                      static_cast<std::size_t>(b[1]));
    return result;
  });
}

Tensor batched_dot_reference(Values in, const Attrs&) {
  return dispatch(in[0]->dtype(), [&]<class T> {
    const Shape &a = in[0]->shape(), &b = in[1]->shape();
    Tensor result(dtype_of<T>(), {a[0], a[1], b[2]});
    for (std::int64_t i = 0; i < a[0]; ++i) {
      reference_product(in[0]->data<T>().data() + i * a[1] * a[2],
                        in[1]->data<T>().data() + i * b[1] * b[2],
                        result.data<T>().data() + i * a[1] * b[2], static_cast<std::size_t>(a[1]),
                        static_cast<std::size_t>(a[2]), static_cast<std::size_t>(b[2]));
    }
    return result;
  });
}

template <class T>
void multiply(const Operand& a, const Operand& b, const Operand& c, std::int64_t batch) {
  const auto left = linalg::matrix<const T>(a, batch), right = linalg::matrix<const T>(b, batch);
  const auto result = linalg::matrix<T>(c, batch);
  if constexpr (std::is_floating_point_v<T>) {
    blas::product(left, right, result);
  } else {
    for (std::int64_t i = 0; i < result.rows; ++i) {
      for (std::int64_t j = 0; j < result.columns; ++j) {
        std::uint64_t total = 0;
        for (std::int64_t k = 0; k < left.columns; ++k) {
          total += static_cast<std::uint64_t>(left.data[i * left.row + k * left.column]) *
                   static_cast<std::uint64_t>(right.data[k * right.row + j * right.column]);
        }
        result.data[i * result.row + j * result.column] = static_cast<T>(total);
      }
    }
  }
}

/// Leading axes are rows: such an operand lies row by row.
void dot_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  dispatch(out.dtype, [&]<class T> {
    if (out.shape.size() == 2) return multiply<T>(in[0], in[1], out, 0);
    const std::int64_t inner = in[1].shape[0], columns = in[1].shape[1];
    const std::int64_t rows = columns > 0 ? out.size() / columns : 0;
    const std::int64_t left_shape[] = {rows, inner}, left_strides[] = {inner, 1};
    const std::int64_t shape[] = {rows, columns}, strides[] = {columns, 1};
    multiply<T>({in[0].data, in[0].dtype, left_shape, left_strides}, in[1],
                {out.data, out.dtype, shape, strides}, 0);
  });
}

bool accepts_dot(const Strided& where, const Shape& shape) {
  return shape.size() == 2 && linalg::accepts_matrix(where, shape);
}

/// A product of so few operations that asking how to compute it would take longer.
template <class T>
void multiply_tiny(const blas::Matrix<const T>& a, const blas::Matrix<const T>& b,
                   const blas::Matrix<T>& c) {
  for (std::int64_t i = 0; i < c.rows; ++i) {
    for (std::int64_t j = 0; j < c.columns; ++j) {
      const T *left = a.data + i * a.row, *right = b.data + j * b.column;
      T total = 0;
      for (std::int64_t k = 0; k < a.columns; ++k, left += a.column, right += b.row)
        total += *left * *right;
      c.data[i * c.row + j * c.column] = total;
    }
  }
}

void batched_dot_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  dispatch(out.dtype, [&]<class T> {
    const double nanoseconds =
        2 * static_cast<double>(out.size() * in[0].shape[2]) * running::cost::small_flop(sizeof(T));
    const std::int64_t count = out.shape[0], parts = running::parts_for(nanoseconds, count);
    running::share_work(parts, [&](std::int64_t part) {
      const running::Span own = running::part_of(count, 1, parts, part);
      if constexpr (std::is_floating_point_v<T>) {
        constexpr std::int64_t most_products = 64;
        if (count > 0 && out.size() / count * in[0].shape[2] <= most_products) {
          for (std::int64_t i = own.begin; i < own.end; ++i)
            multiply_tiny<T>(linalg::matrix<const T>(in[0], i), linalg::matrix<const T>(in[1], i),
                             linalg::matrix<T>(out, i));
          return;
        }
      }
      for (std::int64_t i = own.begin; i < own.end; ++i) multiply<T>(in[0], in[1], out, i);
    });
  });
}

/// A multiplication and an addition for each element of the result and of the inner axis, which is
/// the last one of the second-last operand.
double product_flops(const Expr& y) {
  const Expr& left = y.inputs()[y.inputs().size() - 2];
  return 2.0 * static_cast<double>(element_count(y.type().shape())) *
         static_cast<double>(left.dims().back().size());
}

Expr transposed(const Expr& x) {
  return x.rank() == 2 ? dimshuffle(x, {1, 0}) : dimshuffle(x, {0, 2, 1});
}

/// All leading axes as one: (rows, last axis).
Expr rows_of(const Expr& x) {
  if (x.rank() == 2) return x;
  std::vector<Expr> all = sizes(x);
  const Expr last = all.back();
  all.pop_back();
  return reshape(x, std::vector<Expr>{product(all), last});
}

/// One more axis on the left operand is another leading one; on the right one it is folded into its
/// columns; on both, it pairs them.
Expr batch_dot(Args x, const std::vector<bool>& batched, const Expr& y) {
  const Expr &a = x[0], &b = x[1];
  if (!batched[1]) return dot(a, b);
  std::vector<Expr> shape = sizes(y);
  shape.insert(shape.begin(), size(b, 0));
  if (batched[0]) {
    if (a.rank() == 3) return batched_dot(a, b);
    const std::vector<Expr> all = sizes(a);
    const Expr rows = product({all.begin() + 1, all.end() - 1});
    return reshape(batched_dot(reshape(a, std::vector<Expr>{all.front(), rows, all.back()}), b),
                   shape);
  }
  const Expr side = dimshuffle(b, {1, 0, 2});  // (k, n, j)
  const Expr flat = reshape(side, std::vector<Expr>{size(b, 1), product({size(b, 0), size(b, 2)})});
  const Expr rows = rows_of(a);
  const Expr all =
      reshape(dot(rows, flat), std::vector<Expr>{size(rows, 0), size(b, 0), size(b, 2)});
  return reshape(dimshuffle(all, {1, 0, 2}), shape);
}

Expr batch_batched_dot(Args x, const std::vector<bool>& batched, const Expr& y) {
  const Expr count = size(batched[0] ? x[0] : x[1], 0);
  const auto flat = [&](std::size_t i) {
    Expr e = x[i];
    if (!batched[i]) {
      std::vector<Expr> all = sizes(e);
      all.insert(all.begin(), count);
      e = broadcast_to(e, all);
    }
    return reshape(e, std::vector<Expr>{product({size(e, 0), size(e, 1)}), size(e, 2), size(e, 3)});
  };
  const Expr result = batched_dot(flat(0), flat(1));
  return reshape(result, std::vector<Expr>{count, size(y, 0), size(y, 1), size(y, 2)});
}

std::int64_t follow_dot(Args x, std::span<const std::int64_t> axes, const Expr& y) {
  if (axes[0] >= 0 && axes[0] < x[0].rank() - 1 && axes[1] < 0) return axes[0];
  if (axes[1] == 1 && axes[0] < 0) return y.rank() - 1;
  return -1;
}

std::int64_t follow_batched_dot(Args, std::span<const std::int64_t> axes, const Expr&) {
  if (axes[0] <= 0 && axes[1] <= 0) return 0;
  if (axes[0] == 1 && axes[1] < 0) return 1;
  if (axes[1] == 2 && axes[0] < 0) return 2;
  return -1;
}

}  // namespace

constinit const Op dot_op{
    .name = "dot",
    .type = dot_type,
    .reference = dot_reference,
    .operands = Operands::numeric,
    .algebra = Algebra::matrix_product,
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {dot(gy, transposed(x[1])), dot(transposed(rows_of(x[0])), rows_of(gy))};
    },
    .batch = batch_dot,
    .follow = follow_dot,
    .simplify = rules::of_parts,
    .runs = Kernel{.run = dot_kernel, .accepts = accepts_dot, .flops = product_flops},
    .examples = []() -> std::vector<Example> {
      const Type a{DType::float64, {3, 4}}, b{DType::float64, {4, 2}}, v{DType::float64, {4}};
      const auto f = [](Args x) { return dot(x[0], x[1]); };
      return {{{a, b}, f},
              {{a, a}, [](Args x) { return dot(x[0], transpose(x[1])); }},
              {{a, a}, [](Args x) { return dot(transpose(x[0]), x[1]); }},
              {{a}, [](Args x) { return dot(x[0], transpose(x[0])); }},
              {{a, v}, f},
              {{v, b}, f},
              {{v, v}, f},
              {{Type{DType::float64, {2, 3, 4}}, b}, f},
              {{Type{DType::float64, {2, 3, 3, 4}}, b}, f},
              {{Type{DType::float64, {4, 3, 2}}, b},
               [](Args x) {
                 return dot(dimshuffle(x[0], {2, 1, 0}), x[1]);
               }},
              {{Type{DType::float64, {2, 0, 4}}, b}, f},
              {{Type{DType::float64, {1, 1}}, Type{DType::float64, {1, 5}}}, f},
              {{Type{DType::float64, {3, 0}}, Type{DType::float64, {0, 2}}}, f},
              {{Type{DType::float64, {0, 4}}, b}, f},
              {{Type{DType::int64, {3, 4}}, Type{DType::int64, {4, 2}}}, f, {5, 5}}};
    },
};

constinit const Op batched_dot_op{
    .name = "batched_dot",
    .type = batched_dot_type,
    .reference = batched_dot_reference,
    .operands = Operands::numeric,
    .algebra = Algebra::matrix_product,
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {batched_dot(gy, transposed(x[1])), batched_dot(transposed(x[0]), gy)};
    },
    .batch = batch_batched_dot,
    .follow = follow_batched_dot,
    .simplify = rules::of_parts,
    .runs =
        Kernel{
            .run = batched_dot_kernel, .accepts = linalg::accepts_matrix, .flops = product_flops},
    .examples = []() -> std::vector<Example> {
      const Type a{DType::float64, {2, 3, 4}}, b{DType::float64, {2, 4, 5}},
          c{DType::float64, {2, 5, 4}};
      return {{{a, b}, [](Args x) { return batched_dot(x[0], x[1]); }},
              {{a, c},
               [](Args x) {
                 return batched_dot(x[0], dimshuffle(x[1], {0, 2, 1}));
               }},
              {{Type{DType::float64, {0, 3, 4}}, Type{DType::float64, {0, 4, 5}}},
               [](Args x) { return batched_dot(x[0], x[1]); }}};
    },
};

Expr dot(const Arg& a, const Arg& b) {
  const Attribution as(a.where());
  if (a->rank() == 0 || b->rank() == 0) return a * b;
  if (a->rank() == 1 && b->rank() == 1) {
    const Dim n = a->dims()[0], m = b->dims()[0];
    if (n.known() && m.known() && !(n == m)) {
      refuse("dot", "vectors of different lengths", a, {b});
    }
    return squeeze(squeeze(dot(expand_dims(a, 0), expand_dims(b, 1)), 1), 0);
  }
  if (a->rank() == 1) return squeeze(dot(expand_dims(a, 0), b), 0);
  if (b->rank() == 1) return squeeze(dot(a, expand_dims(b, 1)), -1);
  return apply(dot_op, {a, b}, {}, a.where());
}

Expr batched_dot(const Arg& a, const Arg& b) {
  return apply(batched_dot_op, {a, b}, {}, a.where());
}

Expr outer(const Arg& a, const Arg& b) {
  const Attribution as(a.where());
  if (a->rank() != 1 || b->rank() != 1) {
    refuse("outer", "takes vectors: flatten() others, or use tensordot(a, b, 0)", a, {b});
  }
  return expand_dims(a, -1) * expand_dims(b, 0);
}

std::string blas_core() { return blas::core_name(); }

}  // namespace cinch
