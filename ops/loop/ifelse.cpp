#include "cinch/ops/ifelse.hpp"

#include <cstring>

#include "cinch/core/derive/rows.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

Type ifelse_type(Args x, const Attrs&) {
  if (x[0].rank() != 0) throw TypeError("the condition must be a bool scalar");
  if (x[1].rank() != x[2].rank()) throw TypeError("both sides must have the same shape");
  Type result{x[1].dtype(), x[1].dims()};
  for (std::size_t axis = 0; axis < result.dims.size(); ++axis) {
    const Dim other = x[2].dims()[axis];
    Dim& own = result.dims[axis];
    if (own.known() && other.known() && !(own == other))
      throw TypeError("both sides must have the same shape");
    if (!own.known()) own = other;
  }
  return result;
}

Expr batch_ifelse(Args x, const std::vector<bool>& batched, const Expr& y) {
  std::vector<Expr> sides{x[1], x[2]};
  const std::size_t first = batched[0] ? 0 : batched[1] ? 1 : 2;
  for (std::size_t k = 0; k < 2; ++k) {
    if (!batched[k + 1]) sides[k] = deriving::repeated(x[k + 1], size(x[first], 0));
  }
  if (!batched[0]) return apply(ifelse_op, {x[0], sides[0], sides[1]}, {}, y->where);
  // Some need the one and some the other.
  std::vector<std::int64_t> pattern{0};
  pattern.insert(pattern.end(), static_cast<std::size_t>(y.rank()), -1);
  return switch_(dimshuffle(x[0], pattern), sides[0], sides[1]);
}

std::int64_t follow_ifelse(Args, std::span<const std::int64_t> axes, const Expr&) {
  if (axes[0] >= 0) return -1;
  if (axes[1] >= 0 && axes[2] >= 0 && axes[1] != axes[2]) return -1;
  return std::max(axes[1], axes[2]);
}

std::vector<Example> ifelse_examples() {
  const Type matrix{DType::float64, {3, 4}};
  const auto build = [](Args x) {
    return ifelse(sum(x[0]) > 0, tanh(x[0]) * x[1], x[0] + square(x[1]));
  };
  return {{{matrix, matrix}, build},
          {{Type{DType::float64, {}}, Type{DType::float64, {}}}, build},
          {{Type{DType::float64, {0, 2}}, Type{DType::float64, {0, 2}}}, build}};
}

}  // namespace

constinit const Op ifelse_op{
    .name = "ifelse",
    .type = ifelse_type,
    .reference = [](Values in, const Attrs&) { return in[0]->item() != 0 ? *in[1] : *in[2]; },
    .operands = Operands::choice,
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {Expr(), ifelse(x[0], gy, zeros_like(gy)), ifelse(x[0], zeros_like(gy), gy)};
    },
    .batch = batch_ifelse,
    .follow = follow_ifelse,
    .simplify = [](const Expr& y) -> Expr {
      const Expr &condition = y.inputs()[0], &a = y.inputs()[1], &b = y.inputs()[2];
      if (const Tensor* known = constant_value(condition)) return known->item() != 0 ? a : b;
      return a == b ? a : Expr();
    },
    .runs = Kernel{.run =
                       [](std::span<const Operand> in, const Operand& out, const Attrs&) {
                         const Operand& chosen = *in[0].as<const bool>() ? in[1] : in[2];
                         std::memcpy(out.data, chosen.data,
                                     static_cast<std::size_t>(out.size()) * size_of(out.dtype));
                       }},
    .examples = ifelse_examples,
};

Expr ifelse(const Arg& condition, const Arg& a, const Arg& b) {
  const Attribution as(condition.where());
  return apply(ifelse_op, {condition, a, b}, {}, condition.where());
}

}  // namespace cinch
