// docs/rules.md, the equations that rewriting applies, as the records of the ops hold them. That
// both sides are equal is checked for each of them in catalog.cpp.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "cinch/audit/search/formula.hpp"
#include "cinch/cinch.hpp"
#include "cinch/ops/catalog.hpp"

using namespace cinch;

namespace {

constexpr const char* introduction =
    "# Equations that rewriting applies\n"
    "\n"
    "Left becomes right, from the inputs of a formula to its results, until none applies; a "
    "letter\n"
    "stands for any formula, and for the same one wherever it stands. Gradients are taken of the\n"
    "result. Beside these, an op may simplify itself where its shape or its constants allow it\n"
    "(`simplify` in its record), and three mechanisms read whole formulas where an equation each\n"
    "would be too many: `ops/positive` products, quotients, powers and sums of exponentials,\n"
    "`ops/even` smooth functions of lengths, before a derivative is taken. `explain(f)` says which "
    "rule\n"
    "rewrote which line. Written by `scripts/tables`.\n";

std::string without_bars(std::string formula) {
  for (std::size_t at = 0; (at = formula.find('|', at)) != std::string::npos; at += 2)
    formula.insert(at, "\\");
  return formula;
}

std::string text_of_all_rules() {
  std::ostringstream out;
  out << introduction;
  for (const Op* op : all_ops()) {
    if (!op->rules) continue;
    out << "\n## " << op->name << "\n\n| left | right | name |\n|---|---|---|\n";
    for (const Rule& rule : op->rules()) {
      out << "| " << without_bars(cinch::searching::formula_text(rule.left, 200)) << " | "
          << without_bars(cinch::searching::formula_text(rule.right, 200)) << " | "
          << without_bars(std::string(rule.name)) << " |\n";
    }
  }
  return out.str();
}

}  // namespace

TEST_CASE("docs/rules.md has every equation of every op") {
  const std::string text = text_of_all_rules();
  CHECK(text.find("...") == std::string::npos);
  if (const char* folder = std::getenv("CINCH_TABLES")) {
    std::ofstream(std::string(folder) + "/rules.md") << text;
  }
  std::ifstream file(CINCH_SOURCE_DIR "/docs/rules.md");
  std::ostringstream committed;
  committed << file.rdbuf();
  CHECK_MESSAGE(committed.str() == text, "docs/rules.md is not up to date: run scripts/tables");
}
