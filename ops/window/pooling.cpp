#include "cinch/ops/pooling.hpp"

#include <algorithm>

#include "cinch/core/refusal.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/records/sizes.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/window/windows.hpp"

namespace cinch {

namespace {

using Ints = std::vector<std::int64_t>;

void require_axes(std::size_t axes, const Expr& x) {
  if (x.rank() < static_cast<std::int64_t>(axes))
    throw TypeError(axes == 1 ? "needs an axis" : "needs height and width as its last two axes");
}

/// The windows of a pooling along the last `axes` axes.
windows::Windows read_options(std::string_view name, std::size_t axes, const Arg& x,
                              const PerAxis& window, const PoolOptions& options) {
  try {
    require_axes(axes, x);
    const Ints width = window.of(axes, 1, "window"), stride = options.stride.of(axes, 0, "stride");
    const Ints dilation = options.dilation.of(axes, 1, "dilation");
    const std::vector<Sides> padding = options.padding.of(width);
    std::vector<windows::Window> windows;
    for (std::size_t k = 0; k < axes; ++k) {
      if (std::max(padding[k].before, padding[k].after) >= width[k]) {
        throw TypeError(text("the padding of ", std::max(padding[k].before, padding[k].after),
                             " must be less than the window of ", width[k],
                             ": a window would see nothing else"));
      }
      windows::Window w{width[k], stride[k] == 0 ? width[k] : stride[k], padding[k].before,
                        padding[k].after, dilation[k]};
      // As much more room as lets another window begin, but not outside.
      if (options.ceil) w.after = std::min(w.after + w.stride - 1, w.span() - 1);
      windows.push_back(w);
      window_count(x->dims()[x->dims().size() - axes + k], width[k], windows.back());
    }
    return along_two(windows);
  } catch (const Error& error) {
    refuse(name, error, x);
  }
}

/// f of maps: of x itself, or with a height of 1.
template <class F>
Expr of_maps(std::size_t axes, const Expr& x, F&& f) {
  return axes == 1 ? windows::without_height(f(windows::with_height(x))) : f(x);
}

Expr positions_of(const Expr& maps, const windows::Windows& w) {
  return apply(window_argmax_op, {maps}, attrs_of(w));
}

Expr max_pool(std::string_view name, std::size_t axes, const Arg& x, const PerAxis& window,
              const PoolOptions& options) {
  const Attribution as(x.where(), /*force=*/false, name.data());
  const windows::Windows w = read_options(name, axes, x, window, options);
  return of_maps(axes, x, [&](const Expr& maps) {
    return apply(pick_op, {maps, positions_of(maps, w)});
  });
}

Expr max_positions(std::string_view name, std::size_t axes, const Arg& x, const PerAxis& window,
                   const PoolOptions& options) {
  const Attribution as(x.where(), /*force=*/false, name.data());
  const windows::Windows w = read_options(name, axes, x, window, options);
  return of_maps(axes, x, [&](const Expr& maps) { return positions_of(maps, w); });
}

Expr average_pool(std::string_view name, std::size_t axes, const Arg& x, const PerAxis& window,
                  const PoolOptions& options) {
  const Attribution as(x.where(), /*force=*/false, name.data());
  const windows::Windows w = read_options(name, axes, x, window, options);
  return of_maps(axes, x, [&](const Expr& maps) {
    const Expr total = apply(window_sum_op, {maps}, attrs_of(w));
    const auto padded = [](const windows::Window& one) { return one.before + one.after > 0; };
    const bool whole = options.count_include_pad && !options.ceil;
    if (whole || (!padded(w[0]) && !padded(w[1]))) return total / (w[0].width * w[1].width);
    // How many elements each window sees, of the padding as well where that counts.
    std::vector<Expr> counted = windows::spatial_sizes(maps);
    windows::Windows over = w;
    for (std::size_t k = 0; k < 2 && options.count_include_pad; ++k) {
      const std::vector<Sides> given = options.padding.of(Ints(axes, w[k].width));
      const bool own = k + axes >= 2;
      const Sides sides = own ? given[k + axes - 2] : Sides(0);
      counted[k] = records::computed(counted[k] + (sides.before + sides.after));
      over[k].before = 0;
      over[k].after = w[k].after - sides.after;
    }
    const Expr ones = broadcast_to(constant(Tensor(std::int64_t{1})), counted);
    return total / apply(window_sum_op, {ones}, attrs_of(over));
  });
}

Expr max_unpool(std::string_view name, std::size_t axes, const Arg& y, const Arg& positions,
                const Arg& like) {
  const Attribution as(y.where(), /*force=*/false, name.data());
  const auto least = static_cast<std::int64_t>(axes);
  if (std::min({y->rank(), positions->rank(), like->rank()}) < least) {
    refuse(name, text("each operand needs at least ", axes, axes == 1 ? " axis" : " axes"), y,
           {positions, like});
  }
  const std::vector<Expr> target =
      windows::spatial_sizes(axes == 1 ? windows::with_height(like) : like.expr());
  return of_maps(axes, y, [&](const Expr& maps) {
    const Expr at = axes == 1 ? windows::with_height(positions) : positions.expr();
    return apply(unpool_op, {maps, at, target[0], target[1]});
  });
}

Expr upsample(std::string_view name, std::size_t axes, const Arg& x, const PerAxis& factor) {
  const Attribution as(x.where(), /*force=*/false, name.data());
  if (x->dtype() == DType::bool_)
    return cast(upsample(name, axes, cast(x, DType::int64), factor), DType::bool_);
  std::vector<windows::Window> windows;
  try {
    require_axes(axes, x);
    for (const std::int64_t n : factor.of(axes, 1, "factor")) windows.push_back({n, n, 0, 0, 1});
  } catch (const Error& error) {
    refuse(name, error, x);
  }
  const windows::Windows w = along_two(windows);
  return of_maps(axes, x, [&](const Expr& maps) {
    std::vector<Expr> larger = windows::spatial_sizes(maps);
    for (std::size_t k = 0; k < 2; ++k)
      larger[k] = product({larger[k], constant(Tensor(w[k].width))});
    return apply(window_spread_op, {maps, larger[0], larger[1]}, attrs_of(w));
  });
}

}  // namespace

Expr max_pool1d(const Arg& x, const PerAxis& window, const PoolOptions& options) {
  return max_pool("max_pool1d", 1, x, window, options);
}
Expr max_pool2d(const Arg& x, const PerAxis& window, const PoolOptions& options) {
  return max_pool("max_pool2d", 2, x, window, options);
}
Expr max_pool1d_positions(const Arg& x, const PerAxis& window, const PoolOptions& options) {
  return max_positions("max_pool1d_positions", 1, x, window, options);
}
Expr max_pool2d_positions(const Arg& x, const PerAxis& window, const PoolOptions& options) {
  return max_positions("max_pool2d_positions", 2, x, window, options);
}
Expr max_unpool1d(const Arg& y, const Arg& positions, const Arg& like) {
  return max_unpool("max_unpool1d", 1, y, positions, like);
}
Expr max_unpool2d(const Arg& y, const Arg& positions, const Arg& like) {
  return max_unpool("max_unpool2d", 2, y, positions, like);
}
Expr average_pool1d(const Arg& x, const PerAxis& window, const PoolOptions& options) {
  return average_pool("average_pool1d", 1, x, window, options);
}
Expr average_pool2d(const Arg& x, const PerAxis& window, const PoolOptions& options) {
  return average_pool("average_pool2d", 2, x, window, options);
}
Expr upsample1d(const Arg& x, const PerAxis& factor) {
  return upsample("upsample1d", 1, x, factor);
}
Expr upsample2d(const Arg& x, const PerAxis& factor) {
  return upsample("upsample2d", 2, x, factor);
}

}  // namespace cinch
