#include "cinch/exchange/onnx/writer.hpp"

#include <algorithm>
#include <utility>

#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/core/version.hpp"
#include "cinch/exchange/onnx/graph.hpp"
#include "cinch/io/file.hpp"
#include "cinch/ops/random.hpp"

namespace cinch {

namespace {

using exchange::Lowered;
using exchange::Message;
using exchange::Named;
using exchange::OnnxGraph;
using exchange::Size;

std::string line_of(const Expr& e) { return e->where.line ? e->where.text() : std::string(); }

/// The type with sizes that are not known left open.
Type open_type(const Lowered& graph, const Expr& value) {
  Type result = value.type();
  const std::vector<Size> sizes = graph.sizes_of(value);
  for (std::size_t axis = 0; axis < sizes.size(); ++axis) {
    if (!sizes[axis].is_number()) result.dims[axis] = Dim::unknown();
  }
  return result;
}

const char* distribution_of(const Expr& drawn) {
  return &drawn.op() == &random_normal_op ? "standard normal" : "uniform in [0, 1)";
}

/// Names for what comes from outside.
void name_leaves(OnnxGraph& graph, const Lowered& lowered) {
  const auto named = [&](const std::vector<Named>& all) {
    for (const Named& one : all) graph.name(one.value, one.name);
  };
  named(lowered.inputs);
  named(lowered.parameters);
  named(lowered.constants);
  for (const exchange::Draw& draw : lowered.draws) graph.name(draw.variable, draw.name);
  for (const Named& one : lowered.constants)
    graph.initializer(one.name, as_shared(one.value).get());
}

}  // namespace

exchange::OnnxModel exchange::onnx_model(const FunctionSpec& spec, const OnnxOptions& options) {
  const Lowered lowered = exchange::lowered("write_onnx", spec,
                                            {.sizes = options.sizes,
                                             .outputs = options.outputs,
                                             .batch = options.batch,
                                             .unknown_sizes = true});
  exchange::require_counterparts("write_onnx", lowered.order, "ONNX",
                                 exchange::has_onnx_counterpart);

  OnnxInterface result{lowered.name, {}, {}, {}, {}, {}};
  OnnxGraph graph(lowered, options.lines);
  name_leaves(graph, lowered);
  graph.add_nodes(lowered.order, lowered.roots());

  Message declarations;
  declarations.text(2, lowered.name);
  const auto input = [&](const std::string& name, const Expr& value, const Expr& shown,
                         const char* what) {
    const std::string line = options.lines ? line_of(shown) : "";
    declarations.message(11,
                         graph.declared(name, value, line.empty() ? what : text(what, ", ", line)));
    return OnnxValue{name, open_type(lowered, value), shown, ""};
  };
  for (const Named& x : lowered.inputs)
    result.inputs.push_back(input(x.name, x.value, x.value, "input"));
  for (const exchange::Draw& draw : lowered.draws)
    result.draws.push_back(
        input(draw.name, draw.variable, draw.drawn, distribution_of(draw.drawn)));
  for (std::size_t k = 0; k < lowered.parameters.size(); ++k) {
    const Named& p = lowered.parameters[k];
    result.parameters.push_back(input(p.name, p.value, p.value, "parameter"));
    result.parameters.back().next = lowered.updates[k].name;
  }
  for (const Named& p : lowered.constants)
    result.constants.push_back({p.name, p.value.type(), p.value, ""});
  const auto output = [&](const Named& y) {
    graph.at(y.value);
    graph.add_as({y.name}, "Identity", {graph.name_of(y.value)});
    declarations.message(12, graph.declared(y.name, y.value));
  };
  for (const Named& y : lowered.outputs) {
    output(y);
    result.outputs.push_back({y.name, open_type(lowered, y.value), y.value, ""});
  }
  for (const Named& y : lowered.updates) output(y);

  Message opset, model;
  opset.text(1, "").number(2, 17);
  model.number(1, 8)
      .text(2, "cinch")
      .text(3, version())
      .message(7, graph.message().append(declarations))
      .message(8, opset);
  const auto property = [&](const std::string& key, const std::string& value) {
    Message entry;
    model.message(14, entry.text(1, key).text(2, value));
  };
  for (const OnnxValue& p : result.parameters) property("next of " + p.name, p.next);
  for (const OnnxValue& draw : result.draws)
    property("draw of " + draw.name, distribution_of(draw.value));
  return {std::move(result), model.bytes()};
}

OnnxInterface write_onnx(const std::string& path, const FunctionSpec& spec,
                         const OnnxOptions& options) {
  exchange::OnnxModel model = exchange::onnx_model(spec, options);
  if (model.bytes.size() > 0x7fffffff)
    file_error(path, "an ONNX file holds at most 2 GB, and this one would be larger");
  replace_file(path, model.bytes);
  return std::move(model.interface);
}

}  // namespace cinch
