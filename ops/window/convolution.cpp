#include "cinch/ops/convolution.hpp"

#include "cinch/core/refusal.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/window/windows.hpp"

namespace cinch {

namespace {

/// What both directions share: the operands as the ops want them.
struct Operation {
  Expr data, w;  ///< (batch, ..., height, width) and (filters, channels, height, width).
  std::vector<windows::Window> windows = {};  ///< Without their width, which is the filters'.
  std::int64_t groups = 1;
};

/// Throws TypeError for a mistake that is visible without sizes, and fills in the windows.
template <class Options>
void read_options(Operation& c, std::size_t axes, const Options& options) {
  const auto rank = static_cast<std::int64_t>(axes) + 2;
  const char* spatial = axes == 1 ? "length)" : "height, width)";
  if (c.data.rank() != rank)
    throw TypeError(text("the first operand must have axes (batch, channels, ", spatial));
  if (c.w.rank() != rank)
    throw TypeError(text("the filters must have axes (filters, channels, ", spatial));
  if (options.groups < 1)
    throw ValueError(text("the groups number ", options.groups, ", there must be at least 1"));
  if (c.w.dims()[0].known() && c.w.dims()[0].size() % options.groups != 0) {
    throw TypeError(
        text(c.w.dims()[0].size(), " filters cannot be divided into ", options.groups, " groups"));
  }
  const auto stride = options.stride.of(axes, 1, "stride"),
             dilation = options.dilation.of(axes, 1, "dilation");
  std::vector<std::int64_t> spans;
  for (std::size_t k = 0; k < axes; ++k) {
    const Dim width = c.w.dims()[2 + k];
    spans.push_back(width.known() ? (width.size() - 1) * dilation[k] + 1 : -1);
  }
  const std::vector<Sides> padding = options.padding.of(spans);
  for (std::size_t k = 0; k < axes; ++k)
    c.windows.push_back({1, stride[k], padding[k].before, padding[k].after, dilation[k]});
  c.groups = options.groups;
}

/// The size of one group's part of an axis.
Expr part_size(const Expr& x, std::int64_t axis, std::int64_t groups) {
  const Dim n = x.dims()[static_cast<std::size_t>(axis)];
  if (n.known()) return constant(Tensor(n.size() / groups));
  return floor_div(size(x, axis), groups);
}

/// Brings both to one dtype and two spatial axes, the filters read in the order asked for.
void prepare(Operation& c, bool flip) {
  const DType common = promote(promote(c.data.dtype(), c.w.dtype()), DType::int64);
  c.data = cast(c.data, common);
  c.w = cast(c.w, common);
  if (flip) {
    for (std::int64_t axis = 2; axis < c.w.rank(); ++axis) c.w = reverse(c.w, axis);
  }
  if (c.windows.size() == 1) {
    c.data = windows::with_height(c.data);
    c.w = windows::with_height(c.w);
  }
}

/// (batch, groups * n, height, width) as (groups, batch, n, height, width).
Expr groups_first(const Expr& x, std::int64_t groups) {
  const std::vector<Expr> all = sizes(x);
  const std::vector<Expr> divided{all[0], constant(Tensor(groups)), part_size(x, 1, groups), all[2],
                                  all[3]};
  return dimshuffle(reshape(x, divided), {1, 0, 2, 3, 4});
}

Expr groups_joined(const Expr& y) {
  const std::vector<Expr> all = sizes(y);
  const std::vector<Expr> joined{all[1], product({all[0], all[2]}), all[3], all[4]};
  return reshape(dimshuffle(y, {1, 0, 2, 3, 4}), joined);
}

Expr filters_in_groups(const Expr& w, std::int64_t groups) {
  std::vector<Expr> divided = sizes(w);
  divided[0] = part_size(w, 0, groups);
  divided.insert(divided.begin(), constant(Tensor(groups)));
  return reshape(w, divided);
}

/// f(data, filters), group by group where there are several.
template <class F>
Expr in_groups(const Operation& c, F&& f) {
  const Expr y =
      c.groups == 1
          ? f(c.data, c.w)
          : groups_joined(f(groups_first(c.data, c.groups), filters_in_groups(c.w, c.groups)));
  return c.windows.size() == 1 ? windows::without_height(y) : y;
}

Expr convolve(std::string_view name, std::size_t axes, const Arg& x, const Arg& w,
              const ConvOptions& options) {
  const Attribution as(x.where(), /*force=*/false, name.data());
  Operation c{x, w};
  try {
    read_options(c, axes, options);
    const Dim channels = x->dims()[1], each = w->dims()[1];
    if (channels.known() && each.known() && channels.size() != each.size() * c.groups) {
      throw TypeError(text("the input has ", channels.size(), " channels, the filters are for ",
                           each.size(), c.groups > 1 ? " in each group" : ""));
    }
    for (std::size_t k = 0; k < axes; ++k)
      window_count(x->dims()[2 + k], w->dims()[2 + k], c.windows[k]);
  } catch (const Error& error) {
    refuse(name, error, x, {w});
  }
  prepare(c, options.flip);
  return in_groups(c, [&](const Expr& data, const Expr& filters) {
    return apply(convolution_op, {data, filters}, attrs_of(along_two(c.windows)));
  });
}

Expr convolve_transposed(std::string_view name, std::size_t axes, const Arg& y, const Arg& w,
                         const ConvTransposeOptions& options) {
  const Attribution as(y.where(), /*force=*/false, name.data());
  Operation c{y, w};
  std::vector<Expr> in;
  try {
    read_options(c, axes, options);
    const Dim maps = y->dims()[1], filters = w->dims()[0];
    if (maps.known() && filters.known() && !(maps == filters)) {
      throw TypeError(text("the input has ", maps.size(), " channels, there are ", filters.size(),
                           " filters: they are (filters, channels, ...) as in conv", axes,
                           "d, whose filters are its output's channels"));
    }
    const auto more = options.output_padding.of(axes, 0, "output_padding");
    for (std::size_t k = 0; k < axes; ++k) {
      const windows::Window& window = c.windows[k];
      if (more[k] >= window.stride) {
        throw TypeError(text("the output_padding is ", more[k],
                             ", it must be less than the stride ", window.stride));
      }
      const auto axis = static_cast<std::int64_t>(k) + 2;
      // The padding after is what the result is longer by, less.
      windows::Window longer = window;
      longer.after -= more[k];
      in.push_back(covered_size(size(y, axis), size(w, axis), longer));
      if (const Tensor* n = constant_value(in.back()); n && n->item() < 1) {
        throw TypeError(text("nothing is left along spatial axis ", k,
                             " when the padding is off: ", n->item()));
      }
    }
  } catch (const Error& error) {
    refuse(name, error, y, {w});
  }
  prepare(c, options.flip);
  if (axes == 1) in.insert(in.begin(), constant(Tensor(std::int64_t{1})));
  return in_groups(c, [&](const Expr& data, const Expr& filters) {
    return apply(convolution_data_op, {data, filters, in[0], in[1]},
                 attrs_of(along_two(c.windows)));
  });
}

}  // namespace

Expr conv1d(const Arg& x, const Arg& w, const ConvOptions& options) {
  return convolve("conv1d", 1, x, w, options);
}
Expr conv2d(const Arg& x, const Arg& w, const ConvOptions& options) {
  return convolve("conv2d", 2, x, w, options);
}
Expr conv_transpose1d(const Arg& y, const Arg& w, const ConvTransposeOptions& options) {
  return convolve_transposed("conv_transpose1d", 1, y, w, options);
}
Expr conv_transpose2d(const Arg& y, const Arg& w, const ConvTransposeOptions& options) {
  return convolve_transposed("conv_transpose2d", 2, y, w, options);
}

}  // namespace cinch
