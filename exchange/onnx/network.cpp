// From the operators of a file to expressions.
#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "cinch/core/graph.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/variables.hpp"
#include "cinch/exchange/onnx/reader.hpp"
#include "cinch/exchange/read_onnx.hpp"
#include "cinch/io/file.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/convolution.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/nonlinearity.hpp"
#include "cinch/ops/pooling.hpp"
#include "cinch/ops/products.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/special.hpp"

namespace cinch {

namespace {

using exchange::ReadAttribute;
using exchange::ReadNode;
using Numbers = std::vector<std::int64_t>;

/// What is wrong with a node, for an error that names it.
struct Wrong {
  std::string what;
};

/// The operands and attributes of one node.
class Call {
 public:
  Call(const ReadNode& node, std::vector<Expr> inputs, std::int64_t opset)
      : node_(node), inputs_(std::move(inputs)), opset_(opset) {}

  std::size_t count() const { return inputs_.size(); }
  bool has(std::size_t k) const { return k < inputs_.size() && !node_.inputs[k].empty(); }
  const Expr& operator[](std::size_t k) const {
    if (!has(k)) throw Wrong{text("it has no operand ", k)};
    return inputs_[k];
  }
  const std::vector<Expr>& all() const { return inputs_; }
  std::int64_t opset() const { return opset_; }

  const ReadAttribute* find(std::string_view name) const {
    const auto found = node_.attributes.find(name);
    return found == node_.attributes.end() ? nullptr : &found->second;
  }
  std::int64_t number(std::string_view name, std::int64_t otherwise) const {
    const ReadAttribute* a = find(name);
    return a ? a->number : otherwise;
  }
  double real(std::string_view name, float otherwise) const {
    const ReadAttribute* a = find(name);
    return a ? a->real : otherwise;
  }
  Numbers numbers(std::string_view name, const Numbers& otherwise) const {
    const ReadAttribute* a = find(name);
    return a ? a->numbers : otherwise;
  }
  /// Numbers that are an attribute in some sets and operand k in others; none where it is neither.
  std::optional<Numbers> either(std::string_view name, std::size_t k) const {
    if (const ReadAttribute* a = find(name)) return a->numbers;
    if (!has(k)) return std::nullopt;
    const Tensor* value = constant_value(inputs_[k]);
    if (!value || value->dtype() != DType::int64)
      throw Wrong{text("its ", name, " depend on what it is given")};
    const auto all = value->data<std::int64_t>();
    return Numbers(all.begin(), all.end());
  }

 private:
  const ReadNode& node_;
  std::vector<Expr> inputs_;
  std::int64_t opset_;
};

std::int64_t counted(std::int64_t axis, std::int64_t rank) {
  if (axis < -rank || axis >= rank) throw Wrong{text("there is no axis ", axis)};
  return axis < 0 ? axis + rank : axis;
}

Expr gemm(const Call& c) {
  const Expr a = c.number("transA", 0) != 0 ? transpose(c[0]) : c[0],
             b = c.number("transB", 0) != 0 ? transpose(c[1]) : c[1];
  const double alpha = c.real("alpha", 1), beta = c.real("beta", 1);
  Expr y = dot(a, b);
  if (alpha != 1) y = alpha * y;
  if (!c.has(2)) return y;
  return y + (beta == 1 ? c[2] : beta * c[2]);
}

/// What convolutions and pooling have in common, for one axis or two.
struct Windows {
  std::size_t axes;
  PerAxis stride = 1, dilation = 1;
  Padding padding = Pad::valid;
};

PerAxis per_axis(const Numbers& all, std::size_t axes) {
  if (all.size() != axes) throw Wrong{"the number of its axes is not that of its operand"};
  return axes == 1 ? PerAxis(all[0]) : PerAxis{all[0], all[1]};
}

Windows windows_of(const Call& c) {
  Windows w{static_cast<std::size_t>(std::max<std::int64_t>(c[0].rank() - 2, 0))};
  if (w.axes != 1 && w.axes != 2) throw Wrong{"it is neither of one dimension nor of two"};
  w.stride = per_axis(c.numbers("strides", Numbers(w.axes, 1)), w.axes);
  w.dilation = per_axis(c.numbers("dilations", Numbers(w.axes, 1)), w.axes);
  const ReadAttribute* automatic = c.find("auto_pad");
  if (automatic && automatic->text != "NOTSET" && automatic->text != "VALID")
    throw Wrong{"its padding is to be found automatically"};
  const Numbers pads = c.numbers("pads", Numbers(2 * w.axes, 0));
  if (pads.size() != 2 * w.axes) throw Wrong{"it has not two paddings for each axis"};
  w.padding = w.axes == 1 ? Padding{Sides(pads[0], pads[1])}
                          : Padding{Sides(pads[0], pads[2]), Sides(pads[1], pads[3])};
  return w;
}

/// A bias, or what there is one of for each channel, beside maps of `axes` axes.
Expr beside_maps(const Expr& b, std::size_t axes) {
  Numbers pattern{0};
  pattern.insert(pattern.end(), axes, -1);
  if (b.rank() != 1) throw Wrong{"what there is one of for each channel has not one axis"};
  return dimshuffle(b, pattern);
}

Expr convolution(const Call& c) {
  const Windows w = windows_of(c);
  const ConvOptions options{.stride = w.stride,
                            .padding = w.padding,
                            .dilation = w.dilation,
                            .groups = c.number("group", 1)};
  const Expr y = w.axes == 1 ? conv1d(c[0], c[1], options) : conv2d(c[0], c[1], options);
  return c.has(2) ? y + beside_maps(c[2], w.axes) : y;
}

Expr transposed_convolution(const Call& c) {
  const Windows w = windows_of(c);
  if (c.find("output_shape")) throw Wrong{"the shape of its result is asked for"};
  const ConvTransposeOptions options{
      .stride = w.stride,
      .padding = w.padding,
      .output_padding = per_axis(c.numbers("output_padding", Numbers(w.axes, 0)), w.axes),
      .dilation = w.dilation,
      .groups = c.number("group", 1)};
  const Expr y =
      w.axes == 1 ? conv_transpose1d(c[0], c[1], options) : conv_transpose2d(c[0], c[1], options);
  return c.has(2) ? y + beside_maps(c[2], w.axes) : y;
}

template <bool Largest>
Expr pooled(const Call& c) {
  const Windows w = windows_of(c);
  const PerAxis size = per_axis(c.numbers("kernel_shape", {}), w.axes);
  const PoolOptions options{.stride = w.stride,
                            .padding = w.padding,
                            .count_include_pad = c.number("count_include_pad", 0) != 0,
                            .dilation = w.dilation,
                            .ceil = c.number("ceil_mode", 0) != 0};
  if (Largest)
    return w.axes == 1 ? max_pool1d(c[0], size, options) : max_pool2d(c[0], size, options);
  return w.axes == 1 ? average_pool1d(c[0], size, options) : average_pool2d(c[0], size, options);
}

Axes spatial(const Expr& x) {
  Numbers result;
  for (std::int64_t axis = 2; axis < x.rank(); ++axis) result.push_back(axis);
  if (result.empty()) throw Wrong{"its operand has no axes behind the channels"};
  return result;
}

Expr normalized(const Call& c) {
  const auto axes = static_cast<std::size_t>(std::max<std::int64_t>(c[0].rank() - 2, 0));
  if (c.number("training_mode", 0) != 0) throw Wrong{"it is to find statistics by itself"};
  const auto fit = [&](std::size_t k) { return beside_maps(c[k], axes); };
  return (c[0] - fit(3)) / sqrt(fit(4) + c.real("epsilon", 1e-5F)) * fit(1) + fit(2);
}

Expr layer_normalized(const Call& c) {
  Numbers axes;
  for (std::int64_t axis = counted(c.number("axis", -1), c[0].rank()); axis < c[0].rank(); ++axis)
    axes.push_back(axis);
  const Expr centred = c[0] - mean(c[0], axes, true);
  const Expr y =
      centred / sqrt(mean(square(centred), axes, true) + c.real("epsilon", 1e-5F)) * c[1];
  return c.has(2) ? y + c[2] : y;
}

Expr flattened(const Call& c) {
  const std::int64_t axis = c.number("axis", 1);
  if (axis != 1) throw Wrong{"another axis than 1"};
  return c[0].rank() == 2 ? c[0] : flatten(c[0], 1);
}

Expr reshaped(const Call& c) {
  const std::optional<Numbers> wanted = c.either("shape", 1);
  if (!wanted) throw Wrong{"it has no shape"};
  Shape shape = *wanted;
  bool open = std::ranges::find(shape, -1) != shape.end();
  for (std::size_t k = 0; k < shape.size(); ++k) {
    if (shape[k] != 0 || c.number("allowzero", 0) != 0) continue;
    if (k >= c[0].dims().size()) throw Wrong{text("there is no axis ", k, " to keep")};
    const Dim dim = c[0].dims()[k];
    if (!dim.known() && open) {
      if (k == 0 && shape.size() == 2 && shape[1] == -1) return flatten(c[0], 1);
      throw Wrong{"more than one size of its result is open"};
    }
    shape[k] = dim.known() ? dim.size() : -1;
    open = open || !dim.known();
  }
  return reshape(c[0], shape);
}

Expr transposed(const Call& c) {
  const Numbers axes = c.numbers("perm", {});
  return axes.empty() ? transpose(c[0]) : transpose(c[0], axes);
}

Expr squeezed(const Call& c) {
  std::optional<Numbers> axes = c.either("axes", 1);
  if (!axes) throw Wrong{"it does not say which axes"};
  for (std::int64_t& axis : *axes) axis = counted(axis, c[0].rank());
  std::ranges::sort(*axes, std::greater());
  Expr x = c[0];
  for (const std::int64_t axis : *axes) x = squeeze(x, axis);
  return x;
}

Expr unsqueezed(const Call& c) {
  std::optional<Numbers> axes = c.either("axes", 1);
  if (!axes || axes->size() > 64) throw Wrong{"it does not say which axes"};
  const std::int64_t rank = c[0].rank() + static_cast<std::int64_t>(axes->size());
  for (std::int64_t& axis : *axes) axis = counted(axis, rank);
  std::ranges::sort(*axes);
  Expr x = c[0];
  for (const std::int64_t axis : *axes) x = expand_dims(x, axis);
  return x;
}

using Reduce = Expr (*)(const Arg&, const Axes&, bool);
template <Reduce F>
Expr reduced(const Call& c) {
  const std::optional<Numbers> wanted = c.either("axes", 1);
  const bool keep = c.number("keepdims", 1) != 0;
  if (!wanted || wanted->empty()) {
    if (c.number("noop_with_empty_axes", 0) != 0) return c[0];
    return F(c[0], Axes(), keep);
  }
  Numbers axes;
  for (const std::int64_t axis : *wanted) axes.push_back(counted(axis, c[0].rank()));
  return F(c[0], axes, keep);
}

using Along = Expr (*)(const Arg&, std::int64_t);
template <Along F>
Expr soft(const Call& c) {
  const std::int64_t rank = c[0].rank(),
                     axis = counted(c.number("axis", c.opset() < 13 ? 1 : -1), rank);
  // Before set 13 all axes from there on were taken as one.
  if (c.opset() < 13 && axis != rank - 1) throw Wrong{"several axes as one"};
  return F(c[0], axis);
}

Expr clipped(const Call& c) {
  Expr y = c[0];
  if (const ReadAttribute* low = c.find("min")) y = maximum(y, cast(Arg(low->real), y.dtype()));
  if (const ReadAttribute* high = c.find("max")) y = minimum(y, cast(Arg(high->real), y.dtype()));
  if (c.has(1)) y = maximum(y, c[1]);
  return c.has(2) ? minimum(y, c[2]) : y;
}

Expr concatenated(const Call& c) {
  if (c.count() == 0) throw Wrong{"it has no operand"};
  return concatenate(c.all(), counted(c.number("axis", 0), c[0].rank()));
}

Expr cast_to(const Call& c) {
  const std::int64_t code = c.number("to", 0);
  if (code == 1) return cast(c[0], DType::float32);
  if (code == 6 || code == 7) return cast(c[0], DType::int64);
  if (code == 9) return cast(c[0], DType::bool_);
  if (code == 11) return cast(c[0], DType::float64);
  throw Wrong{text("elements of the type ", code)};
}

Expr constant_of(const Call& c) {
  const ReadAttribute* value = c.find("value");
  if (value && !value->tensors.empty()) return constant(value->tensors[0]);
  if (const ReadAttribute* one = c.find("value_float"))
    return constant(Tensor::full(DType::float32, {}, one->real));
  if (const ReadAttribute* one = c.find("value_int")) return constant(Tensor(one->number));
  if (const ReadAttribute* all = c.find("value_ints"))
    return constant(
        Tensor::from<std::int64_t>({static_cast<std::int64_t>(all->numbers.size())}, all->numbers));
  throw Wrong{"its value is of a kind that is not read"};
}

using Unary = Expr (*)(const Arg&);
template <Unary F>
Expr of_one(const Call& c) {
  return F(c[0]);
}
using Binary = Expr (*)(const Arg&, const Arg&);
template <Binary F>
Expr of_two(const Call& c) {
  return F(c[0], c[1]);
}
template <Binary F>
Expr of_all(const Call& c) {
  Expr y = c[0];
  for (std::size_t k = 1; k < c.count(); ++k) y = F(y, c[k]);
  return y;
}

using Operator = Expr (*)(const Call&);

const std::map<std::string_view, Operator>& operators() {
  static const auto& all = *new std::map<std::string_view, Operator>{
      {"Abs", of_one<abs>},
      {"Add", [](const Call& c) { return c[0] + c[1]; }},
      {"AveragePool", pooled<false>},
      {"BatchNormalization", normalized},
      {"Cast", cast_to},
      {"Clip", clipped},
      {"Concat", concatenated},
      {"Constant", constant_of},
      {"Conv", convolution},
      {"ConvTranspose", transposed_convolution},
      {"Div", [](const Call& c) { return c[0] / c[1]; }},
      {"Dropout", [](const Call& c) { return c[0]; }},
      {"Elu", [](const Call& c) { return elu(c[0], c.real("alpha", 1)); }},
      {"Erf", of_one<erf>},
      {"Exp", of_one<exp>},
      {"Flatten", flattened},
      {"Gelu",
       [](const Call& c) {
         const ReadAttribute* how = c.find("approximate");
         return how && how->text == "tanh" ? gelu_tanh(c[0]) : gelu(c[0]);
       }},
      {"Gemm", gemm},
      {"GlobalAveragePool", [](const Call& c) { return mean(c[0], spatial(c[0]), true); }},
      {"GlobalMaxPool", [](const Call& c) { return max(c[0], spatial(c[0]), true); }},
      {"Identity", [](const Call& c) { return c[0]; }},
      {"LayerNormalization", layer_normalized},
      {"LeakyRelu", [](const Call& c) { return leaky_relu(c[0], c.real("alpha", 0.01F)); }},
      {"Log", of_one<log>},
      {"LogSoftmax", soft<log_softmax>},
      {"MatMul", of_two<matmul>},
      {"Max", of_all<maximum>},
      {"MaxPool", pooled<true>},
      {"Min", of_all<minimum>},
      {"Mul", [](const Call& c) { return c[0] * c[1]; }},
      {"Neg", [](const Call& c) { return -c[0]; }},
      {"PRelu", [](const Call& c) { return maximum(c[0], 0) + c[1] * minimum(c[0], 0); }},
      {"Pow", of_two<pow>},
      {"Reciprocal", [](const Call& c) { return 1 / c[0]; }},
      {"ReduceMax", reduced<max>},
      {"ReduceMean", reduced<mean>},
      {"ReduceMin", reduced<min>},
      {"ReduceSum", reduced<sum>},
      {"Relu", of_one<relu>},
      {"Reshape", reshaped},
      {"Selu", of_one<selu>},
      {"Sigmoid", of_one<sigmoid>},
      {"Softmax", soft<softmax>},
      {"Softplus", of_one<softplus>},
      {"Softsign", of_one<softsign>},
      {"Sqrt", of_one<sqrt>},
      {"Squeeze", squeezed},
      {"Sub", [](const Call& c) { return c[0] - c[1]; }},
      {"Sum",
       [](const Call& c) {
         Expr y = c[0];
         for (std::size_t k = 1; k < c.count(); ++k) y = y + c[k];
         return y;
       }},
      {"Tanh", of_one<tanh>},
      {"Transpose", transposed},
      {"Unsqueeze", unsqueezed},
  };
  return all;
}

class Importer {
 public:
  Importer(const std::string& path, exchange::ReadModel model)
      : path_(path), model_(std::move(model)) {}

  OnnxNetwork read(const std::vector<std::string>& values) {
    if (model_.opset < 9 || model_.opset > 22)
      file_error(path_, text("operator set ", model_.opset, "; 9 to 22 are read"));
    guarded("its tensors", [&] { initialize(); });
    guarded("its inputs", [&] { declare(); });
    for (const ReadNode& node : model_.nodes) add(node);
    for (const std::string& name : values.empty() ? model_.outputs : values)
      result_.outputs.push_back(value(name, "the outputs"));
    if (result_.outputs.empty()) file_error(path_, "no ONNX model: it has no outputs");
    return std::move(result_);
  }

 private:
  /// What is wrong with an expression is wrong with the file.
  template <class F>
  void guarded(const std::string& where, F&& f) {
    try {
      f();
    } catch (const FileError&) {
      throw;
    } catch (const Wrong& e) {
      file_error(path_, where + ": " + e.what);
    } catch (const Error& e) {
      file_error(path_, where + ": " + e.what());
    }
  }

  void initialize() {
    std::set<std::string> kept;
    for (const ReadNode& node : model_.nodes) {
      for (std::size_t k = 3; node.op == "BatchNormalization" && k < node.inputs.size(); ++k)
        kept.insert(node.inputs[k]);
    }
    for (auto& [name, tensor] : model_.initializers) {
      if (values_.contains(name)) file_error(path_, "two tensors are called " + printable(name));
      if (!is_float(tensor.dtype()) || tensor.rank() == 0) {
        values_[name] = constant(std::move(tensor));
        continue;
      }
      const Shared variable(std::move(tensor), name);
      (kept.contains(name) ? result_.constants : result_.params).push_back(variable);
      values_[name] = variable;
    }
  }

  void declare() {
    for (const exchange::ReadInput& input : model_.inputs) {
      if (values_.contains(input.name)) continue;  // Its value is in the file.
      result_.inputs.push_back(variable(input.name, input.dtype, input.sizes));
      values_[input.name] = result_.inputs.back();
    }
  }

  const Expr& value(const std::string& name, const std::string& where) const {
    const auto found = values_.find(name);
    if (found == values_.end())
      file_error(path_, where + ": there is no value " + printable(name) + " before it");
    return found->second;
  }

  void add(const ReadNode& node) {
    const std::string where = "the operator " + printable(node.op) +
                              (node.name.empty() ? "" : " " + printable(node.name));
    const auto known = operators().find(node.op);
    if (known == operators().end() || !(node.domain.empty() || node.domain == "ai.onnx"))
      file_error(path_, where + " is not known: feed-forward networks are read");
    std::vector<Expr> inputs;
    for (const std::string& input : node.inputs)
      inputs.push_back(input.empty() ? Expr() : value(input, where));
    if (node.outputs.empty()) file_error(path_, where + " has no result");
    guarded(where, [&] {
      const Expr y = known->second(Call(node, std::move(inputs), model_.opset));
      if (!values_.emplace(node.outputs[0], y).second)
        throw Wrong{"two values are called " + printable(node.outputs[0])};
    });
  }

  const std::string& path_;
  exchange::ReadModel model_;
  std::map<std::string, Expr> values_;
  OnnxNetwork result_;
};

}  // namespace

Expr OnnxNetwork::operator()(const Arg& x) const {
  const Attribution as(x.where());
  if (inputs.size() != 1)
    throw TypeError(text("a network of ", inputs.size(),
                         " inputs is no function of one: put others in place of .inputs by "
                         "substitute()"));
  if (x->dtype() != inputs[0].dtype() || x->rank() != inputs[0].rank())
    throw TypeError(
        text("the network takes ", text(inputs[0].type()), ", and it is given ", text(x->type())));
  return substitute(std::span(outputs.data(), 1), {{inputs[0], x}})[0];
}

OnnxNetwork read_onnx(const std::string& path, const std::vector<std::string>& values) {
  return Importer(path, exchange::read_model(path)).read(values);
}

}  // namespace cinch
