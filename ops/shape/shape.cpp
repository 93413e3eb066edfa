#include "cinch/ops/shape.hpp"

#include <algorithm>
#include <functional>
#include <numeric>
#include <xtensor/xmanipulation.hpp>
#include <xtensor/xmath.hpp>

#include "cinch/core/derive/examples.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/records/sizes.hpp"
#include "cinch/ops/reference/xtensor_view.hpp"
#include "cinch/ops/rules/placed.hpp"

namespace cinch {

namespace {

// size
// ---------------------------------------------------------------------------------------------------------------

/// The size in terms of the sizes of leaves, so that it is known from a call's arguments.
Expr simplify_size(const Expr& e) {
  Expr x = e.inputs()[0];
  std::int64_t axis = AlongAxis::of(e.attrs()).axis;
  const Dim dim = x.dims()[axis];
  if (dim.known()) return constant(Tensor(dim.size()));
  // Down to where this size comes from.
  const auto step_down = [&] {
    for (std::size_t i = 0; i < x.inputs().size(); ++i) {
      const Expr input = x.inputs()[i];
      if (x.op().is_size(i)) return false;
      const auto at = std::ranges::find(input.dims(), dim);
      if (at == input.dims().end()) continue;
      axis = at - input.dims().begin();
      x = input;
      return true;
    }
    return false;
  };
  // A stretch at a time: the rest is the size of an earlier node, which other sizes lead to as well
  // and is found once.
  for (int steps = 0; steps < 64 && step_down(); ++steps) {
  }
  if (!(x == e.inputs()[0])) return size(x, axis);
  if (x.op().size_of) return x.op().size_of(x, axis);
  if (x.op().elementwise()) {
    // Several unknown sizes, each this one or 1.
    Expr result;
    for (const Expr& input : x.inputs()) {
      const std::int64_t a = input.rank() - x.rank() + axis;
      if (a < 0) continue;
      const Expr mine = size(input, a);
      result = result.has_value() ? switch_(equal(result, 1), mine, result) : mine;
    }
    return result;
  }
  return {};
}

// dimshuffle
// ---------------------------------------------------------------------------------------------------------

Type dimshuffle_type(Args x, const Attrs& attrs) {
  const Dims& dims = x[0].dims();
  std::vector<bool> used(dims.size());
  Type result{x[0].dtype(), {}};
  for (const std::int64_t axis : AxisPattern::of(attrs)) {
    if (axis == -1) {
      result.dims.push_back(1);
      continue;
    }
    if (axis < 0 || axis >= x[0].rank()) throw TypeError(text("there is no axis ", axis));
    if (used[static_cast<std::size_t>(axis)])
      throw TypeError(text("axis ", axis, " is named twice"));
    used[static_cast<std::size_t>(axis)] = true;
    result.dims.push_back(dims[static_cast<std::size_t>(axis)]);
  }
  for (std::size_t axis = 0; axis < dims.size(); ++axis) {
    if (!used[axis] && dims[axis].known() && dims[axis].size() != 1) {
      throw TypeError(
          text("axis ", axis, " cannot be left out: its size is ", dims[axis].size(), ", not 1"));
    }
  }
  return result;
}

Tensor dimshuffle_reference(Values in, const Attrs& attrs) {
  std::vector<std::size_t>
      order;  // The axes that stay; those that go have size 1, so the order does not matter.
  for (const std::int64_t axis : AxisPattern::of(attrs)) {
    if (axis >= 0) order.push_back(static_cast<std::size_t>(axis));
  }
  Shape shape;
  for (const std::int64_t axis : AxisPattern::of(attrs))
    shape.push_back(axis < 0 ? 1 : in[0]->shape()[static_cast<std::size_t>(axis)]);
  for (std::size_t axis = 0; axis < in[0]->shape().size(); ++axis) {
    if (std::ranges::find(order, axis) == order.end()) order.push_back(axis);
  }
  return dispatch_all(in[0]->dtype(), [&]<class T> {
    const xt::xarray<T> moved = xt::transpose(references::view<T>(*in[0]), order);
    return references::to_tensor<T>(moved).reshaped(shape);
  });
}

bool dimshuffle_view(const Strided& in, const Expr& y, Strided& out) {
  out.offset = in.offset;
  out.strides.clear();
  for (const std::int64_t axis : AxisPattern::of(y.attrs())) {
    out.strides.push_back(axis < 0 ? 0 : in.strides[static_cast<std::size_t>(axis)]);
  }
  return true;
}

bool keeps_axes(const Expr& y) {
  const auto& pattern = AxisPattern::of(y.attrs());
  bool same = y.rank() == y.inputs()[0].rank();
  for (std::size_t k = 0; same && k < pattern.size(); ++k)
    same = pattern[k] == static_cast<std::int64_t>(k);
  return same;
}

Expr simplify_dimshuffle(const Expr& y) {
  const Expr& x = y.inputs()[0];
  const auto& pattern = AxisPattern::of(y.attrs());
  if (keeps_axes(y)) return x;
  if (&x.op() != &dimshuffle_op) return rules::of_parts(y);
  std::vector<std::int64_t> both;
  for (const std::int64_t axis : pattern)
    both.push_back(axis < 0 ? -1 : AxisPattern::of(x.attrs())[axis]);
  return dimshuffle(x.inputs()[0], both);
}

Grads dimshuffle_grad(Args x, const Expr& y, const Expr& gy) {
  std::vector<std::int64_t> back(static_cast<std::size_t>(x[0].rank()), -1);
  const auto& pattern = AxisPattern::of(y.attrs());
  for (std::size_t k = 0; k < pattern.size(); ++k) {
    if (pattern[k] >= 0) back[static_cast<std::size_t>(pattern[k])] = static_cast<std::int64_t>(k);
  }
  return {dimshuffle(gy, back)};
}

Expr batch_dimshuffle(Args x, const std::vector<bool>&, const Expr& y) {
  std::vector<std::int64_t> pattern{0};
  for (const std::int64_t axis : AxisPattern::of(y.attrs()))
    pattern.push_back(axis < 0 ? -1 : axis + 1);
  return dimshuffle(x[0], pattern);
}

std::int64_t follow_dimshuffle(Args, std::span<const std::int64_t> axes, const Expr& y) {
  const auto& pattern = AxisPattern::of(y.attrs());
  const auto at = std::ranges::find(pattern, axes[0]);
  return at == pattern.end() ? -1 : at - pattern.begin();
}

// reshape
// ------------------------------------------------------------------------------------------------------------

Type reshape_type(Args x, const Attrs&) {
  Type result{x[0].dtype(), records::dims_of(x.subspan(1))};
  if (x[0].type().is_static() && result.is_static() &&
      element_count(x[0].type().shape()) != element_count(result.shape())) {
    throw TypeError("the numbers of elements differ: cannot be laid out as " + text(result.dims));
  }
  return result;
}

bool reshape_view(const Strided& in, const Expr& y, Strided& out) {
  // Axes of size 1 come and go freely; otherwise the input has to be row-major.
  const Shape from = y.inputs()[0].type().shape(), to = y.type().shape();
  std::vector<std::int64_t> strides, sizes;
  for (std::size_t k = 0; k < from.size(); ++k) {
    if (from[k] != 1) {
      sizes.push_back(from[k]);
      strides.push_back(in.strides[k]);
    }
  }
  out = {in.offset, std::vector<std::int64_t>(to.size(), 0)};
  std::vector<std::size_t> kept;
  for (std::size_t k = 0; k < to.size(); ++k) {
    if (to[k] != 1) kept.push_back(k);
  }
  const bool only_ones =
      kept.size() == sizes.size() &&
      std::ranges::equal(kept, sizes, [&](std::size_t k, std::int64_t n) { return to[k] == n; });
  if (only_ones) {
    for (std::size_t k = 0; k < kept.size(); ++k) out.strides[kept[k]] = strides[k];
    return true;
  }
  std::int64_t step = 1;
  for (std::size_t k = sizes.size(); k-- > 0; step *= sizes[k]) {
    if (strides[k] != step) return false;
  }
  step = 1;
  for (std::size_t k = to.size(); k-- > 0; step *= to[k]) out.strides[k] = step;
  return true;
}

Expr simplify_reshape(const Expr& y) {
  const Expr& x = y.inputs()[0];
  if (x.dims() == y.dims()) return x;
  if (&x.op() == &reshape_op)
    return apply(reshape_op, records::with_first(x.inputs()[0], y.inputs().subspan(1)));
  return rules::of_parts(y);
}

Expr batch_reshape(Args x, const std::vector<bool>&, const Expr& y) {
  std::vector<Expr> all{size(x[0], 0)};
  all.insert(all.end(), y.inputs().begin() + 1, y.inputs().end());
  return reshape(x[0], all);
}

/// Elements keep their order, so examples stand where as many elements lie before and after. Each
/// of the three sizes, of an axis and of what is before and after it, follows from the other two.
deriving::Place trace_reshape(const deriving::Flow& flow) {
  const Expr &x = flow.inputs()[0], &y = flow.y;
  const deriving::Place& from = flow.place(0);
  deriving::Count before = from.outer, after = from.inner;
  for (std::int64_t axis = 0; axis < x.rank(); ++axis) {
    if (axis < from.axis) before = before * flow.size(x, axis);
    if (axis > from.axis) after = after * flow.size(x, axis);
  }
  // An axis of their own may have a known size where they do not.
  deriving::Count examples = flow.examples;
  const Dim own = x.dims()[static_cast<std::size_t>(from.axis)];
  if (own.known() && from.outer == deriving::Count() && from.inner == deriving::Count())
    examples = own.size();
  std::vector<deriving::Count> sizes;
  for (const Expr& n : flow.inputs().subspan(1)) {
    const deriving::Count size = flow.value(n);
    sizes.push_back(size == flow.examples ? examples : size);
  }
  const auto product_of = [](auto first, auto last) {
    return std::accumulate(first, last, deriving::Count(), std::multiplies<>());
  };
  for (std::int64_t axis = 0; axis < y.rank(); ++axis) {
    const auto at = sizes.begin() + axis;
    const auto outer = before.over(product_of(sizes.begin(), at)),
               inner = after.over(product_of(at + 1, sizes.end()));
    if (!outer && !inner) continue;
    const auto rest = at->over((outer ? *outer : *inner) * examples);
    if (rest) return {axis, outer ? *outer : *rest, outer ? *rest : *inner};
    if (outer && inner) return {axis, *outer, *inner};
  }
  return {};
}

const Type matrix34{DType::float64, {3, 4}};

}  // namespace

constinit const Op size_op{
    .name = "size",
    .type =
        [](Args, const Attrs&) {
          return Type{DType::int64, {}};
        },
    .reference =
        [](Values in, const Attrs& attrs) {
          return Tensor(in[0]->shape()[AlongAxis::of(attrs).axis]);
        },
    .shape_only = 1,
    .moves = true,
    .simplify = simplify_size,
};

constinit const Op dimshuffle_op{
    .name = "dimshuffle",
    .type = dimshuffle_type,
    .reference = dimshuffle_reference,
    .algebra = Algebra::permute,
    .moves = true,
    .grad = dimshuffle_grad,
    .batch = batch_dimshuffle,
    .follow = follow_dimshuffle,
    .simplify = simplify_dimshuffle,
    .runs = View{.show = dimshuffle_view},
    .examples = []() -> std::vector<Example> {
      return {{{matrix34}, [](Args x) { return transpose(x[0]); }},
              {{matrix34},
               [](Args x) {
                 return dimshuffle(x[0], {1, -1, 0});
               }},
              {{Type{DType::float64, {2, 1, 3}}},
               [](Args x) {
                 return dimshuffle(x[0], {2, 0});
               }},
              {{Type{DType::float64, {2, 3, 4}}},
               [](Args x) {
                 return transpose(x[0], {2, 0, 1});
               }},
              {{Type{DType::float64, {0, 3}}}, [](Args x) { return transpose(x[0]); }}};
    },
};

constinit const Op reshape_op{
    .name = "reshape",
    .type = reshape_type,
    .reference = [](Values in,
                    const Attrs&) { return in[0]->reshaped(records::shape_of(in.subspan(1))); },
    .algebra = Algebra::regroup,
    .sizes_from = 1,
    .moves = true,
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads { return {reshape(gy, sizes(x[0]))}; },
    .batch = batch_reshape,
    .trace = trace_reshape,
    .simplify = simplify_reshape,
    .size_of =
        [](const Expr& y, std::int64_t axis) {
          return Expr(y.inputs()[static_cast<std::size_t>(axis) + 1]);
        },
    .runs = View{.show = reshape_view},
    .examples = []() -> std::vector<Example> {
      return {{{matrix34},
               [](Args x) {
                 return reshape(x[0], Shape{2, 6});
               }},
              {{matrix34},
               [](Args x) {
                 return reshape(transpose(x[0]), Shape{6, 2});
               }},
              {{matrix34},
               [](Args x) {
                 return reshape(transpose(x[0]), Shape{4, 1, 3});
               }},
              {{matrix34}, [](Args x) { return flatten(x[0]); }},
              {{Type{DType::float64, {1, 1}}}, [](Args x) { return reshape(x[0], Shape{}); }},
              {{Type{DType::float64, {0, 4}}}, [](Args x) {
                 return reshape(x[0], Shape{2, 0});
               }}};
    },
};

// What users call
// ----------------------------------------------------------------------------------------------------

Expr size(const Arg& x, std::int64_t axis) {
  const Attribution as(x.where());
  axis = axis_of("size", x, axis);
  const Dim dim = x->dims()[static_cast<std::size_t>(axis)];
  if (dim.known()) return constant(Tensor(dim.size()), x.where());
  return apply(size_op, {x}, AlongAxis{axis}.attrs(), x.where());
}

std::vector<Expr> sizes(const Arg& x) {
  const Attribution as(x.where());
  std::vector<Expr> result;
  for (std::int64_t axis = 0; axis < x->rank(); ++axis) result.push_back(size(x, axis));
  return result;
}

Expr product(const std::vector<Expr>& factors) {
  Expr result = constant(Tensor(std::int64_t{1}));
  for (const Expr& factor : factors) {
    const Tensor *a = constant_value(result), *b = constant_value(factor);
    if (a && b) {
      result =
          constant(Tensor(element_count({a->data<std::int64_t>()[0], b->data<std::int64_t>()[0]})));
    } else {
      result = graphs::is_constant(result, 1) ? factor : result * factor;
    }
  }
  return result;
}

Expr dimshuffle(const Arg& x, const std::vector<std::int64_t>& pattern) {
  const Expr y = apply(dimshuffle_op, {x}, AxisPattern{pattern}.attrs(), x.where());
  // Two in a row stay two: the one between may be differentiated by, or given. Rewriting joins
  // them.
  return keeps_axes(y) ? x.expr() : y;
}

Expr transpose(const Arg& x) {
  const Attribution as(x.where());
  std::vector<std::int64_t> axes(static_cast<std::size_t>(x->rank()));
  std::iota(axes.rbegin(), axes.rend(), 0);
  return dimshuffle(x, axes);
}

Expr transpose(const Arg& x, const std::vector<std::int64_t>& axes) {
  const Attribution as(x.where());
  std::vector<std::int64_t> pattern;
  for (const std::int64_t axis : axes) pattern.push_back(axis_of("transpose", x, axis));
  return dimshuffle(x, pattern);
}

Expr expand_dims(const Arg& x, std::int64_t axis) {
  const Attribution as(x.where());
  try {
    axis = normalize_axis(axis, x->rank() + 1);
  } catch (const TypeError& error) {
    refuse("expand_dims", error, x);
  }
  std::vector<std::int64_t> pattern(static_cast<std::size_t>(x->rank()));
  std::iota(pattern.begin(), pattern.end(), 0);
  pattern.insert(pattern.begin() + axis, -1);
  return dimshuffle(x, pattern);
}

Expr squeeze(const Arg& x, std::int64_t axis) {
  const Attribution as(x.where());
  axis = axis_of("squeeze", x, axis);
  std::vector<std::int64_t> pattern(static_cast<std::size_t>(x->rank()));
  std::iota(pattern.begin(), pattern.end(), 0);
  pattern.erase(pattern.begin() + axis);
  return dimshuffle(x, pattern);
}

Expr reshape(const Arg& x, const std::vector<Expr>& sizes) {
  return apply(reshape_op, records::with_first(x, sizes), {}, x.where());
}

namespace {

[[noreturn]] void refuse_reshape(const Arg& x, const std::string& what) {
  refuse("reshape", what, x);
}

/// The size that -1 stands for, given the others. Those that are sizes of x stay out of the
/// quotient, which so is right where they are 0.
Expr remaining_size(const Arg& x, std::vector<Expr> others) {
  std::vector<Expr> own = sizes(x);
  for (auto other = others.begin(); other != others.end();) {
    // A 0 that the user wrote is no axis of x.
    const auto same = std::ranges::find_if(own, [&](const Expr& size) {
      return !other->type().weak &&
             (*other == size || records::dim_of(*other) == records::dim_of(size));
    });
    other = same == own.end() ? std::next(other) : others.erase(other);
    if (same != own.end()) own.erase(same);
  }
  const Expr total = product(own), known = product(others);
  const Tensor *a = constant_value(total), *b = constant_value(known);
  if (b && b->item() == 0)
    refuse_reshape(x, "-1 could be any size beside a size of 0: say which it is");
  if (!a || !b)
    return b ? floor_div(total, known)
             : switch_(equal(known, 0), -1, floor_div(total, maximum(known, 1)));
  return constant(Tensor(a->data<std::int64_t>()[0] / b->data<std::int64_t>()[0]));
}

Expr reshape_with_rest(const Arg& x, std::vector<Expr> all) {
  const Attribution as(x.where(), /*force=*/false, "reshape");
  std::vector<Expr> others;
  Expr* rest = nullptr;
  for (Expr& size : all) {
    if (size.rank() != 0 || size.dtype() != DType::int64) {
      refuse_reshape(
          x, text("sizes must be int64 scalars, one is ", text(size.type()), "  ", describe(size)));
    }
    if (!graphs::is_constant(size, -1)) {
      others.push_back(size);
      if (size.type().weak) size = cast(size, DType::int64);
    } else if (rest) {
      refuse_reshape(x, "only one size can be -1");
    } else {
      rest = &size;
    }
  }
  if (rest) *rest = remaining_size(x, others);
  return reshape(x, all);
}

}  // namespace

Expr reshape(const Arg& x, std::initializer_list<Arg> sizes) {
  return reshape_with_rest(x, {sizes.begin(), sizes.end()});
}

Expr reshape(const Arg& x, const Shape& sizes) {
  const Attribution as(x.where());
  std::vector<Expr> all;
  for (const std::int64_t n : sizes) all.push_back(weak_constant(Tensor(n)));
  return reshape_with_rest(x, std::move(all));
}

Expr flatten(const Arg& x, std::int64_t from) {
  const Attribution as(x.where());
  if (from != x->rank()) from = axis_of("flatten", x, from);
  const std::vector<Expr> all = sizes(x);
  std::vector<Expr> kept(all.begin(), all.begin() + from);
  kept.push_back(product({all.begin() + from, all.end()}));
  return reshape(x, kept);
}

}  // namespace cinch
