#include "cinch/ops/along.hpp"

#include <cstring>
#include <type_traits>

#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/records/sizes.hpp"
#include "cinch/ops/reference/positions.hpp"
#include "cinch/ops/reference/xtensor_view.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

void require_indices(const Expr& indices) {
  if (indices.dtype() != DType::int64) throw TypeError("the indices must be int64");
}

/// The same sizes but along `axis`.
void require_same_lanes(const Expr& a, const Expr& b, std::int64_t axis) {
  if (a.rank() != b.rank()) throw TypeError("all must have the same number of axes");
  for (std::int64_t k = 0; k < a.rank(); ++k) {
    const Dim m = a.dims()[static_cast<std::size_t>(k)], n = b.dims()[static_cast<std::size_t>(k)];
    if (k != axis && m.known() && n.known() && !(m == n))
      throw TypeError(text("sizes differ along axis ", k));
  }
}

Type take_along_type(Args x, const Attrs& attrs) {
  require_indices(x[1]);
  if (x[0].rank() != x[1].rank()) throw TypeError("both must have the same number of axes");
  const std::int64_t axis = AlongAxis::of(attrs).axis;
  Dims from = x[0].dims();
  from[axis] = x[1].dims()[axis];
  return {x[0].dtype(), broadcast(from, x[1].dims())};
}

Type add_along_type(Args x, const Attrs& attrs) {
  require_indices(x[1]);
  if (x[0].dtype() == DType::bool_) throw TypeError("bools cannot be added: cast them first");
  const std::int64_t axis = AlongAxis::of(attrs).axis;
  require_same_lanes(x[0], x[1], axis);
  require_same_lanes(x[2], x[1], axis);
  const Dim m = x[0].dims()[axis], n = x[1].dims()[axis];
  if (m.known() && n.known() && !(m == n)) throw TypeError(text("sizes differ along axis ", axis));
  return {x[0].dtype(), x[2].dims()};
}

/// Distances between neighbours of an operand that is repeated along its axes of size 1.
std::vector<std::int64_t> repeated_strides(const Operand& x) {
  std::vector<std::int64_t> result(x.strides.begin(), x.strides.end());
  for (std::size_t k = 0; k < result.size(); ++k) {
    if (x.shape[k] == 1) result[k] = 0;
  }
  return result;
}

void take_along_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs) {
  const std::int64_t axis = AlongAxis::of(attrs).axis;
  const std::size_t last = out.shape.size() - 1;
  const std::int64_t n = in[0].shape[axis], down = in[0].strides[axis];
  // Without the axis itself, along which the indices say where to go.
  std::vector<std::int64_t> across = repeated_strides(in[0]);
  across[axis] = 0;
  const std::vector<std::int64_t> along = repeated_strides(in[1]);
  const std::int64_t length = out.shape[last], step = across[last], stride = along[last],
                     rows = length == 0 ? 0 : out.size() / length;
  dispatch(out.dtype, [&]<class T> {
    const T* from = in[0].as<T>();
    const std::int64_t* index = in[1].as<std::int64_t>();
    T* to = out.as<T>();
    for (std::int64_t row = 0; row < rows; ++row, to += length) {
      std::int64_t left = row, start = 0, first = 0;
      for (std::size_t k = last; k-- > 0;) {
        const std::int64_t i = left % out.shape[k];
        left /= out.shape[k];
        start += i * across[k];
        first += i * along[k];
      }
      for (std::int64_t i = 0; i < length; ++i)
        to[i] = from[start + i * step + references::row_of(index[first + i * stride], n) * down];
    }
  });
}

/// Calls f(position where the indices choose, position of the index) for all indices; `from` has
/// the lanes that they choose from.
template <class F>
void for_each_choice(const Operand& indices, std::span<const std::int64_t> from, std::int64_t axis,
                     F&& f) {
  const references::Lanes here(indices.shape, axis), there(from, axis);
  const std::int64_t* index = indices.as<std::int64_t>();
  if (here.n == 0) return;
  // In the order of memory, which decides the order of additions.
  const std::int64_t outer = here.count / std::max<std::int64_t>(here.inner, 1);
  for (std::int64_t o = 0; o < outer; ++o) {
    for (std::int64_t k = 0; k < here.n; ++k) {
      for (std::int64_t i = 0; i < here.inner; ++i) {
        const std::int64_t at = (o * here.n + k) * here.inner + i;
        f((o * there.n + references::row_of(index[at], there.n)) * there.inner + i, at);
      }
    }
  }
}

void add_along_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs) {
  std::memset(out.data, 0, static_cast<std::size_t>(out.size()) * size_of(out.dtype));
  dispatch(out.dtype, [&]<class T> {
    if constexpr (!std::is_same_v<T, bool>) {
      const T* from = in[0].as<T>();
      T* to = out.as<T>();
      for_each_choice(in[1], out.shape, AlongAxis::of(attrs).axis,
                      [&](std::int64_t there, std::int64_t here) { to[there] += from[here]; });
    }
  });
}

/// `index` of an array that is repeated to a larger one along its axes of size 1.
std::vector<std::size_t> within(const Tensor& x, std::vector<std::size_t> index) {
  for (std::size_t k = 0; k < index.size(); ++k) {
    if (x.shape()[k] == 1) index[k] = 0;
  }
  return index;
}

/// Where the element of `indices` at `here` points to.
std::vector<std::size_t> chosen(const Tensor& indices, const std::vector<std::size_t>& here,
                                std::int64_t axis, std::int64_t n) {
  std::vector<std::size_t> there = here;
  const auto at = within(indices, here);
  there[static_cast<std::size_t>(axis)] = static_cast<std::size_t>(
      references::row_of(references::view<std::int64_t>(indices).element(at.begin(), at.end()), n));
  return there;
}

Tensor take_along_reference(Values in, const Attrs& attrs) {
  const std::int64_t axis = AlongAxis::of(attrs).axis, n = in[0]->shape()[axis];
  Shape shape = in[1]->shape();
  for (std::size_t k = 0; k < shape.size(); ++k) {
    if (static_cast<std::int64_t>(k) != axis && shape[k] == 1) shape[k] = in[0]->shape()[k];
  }
  Tensor result(in[0]->dtype(), shape);
  dispatch(result.dtype(), [&]<class T> {
    auto to = references::view<T>(result);
    const auto from = references::view<T>(*in[0]);
    references::for_each_index(shape, [&](const std::vector<std::size_t>& here) {
      const auto there = within(*in[0], chosen(*in[1], here, axis, n));
      to.element(here.begin(), here.end()) = from.element(there.begin(), there.end());
    });
  });
  return result;
}

Tensor add_along_reference(Values in, const Attrs& attrs) {
  const std::int64_t axis = AlongAxis::of(attrs).axis, n = in[2]->shape()[axis];
  return dispatch(in[0]->dtype(), [&]<class T> {
    using Sum = std::conditional_t<std::is_same_v<T, float>, double, T>;  // It grows beyond 2^24.
    Tensor result(dtype_of<Sum>(), in[2]->shape());
    auto to = references::view<Sum>(result);
    const auto from = references::view<T>(*in[0]);
    references::for_each_index(in[0]->shape(), [&](const std::vector<std::size_t>& here) {
      const auto there = chosen(*in[1], here, axis, n);
      Sum& target = to.element(there.begin(), there.end());
      target = static_cast<Sum>(target + from.element(here.begin(), here.end()));
    });
    return result.cast(in[0]->dtype());
  });
}

/// The first two operands, each with the leading axis.
std::vector<Expr> all_batched(Args x, const std::vector<bool>& batched) {
  const Expr count = size(batched[0] ? x[0] : x[1], 0);
  std::vector<Expr> result;
  for (std::size_t k = 0; k < 2; ++k)
    result.push_back(batched[k] ? x[k]
                                : broadcast_to(x[k], records::with_leading_size(count, x[k])));
  return result;
}

/// Examples along another axis stay apart.
std::int64_t follow_along(Args, std::span<const std::int64_t> axes, const Expr& y) {
  const std::int64_t a = axes[0], b = axes[1], own = AlongAxis::of(y.attrs()).axis;
  if (a == own || b == own || (a >= 0 && b >= 0 && a != b)) return -1;
  return std::max(a, b);
}

}  // namespace

constinit const Op take_along_op{
    .name = "take_along_axis",
    .type = take_along_type,
    .reference = take_along_reference,
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      const std::int64_t axis = AlongAxis::of(y.attrs()).axis;
      std::vector<Expr> all = sizes(y);
      all[axis] = size(x[0], axis);
      const Expr like = broadcast_to(cast(Arg(0.0), gy.dtype()), all);
      return {add_along_axis(gy, broadcast_like(x[1], y), like, axis), Expr()};
    },
    .batch =
        [](Args x, const std::vector<bool>& batched, const Expr& y) {
          return apply(
              take_along_op,
              {batched[0] ? x[0] : expand_dims(x[0], 0), batched[1] ? x[1] : expand_dims(x[1], 0)},
              AlongAxis{AlongAxis::of(y.attrs()).axis + 1}.attrs());
        },
    .follow = follow_along,
    .size_of = [](const Expr& y, std::int64_t axis) -> Expr {
      const Expr a = size(y.inputs()[0], axis), b = size(y.inputs()[1], axis);
      return axis == AlongAxis::of(y.attrs()).axis ? b : switch_(equal(a, 1), b, a);
    },
    .runs = Kernel{.run = take_along_kernel},
    .examples = []() -> std::vector<Example> {
      const Type m{DType::float64, {4, 3}}, cube{DType::float64, {2, 5, 3}};
      const auto f = [](std::int64_t axis) {
        return [axis](Args x) { return take_along_axis(x[0], x[1], axis); };
      };
      return {{{m, Type{DType::int64, {6, 3}}}, f(0), {0, 4}},
              {{m, Type{DType::int64, {4, 2}}}, f(-1), {0, 3}},
              {{cube, Type{DType::int64, {2, 4, 3}}},
               [](Args x) { return take_along_axis(x[0], x[1] - 5, 1); },
               {0, 5}},
              {{cube, Type{DType::int64, {1, 4, 1}}}, f(1), {0, 5}},
              {{Type{DType::float64, {1, 5}}, Type{DType::int64, {3, 2}}}, f(1), {0, 5}},
              {{m, Type{DType::int64, {0, 3}}}, f(0), {0, 4}},
              {{Type{DType::float64, {0, 3}}, Type{DType::int64, {0, 2}}}, f(1), {0, 3}},
              {{Type{DType::float64, {7}}, Type{DType::int64, {5}}}, f(0), {0, 7}}};
    },
};

constinit const Op add_along_op{
    .name = "add_along_axis",
    .type = add_along_type,
    .reference = add_along_reference,
    .shape_only = 4,
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      return {take_along_axis(gy, x[1], AlongAxis::of(y.attrs()).axis), Expr(), Expr()};
    },
    .batch =
        [](Args x, const std::vector<bool>& batched, const Expr& y) {
          std::vector<Expr> all = all_batched(x, batched);
          all.push_back(broadcast_to(cast(Arg(0.0), y.dtype()),
                                     records::with_leading_size(size(all[0], 0), y.inputs()[2])));
          return apply(add_along_op, std::move(all),
                       AlongAxis{AlongAxis::of(y.attrs()).axis + 1}.attrs());
        },
    .follow = follow_along,
    .runs = Kernel{.run = add_along_kernel},
    .examples = []() -> std::vector<Example> {
      const auto f = [](std::int64_t axis) {
        return [axis](Args x) { return add_along_axis(x[0], x[1], x[2], axis); };
      };
      return {
          {{Type{DType::float64, {6, 3}}, Type{DType::int64, {6, 3}}, Type{DType::float64, {4, 3}}},
           f(0),
           {0, 4}},
          {{Type{DType::float64, {2, 4, 3}}, Type{DType::int64, {2, 4, 3}},
            Type{DType::float64, {2, 5, 3}}},
           f(1),
           {0, 5}},
          {{Type{DType::float64, {2, 0}}, Type{DType::int64, {2, 0}}, Type{DType::float64, {2, 3}}},
           f(1)}};
    },
};

Expr take_along_axis(const Arg& x, const Arg& indices, std::int64_t axis) {
  const Attribution as(x.where());
  axis = axis_of("take_along_axis", x, axis);
  return apply(take_along_op, {x, indices}, AlongAxis{axis}.attrs(), x.where());
}

Expr add_along_axis(const Arg& x, const Arg& indices, const Arg& like, std::int64_t axis) {
  const Attribution as(x.where());
  return apply(add_along_op, {x, indices, like},
               AlongAxis{axis_of("add_along_axis", x, axis)}.attrs(), x.where());
}

}  // namespace cinch
