// docs/journey.md: what a cost goes through until it runs, pass by pass.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "cinch/cinch.hpp"
#include "cinch/core/compile/pipeline.hpp"

using namespace cinch;

namespace {

/// The formula, on lines of their own; what runs it is below.
Expr cost_of(const Expr& x) {
  const Shared W(Tensor::full(DType::float32, {6, 4}, 0.1), "W");
  const Shared b(Tensor(DType::float32, {4}), "b"), c(Tensor(DType::float32, {6}), "c");
  const Expr h = sigmoid(dot(x, W) + b);
  const Expr z = sigmoid(dot(h, transpose(W)) + c);
  const Expr loss = -sum(x * log(z) + (1 - x) * log(1 - z), 1);
  const Expr penalty = sum(square(jacobian(h, x)), {1, 2});
  return mean(loss + 0.1 * penalty);
}

constexpr const char* introduction =
    "# What a formula goes through\n"
    "\n"
    "README's cost, of a tied autoencoder with 6 inputs and 4 hidden units, from what was written\n"
    "to what runs: the graph after each pass of `core/compile/pipeline.cpp` that changed it. A\n"
    "line is a node: its number, its op, what the op needs to know, its type, and the line of\n"
    "`tests/core/journey.cpp` that it comes from; operands are indented below it, and what was\n"
    "shown before is only named. `CINCH_TRACE=passes` shows the passes of any program,\n"
    "`CINCH_TRACE=graphs` the graphs as well. Written by `scripts/tables`.\n";

std::string journey() {
  const Expr x = fmatrix("x"), cost = cost_of(x);
  const Function f = function({.inputs = {x}, .outputs = {cost}, .name = "cost"});
  f({Tensor::full(DType::float32, {5, 6}, 0.5)});
  std::ostringstream out;
  out << introduction << "\n## As written\n\n```\n" << graph_text(std::span(&cost, 1)) << "```\n";
  std::string last;
  std::size_t number = 0;
  for (const Stage& stage : explain(f).stages) {
    const std::string graph = graph_text(stage.graph);
    ++number;
    out << "\n## " << number << ". " << stage.name << (number == 1 ? ", sizes unknown" : "")
        << "\n\n"
        << stage.before << " nodes before, " << stage.after << " after";
    const char* between = ". Rules: ";
    for (const auto& [rule, times] : stage.fired) {
      out << between << rule;
      if (times > 1) out << " (" << times << ")";
      between = ", ";
    }
    out << ".\n";
    if (graph == last) continue;
    out << "\n```\n" << graph << "```\n";
    last = graph;
  }
  return out.str();
}

}  // namespace

TEST_CASE("docs/journey.md shows every pass that a cost goes through") {
  const std::string text = journey();
  for (const auto passes :
       {cinch::compiling::passes_without_sizes(), cinch::compiling::passes_with_sizes()})
    for (const compiling::Pass& pass : passes)
      CHECK(text.find(". " + std::string(pass.name)) != std::string::npos);
  if (const char* folder = std::getenv("CINCH_TABLES"))
    std::ofstream(std::string(folder) + "/journey.md") << text;
  std::ifstream file(CINCH_SOURCE_DIR "/docs/journey.md");
  std::ostringstream committed;
  committed << file.rdbuf();
  CHECK_MESSAGE(committed.str() == text, "docs/journey.md is not up to date: run scripts/tables");
}
