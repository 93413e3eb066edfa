// Ops that are no formulas of elements as ONNX operators.
#include <algorithm>
#include <limits>

#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/op.hpp"
#include "cinch/exchange/onnx/graph.hpp"
#include "cinch/ops/records/attributes.hpp"

namespace cinch::exchange {

namespace {

using Sizes = OnnxGraph::Sizes;
using Axes = std::vector<std::int64_t>;
using Write = std::string (*)(OnnxGraph&, const Expr&);

std::size_t place(std::int64_t axis) { return static_cast<std::size_t>(axis); }
const std::string& operand(OnnxGraph& g, const Expr& y, std::size_t k) {
  return g.name_of(y.inputs()[k]);
}
Attribute axis_attribute(std::int64_t axis) { return {"axis", axis}; }

std::string reduced(OnnxGraph& g, const Expr& y) {
  const auto& axes = OverAxes::of(y.attrs());
  const std::string& x = operand(g, y, 0);
  const Attribute keep{"keepdims", std::int64_t{0}};
  if (axes.empty()) return x;
  if (y.op().name == "sum")
    return g.add("ReduceSum", {x, g.numbers({axes.begin(), axes.end()})}, {keep});
  const std::string_view op = y.op().name == "max"   ? "ReduceMax"
                              : y.op().name == "min" ? "ReduceMin"
                                                     : "ReduceProd";
  // Of bools, the larger and the smaller number.
  const bool truth = y.dtype() == DType::bool_;
  const std::string from = truth ? g.cast(x, DType::int64) : x;
  const std::string result = g.add(op, {from}, {{"axes", Axes(axes.begin(), axes.end())}, keep});
  return truth ? g.cast(result, DType::bool_) : result;
}

std::string extreme_place(OnnxGraph& g, const Expr& y) {
  const std::string x = y.inputs()[0].dtype() == DType::bool_
                            ? g.cast(operand(g, y, 0), DType::int64)
                            : operand(g, y, 0);
  return g.add(y.op().name == "argmax" ? "ArgMax" : "ArgMin", {x},
               {axis_attribute(AlongAxis::of(y.attrs()).axis), {"keepdims", std::int64_t{0}}});
}

std::string product(OnnxGraph& g, const Expr& y) {
  return g.add("MatMul", {operand(g, y, 0), operand(g, y, 1)});
}

std::string dimshuffled(OnnxGraph& g, const Expr& y) {
  const auto& pattern = AxisPattern::of(y.attrs());
  const Expr& x = y.inputs()[0];
  Axes kept, added, dropped;
  for (std::size_t k = 0; k < pattern.size(); ++k) {
    if (pattern[k] < 0) {
      added.push_back(static_cast<std::int64_t>(k));
    } else {
      kept.push_back(pattern[k]);
    }
  }
  for (std::int64_t axis = 0; axis < x.rank(); ++axis) {
    if (std::ranges::find(kept, axis) == kept.end()) dropped.push_back(axis);
  }
  std::string result = g.name_of(x);
  if (!dropped.empty()) result = g.add("Squeeze", {result, g.numbers(dropped)});
  for (std::int64_t& axis : kept)
    axis -= std::ranges::count_if(dropped, [&](std::int64_t gone) { return gone < axis; });
  result = g.transposed(result, kept);
  return added.empty() ? result : g.add("Unsqueeze", {result, g.numbers(added)});
}

std::string broadcast(OnnxGraph& g, const Expr& y) {
  return g.expanded(operand(g, y, 0), g.sizes_of(y));
}
std::string reshaped(OnnxGraph& g, const Expr& y) {
  return g.reshaped(operand(g, y, 0), g.sizes_of(y));
}

std::string concatenated(OnnxGraph& g, const Expr& y) {
  std::vector<std::string> parts;
  for (const Expr& part : y.inputs()) parts.push_back(g.name_of(part));
  return g.add("Concat", parts, {axis_attribute(AlongAxis::of(y.attrs()).axis)});
}

std::string narrowed(OnnxGraph& g, const Expr& y) {
  const auto [axis, step] = Narrowing::of(y.attrs());
  const Size length = g.sizes_of(y)[place(axis)];
  const Tensor* start = constant_value(y.inputs()[1]);
  if (start && step > 0 && length.is_number()) {
    const std::int64_t first = start->data<std::int64_t>()[0];
    return g.add("Slice",
                 {operand(g, y, 0), g.numbers({first}), g.numbers({first + length.factor * step}),
                  g.numbers({axis}), g.numbers({step})});
  }
  // A slice that ends beyond the axis would be cut short in silence; a row that is not there is an
  // error.
  std::string rows = g.counted(length);
  if (step != 1) rows = g.add("Mul", {rows, g.numbers({step})});
  rows = g.add("Add", {rows, operand(g, y, 1)});
  return g.add("Gather", {operand(g, y, 0), rows}, {axis_attribute(axis)});
}

/// Rows of x along an axis, each put where `from` says: -1 for zeros.
std::string placed(OnnxGraph& g, const std::string& x, DType dtype, Sizes sizes, std::int64_t axis,
                   Axes from) {
  const std::int64_t count = sizes[place(axis)].factor;
  sizes[place(axis)] = {1, {}};
  const std::string row = g.zeros(dtype, sizes);
  for (std::int64_t& k : from) k = k < 0 ? count : k;
  return g.add("Gather", {g.add("Concat", {x, row}, {axis_attribute(axis)}), g.numbers(from)},
               {axis_attribute(axis)});
}

std::string embedded(OnnxGraph& g, const Expr& y) {
  const Narrowing narrowing = Narrowing::of(y.attrs());
  const std::int64_t axis = narrowing.axis, step = narrowing.step;
  const Expr& x = y.inputs()[0];
  const Size inner = g.sizes_of(x)[place(axis)], outer = g.sizes_of(y)[place(axis)];
  if (step == 1 && y.dtype() != DType::bool_) {
    const Axes none(place(y.rank()), 0);
    const auto along = [&](const std::string& size) {
      std::vector<std::string> parts{size};
      if (axis > 0) parts.insert(parts.begin(), g.numbers(Axes(place(axis), 0)));
      if (axis + 1 < y.rank()) parts.push_back(g.numbers(Axes(place(y.rank() - axis - 1), 0)));
      return parts.size() == 1 ? size : g.add("Concat", parts, {axis_attribute(0)});
    };
    const std::string start = g.add("Unsqueeze", {operand(g, y, 2), g.numbers({0})});
    const std::string rest = g.add("Sub", {g.add("Sub", {g.size(outer), g.size(inner)}), start});
    const std::string pads = g.add("Concat", {along(start), along(rest)}, {axis_attribute(0)});
    return g.add("Pad", {g.name_of(x), pads, g.number(y.dtype(), 0)});
  }
  // Which row of x each row is, counted in steps: none before the first, after the last, between.
  const std::string by = g.numbers({step}), count = g.size(inner),
                    at = g.add("Sub", {g.counted(outer), operand(g, y, 2)}),
                    row = g.add("Div", {at, by}),
                    between = g.add("Not", {g.add("Equal", {g.add("Mul", {row, by}), at})}),
                    beyond = g.add("Or", {g.add("Less", {row, g.numbers({0})}),
                                          g.add("Not", {g.add("Less", {row, count})})});
  Sizes none = g.sizes_of(x);
  none[place(axis)] = {1, {}};
  const std::string rows =
      g.add("Concat", {g.name_of(x), g.zeros(y.dtype(), none)}, {axis_attribute(axis)});
  return g.add("Gather", {rows, g.add("Where", {g.add("Or", {between, beyond}), count, row})},
               {axis_attribute(axis)});
}

/// The elements of two axes as one, which comes last.
Axes last_axes(std::int64_t rank, std::int64_t row, std::int64_t column) {
  Axes result;
  for (std::int64_t axis = 0; axis < rank; ++axis) {
    if (axis != row && axis != column) result.push_back(axis);
  }
  result.push_back(row);
  result.push_back(column);
  return result;
}

std::string diagonal(OnnxGraph& g, const Expr& y) {
  const DiagonalAxes d = DiagonalAxes::of(y.attrs());
  const Expr& x = y.inputs()[0];
  const std::int64_t rows = g.known(x, place(d.row)), columns = g.known(x, place(d.column)),
                     count = g.known(y, place(y.rank() - 1));
  Sizes sizes = g.sizes_of(y);
  sizes.back() = {rows * columns, {}};
  Axes from;
  for (std::int64_t k = 0; k < count; ++k)
    from.push_back((k + std::max<std::int64_t>(-d.offset, 0)) * columns + k +
                   std::max<std::int64_t>(d.offset, 0));
  const std::string flat =
      g.reshaped(g.transposed(g.name_of(x), last_axes(x.rank(), d.row, d.column)), sizes);
  return g.add("Gather", {flat, g.numbers(from)}, {axis_attribute(y.rank() - 1)});
}

std::string embedded_diagonal(OnnxGraph& g, const Expr& y) {
  const DiagonalAxes d = DiagonalAxes::of(y.attrs());
  const Expr& x = y.inputs()[0];
  const std::int64_t rows = g.known(y, place(d.row)), columns = g.known(y, place(d.column)),
                     count = g.known(x, place(x.rank() - 1));
  Axes from(place(rows * columns), -1);
  for (std::int64_t k = 0; k < count; ++k)
    from[place((k + std::max<std::int64_t>(-d.offset, 0)) * columns + k +
               std::max<std::int64_t>(d.offset, 0))] = k;
  Sizes sizes = g.sizes_of(x);
  const std::string flat = placed(g, g.name_of(x), y.dtype(), sizes, x.rank() - 1, from);
  sizes.pop_back();
  sizes.push_back({rows, {}});
  sizes.push_back({columns, {}});
  const Axes order = last_axes(y.rank(), d.row, d.column);
  Axes back(order.size());
  for (std::size_t k = 0; k < order.size(); ++k)
    back[place(order[k])] = static_cast<std::int64_t>(k);
  return g.transposed(g.reshaped(flat, sizes), back);
}

std::string arange(OnnxGraph& g, const Expr& y) { return g.counted(g.sizes_of(y)[0]); }

std::string eye(OnnxGraph& g, const Expr& y) {
  const Sizes sizes = g.sizes_of(y);
  const std::string rows = g.add("Unsqueeze", {g.counted(sizes[0]), g.numbers({1})});
  return g.cast(g.add("Equal", {rows, g.counted(sizes[1])}), y.dtype());
}

std::string take(OnnxGraph& g, const Expr& y) {
  return g.add("Gather", {operand(g, y, 0), operand(g, y, 1)}, {axis_attribute(0)});
}

std::string scatter_add(OnnxGraph& g, const Expr& y) {
  const std::string rows = g.add("Unsqueeze", {operand(g, y, 1), g.numbers({-1})});
  return g.add("ScatterND", {g.zeros(y.dtype(), g.sizes_of(y)), rows, operand(g, y, 0)},
               {{"reduction", std::string_view("add")}});
}

std::string take_along_axis(OnnxGraph& g, const Expr& y) {
  const std::int64_t axis = AlongAxis::of(y.attrs()).axis;
  const Expr &x = y.inputs()[0], &indices = y.inputs()[1];
  const Sizes wanted = g.sizes_of(y);
  Sizes of_x = wanted;
  of_x[place(axis)] = g.sizes_of(x)[place(axis)];
  const auto fitting = [&](const Expr& e, const Sizes& sizes) {
    return g.sizes_of(e) == sizes ? g.name_of(e) : g.expanded(g.name_of(e), sizes);
  };
  return g.add("GatherElements", {fitting(x, of_x), fitting(indices, wanted)},
               {axis_attribute(axis)});
}

std::string add_along_axis(OnnxGraph& g, const Expr& y) {
  return g.add(
      "ScatterElements", {g.zeros(y.dtype(), g.sizes_of(y)), operand(g, y, 1), operand(g, y, 0)},
      {axis_attribute(AlongAxis::of(y.attrs()).axis), {"reduction", std::string_view("add")}});
}

std::string running_sum(OnnxGraph& g, const Expr& y) {
  const auto r = records::Running::of(y.attrs());
  return g.add("CumSum", {operand(g, y, 0), g.number(DType::int64, static_cast<double>(r.axis))},
               {{"reverse", std::int64_t{r.backward}}});
}

std::string argsort(OnnxGraph& g, const Expr& y) {
  const auto s = records::Sorting::of(y.attrs());
  const std::string x = y.inputs()[0].dtype() == DType::bool_
                            ? g.cast(operand(g, y, 0), DType::int64)
                            : operand(g, y, 0);
  return g.sorted(x, g.size(g.sizes_of(y)[place(s.axis)]), s.axis, s.descending);
}

std::string itself(OnnxGraph& g, const Expr& y) { return operand(g, y, 0); }

/// Counted from the front.
std::string checked_index(OnnxGraph& g, const Expr& y) {
  const std::string& x = operand(g, y, 0);
  if (!records::IndexCheck::of(y.attrs()).negatives) return x;
  const std::string from_end = g.add("Add", {x, operand(g, y, 1)});
  return g.add("Where", {g.add("Less", {x, g.number(DType::int64, 0)}), from_end, x});
}

/// A fixed point; NaN where it was not found.
std::string converged(OnnxGraph& g, const Expr& y) {
  const DType dtype = y.inputs()[1].dtype();
  const std::string tolerance = g.number(dtype, y.attrs().value->item()),
                    found = g.add("LessOrEqual", {operand(g, y, 1), tolerance});
  return g.add("Where", {found, operand(g, y, 0),
                         g.number(y.dtype(), std::numeric_limits<double>::quiet_NaN())});
}

struct Operator {
  Write write;
  std::string_view operators;
};

const std::map<std::string_view, Operator>& operators() {
  static const auto& all = *new std::map<std::string_view, Operator>{
      {"sum", {reduced, "ReduceSum"}},
      {"max", {reduced, "ReduceMax"}},
      {"min", {reduced, "ReduceMin"}},
      {"prod", {reduced, "ReduceProd"}},
      {"argmax", {extreme_place, "ArgMax"}},
      {"argmin", {extreme_place, "ArgMin"}},
      {"dot", {product, "MatMul"}},
      {"batched_dot", {product, "MatMul"}},
      {"dimshuffle", {dimshuffled, "Transpose, Squeeze, Unsqueeze"}},
      {"broadcast_to", {broadcast, "Expand"}},
      {"reshape", {reshaped, "Reshape"}},
      {"concatenate", {concatenated, "Concat"}},
      {"narrow", {narrowed, "Slice, Gather"}},
      {"embed", {embedded, "Pad, Gather"}},
      {"diagonal", {diagonal, "Reshape, Gather"}},
      {"embed_diagonal", {embedded_diagonal, "Gather, Reshape"}},
      {"arange", {arange, "Range"}},
      {"eye", {eye, "Range, Equal"}},
      {"take", {take, "Gather"}},
      {"scatter_add", {scatter_add, "ScatterND"}},
      {"take_along_axis", {take_along_axis, "GatherElements"}},
      {"add_along_axis", {add_along_axis, "ScatterElements"}},
      {"cumsum", {running_sum, "CumSum"}},
      {"argsort", {argsort, "TopK"}},
      {"checked_label", {itself, "Identity"}},
      {"checked_index", {checked_index, "Where"}},
      {"loop", {add_loop, "Scan"}},
      {"recurrence", {add_recurrence, "Scan"}},
      {"running_argmax", {add_running_extreme, "Scan"}},
      {"converged", {converged, "Where"}},
  };
  return all;
}

}  // namespace

std::string onnx_counterpart(const Op& op) {
  if (const std::string formula = onnx_formula(op); !formula.empty()) return formula;
  if (const std::string windows = onnx_windows(op); !windows.empty()) return windows;
  const auto found = operators().find(op.name);
  return found == operators().end() ? "" : std::string(found->second.operators);
}

bool has_onnx_counterpart(const Expr& node) { return !onnx_counterpart(node.op()).empty(); }

void add_node(OnnxGraph& graph, const Expr& node) {
  graph.at(node);
  // Not every runtime takes operands without elements.
  const Sizes sizes = graph.sizes_of(node);
  if (std::ranges::find(sizes, Size{0, {}}) != sizes.end()) {
    graph.name(node, graph.zeros(node.dtype(), sizes));
    return;
  }
  const auto found = operators().find(node.op().name);
  graph.name(node, !onnx_formula(node.op()).empty()   ? add_formula(graph, node)
                   : !onnx_windows(node.op()).empty() ? add_windows(graph, node)
                                                      : found->second.write(graph, node));
}

}  // namespace cinch::exchange
