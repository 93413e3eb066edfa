#include <algorithm>
#include <cstring>
#include <xtensor/xmath.hpp>

#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/records/operands.hpp"
#include "cinch/ops/records/sizes.hpp"
#include "cinch/ops/reference/xtensor_view.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

Type concatenate_type(Args x, const Attrs& attrs) {
  Type result{x[0].dtype(), x[0].dims()};
  const auto axis = static_cast<std::size_t>(AlongAxis::of(attrs).axis);
  bool known = true;
  std::int64_t total = 0;
  for (const Expr& part : x) {
    if (part.rank() != result.rank())
      throw TypeError("all parts must have the same number of axes");
    for (std::size_t k = 0; k < result.dims.size(); ++k) {
      if (k == axis) continue;
      const Dim a = result.dims[k], b = part.dims()[k];
      if (a.known() && b.known() && !(a == b)) throw TypeError(text("sizes differ along axis ", k));
      if (!a.known() && b.known()) result.dims[k] = b;
    }
    known = known && part.dims()[axis].known();
    if (known && __builtin_add_overflow(total, part.dims()[axis].size(), &total))
      throw TypeError(text("the parts together are too long along axis ", axis));
  }
  result.dims[axis] = known ? Dim(total) : Dim::unknown();
  return result;
}

void concatenate_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs) {
  const auto axis = static_cast<std::size_t>(AlongAxis::of(attrs).axis);
  std::int64_t outer = 1, inner = static_cast<std::int64_t>(size_of(out.dtype));
  for (std::size_t k = 0; k < axis; ++k) outer *= out.shape[k];
  for (std::size_t k = axis + 1; k < out.shape.size(); ++k) inner *= out.shape[k];
  auto* to = static_cast<std::byte*>(out.data);
  for (std::int64_t i = 0; i < outer; ++i) {
    for (const Operand& part : in) {
      const std::int64_t run = part.shape[axis] * inner;
      std::memcpy(to, static_cast<const std::byte*>(part.data) + i * run,
                  static_cast<std::size_t>(run));
      to += run;
    }
  }
}

Tensor concatenate_reference(Values in, const Attrs& attrs) {
  return dispatch(in[0]->dtype(), [&]<class T> {
    const auto axis = static_cast<std::size_t>(AlongAxis::of(attrs).axis);
    xt::xarray<T> result = references::view<T>(*in[0]);
    for (const Tensor* part : in.subspan(1)) {
      const xt::xarray<T> more = references::view<T>(*part);
      if (result.size() == 0 || more.size() == 0) {
        // xtensor cannot join empty arrays; the other one is the whole result where nothing is
        // lost.
        if (result.shape()[axis] == 0 || more.size() > 0) {
          if (result.shape()[axis] == 0) result = more;
          continue;
        }
        if (more.shape()[axis] == 0) continue;
      }
      result = xt::xarray<T>(xt::concatenate(xt::xtuple(result, more), axis));
    }
    return references::to_tensor<T>(result);
  });
}

Grads concatenate_grad(Args x, const Expr& y, const Expr& gy) {
  const std::int64_t axis = AlongAxis::of(y.attrs()).axis;
  Grads result;
  Expr start = constant(Tensor(std::int64_t{0}));
  for (const Expr& part : x) {
    const Expr length = size(part, axis);
    result.push_back(narrow(gy, axis, start, length));
    start = records::computed(start + length);
  }
  return result;
}

Expr batch_concatenate(Args x, const std::vector<bool>& batched, const Expr& y) {
  Expr count;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (batched[i]) count = size(x[i], 0);
  }
  std::vector<Expr> parts;
  for (std::size_t i = 0; i < x.size(); ++i) {
    std::vector<Expr> all = sizes(x[i]);
    all.insert(all.begin(), count);
    parts.push_back(batched[i] ? x[i] : broadcast_to(x[i], all));
  }
  return concatenate(parts, AlongAxis::of(y.attrs()).axis + 1);
}

std::int64_t follow_concatenate(Args, std::span<const std::int64_t> axes, const Expr& y) {
  const std::int64_t own = AlongAxis::of(y.attrs()).axis;
  std::int64_t result = -1;
  for (const std::int64_t axis : axes) {
    if (axis < 0) continue;
    if (axis == own || (result >= 0 && axis != result)) return -1;
    result = axis;
  }
  return result;
}

Expr concatenate_size(const Expr& y, std::int64_t axis) {
  Expr total;
  for (const Expr& part : y.inputs())
    total = total.has_value() ? total + size(part, axis) : size(part, axis);
  return total;
}

}  // namespace

constinit const Op concatenate_op{
    .name = "concatenate",
    .type = concatenate_type,
    .reference = concatenate_reference,
    .operands = Operands::any,
    .grad = concatenate_grad,
    .batch = batch_concatenate,
    .follow = follow_concatenate,
    .size_of = concatenate_size,
    .runs = Kernel{.run = concatenate_kernel},
    .examples = []() -> std::vector<Example> {
      const Type a{DType::float64, {2, 3}}, b{DType::float64, {2, 1}}, c{DType::float64, {4, 3}};
      return {{{a, b},
               [](Args x) {
                 return concatenate({x[0], x[1]}, 1);
               }},
              {{a, c, a},
               [](Args x) {
                 return concatenate({x[0], x[1], x[2]}, 0);
               }},
              {{a, a},
               [](Args x) {
                 return stack({x[0], transpose(transpose(x[1]))}, 1);
               }},
              {{a, Type{DType::float64, {0, 3}}}, [](Args x) {
                 return concatenate({x[0], x[1]}, 0);
               }}};
    },
};

Expr concatenate(const std::vector<Expr>& parts, std::int64_t axis, Source where) {
  const Attribution as(where);
  const auto refuse = [&](const std::string& what) {
    throw TypeError(refusal("concatenate", what, parts, attributed(where)));
  };
  if (parts.empty()) refuse("nothing to concatenate");
  if (parts[0].rank() == 0) refuse("scalars have no axis to join along: use stack");
  const AlongAxis along{axis_of("concatenate", Arg(parts[0], where), axis)};
  return apply(concatenate_op, parts, along.attrs(), where);
}

Expr stack(const std::vector<Expr>& parts, std::int64_t axis, Source where) {
  const Attribution as(where);
  std::vector<Expr> taller;
  for (const Expr& part : parts)
    taller.push_back(expand_dims(records::alike("stack", Arg(part, where), parts.front()), axis));
  return concatenate(taller, axis, where);
}

}  // namespace cinch
