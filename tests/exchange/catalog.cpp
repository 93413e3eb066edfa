// Every op of the catalog, written as C and compared with its reference.
#include "cinch/ops/catalog.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "cinch/cinch.hpp"
#include "cinch/core/run/interpret.hpp"
#include "cinch/exchange/c.hpp"
#include "cinch/exchange/c/emitter.hpp"
#include "exchange/compiled.hpp"
#include "io/temporary_folder.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// All examples of one op in one dtype: the outputs of one function.
struct Case {
  std::string name;
  std::vector<Expr> inputs;
  std::vector<Tensor> values;
  std::vector<Expr> outputs;
  std::vector<std::string> labels;
  CInterface written;
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
  s.y = op.arity == 1 ? apply(op, {x}) : apply(op, {expand_dims(x, 0), expand_dims(x, 1)});
  s.label = std::string(op.name) + " of special values";
  return s;
}

/// Whether write_c() writes y; where not, the message must say why.
bool is_written(const std::string& path, const Sample& s) {
  try {
    write_c(path, {.inputs = s.inputs, .outputs = {s.y}, .allow_unused_inputs = true});
    return true;
  } catch (const TypeError& e) {
    CAPTURE(s.label);
    const std::string what = e.what();
    CHECK_MESSAGE((what.find("has no counterpart in C") != std::string::npos ||
                   what.find("depends on a value") != std::string::npos),
                  what);
    return false;
  }
}

bool is_draw(const Op& op) { return &op == &random_uniform_op || &op == &random_normal_op; }

const char* const table_head =
    "# Ops in written files\n\n"
    "What [write_c](manual/exchange.md) makes of each op of the catalog, written and compared with "
    "its reference in both\ndtypes on the inputs that tests make from its examples: *arithmetic* "
    "stands in the loop that uses it, *indices* are the\noperand's own at other places, *loops* "
    "are of the op's own, *other ops* are what the compiler expands it into. What is\nrefused is "
    "refused by name, with the user's line. Written by `scripts/tables`; do not edit.\n\n"
    "| op | C |\n|---|---|\n";

}  // namespace

TEST_CASE("every op written as C computes what its reference does") {
  const TemporaryFolder folder;
  std::mt19937 random(6);
  std::vector<Case> cases;
  std::map<std::string_view, int> written, refused_of;
  for (const Op* op : all_ops()) {
    for (const DType real : {DType::float64, DType::float32}) {
      Case c;
      c.name = std::string(op->name) + (real == DType::float64 ? "_f64" : "_f32");
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
        if (!is_written(folder / "one.c", s)) {
          ++refused_of[op->name];
          continue;
        }
        for (const Expr& x : s.inputs) c.inputs.push_back(x);
        for (const Tensor& value : s.values) c.values.push_back(value);
        c.outputs.push_back(s.y);
        c.labels.push_back(s.label);
        ++written[op->name];
      }
      if (!c.outputs.empty()) cases.push_back(std::move(c));
    }
  }
  std::vector<CInterface> all;
  for (Case& c : cases) {
    CAPTURE(c.name);
    c.written = write_c(
        folder / (c.name + ".c"),
        {.inputs = c.inputs, .outputs = c.outputs, .allow_unused_inputs = true, .name = c.name});
    all.push_back(c.written);
  }
  const Compiled compiled(folder, all, "-O0");
  for (Case& c : cases) {
    CAPTURE(c.name);
    std::vector<Tensor> draws, expected, results, none;
    std::vector<Binding> bindings;
    for (std::size_t k = 0; k < c.inputs.size(); ++k)
      bindings.emplace_back(c.inputs[k], c.values[k]);
    expected = cinch::running::interpret(c.outputs, bindings, /*watch=*/false);
    for (const CParameter& draw : c.written.draws) draws.push_back(evaluate(draw.value));
    for (const CParameter& y : c.written.outputs)
      results.emplace_back(y.type.dtype, y.type.shape());
    REQUIRE(compiled.run(c.written, c.values, draws, none, none, results) == 0);
    if (!draws.empty()) continue;
    for (std::size_t k = 0; k < results.size(); ++k) {
      CAPTURE(c.labels[k]);
      CHECK(distance(results[k], expected[k]) <= rounding(expected[k].dtype()));
    }
  }

  std::string table = table_head;
  for (const Op* op : all_ops()) {
    std::string_view how = exchange::c_counterpart(*op);
    if (is_draw(*op)) how = "drawn by the caller";
    if (how.empty()) how = written[op->name] > 0 ? "other ops" : "refused";
    CAPTURE(op->name);
    if (how == "refused" && op != &size_op) CHECK(refused_of[op->name] > 0);
    table += "| " + std::string(op->name) + " | " + std::string(how) + " |\n";
  }
  if (const char* docs = std::getenv("CINCH_TABLES"))
    std::ofstream(std::string(docs) + "/exchange.md") << table;
  std::ostringstream committed;
  committed << std::ifstream(CINCH_SOURCE_DIR "/docs/exchange.md").rdbuf();
  CHECK_MESSAGE(committed.str() == table, "docs/exchange.md is not up to date: run scripts/tables");
}
