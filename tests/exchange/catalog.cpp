// Every op of the catalog, written as C and as ONNX and compared with its reference.
#include "cinch/ops/catalog.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "cinch/cinch.hpp"
#include "cinch/core/run/interpret.hpp"
#include "cinch/exchange/c.hpp"
#include "cinch/exchange/c/emitter.hpp"
#include "cinch/exchange/c/writer.hpp"
#include "cinch/exchange/graph/loop.hpp"
#include "cinch/exchange/onnx/graph.hpp"
#include "cinch/exchange/onnx/writer.hpp"
#include "exchange/compiled.hpp"
#include "exchange/onnx_runs.hpp"
#include "io/temporary_folder.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// All examples of one op in one dtype: the outputs of one function.
struct Case {
  const Op* op;
  std::string name;
  std::vector<Expr> inputs;
  std::vector<Tensor> values;
  std::vector<Expr> outputs;
  std::vector<std::string> labels;

  FunctionSpec spec() const {
    return {.inputs = inputs, .outputs = outputs, .allow_unused_inputs = true, .name = name};
  }
  std::vector<Tensor> expected() const {
    std::vector<Binding> bindings;
    for (std::size_t k = 0; k < inputs.size(); ++k) bindings.emplace_back(inputs[k], values[k]);
    return cinch::running::interpret(outputs, bindings, /*watch=*/false);
  }
};

/// An elementwise op of floats where functions end and overflow: alone, or in all pairs.
Sample special_sample(const Op& op, DType real) {
  const double inf = std::numeric_limits<double>::infinity();
  const std::vector<double> special{0.0, -0.0, 1,    -1,    0.5, -0.5, 3,           -7.25,
                                    88,  -88,  1000, -1000, inf, -inf, std::nan("")};
  const auto n = static_cast<std::int64_t>(special.size());
  Sample s;
  const Expr x = variable("x", real, {n});
  s.inputs = {x};
  s.values = {Tensor::from<double>({n}, special).cast(real)};
  s.bindings = {{x, s.values[0]}};
  s.y = op.arity == 1 ? apply(op, {x}) : apply(op, {expand_dims(x, 0), expand_dims(x, 1)});
  s.label = std::string(op.name) + " of special values";
  return s;
}

using Write = Type (*)(const FunctionSpec& spec);  ///< Returns the type of the first output.

/// Whether a result has the sizes that were written for it. A slice from k n to (k + 1) n has n
/// rows there, and fewer where x ends.
bool has_sizes(const Sample& s, const Type& written) {
  const Tensor y = cinch::running::interpret(std::span(&s.y, 1), s.bindings, /*watch=*/false)[0];
  for (std::size_t axis = 0; axis < written.dims.size(); ++axis) {
    const Dim dim = written.dims[axis];
    if (dim.known() && dim.size() != y.shape()[axis]) return false;
  }
  return true;
}

/// Whether `write` writes y; where not, the message must say why.
bool is_written(Write write, const Sample& s) {
  try {
    return has_sizes(s, write({.inputs = s.inputs, .outputs = {s.y}, .allow_unused_inputs = true}));
  } catch (const TypeError& e) {
    CAPTURE(s.label);
    const std::string what = e.what();
    CHECK_MESSAGE((what.find("has no counterpart in ") != std::string::npos ||
                   what.find("depends on a value") != std::string::npos),
                  what);
    return false;
  }
}

/// What `write` takes of the examples of all ops, each op with special values besides.
std::vector<Case> cases_for(Write write) {
  std::mt19937 random(6);
  std::vector<Case> result;
  for (const Op* op : all_ops()) {
    for (const DType real : {DType::float64, DType::float32}) {
      Case c{op, std::string(op->name) + (real == DType::float64 ? "_f64" : "_f32"), {}, {}, {},
             {}};
      std::vector<Sample> samples;
      for (const Example& example : examples_of(*op)) {
        std::int64_t count = 0;
        for (const Type& type : example.inputs)
          count = std::max(count, element_count(type.shape()));
        if (op->elementwise() && (count > 100 || count == 0)) continue;  // Lengths do not matter.
        samples.push_back(sample(*op, example, real, random));
      }
      if (op->elementwise() && op->operands == Operands::real)
        samples.push_back(special_sample(*op, real));
      for (const Sample& s : samples) {
        if (!is_written(write, s)) continue;
        c.inputs.insert(c.inputs.end(), s.inputs.begin(), s.inputs.end());
        c.values.insert(c.values.end(), s.values.begin(), s.values.end());
        c.outputs.push_back(s.y);
        c.labels.push_back(s.label);
      }
      if (!c.outputs.empty()) result.push_back(std::move(c));
    }
  }
  return result;
}

bool is_draw(const Op& op) { return &op == &random_uniform_op || &op == &random_normal_op; }

// Without files, each of which is waited for until it is on the disk.
Type write_as_c(const FunctionSpec& spec) {
  return exchange::c_source("one", spec, {}).interface.outputs[0].type;
}
Type write_as_onnx(const FunctionSpec& spec) {
  return exchange::onnx_model(spec, {}).interface.outputs[0].type;
}

const char* const table_head =
    "# Ops in written files\n\n"
    "What [write_c and write_onnx](manual/exchange.md) make of each op of the catalog, written and "
    "compared with its reference\nin both dtypes on the inputs that tests make from its examples. "
    "In C, *arithmetic* stands in the loop that uses it, *indices*\nare the operand's own at other "
    "places, *loops* are of the op's own; in ONNX, operators are named. *Other ops* are what the\n"
    "compiler expands an op into. What is refused is refused by name, with the user's line. "
    "Written "
    "by `scripts/tables`; do not\nedit.\n\n"
    "| op | C | ONNX |\n|---|---|---|\n";

/// A row's cell: what is said of the op itself, or what became of its examples.
std::string cell(const Op& op, std::string_view own, const std::vector<Case>& cases) {
  if (is_draw(op)) return "drawn by the caller";
  if (!own.empty()) return std::string(own);
  return std::ranges::any_of(cases, [&](const Case& c) { return c.op == &op; }) ? "other ops"
                                                                                : "refused";
}

}  // namespace

TEST_CASE("every op written as C computes what its reference does") {
  const TemporaryFolder folder;
  std::vector<Case> cases = cases_for(write_as_c);
  std::vector<CInterface> written;
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const exchange::CSource source = exchange::c_source(c.name, c.spec(), {});
    std::ofstream(folder / (c.name + ".h")) << source.header;
    std::ofstream(folder / (c.name + ".c")) << source.body;
    written.push_back(source.interface);
  }
  const Compiled compiled(folder, written, "-O0");
  for (std::size_t n = 0; n < cases.size(); ++n) {
    Case& c = cases[n];
    CAPTURE(c.name);
    const std::vector<Tensor> expected = c.expected();
    std::vector<Tensor> results, none;
    for (const CParameter& y : written[n].outputs)
      results.emplace_back(y.type.dtype, y.type.shape());
    REQUIRE(compiled.run(written[n], c.values, none, none, none, results) == 0);
    for (std::size_t k = 0; k < results.size(); ++k) {
      CAPTURE(c.labels[k]);
      CHECK(distance(results[k], expected[k]) <= rounding(expected[k].dtype()));
    }
  }
}

TEST_CASE("every op written as ONNX computes what its reference does") {
  const TemporaryFolder folder;
  const std::vector<Case> cases = cases_for(write_as_onnx);
  std::vector<std::string> files;
  std::vector<OnnxRun> runs;
  for (const Case& c : cases) {
    CAPTURE(c.name);
    files.push_back(folder / (c.name + ".onnx"));
    const exchange::OnnxModel model = exchange::onnx_model(c.spec(), {});
    std::ofstream(files.back(), std::ios::binary) << model.bytes;
    runs.push_back({files.back(), model.interface, c.values, {}});
  }
  check_onnx(files);
  const std::vector<OnnxResult> results = run_onnx(folder, runs);
  int compared = 0, wide = 0;
  for (std::size_t n = 0; n < results.size(); ++n) {
    const Case& c = cases[n];
    CAPTURE(c.name);
    // Some of its operators onnxruntime computes in float32 alone.
    if (c.name.ends_with("_f64") &&
        results[n].error.find("find an implementation") != std::string::npos) {
      ++wide;
      continue;
    }
    CHECK(results[n].error == "");
    if (!results[n].error.empty()) continue;
    const std::vector<Tensor> expected = c.expected();
    for (std::size_t k = 0; k < expected.size(); ++k) {
      CAPTURE(c.labels[k]);
      const std::vector<double>& found = results[n].last.at(runs[n].model.outputs[k].name);
      REQUIRE(static_cast<std::int64_t>(found.size()) == expected[k].size());
      Tensor result(DType::float64, expected[k].shape());
      std::ranges::copy(found, result.data<double>().begin());
      // A runtime sums in an order of its own.
      CHECK(distance(result, expected[k].cast(DType::float64)) <=
            4 * rounding(expected[k].dtype()));
      ++compared;
    }
  }
  if (results.empty()) return;
  CHECK(compared > 500);
  CHECK(wide < 24);
}

TEST_CASE(
    "every op written as ONNX for sizes that are not known computes what its reference does") {
  const TemporaryFolder folder;
  std::mt19937 random(8);
  std::vector<std::string> files;
  std::vector<OnnxRun> runs;
  std::vector<Sample> samples;
  int refused = 0;
  for (const Op* op : all_ops()) {
    for (const Example& example : examples_of(*op)) {
      std::int64_t count = 0;
      for (const Type& type : example.inputs) count = std::max(count, element_count(type.shape()));
      if (op->elementwise() && count > 100) continue;
      // A size that is not known is taken not to be 1; onnxruntime does not sort no elements.
      const bool special = std::ranges::any_of(example.inputs, [](const Type& type) {
        return std::ranges::any_of(type.shape(), [](std::int64_t n) { return n < 2; });
      });
      if (special) continue;
      Sample s = sample(*op, example, DType::float32, random, /*symbolic=*/true);
      try {
        const exchange::OnnxModel model = exchange::onnx_model(
            {.inputs = s.inputs, .outputs = {s.y}, .allow_unused_inputs = true}, {});
        if (!has_sizes(s, model.interface.outputs[0].type)) continue;
        files.push_back(folder / (std::to_string(files.size()) + ".onnx"));
        std::ofstream(files.back(), std::ios::binary) << model.bytes;
        runs.push_back({files.back(), model.interface, s.values, {}});
        samples.push_back(std::move(s));
      } catch (const TypeError&) {
        ++refused;  // As what depends on sizes, or has no counterpart.
      }
    }
  }
  check_onnx(files);
  const std::vector<OnnxResult> results = run_onnx(folder, runs);
  for (std::size_t n = 0; n < results.size(); ++n) {
    const Sample& s = samples[n];
    CAPTURE(s.label);
    CHECK(results[n].error == "");
    if (!results[n].error.empty()) continue;
    const Tensor expected =
        cinch::running::interpret(std::span(&s.y, 1), s.bindings, /*watch=*/false)[0];
    const std::vector<double>& found = results[n].last.at("output_0");
    CHECK(static_cast<std::int64_t>(found.size()) == expected.size());
    if (static_cast<std::int64_t>(found.size()) != expected.size()) continue;
    Tensor result(DType::float64, expected.shape());
    std::ranges::copy(found, result.data<double>().begin());
    CHECK(distance(result, expected.cast(DType::float64)) <= rounding(expected.dtype()));
  }
  CHECK(refused < 300);
  CHECK(files.size() > 300);
}

TEST_CASE("docs/exchange.md says what becomes of every op in written files") {
  const std::vector<Case> in_c = cases_for(write_as_c), in_onnx = cases_for(write_as_onnx);
  std::string table = table_head;
  for (const Op* op : all_ops()) {
    const Op& written = op == &scan_op ? exchange::loop_op : *op;
    table += "| " + std::string(op->name) + " | " +
             cell(*op, exchange::c_counterpart(written), in_c) + " | " +
             cell(*op, exchange::onnx_counterpart(written), in_onnx) + " |\n";
  }
  if (const char* docs = std::getenv("CINCH_TABLES"))
    std::ofstream(std::string(docs) + "/exchange.md") << table;
  std::ostringstream committed;
  committed << std::ifstream(CINCH_SOURCE_DIR "/docs/exchange.md").rdbuf();
  CHECK_MESSAGE(committed.str() == table, "docs/exchange.md is not up to date: run scripts/tables");
}
