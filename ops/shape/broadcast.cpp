#include <algorithm>
#include <xtensor/xbroadcast.hpp>
#include <xtensor/xmath.hpp>

#include "cinch/core/derive/examples.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/records/sizes.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/reference/xtensor_view.hpp"
#include "cinch/ops/rules/placed.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

Type broadcast_to_type(Args x, const Attrs&) {
  Type result{x[0].dtype(), records::dims_of(x.subspan(1))};
  if (x[0].rank() > result.rank())
    throw TypeError("cannot repeat to fewer axes, " + text(result.dims));
  const std::size_t lead = result.dims.size() - x[0].dims().size();
  for (std::size_t k = 0; k < x[0].dims().size(); ++k) {
    const Dim from = x[0].dims()[k], to = result.dims[lead + k];
    if (from.known() && to.known() && !(from == to) && from.size() != 1) {
      throw TypeError("cannot be repeated to " + text(result.dims));
    }
  }
  return result;
}

bool broadcast_to_view(const Strided& in, const Expr& y, Strided& out) {
  const Shape from = y.inputs()[0].type().shape();
  out = {in.offset, std::vector<std::int64_t>(static_cast<std::size_t>(y.rank()), 0)};
  const std::size_t lead = out.strides.size() - from.size();
  for (std::size_t k = 0; k < from.size(); ++k)
    out.strides[lead + k] = from[k] == 1 ? 0 : in.strides[k];
  return true;
}

Expr batch_broadcast_to(Args x, const std::vector<bool>&, const Expr& y) {
  const Expr& old = y.inputs()[0];
  std::vector<std::int64_t> pattern{0};
  pattern.insert(pattern.end(), static_cast<std::size_t>(y.rank() - old.rank()), -1);
  for (std::int64_t axis = 1; axis <= old.rank(); ++axis) pattern.push_back(axis);
  std::vector<Expr> all{size(x[0], 0)};
  all.insert(all.end(), y.inputs().begin() + 1, y.inputs().end());
  return broadcast_to(dimshuffle(x[0], pattern), all);
}

Type sum_like_type(Args x, const Attrs&) {
  if (x[1].rank() > x[0].rank()) throw TypeError("cannot sum to more axes");
  const std::size_t lead = x[0].dims().size() - x[1].dims().size();
  for (std::size_t k = 0; k < x[1].dims().size(); ++k) {
    const Dim from = x[0].dims()[lead + k], to = x[1].dims()[k];
    if (from.known() && to.known() && !(from == to) && to.size() != 1) {
      throw TypeError("the second operand does not broadcast to the first");
    }
  }
  return {x[0].dtype(), x[1].dims()};
}

/// The axes of x that a sum to like's shape runs over. All sizes are known.
std::vector<std::int64_t> summed_axes(const Shape& x, const Shape& like) {
  std::vector<std::int64_t> axes;
  const std::size_t lead = x.size() - like.size();
  for (std::size_t k = 0; k < x.size(); ++k) {
    if (k < lead || (like[k - lead] == 1 && x[k] != 1))
      axes.push_back(static_cast<std::int64_t>(k));
  }
  return axes;
}

Expr simplify_sum_like(const Expr& y) {
  const Expr &x = y.inputs()[0], &like = y.inputs()[1];
  if (x.dims() == like.dims()) return x;
  if (!x.type().is_static() || !like.type().is_static()) return {};
  const Expr total = sum(x, summed_axes(x.type().shape(), like.type().shape()));
  return total.dims() == like.dims() ? total : reshape(total, like.type().shape());
}

Tensor sum_like_reference(Values in, const Attrs&) {
  const Shape &from = in[0]->shape(), &to = in[1]->shape();
  const auto axes = summed_axes(from, to);
  if (in[0]->size() == 0) return Tensor(in[0]->dtype(), to);
  if (axes.empty()) return *in[0];
  return dispatch(in[0]->dtype(), [&]<class T> {
    const std::vector<std::size_t> over(axes.begin(), axes.end());
    return references::to_tensor<T>(xt::xarray<T>(xt::sum<T>(references::view<T>(*in[0]), over)))
        .reshaped(to);
  });
}

Expr batch_sum_like(Args x, const std::vector<bool>&, const Expr& y) {
  // Sums each of the many to the shape of `like`, under as many axes as the summand has.
  const Expr& like = y.inputs()[1];
  std::vector<Expr> all{size(x[0], 0)};
  all.insert(all.end(), static_cast<std::size_t>(y.inputs()[0].rank() - like.rank()),
             constant(Tensor(std::int64_t{1})));
  std::vector<Expr> result_sizes{all[0]};
  for (const Expr& s : sizes(like)) {
    all.push_back(s);
    result_sizes.push_back(s);
  }
  const Expr target = broadcast_to(cast(Arg(0.0), y.dtype()), all);
  return reshape(sum_like(x[0], target), result_sizes);
}

/// Examples are added up along an axis of size 1; one that is several is as long as the summand's.
deriving::Place trace_sum_like(const deriving::Flow& flow) {
  const Expr &x = flow.inputs()[0], &like = flow.inputs()[1];
  deriving::Place result = flow.place(0);
  const std::int64_t axis = result.axis - (x.rank() - like.rank());
  if (axis < 0) return {};
  const deriving::Count target = flow.size(like, axis);
  if (!target.is_several(flow.examples) && !(target == flow.size(x, result.axis))) return {};
  result.axis = axis;
  return result;
}

}  // namespace

constinit const Op broadcast_to_op{
    .name = "broadcast_to",
    .type = broadcast_to_type,
    .reference =
        [](Values in, const Attrs&) {
          const Shape shape = records::shape_of(in.subspan(1));
          return dispatch(in[0]->dtype(), [&]<class T> {
            const std::vector<std::size_t> to(shape.begin(), shape.end());
            return references::to_tensor<T>(xt::broadcast(references::view<T>(*in[0]), to));
          });
        },
    .algebra = Algebra::repeat,
    .sizes_from = 1,
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads { return {sum_like(gy, x[0])}; },
    .batch = batch_broadcast_to,
    .follow = [](Args x, std::span<const std::int64_t> axes, const Expr& y) -> std::int64_t {
      return axes[0] + y.rank() - x[0].rank();  // Several are not repeated.
    },
    .simplify =
        [](const Expr& y) {
          return y.inputs()[0].dims() == y.dims() ? Expr(y.inputs()[0])
                                                  : rules::with_zeros_outside(y);
        },
    .size_of =
        [](const Expr& y, std::int64_t axis) {
          return Expr(y.inputs()[static_cast<std::size_t>(axis) + 1]);
        },
    .runs = View{.show = broadcast_to_view},
    .examples = []() -> std::vector<Example> {
      const auto to = [](Args x, const Shape& shape) {
        std::vector<Expr> all;
        for (const std::int64_t n : shape) all.push_back(constant(Tensor(n)));
        return broadcast_to(x[0], all);
      };
      return {{{Type{DType::float64, {4}}},
               [to](Args x) {
                 return to(x, {3, 4});
               }},
              {{Type{DType::float64, {3, 1}}},
               [to](Args x) {
                 return to(x, {2, 3, 4});
               }},
              {{Type{DType::float64, {}}},
               [to](Args x) {
                 return to(x, {2, 2});
               }},
              {{Type{DType::float64, {1, 3}}}, [to](Args x) {
                 return to(x, {0, 3});
               }}};
    },
};

constinit const Op sum_like_op{
    .name = "sum_like",
    .type = sum_like_type,
    .reference = sum_like_reference,
    .shape_only = 2,
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {broadcast_like(gy, x[0]), Expr()};
    },
    .batch = batch_sum_like,
    .trace = trace_sum_like,
    .simplify =
        [](const Expr& y) {
          const Expr simpler = simplify_sum_like(y);
          return simpler.has_value() ? simpler : rules::of_parts(y);
        },
    .examples = []() -> std::vector<Example> {
      const auto f = [](Args x) { return sum_like(x[0], x[1]); };
      const Type cube{DType::float64, {2, 3, 4}};
      return {{{cube, Type{DType::float64, {4}}}, f},
              {{cube, Type{DType::float64, {3, 1}}}, f},
              {{cube, Type{DType::float64, {}}}, f},
              {{cube, cube}, f},
              {{Type{DType::float64, {0, 4}}, Type{DType::float64, {4}}}, f}};
    },
};

Expr broadcast_to(const Arg& x, const Sizes& sizes) {
  const Expr y = apply(broadcast_to_op, records::with_first(x, sizes.all()), {}, x.where());
  return y.dims() == x->dims() ? x.expr() : y;
}

Expr broadcast_like(const Arg& x, const Arg& like) {
  const Attribution as(x.where());
  return x->dims() == like->dims() ? x.expr() : broadcast_to(x, sizes(like));
}

Expr sum_like(const Arg& x, const Arg& like) {
  const Attribution as(x.where());
  const Expr numbers = x->dtype() == DType::bool_ ? cast(x, DType::int64) : x.expr();
  const Expr y = apply(sum_like_op, {numbers, like}, {}, x.where());
  const Expr simpler = simplify_sum_like(y);
  return simpler.has_value() ? simpler : y;
}

Expr zeros(const Sizes& sizes, DType dtype, Source where) {
  const Attribution as(where);
  return full(sizes, cast(Arg(0.0), dtype));
}

Expr ones(const Sizes& sizes, DType dtype, Source where) {
  const Attribution as(where);
  return full(sizes, cast(Arg(1.0), dtype));
}

Expr full(const Sizes& sizes, const Arg& value) {
  const Attribution as(value.where());
  if (value->rank() != 0) refuse("full", "the value must be a scalar", value);
  return broadcast_to(value, sizes);
}

Expr zeros_like(const Arg& x) {
  const Attribution as(x.where());
  return broadcast_like(cast(Arg(0.0), x->dtype()), x);
}

Expr ones_like(const Arg& x) {
  const Attribution as(x.where());
  return broadcast_like(cast(Arg(1.0), x->dtype()), x);
}

}  // namespace cinch
