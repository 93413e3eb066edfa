#include "cinch/ops/subtensor.hpp"

#include <algorithm>
#include <numeric>

#include "cinch/core/derive/examples.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/ops/along.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/diagonal.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/records/attributes.hpp"
#include "cinch/ops/records/operands.hpp"
#include "cinch/ops/records/sizes.hpp"
#include "cinch/ops/reference/positions.hpp"
#include "cinch/ops/reference/xtensor_view.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

using records::IndexCheck;

Type index_type(Args x, const Dims& dims) {
  if (x[0].dtype() != DType::int64) throw TypeError("the indices must be int64");
  records::dim_of(x[1]);  // Throws for anything but a size.
  return {DType::int64, dims};
}

std::int64_t checked(std::int64_t index, std::int64_t n, bool negatives) {
  if (negatives) return references::row_of(index, n);
  if (index < 0 || index >= n) throw ValueError(text("element ", index, " is not in [0, ", n, ")"));
  return index;
}

Tensor last_writer_reference(Values in, const Attrs& attrs) {
  const std::int64_t axis = AlongAxis::of(attrs).axis;
  const std::int64_t n = in[1]->data<std::int64_t>()[0];
  for (const std::int64_t i : in[0]->data<std::int64_t>()) checked(i, n, /*negatives=*/false);
  Shape shape = in[0]->shape();
  shape[axis] = n;
  Tensor result(DType::int64, shape);
  const auto x = references::view<std::int64_t>(*in[0]);
  auto to = references::view<std::int64_t>(result);
  references::for_each_index(shape, [&](const std::vector<std::size_t>& there) {
    std::vector<std::size_t> here = there;
    std::int64_t last = in[0]->shape()[axis] - 1;
    for (; last >= 0; --last) {
      here[axis] = static_cast<std::size_t>(last);
      if (x.element(here.begin(), here.end()) == static_cast<std::int64_t>(there[axis])) break;
    }
    to.element(there.begin(), there.end()) = last;
  });
  return result;
}

Type last_writer_type(Args x, const Attrs& attrs) {
  Dims dims = x[0].dims();
  dims[AlongAxis::of(attrs).axis] = records::dim_of(x[1]);
  return index_type(x, dims);
}

void last_writer_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs) {
  const std::int64_t axis = AlongAxis::of(attrs).axis;
  const references::Lanes from(in[0].shape, axis), to(out.shape, axis);
  std::fill_n(out.as<std::int64_t>(), out.size(), -1);
  for (std::int64_t lane = 0; lane < from.count; ++lane) {
    const std::int64_t* index = in[0].as<std::int64_t>() + from.first(lane);
    std::int64_t* last = out.as<std::int64_t>() + to.first(lane);
    for (std::int64_t k = 0; k < from.n; ++k)
      last[checked(index[k * from.inner], to.n, /*negatives=*/false) * to.inner] = k;
  }
}

}  // namespace

constinit const Op checked_index_op{
    .name = "checked_index",
    .type = [](Args x, const Attrs&) { return index_type(x, x[0].dims()); },
    .reference =
        [](Values in, const Attrs& attrs) {
          Tensor result = *in[0];
          for (std::int64_t& i : result.data<std::int64_t>())
            i = checked(i, in[1]->data<std::int64_t>()[0], IndexCheck::of(attrs).negatives);
          return result;
        },
    .sizes_from = 1,
    .batch =
        [](Args x, const std::vector<bool>&, const Expr& y) {
          return apply(checked_index_op, {x[0], x[1]}, y.attrs());
        },
    .follow = [](Args, std::span<const std::int64_t> axes, const Expr&) { return axes[0]; },
    .digits = [](const deriving::Flow& flow) -> std::vector<deriving::Digit> {
      const std::vector<deriving::Digit>& known = flow.digits(0);
      if (!known.empty()) return known;
      return {{.weight = {}, .range = flow.value(flow.inputs()[1])}};
    },
    .runs = Kernel{.run =
                       [](std::span<const Operand> in, const Operand& out, const Attrs& attrs) {
                         const std::int64_t n = *in[1].as<std::int64_t>();
                         const std::int64_t* from = in[0].as<std::int64_t>();
                         auto* to = out.as<std::int64_t>();
                         const bool negatives = IndexCheck::of(attrs).negatives;
                         for (std::int64_t k = 0; k < out.size(); ++k)
                           to[k] = checked(from[k], n, negatives);
                       }},
    .examples = []() -> std::vector<Example> {
      const Type i{DType::int64, {3, 2}};
      return {{{i}, [](Args x) { return checked_index(x[0] - 4, 4); }, {8}},
              {{i}, [](Args x) { return checked_index(x[0], 8, false); }, {8}},
              {{i, Type{DType::float64, {8}}},
               [](Args x) { return checked_index(x[0], size(x[1], 0)); },
               {8}}};
    },
};

constinit const Op last_writer_op{
    .name = "last_writer",
    .type = last_writer_type,
    .reference = last_writer_reference,
    .sizes_from = 1,
    .batch =
        [](Args x, const std::vector<bool>&, const Expr& y) {
          return apply(last_writer_op, {x[0], x[1]},
                       AlongAxis{AlongAxis::of(y.attrs()).axis + 1}.attrs());
        },
    .trace = [](const deriving::Flow& flow) -> deriving::Place {
      const std::int64_t axis = AlongAxis::of(flow.y.attrs()).axis;
      deriving::Place result = flow.place(0);
      if (result.axis != axis) return result;
      result = counted_rows(flow, 0, result, flow.value(flow.inputs()[1]));
      if (result.found()) result.axis = axis;
      return result;
    },
    .size_of = [](const Expr& y, std::int64_t) { return Expr(y.inputs()[1]); },
    .runs = Kernel{.run = last_writer_kernel},
    .examples = []() -> std::vector<Example> {
      const Type m{DType::int64, {3, 4}};
      return {{{Type{DType::int64, {6}}}, [](Args x) { return last_writer(x[0], 5); }, {4}},
              {{Type{DType::int64, {0}}}, [](Args x) { return last_writer(x[0], 5); }, {4}},
              {{m}, [](Args x) { return last_writer(x[0], 3, 1); }, {3}},
              {{m}, [](Args x) { return last_writer(x[0], 4, -2); }, {4}},
              {{Type{DType::int64, {4}}, Type{DType::float64, {6}}},
               [](Args x) { return last_writer(x[0], size(x[1], 0)); },
               {6}}};
    },
};

Expr checked_index(const Arg& x, const Arg& n, bool negatives) {
  const Attribution as(x.where());
  return apply(checked_index_op, {x, records::whole_number(n)}, IndexCheck{negatives}.attrs(),
               x.where());
}

Expr last_writer(const Arg& x, const Arg& n, std::int64_t axis) {
  const Attribution as(x.where());
  return apply(last_writer_op, {x, records::whole_number(n)},
               AlongAxis{axis_of("last_writer", x, axis)}.attrs(), x.where());
}

Expr gather(const Arg& x, const std::vector<Expr>& indices) {
  const Attribution as(x.where());
  const auto count = static_cast<std::int64_t>(indices.size());
  if (count == 0 || count > x->rank()) {
    refuse("gather",
           text("takes 1 to ", x->rank(), " index tensors, one for each of the ",
                "first axes, got ", count),
           x);
  }
  const std::vector<Expr> all = sizes(x);
  if (count == 1) return take(x, indices[0]);
  Expr flat;
  for (std::size_t k = 0; k < indices.size(); ++k) {
    const Expr index = checked_index(indices[k], all[k]);
    flat = flat.has_value() ? flat * all[k] + index : index;
  }
  std::vector<Expr> merged{product({all.begin(), all.begin() + count})};
  merged.insert(merged.end(), all.begin() + count, all.end());
  return take(reshape(x, merged), flat);
}

Expr embedding(const Arg& table, const Arg& indices, std::optional<std::int64_t> padding) {
  const Attribution as(table.where());
  const Expr rows_of = take(table, indices);
  if (!padding) return rows_of;
  const Expr words = size(table, 0);
  Expr padded =
      equal(checked_index(indices, words), checked_index(constant(Tensor(*padding)), words));
  for (std::int64_t k = 1; k < table->rank(); ++k) padded = expand_dims(padded, -1);
  return switch_(padded, stop_gradient(rows_of), rows_of);
}

namespace {

/// The ops from x to a part of it, the outermost first.
using Path = std::vector<Expr>;

bool selects(const Op& op) {
  for (const Op* one :
       {&narrow_op, &dimshuffle_op, &reshape_op, &take_op, &take_along_op, &diagonal_op}) {
    if (&op == one) return true;
  }
  return false;
}

Path path_to(std::string_view name, const Arg& x, const Expr& part) {
  Path path;
  Expr e = part;
  while (!(e == x.expr())) {
    if (!selects(e.op())) {
      refuse(name,
             text(describe(part), " is not a part of ", describe(x), ": it is made by ",
                  e.op().name, " of ", describe(e),
                  "\n  A part is x under slice, at, take, take_along_axis, gather, diagonal, "
                  "reshape or transpose."),
             x, {part});
    }
    path.push_back(e);
    e = Expr(e.inputs()[0]);
  }
  return path;
}

/// The same part of another tensor.
Expr forth(const Path& path, Expr x) {
  for (auto step = path.rbegin(); step != path.rend(); ++step) {
    // Of two layouts the last one counts: numbers that go on counting say more of where they are.
    if (&step->op() == &reshape_op && &x.op() == &reshape_op) x = Expr(x.inputs()[0]);
    std::vector<Expr> inputs(step->inputs().begin(), step->inputs().end());
    inputs[0] = x;
    x = with_inputs(*step, std::move(inputs));
  }
  return x;
}

/// Which values of those for a part stay, and which elements of x they replace. Both broadcast to
/// what they speak of, and examples stay apart where the indices let them.
struct Stays {
  Expr values, elements;
};

/// For take_along_axis alone: lane by lane.
Stays stays_along(const Expr& x, const Expr& part) {
  const std::int64_t axis = AlongAxis::of(part.attrs()).axis;
  const Expr n = size(x, axis);
  const Expr positions = checked_index(broadcast_like(part.inputs()[1], part), n);
  const Expr last = last_writer(positions, n, axis);
  std::vector<std::int64_t> pattern(static_cast<std::size_t>(x.rank()), -1);
  pattern[axis] = 0;
  const Expr own = dimshuffle(arange(size(positions, axis)), pattern);
  return {equal(take_along_axis(last, positions, axis), own), last >= 0};
}

/// The axis of x that a path of transpositions and one take chooses from; -1 for other paths.
std::int64_t taken_axis(const Path& path, std::int64_t rank) {
  std::vector<std::int64_t> axes(static_cast<std::size_t>(rank));
  std::iota(axes.begin(), axes.end(), 0);
  std::int64_t result = -1;
  for (auto step = path.rbegin(); step != path.rend(); ++step) {
    if (&step->op() == &take_op && result < 0) {
      result = axes[0];
      axes.erase(axes.begin());
      axes.insert(axes.begin(), static_cast<std::size_t>(step->inputs()[1].rank()), -1);
      if (result < 0) return -1;
    } else if (&step->op() == &dimshuffle_op) {
      std::vector<std::int64_t> next;
      for (const std::int64_t axis : AxisPattern::of(step->attrs()))
        next.push_back(axis < 0 ? -1 : axes[axis]);
      axes = std::move(next);
    } else {
      return -1;
    }
  }
  return result;
}

Stays stays_of(const Path& path, const Expr& x, const Expr& part) {
  if (path.size() == 1 && &part.op() == &take_along_op) {
    // Unless x is repeated, so that lanes share elements.
    Dims lanes = part.dims();
    const std::int64_t axis = AlongAxis::of(part.attrs()).axis;
    lanes[axis] = x.dims()[axis];
    if (lanes == x.dims()) return stays_along(x, part);
  }
  // The part of the elements' numbers says where each value goes. Where all axes but one stay as
  // they are, the numbers along that one do.
  std::vector<Expr> numbered = sizes(x);
  if (const std::int64_t axis = taken_axis(path, x.rank()); axis >= 0) {
    for (std::size_t k = 0; k < numbered.size(); ++k) {
      if (static_cast<std::int64_t>(k) != axis) numbered[k] = constant(Tensor(std::int64_t{1}));
    }
  }
  const Expr n = product(numbered);
  const Expr numbers = forth(path, reshape(arange(n), numbered));
  const Expr positions = flatten(numbers), last = last_writer(positions, n);
  const Expr stays = equal(take(last, positions), arange(size(positions, 0)));
  return {reshape(stays, sizes(numbers)), reshape(last >= 0, numbered)};
}

/// Zeros like x with `value` at the part; where it holds an element twice, the sum.
Expr back(const Path& path, Expr value) {
  for (const Expr& step : path) value = step.op().grad(step.inputs(), step, value)[0];
  return value;
}

Expr fitted(std::string_view name, const Arg& x, const Expr& part, const Expr& value) {
  const Expr v = cast(value, x->dtype());
  try {
    return broadcast_like(v, part);
  } catch (const TypeError&) {
    refuse(name, "the value does not broadcast to the part", Arg(v, x.where()), {part});
  }
}

}  // namespace

Expr set_subtensor(const Arg& x, const Expr& part, const Arg& value) {
  const Attribution as(x.where());
  const Path path = path_to("set_subtensor", x, part);
  Expr v = fitted("set_subtensor", x, part, value);
  if (path.empty()) return v;
  const bool may_repeat = std::ranges::any_of(path, [](const Expr& step) {
    return &step.op() == &take_op || &step.op() == &take_along_op;
  });
  if (!may_repeat) return switch_(back(path, broadcast_like(Arg(true), part)), back(path, v), x);
  const Stays stays = stays_of(path, x, part);
  v = switch_(stays.values, v, cast(Arg(0.0), v.dtype()));
  const bool is_bool = v.dtype() == DType::bool_;  // Sums need numbers.
  const Expr values = back(path, is_bool ? cast(v, DType::int64) : v);
  return switch_(stays.elements, cast(values, v.dtype()), x);
}

Expr inc_subtensor(const Arg& x, const Expr& part, const Arg& value) {
  const Attribution as(x.where());
  const Path path = path_to("inc_subtensor", x, part);
  if (x->dtype() == DType::bool_) {
    refuse("inc_subtensor", "bools cannot be added: cast them first", x);
  }
  return x + back(path, fitted("inc_subtensor", x, part, value));
}

Expr put(const Arg& x, const Arg& positions, const Arg& value) {
  const Attribution as(x.where());
  return set_subtensor(x, take(flatten(x), positions), value);
}

Expr put_along_axis(const Arg& x, const Arg& indices, const Arg& value, std::int64_t axis) {
  const Attribution as(x.where());
  return set_subtensor(x, take_along_axis(x, indices, axis), value);
}

Expr bincount(const Arg& x, const Arg& n) {
  const Attribution as(x.where());
  return bincount(x, n, broadcast_like(constant(Tensor(std::int64_t{1})), x));
}

Expr bincount(const Arg& x, const Arg& n, const Expr& weights) {
  const Attribution as(x.where());
  const Expr count = records::whole_number(n);
  const Expr like = broadcast_to(cast(Arg(0.0), weights.dtype()), {count});
  return scatter_add(records::alike("bincount", weights, x),
                     checked_index(x, count, /*negatives=*/false), like);
}

}  // namespace cinch
