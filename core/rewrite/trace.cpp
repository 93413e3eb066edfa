#include "cinch/core/rewrite/trace.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <sstream>

#include "cinch/core/error.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/refusal.hpp"

namespace cinch::rewriting {

namespace {

/// What an environment variable says; empty where it is not set.
std::string_view setting(const char* variable) {
  const char* value = std::getenv(variable);
  return value ? value : "";
}

bool verifies() {
#ifdef NDEBUG
  return !setting("CINCH_VERIFY").empty();
#else
  return true;
#endif
}

std::vector<std::pair<std::string, int>> tally(std::span<const Applied> rules) {
  std::vector<std::pair<std::string, int>> result;
  for (const Applied& a : rules) {
    const auto known = std::ranges::find(result, a.rule, &std::pair<std::string, int>::first);
    if (known == result.end()) {
      result.emplace_back(a.rule, 1);
    } else {
      ++known->second;
    }
  }
  return result;
}

[[noreturn]] void report(const Expr& node, std::string_view after, const std::string& what) {
  throw Error(text("after ", after, " the graph is not sound: ", what, "\n  ", text(node.type()),
                   "  ", node.op().name, "  ", describe(node), written_at(node->where)));
}

bool agree(const Type& a, const Type& b) {
  return a.dtype == b.dtype && std::ranges::equal(a.dims, b.dims, [](Dim x, Dim y) {
           return x == y || !x.known() || !y.known();
         });
}

}  // namespace

bool is_traced() { return verifies() || !setting("CINCH_TRACE").empty(); }

void verify(std::span<const Expr> roots, std::string_view after) {
  for (const Expr& root : roots) {
    if (!root.has_value()) throw Error(text("after ", after, " an output is empty"));
  }
  for (const Expr& node : topological(roots)) {
    if (graphs::is_leaf(node)) continue;
    const Op& op = node.op();
    if (op.elementwise() && op.arity > 0 && !op.expand &&
        static_cast<int>(node.inputs().size()) != op.arity)
      report(node, after, text(op.name, " takes ", op.arity, " operands"));
    if (node->where.line <= 0) report(node, after, "this node has no line");
    Type ruled;
    try {
      ruled = op.type(node.inputs(), node.attrs());
    } catch (const TypeError& error) {
      report(node, after, error.what());
    }
    if (!agree(ruled, node.type())) report(node, after, text("its rule says ", text(ruled)));
  }
}

Stage staged(std::string_view whose, std::string_view name, std::vector<Expr>& roots,
             std::vector<Applied>& rules, const std::function<void()>& work) {
  using Clock = std::chrono::steady_clock;
  const std::size_t known = rules.size();
  Stage result;
  result.name = name;
  result.before = topological(roots).size();
  const Clock::time_point start = Clock::now();
  work();
  const std::chrono::duration<double, std::milli> taken = Clock::now() - start;
  result.milliseconds = taken.count();
  result.after = topological(roots).size();
  result.fired = tally(std::span(rules).subspan(known));
  result.graph = roots;
  const std::string_view trace = setting("CINCH_TRACE");
  if (trace == "passes" || trace == "graphs") {
    std::ostringstream line;
    line << whose << ": " << line_of(result) << "\n";
    if (trace == "graphs") line << graph_text(roots);
    std::cerr << line.str();
  }
  if (verifies()) verify(roots, name);
  return result;
}

std::string line_of(const Stage& stage) {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out << std::left << std::setw(14) << stage.name << std::right << std::setw(6) << stage.before
      << " -> " << std::setw(5) << stage.after << " nodes " << std::fixed << std::setprecision(1)
      << std::setw(7) << stage.milliseconds << " ms";
  const char* between = "  ";
  for (const auto& [rule, times] : stage.fired) {
    out << between << rule;
    if (times > 1) out << " x" << times;
    between = ", ";
  }
  if (stage.fired.empty() && stage.before == stage.after) out << "  (unchanged)";
  return out.str();
}

}  // namespace cinch::rewriting
