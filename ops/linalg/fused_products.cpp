#include "cinch/ops/linalg/fused_products.hpp"

#include <vector>

#include "cinch/core/run/team.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/linalg/matrix_operand.hpp"
#include "cinch/ops/linalg/sparse.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

bool same(Dim a, Dim b) { return !a.known() || !b.known() || a == b; }

/// The type of a product of two float matrices.
Type product_type(const Expr& a, const Expr& b) {
  if (a.rank() != 2 || b.rank() != 2) throw TypeError("operands must be matrices");
  if (!is_float(a.dtype())) throw TypeError("operands must be floats");
  if (!same(a.dims()[1], b.dims()[0])) {
    throw TypeError(text("the ", a.dims()[1].size(), " columns of the left operand must match the ",
                         b.dims()[0].size(), " rows of the right"));
  }
  return {a.dtype(), {a.dims()[0], b.dims()[1]}};
}

Type added_type(const Expr& c, const Expr& a, const Expr& b) {
  const Type product = product_type(a, b);
  if (c.rank() != 2) throw TypeError("the matrix to add to must be a matrix");
  if (!same(c.dims()[0], product.dims[0]) || !same(c.dims()[1], product.dims[1]))
    throw TypeError("the product does not have the shape of what it is added to");
  return {c.dtype(), c.dims()};
}

double product_flops(const Expr& y) {
  const Expr& left = y.inputs()[y.inputs().size() - 2];
  return 2.0 * static_cast<double>(element_count(y.type().shape())) *
         static_cast<double>(left.dims()[1].size());
}

template <class F>
auto for_floats(DType dtype, F&& f) {
  return dtype == DType::float32 ? f.template operator()<float>() : f.template operator()<double>();
}

Tensor product_reference(const Tensor& a, const Tensor& b) {
  const Tensor* const operands[] = {&a, &b};
  return dot_op.reference(Values(operands), {});
}

/// `c`, scaled by column where `scale` is not null, plus the product.
Tensor added_reference(const Tensor& c, const Tensor* scale, const Tensor& product) {
  Tensor result = c;
  for_floats(c.dtype(), [&]<class T> {
    const auto columns = static_cast<std::size_t>(c.shape()[1]);
    const auto out = result.data<T>();
    for (std::size_t k = 0; k < out.size(); ++k) {
      if (scale) out[k] *= scale->data<T>()[k % columns];
      out[k] += product.data<T>()[k];
    }
  });
  return result;
}

Tensor squares_reference(Values in, const Attrs&) {
  const Tensor &a = *in[0], &b = *in[1], product = product_reference(a, b);
  return for_floats(a.dtype(), [&]<class T> {
    const std::int64_t rows = a.shape()[0], columns = b.shape()[1];
    Tensor result(a.dtype(), {rows + 1, columns});
    const auto out = result.data<T>();
    std::ranges::copy(product.data<T>(), out.begin());
    for (std::int64_t k = 0; k < b.size(); ++k) {
      const T x = b.data<T>()[static_cast<std::size_t>(k)];
      out[static_cast<std::size_t>(rows * columns + k % columns)] += x * x;
    }
    return result;
  });
}

/// Row-major element for element into the output, unless that is the same memory.
template <class T>
void copy_into(const Operand& from, const Operand& out) {
  if (out.data != from.data) std::copy_n(from.as<T>(), out.size(), out.as<T>());
}

void add_dot_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  for_floats(out.dtype, [&]<class T> {
    copy_into<T>(in[0], out);
    blas::product(linalg::matrix<const T>(in[1]), linalg::matrix<const T>(in[2]),
                  linalg::matrix<T>(out),
                  /*accumulate=*/true);
  });
}

void scaled_add_dot_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  for_floats(out.dtype, [&]<class T> {
    copy_into<T>(in[0], out);
    const T* scale = in[1].as<const T>();
    if (const std::int64_t stride = in[1].strides[1]; stride != 1) {
      const std::int64_t columns = in[1].shape[1];
      T* row = reinterpret_cast<T*>(
          running::thread_scratch(static_cast<std::size_t>(columns) * sizeof(T)));
      for (std::int64_t j = 0; j < columns; ++j) row[j] = scale[j * stride];
      scale = row;
    }
    blas::update(linalg::matrix<const T>(in[2]), linalg::matrix<const T>(in[3]), scale,
                 linalg::matrix<T>(out));
  });
}

void dot_squares_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  for_floats(out.dtype, [&]<class T> {
    blas::Matrix<T> product = linalg::matrix<T>(out);
    product.row = product.columns;  // Where there is one row only, too.
    product.column = 1;
    --product.rows;
    blas::product_and_squares(linalg::matrix<const T>(in[0]), linalg::matrix<const T>(in[1]),
                              product, out.as<T>() + product.rows * product.columns);
  });
}

void chosen_dot_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  const std::int64_t rows = out.shape[0], columns = out.shape[1];
  const bool* chosen = in[0].as<const bool>();
  std::vector<char> copied;  // In row-major order.
  if ((in[0].strides[1] != 1 && columns > 1) || (in[0].strides[0] != columns && rows > 1)) {
    copied.resize(static_cast<std::size_t>(rows * columns));
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = 0; j < columns; ++j)
        copied[static_cast<std::size_t>(i * columns + j)] =
            static_cast<char>(chosen[i * in[0].strides[0] + j * in[0].strides[1]]);
    }
    chosen = reinterpret_cast<const bool*>(copied.data());
  }
  for_floats(out.dtype, [&]<class T> {
    const auto a = linalg::matrix<const T>(in[1]), b = linalg::matrix<const T>(in[2]);
    blas::Matrix<T> c = linalg::matrix<T>(out);
    c.row = columns;  // Where there is one row only, too.
    c.column = 1;
    if (blas::chosen_product(chosen, a, b, c)) return;
    blas::product(a, b, c);
    T* const y = out.as<T>();
    for (std::int64_t k = 0; k < rows * columns; ++k) y[k] = chosen[k] ? y[k] : T(0);
  });
}

Expr transposed(const Expr& x) { return dimshuffle(x, {1, 0}); }

Type real(const Shape& shape) { return {DType::float64, to_dims(shape)}; }

}  // namespace

constinit const Op add_dot_op{
    .name = "add_dot",
    .type = [](Args x, const Attrs&) { return added_type(x[0], x[1], x[2]); },
    .reference =
        [](Values in, const Attrs&) {
          return added_reference(*in[0], nullptr, product_reference(*in[1], *in[2]));
        },
    .operands = Operands::real,
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {gy, dot(gy, transposed(x[2])), dot(transposed(x[1]), gy)};
    },
    .runs = Kernel{.run = add_dot_kernel,
                   .accepts = linalg::accepts_matrix,
                   .accumulates = true,
                   .flops = product_flops},
    .examples = []() -> std::vector<Example> {
      const Type a = real({3, 4}), b = real({4, 2}), c = real({3, 2});
      const auto f = [](Args x) { return add_dot(x[0], x[1], x[2]); };
      const auto turned = [](Args x) {
        return add_dot(transpose(x[0]), dot(transpose(x[0]), x[1]), transpose(x[2]));
      };
      return {{{c, a, b}, f}, {{a, c, c}, turned}, {{c, real({3, 0}), real({0, 2})}, f}};
    },
};

constinit const Op scaled_add_dot_op{
    .name = "scaled_add_dot",
    .type =
        [](Args x, const Attrs&) {
          const Type result = added_type(x[0], x[2], x[3]);
          const Dims& s = x[1].dims();
          if (s.size() != 2 || !same(s[0], Dim(1)) || !same(s[1], result.dims[1]))
            throw TypeError("the scale must have one row with a number for each column");
          return result;
        },
    .reference =
        [](Values in, const Attrs&) {
          return added_reference(*in[0], in[1], product_reference(*in[2], *in[3]));
        },
    .operands = Operands::real,
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {gy * x[1], sum(gy * x[0], {0}, /*keepdims=*/true), dot(gy, transposed(x[3])),
              dot(transposed(x[2]), gy)};
    },
    .runs = Kernel{.run = scaled_add_dot_kernel,
                   .accepts = linalg::accepts_matrix,
                   .accumulates = true,
                   .flops = product_flops},
    .examples = []() -> std::vector<Example> {
      const auto f = [](Args x) { return scaled_add_dot(x[0], x[1], x[2], x[3]); };
      const auto turned = [](Args x) {
        return scaled_add_dot(x[0], transpose(x[1]), transpose(x[2]), x[3]);
      };
      const Type c = real({3, 2}), s = real({1, 2}), a = real({3, 4}), b = real({4, 2});
      return {{{c, s, a, b}, f},
              {{real({45, 70}), real({70, 1}), real({3, 45}), real({3, 70})}, turned},
              {{c, s, real({3, 0}), real({0, 2})}, f}};
    },
};

constinit const Op dot_squares_op{
    .name = "dot_squares",
    .type =
        [](Args x, const Attrs&) {
          const Type product = product_type(x[0], x[1]);
          const Dim rows = product.dims[0];
          return Type{product.dtype,
                      {rows.known() ? Dim(rows.size() + 1) : Dim::unknown(), product.dims[1]}};
        },
    .reference = squares_reference,
    .operands = Operands::real,
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      const Expr rows = size(x[0], 0);
      const Expr product = narrow(gy, 0, 0, rows, 1), squares = narrow(gy, 0, rows, 1, 1);
      return {dot(product, transposed(x[1])), dot(transposed(x[0]), product) + 2 * x[1] * squares};
    },
    .runs =
        Kernel{
            .run = dot_squares_kernel, .accepts = linalg::accepts_matrix, .flops = product_flops},
    .examples = []() -> std::vector<Example> {
      const auto f = [](Args x) { return dot_squares(x[0], x[1]); };
      const auto turned = [](Args x) { return dot_squares(x[0], transpose(x[1])); };
      const Type a = real({3, 4}), b = real({4, 2});
      return {{{a, b}, f},
              {{a, real({2, 4})}, turned},
              {{real({1, 4}), b}, f},
              {{real({0, 4}), b}, f},
              {{real({3, 0}), real({0, 2})}, f}};
    },
};

constinit const Op chosen_dot_op{
    .name = "chosen_dot",
    .type =
        [](Args x, const Attrs&) {
          const Type product = product_type(x[1], x[2]);
          if (x[0].dtype() != DType::bool_ || x[0].rank() != 2 ||
              !same(x[0].dims()[0], product.dims[0]) || !same(x[0].dims()[1], product.dims[1]))
            throw TypeError("what is chosen must be a bool for each element of the product");
          return product;
        },
    .reference =
        [](Values in, const Attrs&) {
          Tensor result = product_reference(*in[1], *in[2]);
          for_floats(result.dtype(), [&]<class T> {
            for (std::int64_t k = 0; k < result.size(); ++k) {
              if (in[0]->at(k) == 0) result.data<T>()[static_cast<std::size_t>(k)] = 0;
            }
          });
          return result;
        },
    .operands = Operands::choice,
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      const Expr g = switch_(x[0], gy, 0);
      return {Expr(), dot(g, transposed(x[2])), dot(transposed(x[1]), g)};
    },
    .runs =
        Kernel{.run = chosen_dot_kernel, .accepts = linalg::accepts_matrix, .flops = product_flops},
    .examples = []() -> std::vector<Example> {
      const auto chosen = [](const Shape& shape) { return Type{DType::bool_, to_dims(shape)}; };
      const Type a = real({3, 4}), b = real({4, 2});
      const auto f = [](Args x) { return chosen_dot(x[0], x[1], x[2]); };
      const auto turned = [](Args x) { return chosen_dot(transpose(x[0]), x[1], transpose(x[2])); };
      return {{{chosen({3, 2}), a, b}, f},
              {{chosen({2, 3}), a, real({2, 4})}, turned},
              {{chosen({3, 2}), real({3, 0}), real({0, 2})}, f}};
    },
};

Expr add_dot(const Arg& c, const Arg& a, const Arg& b) {
  return apply(add_dot_op, {c, a, b}, {}, c.where());
}
Expr scaled_add_dot(const Arg& c, const Arg& scale, const Arg& a, const Arg& b) {
  return apply(scaled_add_dot_op, {c, scale, a, b}, {}, c.where());
}
Expr dot_squares(const Arg& a, const Arg& b) {
  return apply(dot_squares_op, {a, b}, {}, a.where());
}

Expr chosen_dot(const Arg& chosen, const Arg& a, const Arg& b) {
  return apply(chosen_dot_op, {chosen, a, b}, {}, a.where());
}

}  // namespace cinch
