// Loops in written files, beside Cinch.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "cinch/cinch.hpp"
#include "cinch/exchange/c.hpp"
#include "cinch/exchange/graph/loop.hpp"
#include "cinch/exchange/graph/lowered.hpp"
#include "cinch/exchange/onnx.hpp"
#include "exchange/compiled.hpp"
#include "exchange/models.hpp"
#include "exchange/onnx_runs.hpp"
#include "io/temporary_folder.hpp"
#include "support/loop_bodies.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// A function with a loop in it, and what it is called with.
struct LoopCase {
  std::string name, text;
  std::vector<Expr> inputs;
  std::vector<Tensor> values;
  std::vector<Expr> outputs;

  FunctionSpec spec() const {
    return {.inputs = inputs, .outputs = outputs, .allow_unused_inputs = true, .name = name};
  }
  std::vector<Shape> sizes() const {
    std::vector<Shape> result;
    for (const Tensor& value : values) result.push_back(value.shape());
    return result;
  }
};

const GradOptions anywhere{.disconnected = Disconnected::zero};

class Cases {
 public:
  std::vector<LoopCase> all;

  void add(const std::string& text, const std::vector<Expr>& outputs) {
    all.push_back({"loop_" + std::to_string(all.size()), text, inputs, values, outputs});
  }
  /// With gradients of the first and second order.
  void add_with_gradients(const std::string& text, const Scan& loop) {
    const Expr cost = sum(square(loop[0])) + sum(sin(loop.last()));
    std::vector<Expr> outputs{loop[0], loop.last()};
    Expr along = 0.0;
    for (const Expr& g : grad(cost, inputs, anywhere)) {
      outputs.push_back(g);
      along = along + sum(sin(g));
    }
    for (const Expr& g : grad(along, inputs, anywhere)) outputs.push_back(g);
    add(text, outputs);
  }

  explicit Cases(DType real) : dtype(real) {}

  std::mt19937 random{5};
  DType dtype;
  Tensor drawn(const Shape& shape) { return random_tensor(dtype, shape, random, -1, 1); }
  Expr X = tensor3("X", dtype), h0 = matrix("h0", dtype), U = matrix("U", dtype);
  std::vector<Expr> inputs{X, h0, U};
  std::vector<Tensor> values{drawn({5, 2, 3}), drawn({2, 3}), drawn({3, 3})};
};

std::vector<LoopCase> loop_cases(DType dtype) {
  Cases c(dtype);
  for (const LoopBody& body : loop_bodies()) {
    for (const bool backwards : {false, true}) {
      const Scan loop = scan([&](Expr x, Expr h) { return body.step(x, h, c.U); },
                             {.sequences = {c.X}, .initial = {c.h0}, .go_backwards = backwards});
      c.add_with_gradients(body.text + (backwards ? ", backwards" : ""), loop);
    }
    const Scan ending = scan(
        [&](Expr x, Expr h) -> ScanStep {
          const Expr next = body.step(x, h, c.U);
          return {{next, next * x}, {}, sum(next) + sum(x) > 0.2};
        },
        {.sequences = {c.X}, .initial = {c.h0}});
    c.add_with_gradients(body.text + ", until", ending);
    c.add(body.text + ", until, all results", {ending[0], ending[1], ending.last(), ending.steps});
  }
  const Expr U = c.U;
  c.add_with_gradients("with checkpoints",
                       scan([&](Expr x, Expr h) { return tanh(x + dot(h, U)); },
                            {.sequences = {c.X}, .initial = {c.h0}, .checkpoint = true}));
  c.add_with_gradients("states that change places",
                       scan(
                           [](Expr a, Expr b) {
                             return std::vector<Expr>{b, a};
                           },
                           {.initial = {c.h0, sin(c.h0)}, .steps = 3}));
  c.add_with_gradients("a row as a state, and its mean",
                       scan(
                           [](Expr x, Expr h) {
                             return std::vector<Expr>{x, mean(h) * x};
                           },
                           {.sequences = {c.X}, .initial = {c.h0}}));
  c.add_with_gradients("a number as a state",
                       scan([&](Expr x, Expr s) { return 0.5 * s + mean(dot(x, U)); },
                            {.sequences = {c.X}, .initial = {sum(c.h0)}}));
  c.add_with_gradients("earlier states and rows by taps",
                       scan([&](Expr before, Expr now, Expr h) { return tanh(before * h + now); },
                            {.sequences = {{c.X, {-1, 0}}}, .initial = {c.h0}}));
  {
    const Scan loop = scan(
        [](Expr x, Expr n, Expr even, Expr h) {
          return std::vector<Expr>{n + 1, !even, where(even, h + x, h * x)};
        },
        {.sequences = {c.X},
         .initial = {Expr(constant(Tensor(std::int64_t{0}))), Expr(constant(Tensor(true))), c.h0}});
    c.add("whole numbers and conditions",
          {loop[0], loop[1], loop[2], loop.last(0), loop.last(1), loop.last(2)});
  }
  {
    const Expr z =
        fixed_point([&](Expr v) { return 0.2 * tanh(dot(v, U)) + c.h0; }, c.h0, {.memory = 0});
    c.add("a fixed point", {z, grad(sum(square(z)), U)});
  }
  c.add(
      "a thousand and one steps",
      {scan([](Expr v) { return 0.999 * v + 0.001; }, {.initial = {c.h0}, .steps = 1001}).last()});
  return std::move(c.all);
}

/// Of float32 functions, and how far rounding takes them.
struct Expected {
  std::vector<std::vector<Tensor>> values;
  std::vector<std::vector<double>> tolerances;

  explicit Expected(const std::vector<LoopCase>& all) {
    const std::vector<LoopCase> wide = loop_cases(DType::float64);
    for (std::size_t n = 0; n < all.size(); ++n) {
      values.push_back(function(all[n].spec())(all[n].values));
      std::vector<Tensor> arguments;
      for (const Tensor& value : all[n].values) arguments.push_back(value.cast(DType::float64));
      const std::vector<Tensor> exact = function(wide[n].spec())(arguments);
      tolerances.emplace_back();
      for (std::size_t k = 0; k < exact.size(); ++k)
        tolerances.back().push_back(1e-5 +
                                    10 * distance(values[n][k].cast(exact[k].dtype()), exact[k]));
    }
  }
};

bool has_loop(const FunctionSpec& spec, const std::vector<Shape>& sizes) {
  const exchange::Lowered graph = exchange::lowered("test", spec, {.sizes = sizes});
  return std::ranges::any_of(graph.order,
                             [](const Expr& e) { return &e.op() == &exchange::loop_op; });
}

}  // namespace

TEST_CASE("loops written as C do what Cinch does") {
  const TemporaryFolder folder;
  std::vector<CInterface> written;
  const std::vector<LoopCase> all = loop_cases(DType::float32);
  int loops = 0;
  for (const LoopCase& one : all) {
    CAPTURE(one.text);
    written.push_back(write_c(folder / (one.name + ".c"), one.spec(), {.sizes = one.sizes()}));
    if (has_loop(one.spec(), one.sizes())) ++loops;
  }
  CHECK(loops > 40);
  const Compiled compiled(folder, written, "-O1");
  const Expected expected(all);
  for (std::size_t k = 0; k < all.size(); ++k) {
    CAPTURE(all[k].text);
    std::vector<Tensor> results, none, inputs = all[k].values;
    for (const CParameter& y : written[k].outputs)
      results.emplace_back(y.type.dtype, y.type.shape());
    REQUIRE(compiled.run(written[k], inputs, none, none, none, results) == 0);
    for (std::size_t i = 0; i < results.size(); ++i) {
      CAPTURE(i);
      CHECK(distance(results[i], expected.values[k][i]) <= expected.tolerances[k][i]);
    }
  }
}

TEST_CASE("loops written as ONNX do what Cinch does, for sizes that are known and that are not") {
  const TemporaryFolder folder;
  const std::vector<LoopCase> all = loop_cases(DType::float32);
  const Expected expected(all);
  std::vector<std::string> files, texts;
  std::vector<OnnxRun> runs;
  std::vector<std::size_t> cases;
  int open = 0;
  for (std::size_t n = 0; n < all.size(); ++n) {
    const LoopCase& one = all[n];
    for (const bool known : {true, false}) {
      CAPTURE(one.text);
      const std::string file = folder / (one.name + (known ? ".onnx" : "_open.onnx"));
      try {
        runs.push_back(
            {file,
             write_onnx(file, one.spec(), {.sizes = known ? one.sizes() : std::vector<Shape>()}),
             one.values,
             {}});
      } catch (const TypeError& e) {
        const std::string what = e.what();
        CHECK_MESSAGE(!known, what);
        continue;
      }
      if (!known) ++open;
      files.push_back(file);
      texts.push_back(one.text + (known ? "" : ", sizes open"));
      cases.push_back(n);
    }
  }
  CHECK(open > 40);
  check_onnx(files);
  const std::vector<OnnxResult> results = run_onnx(folder, runs);
  for (std::size_t n = 0; n < results.size(); ++n) {
    CAPTURE(texts[n]);
    CHECK(results[n].error == "");
    if (!results[n].error.empty()) continue;
    const std::vector<Tensor>& values = expected.values[cases[n]];
    for (std::size_t k = 0; k < values.size(); ++k) {
      CAPTURE(k);
      const std::vector<double>& found = results[n].last.at(runs[n].model.outputs[k].name);
      REQUIRE(static_cast<std::int64_t>(found.size()) == values[k].size());
      Tensor result(DType::float64, values[k].shape());
      std::ranges::copy(found, result.data<double>().begin());
      CHECK(distance(result, values[k].cast(DType::float64)) <= expected.tolerances[cases[n]][k]);
    }
  }
}
