#include "cinch/ops/widened.hpp"

#include <cmath>
#include <cstring>
#include <memory>

#include "cinch/core/graph.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/kernels/kernels.hpp"
#include "cinch/ops/records/elementwise.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

Type widen_type(Args x, const Attrs& attrs) {
  const DType from = x[1].dtype();
  if (!is_storage(from))
    throw TypeError(text("the elements are ", from,
                         " already: what is stored narrow is uint8, float16 or bfloat16"));
  const bool whole = attrs.dtype == DType::int64 && from == DType::uint8;
  if (!is_float(attrs.dtype) && !whole)
    throw TypeError(text(from, " is widened to float32 or float64, ",
                         from == DType::uint8 ? "and cast to int64, " : "", "not to ",
                         attrs.dtype));
  return {attrs.dtype, x[1].dims()};
}

Tensor widen_reference(Values in, const Attrs& attrs) {
  const double divisor = in[0]->item();
  Tensor result(attrs.dtype, in[1]->shape());
  dispatch(attrs.dtype, [&]<class To> {
    if constexpr (!std::is_same_v<To, bool>) {
      const std::span<To> to = result.data<To>();
      for (std::size_t i = 0; i < to.size(); ++i) {
        const double wide = in[1]->at(static_cast<std::int64_t>(i));
        to[i] = static_cast<To>(divisor == 1 ? wide : wide / divisor);
      }
    }
  });
  return result;
}

std::size_t place_of(DType storage) {
  return static_cast<std::size_t>(storage) - static_cast<std::size_t>(DType::uint8);
}

}  // namespace

constinit const Op widen_op{
    .name = "widened",
    .type = widen_type,
    .reference = widen_reference,
    .moves = true,
    .runs = Elementwise{[](DType in, DType out) {
      return simd::kernels().widen[place_of(in)][static_cast<std::size_t>(out) -
                                                 static_cast<std::size_t>(DType::int64)];
    }},
    .arity = 2,
    .examples = []() -> std::vector<Example> {
      const auto of = [](DType dtype, double divisor) {
        return Example{{}, [dtype, divisor](Args) {
                         Tensor numbers(DType::float64, {3, 40});
                         for (std::size_t i = 0; i < 120; ++i)
                           numbers.data<double>()[i] = static_cast<double>(2 * i);
                         return widened(numbers.cast(dtype), divisor, DType::float64);
                       }};
      };
      return {of(DType::uint8, 255), of(DType::float16, 1), of(DType::bfloat16, 3)};
    },
};

namespace {

/// Elements of so many bytes, whatever they mean.
template <std::size_t width>
void copy_bytes(void* out, const void* const* in, unsigned splat, std::size_t n) {
  auto* to = static_cast<std::byte*>(out);
  if (!splat) {
    std::memcpy(to, in[0], n * width);
    return;
  }
  for (std::size_t i = 0; i < n; ++i) std::memcpy(to + i * width, in[0], width);
}

constexpr Op made_to_copy() {
  Op op = records::elementwise<formula::Identity>({
      .name = "copy",
      .moves = true,
      .grad = [](Args, const Expr&, const Expr& gy) -> Grads { return {gy}; },
  });
  op.reference = [](Values in, const Attrs&) { return *in[0]; };
  std::construct_at(&op.runs, Elementwise{[](DType in, DType) -> BlockFn {
    if (is_storage(in)) return in == DType::uint8 ? copy_bytes<1> : copy_bytes<2>;
    return simd::kernels()
        .elementwise[formula::formula_index<formula::Identity>()][static_cast<std::size_t>(in)];
  }});
  return op;
}

}  // namespace

constinit const Op copy_op = made_to_copy();

Expr widened(const Arg& x, double divisor, DType dtype) {
  const Attribution as(x.where());
  if (!(divisor > 0) || !std::isfinite(divisor))
    refuse<ValueError>("widened", text("the divisor must be positive, got ", divisor), x);
  if (dtype == DType::int64 && divisor != 1)
    refuse<ValueError>("widened", text("whole numbers are not divided, got ", divisor), x);
  return apply(widen_op, {constant(Tensor(divisor)), x}, {.dtype = dtype}, x.where());
}

namespace {

bool takes_a_part(const Expr& e) { return &e.op() == &narrow_op || &e.op() == &take_op; }

bool only_views(const Expr& e) {
  return &e.op() == &narrow_op || &e.op() == &dimshuffle_op || &e.op() == &reshape_op;
}

}  // namespace

Expr widening::part_first(const Expr& y) {
  // Views on the way are made of what is stored. They alone would gain nothing from it: then a
  // minibatch and its transpose, say, would be widened each.
  std::vector<Expr> way{y};
  while (true) {
    const Expr& x = way.back().inputs()[0];
    if (&x.op() == &widen_op) break;
    if (!only_views(x)) return {};
    way.push_back(x);
  }
  const Expr wide = way.back().inputs()[0];
  Expr stored = wide.inputs()[1];
  for (auto step = way.rbegin(); step != way.rend(); ++step) {
    std::vector<Expr> inputs(step->inputs().begin(), step->inputs().end());
    inputs[0] = stored;
    stored = apply(step->op(), std::move(inputs), step->attrs(), (*step)->where);
  }
  return apply(widen_op, {wide.inputs()[0], stored}, wide.attrs(), wide->where);
}

std::vector<Expr> widening::parts_first(std::span<const Expr> roots) {
  NodeMap<Expr> done;
  return rebuild(
      roots,
      [](const Expr& e) {
        if (!takes_a_part(e)) return e;
        const Attribution as(e->where, /*force=*/true);
        const Expr first = part_first(e);
        return first.has_value() ? first : e;
      },
      done);
}

}  // namespace cinch
