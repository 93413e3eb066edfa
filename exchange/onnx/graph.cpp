#include "cinch/exchange/onnx/graph.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/exchange/graph/merge.hpp"

namespace cinch::exchange {

namespace {

Message tensor_message(const Tensor& value, const std::string& name) {
  Message result;
  for (const std::int64_t n : value.shape()) result.number(1, n);
  result.number(2, onnx_type(value.dtype())).text(8, name);
  const auto bytes = static_cast<std::size_t>(value.size()) *
                     static_cast<std::size_t>(cinch::size_of(value.dtype()));
  return result.text(9, {static_cast<const char*>(value.raw()), bytes});
}

Message attribute_message(const Attribute& a) {
  Message result;
  result.text(1, a.name);
  if (const auto* one = std::get_if<std::int64_t>(&a.value)) {
    result.number(3, *one).number(20, 2);
  } else if (const auto* text = std::get_if<std::string_view>(&a.value)) {
    result.text(4, *text).number(20, 3);
  } else if (const auto* graph = std::get_if<Message>(&a.value)) {
    result.message(6, *graph).number(20, 5);
  } else {
    for (const std::int64_t k : std::get<std::vector<std::int64_t>>(a.value)) result.number(8, k);
    result.number(20, 7);
  }
  return result;
}

/// A size that is not known, or a product of such, by name.
std::string size_name(const Lowered& graph, const Size& size) {
  std::string result = size.factor == 1 ? "" : std::to_string(size.factor);
  for (const int k : size.unknown)
    result += (result.empty() ? "" : "_") + graph.unknown[static_cast<std::size_t>(k)].name;
  return result;
}

Tensor tensor_of(const std::vector<std::int64_t>& all) {
  Tensor result(DType::int64, {static_cast<std::int64_t>(all.size())});
  std::ranges::copy(all, result.data<std::int64_t>().begin());
  return result;
}

}  // namespace

int onnx_type(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return 1;
    case DType::int64:
      return 7;
    case DType::bool_:
      return 9;
    case DType::float64:
      return 11;
    case DType::uint8:
      return 2;
    case DType::float16:
      return 10;
    case DType::bfloat16:
      break;
  }
  return 16;
}

OnnxGraph::OnnxGraph(const Lowered& graph, bool lines) : lowered_(graph), lines_(lines) {
  for (const auto* all :
       {&graph.inputs, &graph.parameters, &graph.constants, &graph.outputs, &graph.updates}) {
    for (const Named& one : *all) names_.take(one.name);
  }
  for (const Draw& draw : graph.draws) names_.take(draw.name);
}

void OnnxGraph::at(const Expr& node) {
  node_ = node;
  line_ =
      lines_ && node->where.line ? text(node.op().name, ", ", node->where.text()) : std::string();
}

void OnnxGraph::add_as(const Names& results, std::string_view op, const Names& inputs,
                       const std::vector<Attribute>& attributes) {
  Message node;
  for (const std::string& input : inputs) node.text(1, input);
  for (const std::string& result : results) node.text(2, result);
  node.text(3, std::string(op) + "_" + std::to_string(next_++)).text(4, op);
  for (const Attribute& a : attributes) node.message(5, attribute_message(a));
  if (!line_.empty()) node.text(6, line_);
  message_.message(1, node);
}

std::string OnnxGraph::add(std::string_view op, const Names& inputs,
                           const std::vector<Attribute>& attributes) {
  const std::string result = fresh();
  add_as({result}, op, inputs, attributes);
  return result;
}

std::string OnnxGraph::sorted(const std::string& x, const std::string& count, std::int64_t axis,
                              bool descending) {
  const std::string values = fresh(), places = names_.fresh(text("v", next_, "_places"), "");
  add_as({values, places}, "TopK", {x, count},
         {{"axis", axis}, {"largest", std::int64_t{descending}}});
  return places;
}

std::string OnnxGraph::largest_places(const std::string& x, const std::vector<Attribute>& windows) {
  const std::string values = fresh(), places = names_.fresh(text("v", next_, "_places"), "");
  add_as({values, places}, "MaxPool", {x}, windows);
  return places;
}

void OnnxGraph::add_nodes(const std::vector<Expr>& order, const std::vector<Expr>& roots) {
  // Operands that only say sizes or shapes are not needed.
  NodeSet needed;
  for (const Expr& root : roots) needed.insert(root.get());
  for (auto node = order.rbegin(); node != order.rend(); ++node) {
    if (!needed.contains(node->get())) continue;
    for (std::size_t k = 0; k < node->inputs().size(); ++k) {
      if (node->op().reads(k) && !node->op().is_size(k)) needed.insert(node->inputs()[k].get());
    }
  }
  std::vector<Expr> mine;
  std::ranges::copy_if(order, std::back_inserter(mine),
                       [&](const Expr& node) { return needed.contains(node.get()); });
  std::vector<Expr> around = std::exchange(order_, mine);
  for (const Expr& node : mine) {
    if (!graphs::is_leaf(node) && !name_.contains(node.get())) add_node(*this, node);
  }
  order_ = std::move(around);
}

Message OnnxGraph::body(const std::string& called, const Values& inputs,
                        const std::function<Values()>& add) {
  const Message around = std::exchange(message_, {});
  const auto names = name_;
  const auto unknown = unknown_;
  const Expr node = node_;
  message_.text(2, called);
  const auto declare = [&](int field, const Values& values) {
    for (const auto& [name, value] : values) {
      Message untyped;
      message_.message(field, value.has_value() ? declared(name, value) : untyped.text(1, name));
    }
  };
  declare(11, inputs);
  declare(12, add());
  // What is computed within has no name outside.
  name_ = names;
  unknown_ = unknown;
  at(node);
  return std::exchange(message_, around);
}

Message OnnxGraph::declared(const std::string& name, const Expr& value,
                            const std::string& doc) const {
  Message shape;
  for (const Size& size : sizes_of(value)) {
    Message dim;
    size.is_number() ? dim.number(1, size.factor) : dim.text(2, size_name(lowered_, size));
    shape.message(1, dim);
  }
  Message tensor, type, result;
  tensor.number(1, onnx_type(value.dtype())).message(2, shape);
  type.message(1, tensor);
  result.text(1, name).message(2, type);
  if (!doc.empty()) result.text(3, doc);
  return result;
}

void OnnxGraph::initializer(const std::string& name, const Tensor& value) {
  initializers_.message(5, tensor_message(value, name));
}

std::string OnnxGraph::constant(const Tensor& value) {
  // Small ones once, however often they are used.
  const std::string key = value.size() <= 64 ? tensor_message(value, "").bytes() : std::string();
  std::string& known = constants_[{onnx_type(value.dtype()), key}];
  if (!key.empty() && !known.empty()) return known;
  const std::string name = names_.fresh(text("c", next_++), "");
  initializer(name, value);
  known = name;
  return name;
}

const std::string& OnnxGraph::name_of(const Expr& node) {
  if (const auto found = name_.find(node.get()); found != name_.end()) return found->second;
  return name_[node.get()] = leaf(node);
}

std::string OnnxGraph::leaf(const Expr& node) {
  for (std::size_t k = 0; k < lowered_.unknown.size(); ++k) {
    if (lowered_.unknown[k].value == node) return scalar_size({1, {static_cast<int>(k)}});
  }
  const Tensor& value = *constant_value(node);
  const Sizes sizes = sizes_of(node);
  std::vector<bool> open;
  for (const Size& size : sizes) open.push_back(!size.is_number());
  if (std::ranges::find(open, true) == open.end()) return constant(value);
  if (counts_along(value, open)) {
    const auto axis = std::ranges::find(open, true) - open.begin();
    const std::string all = counted(sizes[static_cast<std::size_t>(axis)]);
    const std::string values = value.dtype() == DType::int64 ? all : cast(all, value.dtype());
    return node.rank() == 1 ? values : reshaped(values, sizes);
  }
  // It repeats itself there, as was seen to when the sizes were found unknown.
  return expanded(constant(*unrepeated(value, open)), sizes);
}

std::string OnnxGraph::number(DType dtype, double value) {
  return constant(Tensor::full(dtype, {}, value));
}

std::string OnnxGraph::numbers(const std::vector<std::int64_t>& all) {
  return constant(tensor_of(all));
}

std::string OnnxGraph::cast(const std::string& x, DType dtype) {
  return add("Cast", {x}, {{"to", std::int64_t{onnx_type(dtype)}}});
}

std::string OnnxGraph::transposed(const std::string& x, const std::vector<std::int64_t>& axes) {
  return std::ranges::is_sorted(axes) ? x : add("Transpose", {x}, {{"perm", axes}});
}

std::string OnnxGraph::shape(const Sizes& sizes) {
  std::vector<std::int64_t> all;
  for (const Size& size : sizes) all.push_back(size.is_number() ? size.factor : -1);
  if (std::ranges::find(all, -1) == all.end()) return numbers(all);
  Names parts;
  for (const Size& size : sizes) {
    if (size.is_number()) {
      parts.push_back(numbers({size.factor}));
      continue;
    }
    std::string product = size.factor == 1 ? "" : numbers({size.factor});
    for (const int k : size.unknown) {
      std::string& known = unknown_[k];
      if (known.empty()) {
        const UnknownSize& unknown = lowered_.unknown[static_cast<std::size_t>(k)];
        const std::string all_sizes = add("Shape", {lowered_.inputs[unknown.input].name});
        known = add("Gather", {all_sizes, numbers({unknown.axis})}, {{"axis", std::int64_t{0}}});
      }
      product = product.empty() ? known : add("Mul", {product, known});
    }
    parts.push_back(product);
  }
  return parts.size() == 1 ? parts[0] : add("Concat", parts, {{"axis", std::int64_t{0}}});
}

std::string OnnxGraph::scalar_size(const Size& size) {
  if (size.is_number()) return number(DType::int64, static_cast<double>(size.factor));
  return add("Squeeze", {shape({size}), numbers({0})});
}

std::string OnnxGraph::counted(const Size& size) {
  if (!size.is_number())
    return add("Range", {number(DType::int64, 0), scalar_size(size), number(DType::int64, 1)});
  std::vector<std::int64_t> all(static_cast<std::size_t>(size.factor));
  for (std::size_t k = 0; k < all.size(); ++k) all[k] = static_cast<std::int64_t>(k);
  return numbers(all);
}

std::string OnnxGraph::reshaped(const std::string& x, const Sizes& sizes) {
  // One unknown size may be left to the runtime, where the others are not 0.
  std::vector<std::int64_t> all;
  for (const Size& size : sizes) all.push_back(size.is_number() ? size.factor : -1);
  const bool simple = std::ranges::count(all, -1) == 1 && std::ranges::find(all, 0) == all.end();
  // A 0 is a size, and no request to keep one.
  return add("Reshape", {x, simple ? numbers(all) : shape(sizes)},
             {{"allowzero", std::int64_t{1}}});
}

std::string OnnxGraph::expanded(const std::string& x, const Sizes& sizes) {
  return add("Expand", {x, shape(sizes)});
}

std::string OnnxGraph::zeros(DType dtype, const Sizes& sizes) {
  return expanded(number(dtype, 0), sizes);
}

std::int64_t OnnxGraph::known(const Expr& node, std::size_t axis) const {
  const Size size = sizes_of(node).at(axis);
  if (!size.is_number()) refuse_node("the size of one of its axes is not known");
  return size.factor;
}

std::vector<std::int64_t> OnnxGraph::known(const Expr& node) const {
  std::vector<std::int64_t> result;
  for (std::size_t axis = 0; axis < static_cast<std::size_t>(node.rank()); ++axis)
    result.push_back(known(node, axis));
  return result;
}

void OnnxGraph::refuse_node(const std::string& why) const {
  refuse("write_onnx",
         text("the op ", node_.op().name, " has no counterpart in ONNX where ", why, ": ",
              describe(node_)),
         node_->where);
}

}  // namespace cinch::exchange
