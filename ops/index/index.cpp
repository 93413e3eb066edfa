#include "cinch/ops/index.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <type_traits>
#include <xtensor/xbuilder.hpp>

#include "cinch/core/derive/examples.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/ops/along.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/records/sizes.hpp"
#include "cinch/ops/reference/positions.hpp"
#include "cinch/ops/reference/xtensor_view.hpp"
#include "cinch/ops/rules/identities.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/subtensor.hpp"

namespace cinch {

namespace {

void require_position(const Expr& e, std::string_view what) {
  if (e.rank() != 0 || e.dtype() != DType::int64) {
    throw TypeError(
        text(what, " must be an int64 scalar, it is ", text(e.type()), "  ", describe(e)));
  }
}

/// The positions that a narrow of `length` elements covers; ValueError if one lies outside [0, n).
void require_inside(std::int64_t start, std::int64_t length, std::int64_t step, std::int64_t n) {
  if (length == 0) return;
  // More than there are, which would overflow below.
  if (length > n || (length > 1 && (step > n || step < -n))) {
    throw ValueError(
        text(length, " elements, ", step, " apart, do not lie within an axis of size ", n));
  }
  const auto refuse_index = [&](const std::string& index) {
    throw ValueError(text("index ", index, " is out of range for an axis of size ", n));
  };
  if (start < 0 || start >= n) refuse_index(text(start));
  std::int64_t last = 0;
  if (__builtin_mul_overflow(length - 1, step, &last) || __builtin_add_overflow(start, last, &last))
    refuse_index(text(start, " + ", length - 1, " * ", step));
  if (last < 0 || last >= n) refuse_index(text(last));
}

// narrow: inputs x, start, length; a Narrowing
// ------------------------------------------------------------------

Type narrow_type(Args x, const Attrs& attrs) {
  require_position(x[1], "the start");
  require_position(x[2], "the length");
  Type result{x[0].dtype(), x[0].dims()};
  Dim& size = result.dims[Narrowing::of(attrs).axis];
  const Dim length = records::dim_of(x[2]);
  // One of none may stand for its shape alone.
  const bool fits =
      !size.known() || !length.known() || length.size() <= std::max<std::int64_t>(size.size(), 1);
  if (!fits) {
    throw ValueError(
        text(length.size(), " elements do not lie within an axis of size ", size.size()));
  }
  size = length;
  return result;
}

Tensor narrow_reference(Values in, const Attrs& attrs) {
  const Narrowing part = Narrowing::of(attrs);
  const std::int64_t start = in[1]->data<std::int64_t>()[0],
                     length = in[2]->data<std::int64_t>()[0];
  require_inside(start, length, part.step, in[0]->shape()[part.axis]);
  Shape shape = in[0]->shape();
  shape[part.axis] = length;
  return dispatch_all(in[0]->dtype(), [&]<class T> {
    Tensor result(dtype_of<T>(), shape);
    auto to = references::view<T>(result);
    const auto from = references::view<T>(*in[0]);
    references::for_each_index(shape, [&](const std::vector<std::size_t>& there) {
      std::vector<std::size_t> here = there;
      const auto k = static_cast<std::int64_t>(there[part.axis]);
      here[part.axis] = static_cast<std::size_t>(start + k * part.step);
      to.element(there.begin(), there.end()) = from.element(here.begin(), here.end());
    });
    return result;
  });
}

bool narrow_view(const Strided& in, const Expr& y, Strided& out) {
  out = in;
  const Narrowing part = Narrowing::of(y.attrs());
  // One element has no next one; and where steps are longer than any memory, running refuses them.
  constexpr std::int64_t longest = std::int64_t{1} << 50;
  const auto axis = static_cast<std::size_t>(part.axis);
  std::int64_t& stride = out.strides[axis];
  if (y.type().shape()[axis] <= 1) return true;
  if (__builtin_mul_overflow(stride, part.step, &stride) || stride > longest || stride < -longest)
    stride = 0;
  return true;
}

Expr simplify_narrow(const Expr& y) {
  const Expr& x = y.inputs()[0];
  const bool whole = Narrowing::of(y.attrs()).step == 1 && graphs::is_constant(y.inputs()[1], 0) &&
                     x.dims() == y.dims();
  if (whole) return x;
  const Expr part = widening::part_first(y);
  return part.has_value() ? part : rules::part_of_factors(y);
}

// embed: inputs x, like, start; a Narrowing
// ------------------------------------------------------------------

Expr simplify_embed(const Expr& y) {
  const Expr& x = y.inputs()[0];
  const Narrowing part = Narrowing::of(y.attrs());
  const bool forward = part.step == 1 || x.dims()[part.axis] == Dim(1);
  return forward && graphs::is_constant(y.inputs()[2], 0) && x.dims() == y.dims() ? x : Expr();
}

Type embed_type(Args x, const Attrs& attrs) {
  require_position(x[2], "the start");
  if (x[0].rank() != x[1].rank()) throw TypeError("both must have the same number of axes");
  for (std::size_t k = 0; k < x[0].dims().size(); ++k) {
    const Dim small = x[0].dims()[k], large = x[1].dims()[k];
    if (!small.known() || !large.known()) continue;
    const bool along = static_cast<std::int64_t>(k) == Narrowing::of(attrs).axis;
    const bool fits = along ? small.size() <= large.size() : small == large;
    if (!fits)
      throw TypeError(
          text("size ", small.size(), " does not fit into ", large.size(), " along axis ", k));
  }
  return {x[0].dtype(), x[1].dims()};
}

void embed_rows(const std::byte* from, std::byte* to, std::span<const std::int64_t> small,
                std::span<const std::int64_t> large, const Narrowing& part, std::int64_t start,
                std::size_t width) {
  const auto axis = static_cast<std::size_t>(part.axis);
  std::int64_t outer = 1, inner = static_cast<std::int64_t>(width);
  for (std::size_t k = 0; k < axis; ++k) outer *= small[k];
  for (std::size_t k = axis + 1; k < small.size(); ++k) inner *= small[k];
  for (std::int64_t i = 0; i < outer; ++i) {
    for (std::int64_t k = 0; k < small[axis]; ++k) {
      std::memcpy(to + (i * large[axis] + start + k * part.step) * inner,
                  from + (i * small[axis] + k) * inner, static_cast<std::size_t>(inner));
    }
  }
}

void embed_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs) {
  const Narrowing part = Narrowing::of(attrs);
  const std::int64_t start = *in[2].as<std::int64_t>();
  require_inside(start, in[0].shape[part.axis], part.step, out.shape[part.axis]);
  std::memset(out.data, 0, static_cast<std::size_t>(out.size()) * size_of(out.dtype));
  if (in[0].size() == 0) return;
  embed_rows(static_cast<const std::byte*>(in[0].data), static_cast<std::byte*>(out.data),
             in[0].shape, out.shape, part, start, size_of(out.dtype));
}

Tensor embed_reference(Values in, const Attrs& attrs) {
  const Narrowing part = Narrowing::of(attrs);
  const std::int64_t start = in[2]->data<std::int64_t>()[0], length = in[0]->shape()[part.axis];
  require_inside(start, length, part.step, in[1]->shape()[part.axis]);
  return dispatch(in[0]->dtype(), [&]<class T> {
    Tensor result(dtype_of<T>(), in[1]->shape());
    auto to = references::view<T>(result);
    const auto from = references::view<T>(*in[0]);
    references::for_each_index(in[0]->shape(), [&](const std::vector<std::size_t>& here) {
      std::vector<std::size_t> there = here;
      const auto k = static_cast<std::int64_t>(here[part.axis]);
      there[part.axis] = static_cast<std::size_t>(start + k * part.step);
      to.element(there.begin(), there.end()) = from.element(here.begin(), here.end());
    });
    return result;
  });
}

// take: inputs x, indices; scatter_add: inputs x, indices, like; along axis 0
// ------------------------------------------

Type take_type(Args x, const Attrs&) {
  if (x[0].rank() == 0) throw TypeError("a scalar has no rows");
  if (x[1].dtype() != DType::int64) throw TypeError("the indices must be int64");
  Type result{x[0].dtype(), x[1].dims()};
  result.dims.insert(result.dims.end(), x[0].dims().begin() + 1, x[0].dims().end());
  return result;
}

void take_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  std::int64_t row = static_cast<std::int64_t>(size_of(out.dtype));
  for (const std::int64_t n : in[0].shape.subspan(1)) row *= n;
  const auto* from = static_cast<const std::byte*>(in[0].data);
  auto* to = static_cast<std::byte*>(out.data);
  const std::int64_t* index = in[1].as<std::int64_t>();
  for (std::int64_t k = 0; k < in[1].size(); ++k) {
    std::memcpy(to + k * row, from + references::row_of(index[k], in[0].shape[0]) * row,
                static_cast<std::size_t>(row));
  }
}

/// The index of x[indices] that the element of the result comes from.
std::vector<std::size_t> source_index(const std::vector<std::size_t>& index, const Tensor& indices,
                                      std::int64_t n) {
  const auto axes = static_cast<std::ptrdiff_t>(indices.rank());
  const auto where = references::view<std::int64_t>(indices);
  std::vector<std::size_t> result{static_cast<std::size_t>(
      references::row_of(where.element(index.begin(), index.begin() + axes), n))};
  result.insert(result.end(), index.begin() + axes, index.end());
  return result;
}

/// Also where the rows are empty, so that there is nothing to take.
void require_rows(const Tensor& indices, std::int64_t n) {
  for (const std::int64_t index : indices.data<std::int64_t>()) references::row_of(index, n);
}

Tensor take_reference(Values in, const Attrs&) {
  require_rows(*in[1], in[0]->shape()[0]);
  Shape shape = in[1]->shape();
  shape.insert(shape.end(), in[0]->shape().begin() + 1, in[0]->shape().end());
  return dispatch_all(in[0]->dtype(), [&]<class T> {
    Tensor result(dtype_of<T>(), shape);
    auto to = references::view<T>(result);
    const auto from = references::view<T>(*in[0]);
    references::for_each_index(shape, [&](const std::vector<std::size_t>& there) {
      const auto here = source_index(there, *in[1], in[0]->shape()[0]);
      to.element(there.begin(), there.end()) = from.element(here.begin(), here.end());
    });
    return result;
  });
}

Type scatter_add_type(Args x, const Attrs&) {
  if (x[1].dtype() != DType::int64) throw TypeError("the indices must be int64");
  if (x[0].dtype() == DType::bool_) throw TypeError("bools cannot be added: cast them first");
  if (x[0].rank() != x[1].rank() + x[2].rank() - 1)
    throw TypeError("the rows do not fit the indices and the result");
  for (std::int64_t k = 0; k < x[0].rank(); ++k) {
    const Expr& other = k < x[1].rank() ? x[1] : x[2];
    const std::int64_t axis = k < x[1].rank() ? k : k - x[1].rank() + 1;
    const Dim a = x[0].dims()[static_cast<std::size_t>(k)],
              b = other.dims()[static_cast<std::size_t>(axis)];
    if (a.known() && b.known() && !(a == b))
      throw TypeError("the rows do not fit the indices and the result");
  }
  return {x[0].dtype(), x[2].dims()};
}

void scatter_add_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  std::int64_t row = 1;
  for (const std::int64_t n : out.shape.subspan(1)) row *= n;
  const std::int64_t* index = in[1].as<std::int64_t>();
  std::memset(out.data, 0, static_cast<std::size_t>(out.size()) * size_of(out.dtype));
  dispatch(out.dtype, [&]<class T> {
    if constexpr (!std::is_same_v<T, bool>) {
      for (std::int64_t k = 0; k < in[1].size(); ++k) {
        T* to = out.as<T>() + references::row_of(index[k], out.shape[0]) * row;
        const T* from = in[0].as<T>() + k * row;
        for (std::int64_t j = 0; j < row; ++j) to[j] += from[j];
      }
    }
  });
}

Tensor scatter_add_reference(Values in, const Attrs&) {
  require_rows(*in[1], in[2]->shape()[0]);
  return dispatch(in[0]->dtype(), [&]<class T> {
    using Sum = std::conditional_t<std::is_same_v<T, float>, double, T>;  // It grows beyond 2^24.
    Tensor result(dtype_of<Sum>(), in[2]->shape());
    auto to = references::view<Sum>(result);
    const auto from = references::view<T>(*in[0]);
    references::for_each_index(in[0]->shape(), [&](const std::vector<std::size_t>& here) {
      const auto there = source_index(here, *in[1], in[2]->shape()[0]);
      Sum& target = to.element(there.begin(), there.end());
      target = static_cast<Sum>(target + from.element(here.begin(), here.end()));
    });
    return result.cast(in[0]->dtype());
  });
}

/// Rows are taken: examples come with the rows that they are in, or are chosen by what the indices
/// count.
/// A part of the examples is not all of them; from the first on, as many as there are, is.
deriving::Place trace_narrow(const deriving::Flow& flow) {
  const deriving::Place& place = flow.place(0);
  const auto [axis, step] = Narrowing::of(flow.y.attrs());
  const Expr& x = flow.inputs()[0];
  const bool whole = graphs::is_constant(flow.inputs()[1], 0) && step == 1 &&
                     flow.size(flow.y, axis) == flow.size(x, axis);
  return place.axis != axis || whole ? place : deriving::Place();
}

deriving::Place trace_take(const deriving::Flow& flow) {
  const deriving::Place &rows = flow.place(0), &indices = flow.place(1);
  if (!rows.found()) return indices;
  if (rows.axis == 0) {
    const deriving::Digit* digit = counting_digit(flow.digits(1), rows.inner, flow.examples);
    return digit && (!indices.found() || indices == digit->place) ? digit->place
                                                                  : deriving::Place{};
  }
  if (indices.found()) return {};
  return {rows.axis - 1 + flow.inputs()[1].rank(), rows.outer, rows.inner};
}

/// The other way round: each example adds to the rows that its indices count as its own.
deriving::Place trace_scatter_add(const deriving::Flow& flow) {
  const deriving::Place &rows = flow.place(0), &indices = flow.place(1);
  const std::int64_t own = flow.inputs()[1].rank();
  if (rows.axis >= own) {
    return indices.found() ? deriving::Place{}
                           : deriving::Place{rows.axis - own + 1, rows.outer, rows.inner};
  }
  if (rows.found() && indices.found() && !(rows == indices)) return {};
  return counted_rows(flow, 1, rows.found() ? rows : indices, flow.size(flow.inputs()[2], 0));
}

/// Positions along the axis of a narrow or an embed from each of `starts` on, in an array of y's
/// axes with one more in front.
Expr positions_of_many(const Expr& starts, const Expr& length, const Expr& n, const Expr& y) {
  const auto [axis, step] = Narrowing::of(y.attrs());
  const Expr positions =
      checked_index(expand_dims(starts, 1) + arange(length) * step, n, /*negatives=*/false);
  std::vector<std::int64_t> pattern(static_cast<std::size_t>(y.rank() + 1), -1);
  pattern[0] = 0;
  pattern[axis + 1] = 1;
  return dimshuffle(positions, pattern);
}

/// narrow from many starts.
Expr narrow_many(Args x, bool many_operands, const Expr& y) {
  const std::int64_t axis = Narrowing::of(y.attrs()).axis;
  const Expr from = many_operands ? x[0] : expand_dims(x[0], 0);
  return take_along_axis(from, positions_of_many(x[1], x[2], size(from, axis + 1), y), axis + 1);
}

/// embed from many starts.
Expr embed_many(Args x, bool many_operands, const Expr& like, const Expr& y) {
  const std::int64_t axis = Narrowing::of(y.attrs()).axis;
  const Expr from =
      many_operands ? x[0] : broadcast_to(x[0], records::with_leading_size(size(x[2], 0), x[0]));
  const Expr positions = positions_of_many(x[2], size(from, axis + 1), size(like, axis + 1), y);
  return add_along_axis(from, broadcast_like(positions, from), like, axis + 1);
}

/// 0, 1, ... along the first axis of `x`, with as many axes.
Expr numbers_of_many(const Expr& x) {
  std::vector<std::int64_t> pattern(static_cast<std::size_t>(x.rank()), -1);
  pattern[0] = 0;
  return dimshuffle(arange(size(x, 0)), pattern);
}

/// scatter_add for many index tensors: each adds to rows of its own.
Expr scatter_many(Args x, bool many_rows, const Expr& y) {
  const Expr& like = y.inputs()[2];
  const Expr count = size(x[1], 0), n = size(like, 0);
  const Expr rows = many_rows ? x[0] : broadcast_to(x[0], records::with_leading_size(count, x[0]));
  const Expr flat = numbers_of_many(x[1]) * n + checked_index(x[1], n);
  std::vector<Expr> apart = records::with_leading_size(count, like), together = sizes(like);
  together[0] = product({count, n});
  const Expr zeros = broadcast_to(cast(Arg(0.0), y.dtype()), together);
  return reshape(scatter_add(rows, flat, zeros), apart);
}

std::vector<Example> narrow_examples() {
  const Type m{DType::float64, {5, 4}}, i{DType::int64, {}};
  return {{{m}, [](Args x) { return slice(x[0], 1, 3); }},
          {{m}, [](Args x) { return slice(x[0], -2, 100, 1); }},
          {{m}, [](Args x) { return slice(x[0], 0, 5, 0, 2); }},
          {{m}, [](Args x) { return reverse(x[0], 1); }},
          {{m}, [](Args x) { return slice(x[0], 3, 1); }},
          {{m, i}, [](Args x) { return slice(x[0], x[1], x[1] + 2); }, {0, 6}},
          {{m, i}, [](Args x) { return rows(x[0], x[1], 2); }, {0, 4}},
          {{m, i}, [](Args x) { return at(x[0], x[1]); }, {0, 5}},
          {{m, i}, [](Args x) { return at(transpose(x[0]), x[1] - 4, 0); }, {0, 4}}};
}

}  // namespace

constinit const Op narrow_op{
    .name = "narrow",
    .type = narrow_type,
    .reference = narrow_reference,
    .sizes_from = 2,
    .moves = true,
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      const auto [axis, step] = Narrowing::of(y.attrs());
      return {embed(gy, x[0], axis, x[1], step), Expr(), Expr()};
    },
    .batch =
        [](Args x, const std::vector<bool>& batched, const Expr& y) {
          if (batched[2])
            throw GradError(
                "vectorize: the lengths of slices cannot differ; narrow() and rows() take one");
          if (batched[1]) return narrow_many(x, batched[0], y);
          const auto [axis, step] = Narrowing::of(y.attrs());
          return narrow(x[0], axis + 1, x[1], x[2], step);
        },
    .trace = trace_narrow,
    .simplify = simplify_narrow,
    .size_of = [](const Expr& y, std::int64_t) { return Expr(y.inputs()[2]); },
    .runs = View{.show = narrow_view, .starts_at = 1},
    .examples = narrow_examples,
};

constinit const Op embed_op{
    .name = "embed",
    .type = embed_type,
    .reference = embed_reference,
    .shape_only = 2,
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      const auto [axis, step] = Narrowing::of(y.attrs());
      return {narrow(gy, axis, x[2], size(x[0], axis), step), Expr(), Expr()};
    },
    .batch =
        [](Args x, const std::vector<bool>& batched, const Expr& y) {
          const Expr like = broadcast_to(
              cast(Arg(0.0), y.dtype()),
              records::with_leading_size(size(batched[0] ? x[0] : x[2], 0), y.inputs()[1]));
          if (batched[2]) return embed_many(x, batched[0], like, y);
          const auto [axis, step] = Narrowing::of(y.attrs());
          return embed(x[0], like, axis + 1, x[2], step);
        },
    .follow = [](Args, std::span<const std::int64_t> axes, const Expr& y) -> std::int64_t {
      return axes[0] == Narrowing::of(y.attrs()).axis ? -1 : axes[0];
    },
    .simplify = simplify_embed,
    .runs = Kernel{.run = embed_kernel},
    .examples = []() -> std::vector<Example> {
      const Type small{DType::float64, {2, 3}}, large{DType::float64, {5, 3}}, i{DType::int64, {}};
      return {{{small, large, i}, [](Args x) { return embed(x[0], x[1], 0, x[2]); }, {0, 0, 4}},
              {{small, large}, [](Args x) { return embed(x[0], x[1], 0, 4, -3); }},
              {{small, Type{DType::float64, {2, 6}}},
               [](Args x) { return embed(x[0], x[1], 1, 1, 2); }}};
    },
};

constinit const Op take_op{
    .name = "take",
    .type = take_type,
    .reference = take_reference,
    .moves = true,
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {scatter_add(gy, x[1], x[0]), Expr()};
    },
    .batch =
        [](Args x, const std::vector<bool>& batched, const Expr&) {
          if (!batched[1]) return take(x[0], x[1], 1);
          return batched[0] ? gather(x[0], {numbers_of_many(x[1]), x[1]}) : take(x[0], x[1]);
        },
    .trace = trace_take,
    .digits = [](const deriving::Flow& flow) -> std::vector<deriving::Digit> {
      const std::vector<deriving::Digit>& table =
          flow.digits(0);  // 0, 1, ... give the indices themselves.
      const bool counts = table.size() == 1 && table[0].weight == deriving::Count() &&
                          table[0].place == deriving::Place{.axis = 0} &&
                          flow.inputs()[0].rank() == 1;
      return counts ? flow.digits(1) : std::vector<deriving::Digit>{};
    },
    .simplify = widening::part_first,
    .runs = Kernel{.run = take_kernel},
    .examples = []() -> std::vector<Example> {
      const Type m{DType::float64, {5, 3}}, i{DType::int64, {4}};
      return {{{m, i}, [](Args x) { return take(x[0], x[1]); }, {0, 5}},
              {{m, i}, [](Args x) { return take(x[0], x[1] - 3, 1); }, {0, 3}},
              {{Type{DType::float64, {5}}, Type{DType::int64, {2, 2}}},
               [](Args x) { return take(x[0], x[1]); },
               {0, 5}},
              {{Type{DType::float64, {5, 0}}, i}, [](Args x) { return take(x[0], x[1]); }, {0, 5}}};
    },
};

constinit const Op scatter_add_op{
    .name = "scatter_add",
    .type = scatter_add_type,
    .reference = scatter_add_reference,
    .shape_only = 4,
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {take(gy, x[1]), Expr(), Expr()};
    },
    .batch =
        [](Args x, const std::vector<bool>& batched, const Expr& y) {
          if (batched[1]) return scatter_many(x, batched[0], y);
          // The rows' own axes come first for scatter_add, so the many go to the end and back.
          const std::int64_t rank = x[0].rank(), result = y.rank();
          std::vector<std::int64_t> last(static_cast<std::size_t>(rank)),
              first(static_cast<std::size_t>(result + 1));
          std::iota(last.begin(), last.end(), 1);
          last.back() = 0;
          first[0] = result;
          std::iota(first.begin() + 1, first.end(), 0);
          std::vector<Expr> all = sizes(y.inputs()[2]);
          all.push_back(size(x[0], 0));
          const Expr like = broadcast_to(cast(Arg(0.0), y.dtype()), all);
          return dimshuffle(scatter_add(dimshuffle(x[0], last), x[1], like), first);
        },
    .trace = trace_scatter_add,
    .runs = Kernel{.run = scatter_add_kernel},
    .examples = []() -> std::vector<Example> {
      const Type m{DType::float64, {5, 3}}, i{DType::int64, {4}}, u{DType::float64, {4, 3}};
      return {
          {{u, i, m}, [](Args x) { return scatter_add(x[0], x[1], x[2]); }, {0, 5, 0}},
          {{Type{DType::float64, {2, 2}}, Type{DType::int64, {2, 2}}, Type{DType::float64, {3}}},
           [](Args x) { return scatter_add(x[0], x[1], x[2]); },
           {0, 3, 0}}};
    },
};

constinit const Op arange_op{
    .name = "arange",
    .type =
        [](Args x, const Attrs&) {
          require_position(x[0], "the count");
          return Type{DType::int64, {records::dim_of(x[0])}};
        },
    .reference =
        [](Values in, const Attrs&) {
          Tensor result(DType::int64, {in[0]->data<std::int64_t>()[0]});
          std::iota(result.data<std::int64_t>().begin(), result.data<std::int64_t>().end(), 0);
          return result;
        },
    .sizes_from = 0,
    .digits = [](const deriving::Flow& flow) -> std::vector<deriving::Digit> {
      return {{.weight = {}, .range = flow.size(flow.y, 0), .place = {.axis = 0}}};
    },
    .size_of = [](const Expr& y, std::int64_t) { return Expr(y.inputs()[0]); },
    .runs = Kernel{.run =
                       [](std::span<const Operand>, const Operand& out, const Attrs&) {
                         std::iota(out.as<std::int64_t>(), out.as<std::int64_t>() + out.size(), 0);
                       }},
    .examples = []() -> std::vector<Example> {
      return {{{}, [](Args) { return arange(5); }},
              {{Type{DType::int64, {}}}, [](Args x) { return arange(x[0]); }, {7}}};
    },
};

constinit const Op eye_op{
    .name = "eye",
    .type =
        [](Args x, const Attrs& attrs) {
          require_position(x[0], "the size");
          const Dim n = records::dim_of(x[0]);
          return Type{attrs.dtype, {n, n}};
        },
    .reference =
        [](Values in, const Attrs& attrs) {
          const std::int64_t n = in[0]->data<std::int64_t>()[0];
          return dispatch(attrs.dtype, [&]<class T> {
            return references::to_tensor<T>(xt::eye<T>(static_cast<std::size_t>(n)));
          });
        },
    .algebra = Algebra::identity,
    .sizes_from = 0,
    .size_of = [](const Expr& y, std::int64_t) { return Expr(y.inputs()[0]); },
    .runs = Kernel{.run =
                       [](std::span<const Operand>, const Operand& out, const Attrs&) {
                         const std::int64_t n = out.shape[0];
                         std::memset(out.data, 0,
                                     static_cast<std::size_t>(out.size()) * size_of(out.dtype));
                         dispatch(out.dtype, [&]<class T> {
                           for (std::int64_t i = 0; i < n; ++i) out.as<T>()[i * (n + 1)] = T(1);
                         });
                       }},
    .examples = []() -> std::vector<Example> {
      return {{{}, [](Args) { return eye(5); }},
              {{}, [](Args) { return eye(1, DType::float64); }},
              {{Type{DType::int64, {}}}, [](Args x) { return eye(x[0], DType::int64); }, {7}}};
    },
};

namespace {

bool same_size(const Expr& a, const Expr& b) {
  return a == b || (&a.op() == &size_op && &b.op() == &size_op && a.inputs()[0] == b.inputs()[0] &&
                    a.attrs() == b.attrs());
}

/// A position as NumPy reads it: counted from the end if negative, clipped to [low, n + high].
Expr clipped(const Expr& p, const Expr& n, std::int64_t low, std::int64_t high) {
  if (const Tensor* a = constant_value(p), *b = constant_value(n); a && b) {
    const std::int64_t size = b->data<std::int64_t>()[0];
    std::int64_t at = a->data<std::int64_t>()[0];
    if (at < 0) at += size;
    return constant(Tensor(std::max(low, std::min(at, size + high))));
  }
  if (high == 0 && same_size(p, n)) return n;
  if (low == 0 && graphs::is_constant(p, 0)) return p;
  return maximum(minimum(switch_(p < 0, p + n, p), n + high), low);
}

}  // namespace

Expr slice(const Arg& x, const Arg& start, const Arg& stop, std::int64_t axis, std::int64_t step) {
  const Attribution as(x.where());
  if (step == 0) refuse<ValueError>("slice", "the step cannot be 0", x.where());
  axis = axis_of("slice", x, axis);
  const Expr n = size(x, axis);
  // Going backwards, positions run from n - 1 to -1.
  const std::int64_t shift = step > 0 ? 0 : -1;
  const auto position = [&](const char* which, const Arg& given) {
    const Expr p = records::whole_number(given);
    if (p.dtype() != DType::int64 || p.rank() != 0)
      refuse("slice", text(which, " must be an int64 scalar, it is ", text(p.type())), x, {p});
    return clipped(p, n, shift, shift);
  };
  const Expr from = position("start", start), to = position("stop", stop);
  Expr length;
  if (const Tensor* a = constant_value(from), *b = constant_value(to); a && b) {
    const std::int64_t distance = b->data<std::int64_t>()[0] - a->data<std::int64_t>()[0];
    const std::int64_t away = step > 0 ? step - 1 : step + 1;
    length = constant(Tensor(std::max<std::int64_t>((distance + away) / step, 0)));
  } else if (graphs::is_constant(from, 0) && step == 1) {
    length = to;
  } else {
    length = step == 1 ? maximum(to - from, 0)
                       : maximum(floor_div(to - from + (step > 0 ? step - 1 : step + 1), step), 0);
  }
  return narrow(x, axis, from, length, step);
}

Expr slice_from(const Arg& x, const Arg& start, std::int64_t axis) {
  const Attribution as(x.where());
  return slice(x, start, size(x, axis), axis);
}

Expr reverse(const Arg& x, std::int64_t axis) {
  const Attribution as(x.where());
  const Expr n = size(x, axis);
  return narrow(x, axis_of("reverse", x, axis), n - 1, n, -1);
}

Expr rows(const Arg& x, const Arg& start, const Arg& count) {
  const Attribution as(x.where());
  return narrow(x, 0, records::whole_number(start), records::whole_number(count));
}

Expr at(const Arg& x, const Arg& index, std::int64_t axis) {
  const Attribution as(x.where());
  axis = axis_of("at", x, axis);
  Expr i = records::whole_number(index);
  if (i.rank() > 0 || i.dtype() != DType::int64) {
    const bool mask = i.dtype() == DType::bool_;
    refuse("at",
           text("an index must be an int64 scalar, it is ", i.type(), "  ", describe(i),
                mask ? "\n  Elements where a condition holds: where(condition, x, 0)."
                     : "\n  Several at once: take(x, indices), gather() or subscript()."),
           attributed(index.where()));
  }
  if (!constant_value(i) || i.dtype() != DType::int64 || constant_value(i)->item() < 0) {
    i = switch_(i < 0, i + size(x, axis), i);
  }
  return squeeze(narrow(x, axis, i, 1), axis);
}

Expr Expr::operator[](const Arg& index) const { return at(Arg(*this, index.where()), index); }

Expr narrow(const Arg& x, std::int64_t axis, const Arg& start, const Arg& length,
            std::int64_t step) {
  const Attribution as(x.where());
  return apply(narrow_op, {x, records::whole_number(start), records::whole_number(length)},
               Narrowing{axis_of("narrow", x, axis), step}.attrs(), x.where());
}

Expr embed(const Arg& x, const Arg& like, std::int64_t axis, const Arg& start, std::int64_t step) {
  const Attribution as(x.where());
  return apply(embed_op, {x, like, records::whole_number(start)}, Narrowing{axis, step}.attrs(),
               x.where());
}

Expr take(const Arg& x, const Arg& indices, std::int64_t axis) {
  const Attribution as(x.where());
  if (x->rank() == 0) return apply(take_op, {x, indices}, {}, x.where());  // Throws.
  axis = axis_of("take", x, axis);
  if (axis == 0) return apply(take_op, {x, indices}, {}, x.where());
  // The axis to the front, and what replaces it back to its place.
  std::vector<std::int64_t> front{axis}, back;
  for (std::int64_t k = 0; k < x->rank(); ++k) {
    if (k != axis) front.push_back(k);
  }
  const std::int64_t inner = indices->rank();
  for (std::int64_t k = 0; k < axis; ++k) back.push_back(inner + k);
  for (std::int64_t k = 0; k < inner; ++k) back.push_back(k);
  for (std::int64_t k = axis; k < x->rank() - 1; ++k) back.push_back(inner + k);
  return dimshuffle(apply(take_op, {dimshuffle(x, front), indices}, {}, x.where()), back);
}

Expr scatter_add(const Arg& x, const Arg& indices, const Arg& like) {
  return apply(scatter_add_op, {x, indices, like}, {}, x.where());
}

Expr arange(const Arg& n) {
  const Attribution as(n.where());
  return apply(arange_op, {records::whole_number(n)}, {}, n.where());
}

Expr arange(const Arg& start, const Arg& stop, const Arg& step) {
  const Attribution as(start.where());
  for (const Arg* x : {&start, &stop, &step}) {
    if ((*x)->rank() != 0)
      refuse("arange", "start, stop and step must be scalars", start, {stop, step});
  }
  const Expr from = start + 0 * Arg(step);
  const Expr way = stop - start;
  const Expr steps = is_float(way.dtype()) || is_float(step->dtype())
                         ? cast(ceil(way / step), DType::int64)
                         : -floor_div(-way, step);
  const Expr count = records::computed(maximum(switch_(equal(step, 0), 0, steps), 0));
  return from + cast(arange(count), from.dtype()) * step;
}

Expr one_hot(const Arg& labels, const Arg& classes, DType dtype) {
  const Attribution as(labels.where());
  return cast(equal(expand_dims(labels, -1), arange(classes)), dtype);
}

Expr eye(const Arg& n, DType dtype) {
  const Attribution as(n.where());
  return apply(eye_op, {records::whole_number(n)}, {.dtype = dtype}, n.where());
}

}  // namespace cinch
