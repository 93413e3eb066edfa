#include "cinch/ops/grid.hpp"

#include "cinch/core/refusal.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/arrange.hpp"
#include "cinch/ops/cumulative.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/records/operands.hpp"
#include "cinch/ops/records/sizes.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

void require_scalar(const char* name, const char* what, const Arg& x) {
  if (x->rank() != 0) refuse(name, text(what, " must be a scalar"), x);
}

void require_vector(const char* name, const char* what, const Arg& x) {
  if (x->rank() != 1) refuse(name, text(what, " must have one axis"), x);
}

Expr as_float(const Expr& x) { return is_float(x.dtype()) ? x : cast(x, DType::float64); }

}  // namespace

Expr linspace(const Arg& start, const Arg& stop, const Arg& n) {
  const Attribution as(start.where());
  require_scalar("linspace", "the start", start);
  require_scalar("linspace", "the end", stop);
  const Expr total = stop - start;
  const DType dtype = is_float(total.dtype()) ? total.dtype() : DType::float64;
  const Expr first = cast(start, dtype), last = cast(stop, dtype);
  const Expr count = records::whole_number(n), i = arange(count);
  const Expr steps = records::computed(maximum(count - 1, 1));
  const Expr between = first + cast(i, dtype) * ((last - first) / cast(steps, dtype));
  return switch_(equal(i, steps), last, between);
}

Expr logspace(const Arg& start, const Arg& stop, const Arg& n, const Arg& base) {
  const Attribution as(start.where());
  return pow(base, linspace(start, stop, n));
}

std::vector<Expr> meshgrid(const std::vector<Expr>& vectors, bool exchanged, Source where) {
  const Attribution as(where);
  std::vector<Expr> shape;
  for (const Expr& v : vectors) {
    require_vector("meshgrid", "each coordinate", Arg(v, where));
    shape.push_back(size(v, 0));
  }
  std::vector<Expr> result;
  for (std::size_t k = 0; k < vectors.size(); ++k) {
    std::vector<std::int64_t> pattern(vectors.size(), -1);
    pattern[k] = 0;
    const Expr grid = broadcast_to(dimshuffle(vectors[k], pattern), shape);
    result.push_back(exchanged && vectors.size() > 1 ? swapaxes(grid, 0, 1) : grid);
  }
  return result;
}

Expr trapezoid(const Arg& y, const Arg& x, std::int64_t axis) {
  const Attribution as(y.where());
  axis = axis_of("trapezoid", y, axis);
  const Expr values = as_float(y);
  const Expr middles = 0.5 * (slice_from(values, 1, axis) + slice(values, 0, -1, axis));
  if (x->rank() == 0) return sum(x * middles, axis);
  require_vector("trapezoid", "positions", x);
  std::vector<std::int64_t> pattern(static_cast<std::size_t>(y->rank()), -1);
  pattern[static_cast<std::size_t>(axis)] = 0;
  const Expr at = records::beside_along("trapezoid", dimshuffle(x, pattern), y, axis);
  return sum(diff(at, axis) * middles, axis);
}

Expr searchsorted(const Arg& sorted, const Arg& values, bool right) {
  const Attribution as(sorted.where());
  require_vector("searchsorted", "the sorted elements", sorted);
  const Expr v = expand_dims(values, -1);
  const Expr before = right ? sorted <= v : sorted < v;
  return sum(logical_or(before, is_nan(v)), -1);
}

Expr interp(const Arg& x, const Arg& at, const Arg& values) {
  const Attribution as(x.where());
  require_vector("interp", "the points", at);
  require_vector("interp", "the values", values);
  const Expr points = records::alike("interp", at, values);
  const Expr last = size(points, 0) - 1;
  const Expr right = minimum(maximum(searchsorted(points, x, /*right=*/true), 1), last);
  const Expr left = maximum(right - 1, 0);
  const Expr x0 = take(points, left), x1 = take(points, right);
  const Expr y0 = take(values, left), y1 = take(values, right);
  const Expr inside = minimum(maximum(x, cinch::at(points, 0)), cinch::at(points, last));
  const Expr width = x1 - x0;
  const Expr none = equal(width, 0);
  return y0 + (y1 - y0) * switch_(none, 0, (inside - x0) / switch_(none, 1, width));
}

namespace {

/// (to, from): what each element of an axis of size `to` takes from each of one of size `from`.
Expr interpolation(const Expr& to, const Expr& from, bool align_corners, DType dtype) {
  const auto number = [&](const Expr& e) { return cast(e, dtype); };
  const Expr i = number(arange(to)), n = number(from);
  const Expr place = align_corners ? i * ((n - 1) / number(maximum(to - 1, 1)))
                                   : (i + 0.5) * (n / number(to)) - 0.5;
  const Expr inside = maximum(minimum(place, n - 1), 0);
  return relu(1 - abs(expand_dims(inside, 1) - number(arange(from))));
}

}  // namespace

Expr resize_bilinear(const Arg& x, const Arg& height, const Arg& width, bool align_corners) {
  const Attribution as(x.where());
  if (x->rank() < 2) refuse("resize_bilinear", "takes (..., height, width)", x);
  const Expr pixels = as_float(x);
  const auto along_last = [&](const Expr& e, const Arg& to) {
    const Expr count = records::whole_number(to);
    if (count.rank() != 0 || count.dtype() != DType::int64)
      refuse("resize_bilinear", "a size must be a number or an int64 scalar", to);
    return dot(e, transpose(interpolation(count, size(e, -1), align_corners, pixels.dtype())));
  };
  const Expr wide = along_last(pixels, width);
  return swapaxes(along_last(swapaxes(wide, -1, -2), height), -1, -2);
}

}  // namespace cinch
