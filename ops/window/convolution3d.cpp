#include "cinch/core/refusal.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/arrange.hpp"
#include "cinch/ops/convolution.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/window/windows.hpp"

namespace cinch {

namespace {

struct Depth {
  std::vector<windows::Window> windows;  ///< Along depth, height and width.
  std::int64_t width;                    ///< Of the filters, along depth.
};

/// Throws TypeError for what is visible before the formula runs.
Depth read_options(const Expr& x, const Expr& w, const ConvOptions& options) {
  if (x.rank() != 5)
    throw TypeError("the first operand must have axes (batch, channels, depth, height, width)");
  if (w.rank() != 5)
    throw TypeError("the filters must have axes (filters, channels, depth, height, width)");
  const Dim width = w.dims()[2], channels = x.dims()[1], each = w.dims()[1];
  if (!width.known()) throw TypeError("the depth of the filters must be known");
  if (options.groups < 1)
    throw ValueError(text("the groups number ", options.groups, ", there must be at least 1"));
  if (channels.known() && each.known() && channels.size() != each.size() * options.groups) {
    throw TypeError(text("the input has ", channels.size(), " channels, the filters are for ",
                         each.size(), options.groups > 1 ? " in each group" : ""));
  }
  const auto stride = options.stride.of(3, 1, "stride"),
             dilation = options.dilation.of(3, 1, "dilation");
  std::vector<std::int64_t> spans;
  for (std::size_t k = 0; k < 3; ++k) {
    const Dim n = w.dims()[2 + k];
    spans.push_back(n.known() ? (n.size() - 1) * dilation[k] + 1 : -1);
  }
  const std::vector<Sides> padding = options.padding.of(spans);
  Depth result{{}, width.size()};
  for (std::size_t k = 0; k < 3; ++k) {
    result.windows.push_back({1, stride[k], padding[k].before, padding[k].after, dilation[k]});
    window_count(x.dims()[2 + k], w.dims()[2 + k], result.windows[k]);
  }
  return result;
}

}  // namespace

Expr conv3d(const Arg& x, const Arg& w, const ConvOptions& options) {
  const Attribution as(x.where());
  Depth d;
  try {
    d = read_options(x, w, options);
  } catch (const Error& error) {
    refuse("conv3d", error, x, {w});
  }
  const windows::Window& depth = d.windows[0];
  const Expr padded = pad(x, {0, 0, {depth.before, depth.after}, 0, 0});
  const Expr width = constant(Tensor(d.width)), count = window_count(size(x, 2), width, depth);
  // (batch, depth of the result, channels, depth of the filters, height, width)
  std::vector<Expr> slices;
  for (std::int64_t k = 0; k < d.width; ++k)
    slices.push_back(narrow(padded, 2, k * depth.dilation, count, depth.stride));
  const Expr seen = dimshuffle(stack(slices, 3), {0, 2, 1, 3, 4, 5});
  const std::vector<Expr> n = sizes(seen), f = sizes(w);
  const Expr maps =
      reshape(seen, std::vector<Expr>{product({n[0], n[1]}), product({n[2], n[3]}), n[4], n[5]});
  const Expr turned = options.flip ? reverse(w, 2) : w.expr();
  const Expr filters = reshape(turned, std::vector<Expr>{f[0], product({f[1], f[2]}), f[3], f[4]});
  const auto sides = [](const windows::Window& along) { return Sides(along.before, along.after); };
  const Expr y = conv2d(maps, filters,
                        {.stride = {d.windows[1].stride, d.windows[2].stride},
                         .padding = {sides(d.windows[1]), sides(d.windows[2])},
                         .dilation = {d.windows[1].dilation, d.windows[2].dilation},
                         .groups = options.groups,
                         .flip = options.flip});
  const std::vector<Expr> m = sizes(y);
  const Expr apart = reshape(y, std::vector<Expr>{n[0], n[1], m[1], m[2], m[3]});
  return dimshuffle(apart, {0, 2, 1, 3, 4});
}

}  // namespace cinch
