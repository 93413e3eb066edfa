// The passes: what they keep, what is said of them, and that unsound graphs are found.
#include "cinch/core/compile/pipeline.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <iostream>
#include <random>
#include <sstream>

#include "cinch/cinch.hpp"
#include "support/random_program.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// What goes to stderr meanwhile.
template <class F>
std::string said(const F& f) {
  std::ostringstream out;
  std::streambuf* before = std::cerr.rdbuf(out.rdbuf());
  f();
  std::cerr.rdbuf(before);
  return out.str();
}

/// `e` as it is, but of another type or line.
Expr forged(const Expr& e, const Type& type, Source where) {
  return Expr(std::make_shared<const Node>(
      e.op(), std::vector(e.inputs().begin(), e.inputs().end()), e->attrs, type, where));
}

}  // namespace

TEST_CASE("CINCH_TRACE names each pass with its nodes, its time and what fired") {
  const Expr x = dvector("x");
  const auto run = [&] {
    const Function f = function(
        {.inputs = {x}, .outputs = {grad(sum(log(sigmoid(x)) + softmax(x)), x)}, .name = "step"});
    f({Tensor(DType::float64, {3})});
  };
  CHECK(said(run).empty());
  REQUIRE(setenv("CINCH_TRACE", "passes", 1) == 0);
  const std::string passes = said(run);
  REQUIRE(setenv("CINCH_TRACE", "graphs", 1) == 0);
  const std::string graphs = said(run);
  unsetenv("CINCH_TRACE");
  CAPTURE(passes);
  for (const char* part : {"grad: simplify", "grad: past roots", "step: simplify", "step: expand",
                           "step: contract", "step: add in place", "step: column norms", " nodes ",
                           " ms", "(unchanged)", "log sigmoid"}) {
    CHECK_MESSAGE(passes.find(part) != std::string::npos, std::string(part));
  }
  CHECK(passes.find("#0 ") == std::string::npos);
  CHECK(graphs.find("#0 ") != std::string::npos);
  std::istringstream lines(passes);
  for (std::string line; std::getline(lines, line);) CHECK(line.size() < 200);
}

TEST_CASE("graphs of random programs are sound after every pass") {
  REQUIRE(setenv("CINCH_VERIFY", "1", 1) == 0);
  REQUIRE(cinch::rewriting::is_traced());
  int checked = 0;
  std::mt19937 random(7);
  for (int n = 0; n < 150; ++n) {
    const RandomProgram program = random_program(random, {.symbolic = n % 2 == 1});
    CAPTURE(as_cpp(program));
    FunctionSpec spec{.outputs = program.roots, .allow_unused_inputs = true};
    std::vector<Tensor> values;
    for (const auto& [x, value] : program.bindings) {
      spec.inputs.push_back(x);
      values.push_back(value);
    }
    const std::vector<Expr> inputs = spec.inputs;
    for (const Expr& root : program.roots) {
      for (const Expr& x : inputs) {
        if (is_float(root.dtype()) && is_float(x.dtype()))
          spec.outputs.push_back(grad(sum(root), x, {.disconnected = Disconnected::zero}));
      }
    }
    // A value may have no derivative, as R of columns that are not independent: then neither way.
    try {
      function(spec)(values);
    } catch (const ValueError& e) {
      CAPTURE(std::string(e.what()));
      spec.mode = Mode::checked;
      CHECK_THROWS_AS(function(spec)(values), ValueError);
    }
    checked += static_cast<int>(spec.outputs.size());
  }
  unsetenv("CINCH_VERIFY");
  CHECK(checked > 300);
}

TEST_CASE("verify() names the node of a graph that is not sound, and its line") {
  const Expr x = dmatrix("x"), y = exp(x);
  const int line = __LINE__ - 1;
  const auto message = [](const Expr& e) -> std::string {
    try {
      cinch::rewriting::verify(std::span(&e, 1), "a pass");
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  CHECK(message(y) == "");
  const std::string wrong_dtype = message(forged(y, {DType::float32, y.dims()}, y->where));
  CHECK(wrong_dtype.find("after a pass the graph is not sound: its rule says float64") == 0);
  CHECK(wrong_dtype.find("pipeline.cpp:" + std::to_string(line)) != std::string::npos);
  CHECK(message(sum(forged(y, {DType::float64, {3}}, y->where))).find("its rule says") !=
        std::string::npos);
  CHECK(message(forged(y, y.type(), Source{})).find("has no line") != std::string::npos);
  const Expr two =
      Expr(std::make_shared<const Node>(y.op(), std::vector{x, x}, nullptr, y.type(), y->where));
  CHECK(message(two).find("takes 1 operands") != std::string::npos);
  CHECK(message(Expr()).find("is empty") != std::string::npos);
}
