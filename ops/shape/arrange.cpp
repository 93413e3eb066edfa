#include "cinch/ops/arrange.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

#include "cinch/core/refusal.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/records/sizes.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

/// How often or how far: an int64 scalar.
Expr number_from(std::string_view name, const Arg& x, const Arg& number) {
  const Expr result = records::whole_number(number);
  if (result.dtype() != DType::int64 || result.rank() != 0) {
    refuse(name,
           text("takes a number or an int64 scalar, got ", text(result.type()), "  ",
                describe(result)),
           x);
  }
  return result;
}
Expr count_from(std::string_view name, const Arg& x, const Arg& number) {
  const Expr result = number_from(name, x, number);
  const Tensor* value = constant_value(result);
  if (value && value->item() < 0) refuse<ValueError>(name, "a count cannot be negative", x);
  return result;
}

std::vector<std::int64_t> axes_in_order(const Expr& x) {
  std::vector<std::int64_t> result(static_cast<std::size_t>(x.rank()));
  std::iota(result.begin(), result.end(), 0);
  return result;
}

std::size_t index(std::int64_t axis) { return static_cast<std::size_t>(axis); }

/// Expressions that one call may return: more would only take memory.
constexpr std::int64_t most_parts = 1'000'000;

}  // namespace

Expr swapaxes(const Arg& x, std::int64_t axis1, std::int64_t axis2) {
  const Attribution as(x.where());
  std::vector<std::int64_t> order = axes_in_order(x);
  std::swap(order[index(axis_of("swapaxes", x, axis1))],
            order[index(axis_of("swapaxes", x, axis2))]);
  return dimshuffle(x, order);
}

Expr moveaxis(const Arg& x, const std::vector<std::int64_t>& from,
              const std::vector<std::int64_t>& to) {
  const Attribution as(x.where());
  if (from.size() != to.size())
    refuse("moveaxis", text(from.size(), " axes cannot go to ", to.size(), " places"), x);
  std::vector<std::int64_t> order(index(x->rank()), -1);
  std::vector<bool> moves(order.size());
  for (std::size_t k = 0; k < from.size(); ++k) {
    const std::int64_t source = axis_of("moveaxis", x, from[k]);
    std::int64_t& place = order[index(axis_of("moveaxis", x, to[k]))];
    if (moves[index(source)] || place >= 0) refuse("moveaxis", "an axis or a place comes twice", x);
    moves[index(source)] = true;
    place = source;
  }
  std::int64_t next = 0;
  for (std::int64_t& place : order) {
    if (place >= 0) continue;
    while (moves[index(next)]) ++next;
    place = next++;
  }
  return dimshuffle(x, order);
}

Expr moveaxis(const Arg& x, std::int64_t from, std::int64_t to) {
  return moveaxis(x, std::vector{from}, std::vector{to});
}

Expr flip(const Arg& x, const Axes& axes) {
  const Attribution as(x.where());
  Expr result = x;
  for (const std::int64_t axis : axes.of("flip", x)) result = reverse(result, axis);
  return result;
}

Expr roll(const Arg& x, const Arg& shift, std::int64_t axis) {
  const Attribution as(x.where());
  axis = axis_of("roll", x, axis);
  const Expr n = size(x, axis);
  const Expr moved = records::computed(mod(number_from("roll", x, shift), maximum(n, 1))),
             stay = records::computed(n - moved);
  const Expr joined = concatenate({narrow(x, axis, stay, moved), narrow(x, axis, 0, stay)}, axis);
  return joined.dims() == x->dims() ? joined : reshape(joined, sizes(x));
}

Expr tile(const Arg& x, const std::vector<Arg>& counts) {
  const Attribution as(x.where());
  const std::size_t given = counts.size(), rank = std::max(given, index(x->rank()));
  const std::vector<Expr> own = sizes(x);
  std::vector<std::int64_t> pattern;
  std::vector<Expr> apart, together;
  for (std::size_t k = 0; k < rank; ++k) {
    const std::size_t skipped = rank - given, missing = rank - own.size();
    const Expr one = constant(Tensor(std::int64_t{1}));
    const Expr count = k < skipped ? one : count_from("tile", x, counts[k - skipped]);
    const Expr n = k < missing ? one : own[k - missing];
    together.push_back(product({count, n}));
    // An axis that is not repeated stays an axis of its own.
    const Tensor* number = constant_value(count);
    if (!number || number->item() != 1) {
      pattern.push_back(-1);
      apart.push_back(count);
    }
    pattern.push_back(k < missing ? -1 : static_cast<std::int64_t>(k - missing));
    apart.push_back(n);
  }
  return reshape(broadcast_to(dimshuffle(x, pattern), apart), together);
}

Expr repeat(const Arg& x, const Arg& count, std::int64_t axis) {
  const Attribution as(x.where());
  axis = axis_of("repeat", x, axis);
  std::vector<Expr> apart = sizes(x), together = apart;
  const Expr times = count_from("repeat", x, count);
  apart.insert(apart.begin() + axis + 1, times);
  together[index(axis)] = product({together[index(axis)], times});
  return reshape(broadcast_to(expand_dims(x, axis + 1), apart), together);
}

std::vector<Expr> split(const Arg& x, std::int64_t parts, std::int64_t axis) {
  const Attribution as(x.where());
  axis = axis_of("split", x, axis);
  const Dim n = x->dims()[index(axis)];
  if (parts < 1 || parts > most_parts)
    refuse("split", text("cannot make ", parts, " parts, but 1 to ", most_parts), x);
  if (n.known() && n.size() % parts != 0) {
    refuse("split",
           text("axis ", axis, " of size ", n.size(), " does not make ", parts,
                " equal parts: split_sizes() makes others"),
           x);
  }
  // reshape refuses a size that turns out not to be divisible.
  std::vector<Expr> all = sizes(x);
  const Expr each = records::computed(floor_div(all[index(axis)], parts));
  all[index(axis)] = each;
  all.insert(all.begin() + axis, constant(Tensor(parts)));
  const Expr apart = reshape(x, all);
  std::vector<Expr> result;
  for (std::int64_t k = 0; k < parts; ++k) result.push_back(at(apart, k, axis));
  return result;
}

std::vector<Expr> split_sizes(const Arg& x, const Sizes& lengths, std::int64_t axis) {
  const Attribution as(x.where());
  axis = axis_of("split_sizes", x, axis);
  std::vector<Expr> counts;
  Expr total = constant(Tensor(std::int64_t{0}));
  std::int64_t left = std::numeric_limits<std::int64_t>::max();
  for (const Expr& length : lengths.all()) {
    if (const std::optional<std::int64_t> number = records::constant_size(length)) {
      if (*number < 0) refuse<ValueError>("split_sizes", "a part cannot have a negative size", x);
      if (*number > left) refuse("split_sizes", "the parts are larger than any axis", x);
      left -= *number;
    }
    counts.push_back(count_from("split_sizes", x, length));
    total = records::computed(total + counts.back());
  }
  const Dim n = x->dims()[index(axis)];
  const std::optional<std::int64_t> sum = records::constant_size(total);
  if (n.known() && sum && n.size() != *sum) {
    refuse("split_sizes", text("axis ", axis, " has size ", n.size(), ", the parts make up ", *sum),
           x);
  }
  // Where the size shows at run time only, reshape checks it.
  std::vector<Expr> all = sizes(x);
  all[index(axis)] = total;
  const Expr whole = n.known() && sum ? x.expr() : reshape(x, all);
  std::vector<Expr> result;
  Expr start = constant(Tensor(std::int64_t{0}));
  for (const Expr& count : counts) {
    result.push_back(narrow(whole, axis, start, count));
    start = records::computed(start + count);
  }
  return result;
}

std::vector<Expr> unstack(const Arg& x, std::int64_t axis, std::optional<std::int64_t> count) {
  const Attribution as(x.where());
  axis = axis_of("unstack", x, axis);
  const Dim n = x->dims()[index(axis)];
  if (!n.known() && !count) {
    refuse("unstack",
           text("how many parts axis ", axis,
                " has must be known when the expression is built: give ", "`count`"),
           x);
  }
  const std::int64_t parts = count.value_or(n.known() ? n.size() : 0);
  if (parts < 0 || (n.known() && n.size() != parts))
    refuse("unstack", text("axis ", axis, " does not have ", parts, " parts"), x);
  if (parts > most_parts)
    refuse("unstack", text("cannot make ", parts, " expressions, at most ", most_parts), x);
  std::vector<Expr> all = sizes(x);
  all[index(axis)] = constant(Tensor(parts));
  const Expr whole = n.known() ? x.expr() : reshape(x, all);  // Which checks the size.
  std::vector<Expr> result;
  for (std::int64_t k = 0; k < parts; ++k) result.push_back(at(whole, k, axis));
  return result;
}

namespace {

Expr padded_with(const Expr& x, std::int64_t axis, const Sides& width, const Expr& value) {
  std::vector<Expr> parts, all = sizes(x);
  const auto add = [&](std::int64_t count) {
    if (count == 0) return;
    all[index(axis)] = constant(Tensor(count));
    parts.push_back(broadcast_to(value, all));
  };
  add(width.before);
  parts.push_back(x);
  add(width.after);
  return parts.size() == 1 ? x : concatenate(parts, axis);
}

/// Which elements of an axis of size `n` stand at the places of the padded one.
Expr positions_in(const Expr& n, const Sides& width, PadMode mode) {
  const Expr i = arange(records::computed(n + (width.before + width.after))) - width.before;
  const auto there_and_back = [&](const Expr& period, std::int64_t turn) {
    const Expr k = mod(i, maximum(period, 1));
    return minimum(k, period - turn - k);
  };
  switch (mode) {
    case PadMode::edge:
      return minimum(maximum(i, 0), n - 1);
    case PadMode::reflect:
      return maximum(there_and_back(2 * n - 2, 0), 0);
    case PadMode::symmetric:
      return there_and_back(2 * n, 1);
    default:
      return mod(i, maximum(n, 1));
  }
}

}  // namespace

Expr pad(const Arg& x, const std::vector<Sides>& widths, PadMode mode, const Arg& value) {
  const Attribution as(x.where());
  if (widths.size() != 1 && widths.size() != index(x->rank())) {
    refuse(
        "pad",
        text("takes one width, or one for each of the ", x->rank(), " axes, got ", widths.size()),
        x);
  }
  if (value->rank() != 0)
    refuse("pad", "the value must be a scalar, it is " + text(value->type()), x);
  const Expr v = cast(value, x->dtype());
  Expr result = x;
  for (std::int64_t axis = 0; axis < x->rank(); ++axis) {
    const Sides& width = widths[widths.size() == 1 ? 0 : index(axis)];
    if (width.before < 0 || width.after < 0)
      refuse<ValueError>("pad", "a width cannot be negative: slice it", x);
    constexpr std::int64_t longest = std::int64_t{1} << 60;  // Sums of such are numbers still.
    if (width.before > longest || width.after > longest)
      refuse<ValueError>(
          "pad", text("no memory holds a width of ", std::max(width.before, width.after)), x);
    if (width.before == 0 && width.after == 0) continue;
    result =
        mode == PadMode::constant
            ? padded_with(result, axis, width, v)
            : take(result, records::computed(positions_in(size(result, axis), width, mode)), axis);
  }
  return result;
}

}  // namespace cinch
