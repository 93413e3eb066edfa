#include "ops/subtensor.hpp"

#include <algorithm>

#include "ops/along.hpp"
#include "ops/arithmetic.hpp"
#include "ops/diagonal.hpp"
#include "ops/index.hpp"
#include "ops/positions.hpp"
#include "ops/shape.hpp"
#include "ops/sizes.hpp"
#include "ops/xtensor_view.hpp"

namespace cinch {

namespace {

Type index_type(Args x, const Dims& dims) {
  if (x[0].dtype() != DType::int64) throw TypeError("the indices must be int64");
  dim_of(x[1]);  // Throws for anything but a size.
  return {DType::int64, dims};
}

std::int64_t checked(std::int64_t index, std::int64_t n, const Attrs& attrs) {
  const bool negatives = attrs.ints[0] != 0;
  if (negatives) return row_of(index, n);
  if (index < 0 || index >= n) throw ValueError(text("element ", index, " is not in [0, ", n, ")"));
  return index;
}

Tensor last_writer_reference(Values in, const Attrs&) {
  Tensor result = Tensor::full(DType::int64, {in[1]->data<std::int64_t>()[0]}, -1);
  const auto index = in[0]->data<std::int64_t>();
  const auto last = result.data<std::int64_t>();
  for (std::int64_t k = 0; k < result.size(); ++k) {
    const auto found = std::find(index.rbegin(), index.rend(), k);
    if (found != index.rend()) last[static_cast<std::size_t>(k)] = index.rend() - found - 1;
  }
  for (const std::int64_t i : index) checked(i, result.size(), {.ints = {0}});
  return result;
}

}  // namespace

constinit const Op checked_index_op{
    .name = "checked_index",
    .type = [](Args x, const Attrs&) { return index_type(x, x[0].dims()); },
    .reference =
        [](Values in, const Attrs& attrs) {
          Tensor result = *in[0];
          for (std::int64_t& i : result.data<std::int64_t>())
            i = checked(i, in[1]->data<std::int64_t>()[0], attrs);
          return result;
        },
    .sizes_from = 1,
    .batch =
        [](Args x, const std::vector<bool>&, const Expr& y) {
          return apply(checked_index_op, {x[0], x[1]}, y.attrs());
        },
    .follow = [](Args, std::span<const std::int64_t> axes, const Expr&) { return axes[0]; },
    .kernel =
        [](std::span<const Operand> in, const Operand& out, const Attrs& attrs) {
          const std::int64_t n = *in[1].as<std::int64_t>();
          const std::int64_t* from = in[0].as<std::int64_t>();
          auto* to = out.as<std::int64_t>();
          for (std::int64_t k = 0; k < out.size(); ++k) to[k] = checked(from[k], n, attrs);
        },
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
    .type = [](Args x, const Attrs&) { return index_type(x, {dim_of(x[1])}); },
    .reference = last_writer_reference,
    .sizes_from = 1,
    .batch =
        [](Args x, const std::vector<bool>&, const Expr& y) {
          // All at once, each with positions of its own.
          const Expr count = size(x[0], 0), n = y.inputs()[1], each = product(sizes(y.inputs()[0]));
          const Expr example = arange(count);
          std::vector<std::int64_t> pattern(static_cast<std::size_t>(x[0].rank()), -1);
          pattern[0] = 0;
          const Expr last =
              reshape(last_writer(dimshuffle(example, pattern) * n + x[0], product({count, n})),
                      {count, n});
          return switch_(last < 0, last, last - expand_dims(example, 1) * each);
        },
    .size_of = [](const Expr& y, std::int64_t) { return Expr(y.inputs()[1]); },
    .kernel =
        [](std::span<const Operand> in, const Operand& out, const Attrs&) {
          auto* last = out.as<std::int64_t>();
          std::fill_n(last, out.size(), -1);
          const std::int64_t* index = in[0].as<std::int64_t>();
          for (std::int64_t k = 0; k < in[0].size(); ++k)
            last[checked(index[k], out.size(), {.ints = {0}})] = k;
        },
    .examples = []() -> std::vector<Example> {
      return {{{Type{DType::int64, {3, 2}}}, [](Args x) { return last_writer(x[0], 5); }, {4}},
              {{Type{DType::int64, {0}}}, [](Args x) { return last_writer(x[0], 5); }, {4}},
              {{Type{DType::int64, {4}}, Type{DType::float64, {6}}},
               [](Args x) { return last_writer(x[0], size(x[1], 0)); },
               {6}}};
    },
};

Expr checked_index(const Arg& x, const Arg& n, bool negatives) {
  const Attribution as(x.where());
  return apply(checked_index_op, {x, n->type().weak ? cast(n, DType::int64) : n.expr()},
               {.ints = {negatives}}, x.where());
}

Expr last_writer(const Arg& x, const Arg& n) {
  const Attribution as(x.where());
  return apply(last_writer_op, {x, n->type().weak ? cast(n, DType::int64) : n.expr()}, {},
               x.where());
}

Expr gather(const Arg& x, const std::vector<Expr>& indices) {
  const Attribution as(x.where());
  const auto count = static_cast<std::int64_t>(indices.size());
  if (count == 0 || count > x->rank()) {
    throw TypeError(text("gather: takes 1 to ", x->rank(), " index tensors, one for each of the ",
                         "first axes, got ", count, "\n  ", text(x->type()), "  ", describe(x),
                         "\n  written at ", x.where().text()));
  }
  const std::vector<Expr> all = sizes(x);
  if (count == 1) return take(x, indices[0]);
  Expr flat;
  for (std::size_t k = 0; k < indices.size(); ++k) {
    const Expr index = checked_index(indices[k], all[k]);
    flat = flat ? flat * all[k] + index : index;
  }
  std::vector<Expr> merged{product({all.begin(), all.begin() + count})};
  merged.insert(merged.end(), all.begin() + count, all.end());
  return take(reshape(x, merged), flat);
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
      throw TypeError(text(name, ": ", describe(part), " is not a part of ", describe(x),
                           ": it is made by ", e.op().name, " of ", describe(e),
                           "\n  A part is x under slice, at, take, take_along_axis, gather, ",
                           "diagonal, reshape or transpose.\n  written at ", x.where().text()));
    }
    path.push_back(e);
    e = Expr(e.inputs()[0]);
  }
  return path;
}

/// The same part of another tensor.
Expr forth(const Path& path, Expr x) {
  for (auto step = path.rbegin(); step != path.rend(); ++step) {
    std::vector<Expr> inputs(step->inputs().begin(), step->inputs().end());
    inputs[0] = x;
    x = with_inputs(*step, std::move(inputs));
  }
  return x;
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
    throw TypeError(text(name, ": the value does not broadcast to the part\n  ", text(v.type()),
                         "  ", describe(value), "\n  ", text(part.type()), "  ", describe(part),
                         "\n  written at ", x.where().text()));
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
  // The part of the elements' numbers says where each value goes.
  const Expr n = product(sizes(x));
  const Expr numbers = reshape(arange(n), sizes(x));
  const Expr positions = flatten(forth(path, numbers));
  const Expr last = last_writer(positions, n);
  const Expr stays = reshape(equal(take(last, positions), arange(size(positions, 0))), sizes(part));
  v = switch_(stays, v, cast(Arg(0.0), v.dtype()));
  const bool is_bool = v.dtype() == DType::bool_;  // Sums need numbers.
  const Expr values = back(path, is_bool ? cast(v, DType::int64) : v);
  return switch_(reshape(last >= 0, sizes(x)), cast(values, v.dtype()), x);
}

Expr inc_subtensor(const Arg& x, const Expr& part, const Arg& value) {
  const Attribution as(x.where());
  const Path path = path_to("inc_subtensor", x, part);
  if (x->dtype() == DType::bool_) {
    throw TypeError("inc_subtensor: bools cannot be added: cast them first\n  written at " +
                    x.where().text());
  }
  return x + back(path, fitted("inc_subtensor", x, part, value));
}

Expr put(const Arg& x, const Arg& positions, const Arg& value) {
  const Attribution as(x.where());
  return set_subtensor(x, take(flatten(x), positions), value);
}

Expr bincount(const Arg& x, const Arg& n) {
  const Attribution as(x.where());
  return bincount(x, n, broadcast_like(constant(Tensor(std::int64_t{1})), x));
}

Expr bincount(const Arg& x, const Arg& n, const Expr& weights) {
  const Attribution as(x.where());
  const Expr count = n->type().weak ? cast(n, DType::int64) : n.expr();
  const Expr like = broadcast_to(cast(Arg(0.0), weights.dtype()), {count});
  return scatter_add(weights, checked_index(x, count, /*negatives=*/false), like);
}

}  // namespace cinch
