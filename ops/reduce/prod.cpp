#include "cinch/ops/prod.hpp"

#include <algorithm>

#include "cinch/core/run/cost.hpp"
#include "cinch/core/run/team.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/kernels/kernels.hpp"
#include "cinch/ops/records/attributes.hpp"
#include "cinch/ops/records/reduction.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

using namespace reduction;

namespace {

Tensor prod_reference(Values in, const Attrs& attrs) {
  return dispatch(in[0]->dtype(), [&]<class T> {
    return fold_reference<T>(*in[0], attrs, T(1),
                             [](T a, T b) { return formula::Mul::f<void>(a, b); });
  });
}

constexpr Accumulator prod_accumulator{
    .start = [](DType dtype, void* out,
                std::size_t n) { start_with(dtype, out, n, []<class T> { return T(1); }); },
    .fold = [](DType d, void* out, const void* in,
               std::size_t n) { simd::kernels().prod.fold[static_cast<int>(d)](out, in, n); },
    .zip = [](DType d, void* out, const void* in,
              std::size_t n) { simd::kernels().prod.zip[static_cast<int>(d)](out, in, n); },
};

/// For each element the product of the others that are reduced with it: of those before it times
/// that of those after it. Division by the element would fail at 0, and choosing another formula
/// there would leave the second derivative wrong.
Expr product_of_others(const Expr& x, const std::vector<std::int64_t>& axes) {
  if (axes.empty()) return ones_like(x);
  // The reduced axes together, at the end.
  std::vector<std::int64_t> order;
  for (std::int64_t axis = 0; axis < x.rank(); ++axis) {
    if (std::ranges::find(axes, axis) == axes.end()) order.push_back(axis);
  }
  const auto kept_count = static_cast<std::int64_t>(order.size());
  order.insert(order.end(), axes.begin(), axes.end());
  const Expr last = dimshuffle(x, order);
  const Expr rows = axes.size() == 1 ? last : flatten(last, kept_count);
  const Expr zero = zeros_like(rows);
  const Expr others = recurrence(rows, zero, kept_count, Direction::forward, 1) *
                      recurrence(rows, zero, kept_count, Direction::backward, 1);
  std::vector<std::int64_t> back(order.size());
  for (std::size_t k = 0; k < order.size(); ++k)
    back[static_cast<std::size_t>(order[k])] = static_cast<std::int64_t>(k);
  return dimshuffle(axes.size() == 1 ? others : reshape(others, sizes(last)), back);
}

}  // namespace

constinit const Op prod_op{
    .name = "prod",
    .type = reduce_type,
    .reference = prod_reference,
    .operands = Operands::numeric,
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      const auto& axes = OverAxes::of(y.attrs());
      return {kept(gy, axes, x[0].rank()) * product_of_others(x[0], axes)};
    },
    .batch = batch_reduce,
    .follow = follow_reduce,
    .simplify = simplify_reduce,
    .runs = Reduction{&prod_accumulator},
    .examples = [] { return reduce_examples(prod, true); },
};

Expr prod(const Arg& x, const Axes& axes, bool keepdims) {
  return reduce(prod_op, x, axes, keepdims);
}

namespace {

using records::LinearRecurrence;

Type recurrence_type(Args x, const Attrs& attrs) {
  if (x[0].rank() == 0) throw TypeError("the operands must have an axis to go along");
  bool same = x[0].rank() == x[1].rank();
  Dims dims = x[0].dims();
  for (std::size_t k = 0; same && k < dims.size(); ++k) {
    const Dim other = x[1].dims()[k];
    same = dims[k] == other || !dims[k].known() || !other.known();
    if (!dims[k].known()) dims[k] = other;
  }
  if (!same) throw TypeError("the operands must have the same shape");
  const std::int64_t start = LinearRecurrence::of(attrs).start;
  if (start != 0 && start != 1) throw TypeError("a recurrence starts at 0 or 1");
  return {x[0].dtype(), std::move(dims)};
}

std::int64_t inner_size(std::span<const std::int64_t> shape, std::int64_t axis) {
  std::int64_t inner = 1;
  for (auto k = static_cast<std::size_t>(axis) + 1; k < shape.size(); ++k) inner *= shape[k];
  return inner;
}

/// a y + b; integers wrap around, as NumPy's do.
template <class T>
T next_of(T a, T y, T b) {
  if constexpr (std::is_same_v<T, bool>) {
    return (a && y) || b;  // Never asked for: bools become integers.
  } else {
    return formula::Add::f<void>(formula::Mul::f<void>(a, y), b);
  }
}

/// Element by element, in the order in which they lie.
Tensor recurrence_reference(Values in, const Attrs& attrs) {
  const Shape& shape = in[0]->shape();
  const LinearRecurrence r = LinearRecurrence::of(attrs);
  const std::int64_t n = shape[r.axis], inner = inner_size(shape, r.axis);
  return dispatch(in[0]->dtype(), [&]<class T> {
    Tensor result(in[0]->dtype(), shape);
    const auto a = in[0]->data<T>(), b = in[1]->data<T>();
    const auto y = result.data<T>();
    const auto size = static_cast<std::int64_t>(y.size());
    for (std::int64_t i = 0; i < size; ++i) {
      const std::int64_t here = r.backward ? size - 1 - i : i;
      const bool first = here / inner % n == (r.backward ? n - 1 : 0);
      const auto before = static_cast<std::size_t>(here + (r.backward ? inner : -inner));
      y[static_cast<std::size_t>(here)] =
          first ? static_cast<T>(r.start) : next_of(a[before], y[before], b[before]);
    }
    return result;
  });
}

/// Row after row of the elements that lie behind each other, blocks before the axis in parallel.
void recurrence_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs) {
  if (out.size() == 0) return;
  const LinearRecurrence r = LinearRecurrence::of(attrs);
  const std::int64_t n = out.shape[r.axis], inner = inner_size(out.shape, r.axis);
  const std::int64_t block = n * inner, blocks = out.size() / block;
  const std::int64_t parts =
      running::parts_for(running::cost::scanned * static_cast<double>(out.size()), blocks);
  dispatch(out.dtype, [&]<class T> {
    running::share_work(parts, [&](std::int64_t part) {
      const running::Span own = running::part_of(blocks, 1, parts, part);
      for (std::int64_t i = own.begin; i < own.end; ++i) {
        const std::int64_t first = i * block + (r.backward ? (n - 1) * inner : 0);
        const std::int64_t step = r.backward ? -inner : inner;
        T* y = out.as<T>() + first;
        const T* a = in[0].as<T>() + first;
        const T* b = in[1].as<T>() + first;
        std::fill_n(y, inner, static_cast<T>(r.start));
        for (std::int64_t k = 1; k < n; ++k, a += step, b += step, y += step) {
          for (std::int64_t j = 0; j < inner; ++j) y[step + j] = next_of(a[j], y[j], b[j]);
        }
      }
    });
  });
}

Expr like(const Expr& y, const Expr& a, const Expr& b, std::int64_t axis_shift) {
  LinearRecurrence r = LinearRecurrence::of(y.attrs());
  r.axis += axis_shift;
  return apply(recurrence_op, {a, b}, r.attrs(), y->where);
}

std::vector<Example> recurrence_examples() {
  std::vector<Example> result;
  for (const Direction direction : {Direction::forward, Direction::backward}) {
    for (const int start : {0, 1}) {
      for (const auto& [dims, axis] : std::vector<std::pair<Dims, std::int64_t>>{{{5}, 0},
                                                                                 {{3, 4}, 1},
                                                                                 {{3, 4}, 0},
                                                                                 {{2, 3, 4}, 1},
                                                                                 {{3, 1}, 1},
                                                                                 {{0, 3}, 1},
                                                                                 {{3, 0}, 1},
                                                                                 {{1}, 0}}) {
        const Type type{DType::float64, dims};
        result.push_back({{type, type}, [direction, start, axis = axis](Args x) {
                            return recurrence(x[0], x[1], axis, direction, start);
                          }});
      }
    }
  }
  return result;
}

}  // namespace

constinit const Op recurrence_op{
    .name = "recurrence",
    .type = recurrence_type,
    .reference = recurrence_reference,
    .operands = Operands::numeric,
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      // What y[k + 1] and all after it owe to a[k] y[k] + b[k]: the same recurrence of gy, the
      // other way.
      const LinearRecurrence r = LinearRecurrence::of(y.attrs());
      const Direction back = r.backward ? Direction::forward : Direction::backward;
      const Expr later = recurrence(x[0], gy, r.axis, back, 0);
      return {y * later, later};
    },
    .batch = [](Args x, const std::vector<bool>& batched, const Expr& y) -> Expr {
      const Expr a = batched[0] ? x[0] : broadcast_like(x[0], x[1]);
      const Expr b = batched[1] ? x[1] : broadcast_like(x[1], x[0]);
      return like(y, a, b, 1);
    },
    .follow = [](Args, std::span<const std::int64_t> axes, const Expr& y) -> std::int64_t {
      const std::int64_t at = std::max(axes[0], axes[1]);
      const bool apart = axes[0] >= 0 && axes[1] >= 0 && axes[0] != axes[1];
      return at == LinearRecurrence::of(y.attrs()).axis || apart ? -1 : at;
    },
    .runs = Kernel{.run = recurrence_kernel},
    .examples = recurrence_examples,
};

Expr recurrence(const Arg& a, const Arg& b, std::int64_t axis, Direction direction, int start) {
  const Attribution as(a.where());
  const LinearRecurrence r{axis_of("recurrence", a, axis), direction == Direction::backward, start};
  return apply(recurrence_op, {a, b}, r.attrs(), a.where());
}

}  // namespace cinch
