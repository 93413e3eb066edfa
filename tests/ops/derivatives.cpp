// Every op's gradient against finite differences to third order, and the table of it in docs/.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "cinch/cinch.hpp"
#include "cinch/core/run/interpret.hpp"
#include "cinch/ops/catalog.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

constexpr int highest_order = 3, draws = 5;  // Of values, for each example.

/// What was found for one op.
struct Row {
  std::string op;
  int inputs = 0, derivatives = 0;
  std::vector<double> worst = std::vector<double>(highest_order, 0);  ///< By order.
};

/// A cost with every element of y in it, each with a weight of its own.
Expr weighted_sum(const Expr& y, const Shape& shape) {
  std::mt19937 random(7);
  return sum(y * constant(random_tensor(DType::float64, shape, random, 0.5, 1.5)));
}

void check_example(const Op& op, const Example& example, std::mt19937& random, Row& row) {
  const Sample s = sample(op, example, DType::float64, random);
  const Shape shape =
      cinch::running::interpret(std::span(&s.y, 1), s.bindings, /*watch=*/false)[0].shape();
  if (!is_float(s.y.dtype()) || element_count(shape) > 100) return;  // Many elements meet kinks.
  std::vector<Expr> wrt;
  for (std::size_t k = 0; k < s.inputs.size(); ++k) {
    if (is_float(s.inputs[k].dtype()) && op.reads(k)) wrt.push_back(s.inputs[k]);
  }
  if (wrt.empty()) return;
  CAPTURE(s.label);
  const GradCheck check =
      check_grad(weighted_sum(s.y, shape), wrt, s.bindings, {.order = highest_order});
  CHECK_MESSAGE(check.ok, s.label << "\n" << check.report);
  ++row.inputs;
  for (const OrderCheck& order : check.orders) {
    for (const Derivative& d : order.along) {
      double& worst = row.worst[static_cast<std::size_t>(order.order - 1)];
      if (d.decided) worst = std::max(worst, d.excess);
      row.derivatives += d.decided;
    }
  }
}

std::string one_digit(double x) {
  std::ostringstream out;
  out.precision(1);
  out << std::scientific << x;
  return x == 0 ? "0" : out.str();
}

std::string table(const std::vector<Row>& rows, const std::vector<std::string>& without) {
  std::ostringstream out;
  out << "# Derivatives of every op\n\n"
         "Each op's gradient against central differences of eighth order in float64, along random "
         "directions of all\nits inputs at once, on the inputs that tests make from its examples. "
         "The difference is relative to the\nderivative, up to what finite differences can "
         "resolve; 1e-7 is accepted, and whoever writes a wrong gradient\nfinds it near 1. The "
         "digits depend on the processor. Written by `scripts/tables`; do not edit.\n\n"
         "| op | inputs | derivatives compared | largest difference: first order | second | "
         "third |\n|---|---:|---:|---:|---:|---:|\n";
  for (const Row& row : rows) {
    out << "| " << row.op << " | " << row.inputs << " | " << row.derivatives;
    for (const double worst : row.worst) out << " | " << one_digit(worst);
    out << " |\n";
  }
  out << "\nWithout a gradient, so that asking for one is an error and not a zero:";
  for (std::size_t i = 0; i < without.size(); ++i) out << (i ? ", " : " ") << without[i];
  out << ".\n";
  return out.str();
}

std::string read(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}

}  // namespace

TEST_CASE("every op: gradients agree with finite differences, to third order") {
  std::mt19937 random(2);
  std::vector<Row> rows;
  std::vector<std::string> without;
  for (const Op* op : all_ops()) {
    if (!op->grad) {
      without.emplace_back(op->name);
      continue;
    }
    Row row{std::string(op->name)};
    for (const Example& example : examples_of(*op)) {
      for (int draw = 0; draw < draws; ++draw) check_example(*op, example, random, row);
    }
    CAPTURE(row.op);
    CHECK(row.inputs > 0);
    CHECK(row.derivatives > row.inputs);
    rows.push_back(row);
  }
  CHECK(rows.size() > 30);
  std::ranges::sort(without);
  const std::string text = table(rows, without),
                    committed = CINCH_SOURCE_DIR "/docs/derivatives.md";
  if (const char* folder = std::getenv("CINCH_TABLES")) {
    std::ofstream(std::string(folder) + "/derivatives.md") << text;
  }
  // Digits differ between processors, everything else is the same.
  const std::string found = read(committed);
  for (const Row& row : rows) {
    const std::string begin = "\n| " + row.op + " | " + std::to_string(row.inputs) + " | ";
    CHECK_MESSAGE(found.find(begin) != std::string::npos,
                  "docs/derivatives.md has no such row for " << row.op << ": run scripts/tables");
  }
  CHECK_MESSAGE(std::ranges::count(found, '\n') == std::ranges::count(text, '\n'),
                "docs/derivatives.md has ops that are gone: run scripts/tables");
  const auto last_line = [](const std::string& all) {
    return all.substr(all.rfind('\n', all.size() - 2) + 1);
  };
  REQUIRE(found.size() > 2);
  CHECK(last_line(found) == last_line(text));
}
