// Convolutions and pooling as ONNX operators.
#include "cinch/ops/window/windows.hpp"

#include <algorithm>

#include "cinch/core/op.hpp"
#include "cinch/exchange/onnx/graph.hpp"

namespace cinch::exchange {

namespace {

using Sizes = OnnxGraph::Sizes;
using Axes = std::vector<std::int64_t>;
using windows::Windows;

Size times(const Size& a, const Size& b) {
  Size result{a.factor * b.factor, a.unknown};
  result.unknown.insert(result.unknown.end(), b.unknown.begin(), b.unknown.end());
  std::ranges::sort(result.unknown);
  return result;
}

Axes strides(const Windows& w) { return {w[0].stride, w[1].stride}; }
Axes dilations(const Windows& w) { return {w[0].dilation, w[1].dilation}; }
Axes pads(const Windows& w) { return {w[0].before, w[1].before, w[0].after, w[1].after}; }

/// (g, a, b, h, w) with g in front of one of the next two and both as one axis; without groups it
/// is what it was.
std::string joined(OnnxGraph& g, const Expr& x, std::size_t axis) {
  const std::string& name = g.name_of(x);
  if (x.rank() == 4) return name;
  const Sizes s = g.sizes_of(x);
  Sizes to{s[1], s[2], s[3], s[4]};
  to[axis - 1] = times(s[0], s[axis]);
  return g.reshaped(axis == 1 ? name : g.transposed(name, {1, 0, 2, 3, 4}), to);
}

/// The other way round.
std::string parted(OnnxGraph& g, const std::string& name, const Expr& y, std::size_t axis) {
  if (y.rank() == 4) return name;
  const Sizes s = g.sizes_of(y);
  if (axis == 1) return g.reshaped(name, s);
  return g.transposed(g.reshaped(name, {s[1], s[0], s[2], s[3], s[4]}), {1, 0, 2, 3, 4});
}

std::int64_t groups_of(const OnnxGraph& g, const Expr& x) {
  return x.rank() == 5 ? g.known(x, 0) : 1;
}

std::string convolution(OnnxGraph& g, const Expr& y) {
  const Windows w = windows::windows_of(y.attrs());
  const Expr &x = y.inputs()[0], &filters = y.inputs()[1];
  const std::string result = g.add("Conv", {joined(g, x, 2), joined(g, filters, 1)},
                                   {{"strides", strides(w)},
                                    {"pads", pads(w)},
                                    {"dilations", dilations(w)},
                                    {"group", groups_of(g, x)}});
  return parted(g, result, y, 2);
}

std::string convolution_data(OnnxGraph& g, const Expr& y) {
  const Windows w = windows::windows_of(y.attrs());
  const Expr &out = y.inputs()[0], &filters = y.inputs()[1];
  const auto lead = static_cast<std::size_t>(y.rank() - 4);
  Axes more;
  for (std::size_t k = 0; k < 2; ++k) {
    // What no window sees at the end.
    const std::int64_t span = (g.known(filters, lead + 2 + k) - 1) * w[k].dilation + 1;
    more.push_back(g.known(y, lead + 2 + k) + w[k].before + w[k].after -
                   (g.known(out, lead + 2 + k) - 1) * w[k].stride - span);
  }
  const std::string result = g.add("ConvTranspose", {joined(g, out, 2), joined(g, filters, 1)},
                                   {{"strides", strides(w)},
                                    {"pads", pads(w)},
                                    {"dilations", dilations(w)},
                                    {"output_padding", more},
                                    {"group", groups_of(g, out)}});
  return parted(g, result, y, 2);
}

/// A convolution of x by y over examples, which stand where channels do: its stride is the
/// dilation, and its dilation the stride.
std::string convolution_filters(OnnxGraph& g, const Expr& y) {
  const Windows w = windows::windows_of(y.attrs());
  const Expr &x = y.inputs()[0], &out = y.inputs()[1];
  const auto lead = static_cast<std::size_t>(y.rank() - 4);
  const auto turned = [&](const Expr& e, bool group_with_channels) {
    // (e, c, h, w) as (c, e, h, w), groups with e or with c.
    if (lead == 0) return g.transposed(g.name_of(e), {1, 0, 2, 3});
    const Sizes s = g.sizes_of(e);
    return group_with_channels ? g.reshaped(g.transposed(g.name_of(e), {0, 2, 1, 3, 4}),
                                            {times(s[0], s[2]), s[1], s[3], s[4]})
                               : g.reshaped(g.transposed(g.name_of(e), {2, 0, 1, 3, 4}),
                                            {s[2], times(s[0], s[1]), s[3], s[4]});
  };
  Axes padding{w[0].before, w[1].before, 0, 0}, width;
  for (std::size_t k = 0; k < 2; ++k) {
    width.push_back(g.known(y, lead + 2 + k));
    const std::int64_t needed =
        (width[k] - 1) * w[k].dilation + (g.known(out, lead + 2 + k) - 1) * w[k].stride + 1;
    padding[2 + k] = std::max<std::int64_t>(needed - g.known(x, lead + 2 + k) - w[k].before, 0);
  }
  std::string result = g.add("Conv", {turned(x, false), turned(out, true)},
                             {{"strides", dilations(w)},
                              {"pads", padding},
                              {"dilations", strides(w)},
                              {"group", groups_of(g, x)}});
  // Where elements are left that no window saw there is more than asked for.
  result = g.add("Slice", {result, g.numbers({0, 0}), g.numbers(width), g.numbers({2, 3})});
  // (c, f, h, w), or with groups (c, g f, h, w).
  if (lead == 0) return g.transposed(result, {1, 0, 2, 3});
  const Sizes s = g.sizes_of(y);
  return g.transposed(g.reshaped(result, {s[2], s[0], s[1], s[3], s[4]}), {1, 2, 0, 3, 4});
}

/// All axes in front as one: (maps, 1, height, width).
Sizes as_maps(const Sizes& s) {
  Size maps{1, {}};
  for (std::size_t k = 0; k + 2 < s.size(); ++k) maps = times(maps, s[k]);
  return {maps, {1, {}}, s[s.size() - 2], s.back()};
}

std::string ones(OnnxGraph& g, const Windows& w, DType dtype) {
  return g.constant(Tensor::full(dtype, {1, 1, w[0].width, w[1].width}, 1));
}

std::string window_sum(OnnxGraph& g, const Expr& y) {
  const Windows w = windows::windows_of(y.attrs());
  const Expr& x = y.inputs()[0];
  const std::string maps = g.reshaped(g.name_of(x), as_maps(g.sizes_of(x)));
  return g.reshaped(
      g.add("Conv", {maps, ones(g, w, y.dtype())},
            {{"strides", strides(w)}, {"pads", pads(w)}, {"dilations", dilations(w)}}),
      g.sizes_of(y));
}

std::string window_spread(OnnxGraph& g, const Expr& y) {
  const Windows w = windows::windows_of(y.attrs());
  const Expr& x = y.inputs()[0];
  const auto lead = static_cast<std::size_t>(y.rank() - 2);
  Axes more;
  for (std::size_t k = 0; k < 2; ++k)
    more.push_back(g.known(y, lead + k) + w[k].before + w[k].after -
                   (g.known(x, lead + k) - 1) * w[k].stride - w[k].span());
  const std::string maps = g.reshaped(g.name_of(x), as_maps(g.sizes_of(x)));
  return g.reshaped(g.add("ConvTranspose", {maps, ones(g, w, y.dtype())},
                          {{"strides", strides(w)},
                           {"pads", pads(w)},
                           {"dilations", dilations(w)},
                           {"output_padding", more}}),
                    g.sizes_of(y));
}

Size area(const Sizes& s) { return times(s[s.size() - 2], s.back()); }
/// (..., height, width) as (maps, height * width).
Sizes flat_maps(const Sizes& s) { return {as_maps(s)[0], area(s)}; }

std::string window_argmax(OnnxGraph& g, const Expr& y) {
  const Windows w = windows::windows_of(y.attrs());
  const Expr& x = y.inputs()[0];
  const Sizes s = g.sizes_of(x);
  const std::string maps = g.reshaped(g.name_of(x), as_maps(s));
  const std::string places = g.largest_places(maps, {{"kernel_shape", Axes{w[0].width, w[1].width}},
                                                     {"strides", strides(w)},
                                                     {"pads", pads(w)},
                                                     {"dilations", dilations(w)}});
  // Counted from the first map on.
  const std::string within = g.add("Mod", {places, g.scalar_size(area(s))});
  return g.reshaped(within, g.sizes_of(y));
}

std::string pick(OnnxGraph& g, const Expr& y) {
  const Expr &x = y.inputs()[0], &places = y.inputs()[1];
  const std::string maps = g.reshaped(g.name_of(x), flat_maps(g.sizes_of(x))),
                    where = g.reshaped(g.name_of(places), flat_maps(g.sizes_of(places)));
  return g.reshaped(g.add("GatherElements", {maps, where}, {{"axis", std::int64_t{1}}}),
                    g.sizes_of(y));
}

std::string unpool(OnnxGraph& g, const Expr& y) {
  const Expr &x = y.inputs()[0], &places = y.inputs()[1];
  const std::string from = g.reshaped(g.name_of(x), flat_maps(g.sizes_of(x))),
                    where = g.reshaped(g.name_of(places), flat_maps(g.sizes_of(places)));
  const std::string all =
      g.add("ScatterElements", {g.zeros(y.dtype(), flat_maps(g.sizes_of(y))), where, from},
            {{"axis", std::int64_t{1}}, {"reduction", std::string_view("add")}});
  return g.reshaped(all, g.sizes_of(y));
}

struct Operator {
  std::string (*write)(OnnxGraph&, const Expr&);
  std::string_view operators;
};

const std::map<std::string_view, Operator>& operators() {
  static const auto& all = *new std::map<std::string_view, Operator>{
      {"convolution", {convolution, "Conv"}},
      {"convolution_data", {convolution_data, "ConvTranspose"}},
      {"convolution_filters", {convolution_filters, "Conv"}},
      {"window_sum", {window_sum, "Conv"}},
      {"window_spread", {window_spread, "ConvTranspose"}},
      {"window_argmax", {window_argmax, "MaxPool"}},
      {"pick", {pick, "GatherElements"}},
      {"unpool", {unpool, "ScatterElements"}},
  };
  return all;
}

}  // namespace

std::string onnx_windows(const Op& op) {
  const auto found = operators().find(op.name);
  return found == operators().end() ? "" : std::string(found->second.operators);
}

std::string add_windows(OnnxGraph& graph, const Expr& node) {
  const std::string_view op = node.op().name;
  if (!is_float(node.dtype()) && !is_float(node.inputs()[0].dtype()) && op != "pick" &&
      op != "unpool")
    graph.refuse_node("its operands are integers");
  return operators().at(op).write(graph, node);
}

}  // namespace cinch::exchange
