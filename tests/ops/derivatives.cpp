// Every op's gradient against finite differences to third order, and the table of it in docs/.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "cinch/cinch.hpp"
#include "cinch/core/run/interpret.hpp"
#include "cinch/ops/catalog.hpp"
#include "support/samples.hpp"
#include "support/unit_functions.hpp"

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

/// A point where a function has two slopes, or one and two curvatures: from below, from above, and
/// what is computed there.
struct Kink {
  std::string name;
  double at;
  std::array<double, 3> slope, curvature;
};

std::string row_of(const Kink& kink) {
  std::string name;
  for (const char c : kink.name) name += c == '|' ? "\\|" : std::string(1, c);
  std::string result = text("| ", name, " | ", kink.at);
  for (const auto* side : {&kink.slope, &kink.curvature})
    for (const double value : *side) result += text(" | ", value == 0 ? 0.0 : value);
  return result + " |\n";
}

std::vector<UnitFunction> functions_with_kinks() {
  std::vector<UnitFunction> result = unit_functions();
  const std::vector<UnitFunction> more{
      {"elu of 2", [](const Expr& a) { return elu(a, 2.0); }},
      {"celu of 2", [](const Expr& a) { return celu(a, 2.0); }},
      {"prelu of 1/4", [](const Expr& a) { return prelu(a, 0.25, 0); }},
      {"huber", [](const Expr& a) { return huber(a); }},
      {"smooth_l1", [](const Expr& a) { return smooth_l1(a); }},
      {"minimum(x, 0)", [](const Expr& a) { return minimum(a, 0); }},
      {"maximum(x, 0)", [](const Expr& a) { return maximum(a, 0); }},
      {"max of x and 0",
       [](const Expr& a) {
         return max(stack({a, 0 * a}, 0), 0);
       }},
      {"median of x, 0, 1",
       [](const Expr& a) {
         return median(stack({a, 0 * a, 0 * a + 1}, 0), 0);
       }},
      {"where(x > 0, x, 0)", [](const Expr& a) { return where(a > 0, a, 0); }},
      {"where(x >= 0, x, 0)", [](const Expr& a) { return where(a >= 0, a, 0); }},
      {"x |x|", [](const Expr& a) { return a * abs(a); }},
      {"|x|^3", [](const Expr& a) { return pow(abs(a), 3); }},
      {"|x|^1.5", [](const Expr& a) { return pow(abs(a), 1.5); }},
      {"relu(x)^2", [](const Expr& a) { return square(relu(a)); }},
      {"norm of one", [](const Expr& a) { return norm(expand_dims(a, 0), 2, 0); }},
      {"sqrt(x^2)", [](const Expr& a) { return sqrt(square(a)); }},
      {"hypot(x, 0)", [](const Expr& a) { return hypot(a, 0); }},
  };
  result.insert(result.end(), more.begin(), more.end());
  return result;
}

std::vector<Kink> kinks() {
  std::vector<Kink> result;
  const Expr x = dvector("x");
  for (const UnitFunction& e : functions_with_kinks()) {
    const Expr y = e.f(x);
    if (!is_float(y.dtype())) continue;
    const auto slope_of = [&](const Expr& of) {
      return grad(sum(of), x, {.disconnected = Disconnected::zero});
    };
    const Expr slope = slope_of(y), curvature = slope_of(slope);
    for (const double at : {-3.0, -1.0, -0.5, 0.0, 0.1, 0.5, 1.0, 3.0, 6.0}) {
      const double h = 1e-7;
      const std::vector<Binding> here{{x, Tensor::from<double>({3}, {at - h, at + h, at})}};
      const Tensor f = evaluate(y, here), d = evaluate(slope, here), c = evaluate(curvature, here);
      const auto differ = [](const Tensor& t) { return !(std::abs(t.at(0) - t.at(1)) <= 1e-3); };
      if (!std::isfinite(f.at(0)) || !std::isfinite(f.at(1)) || differ(f)) continue;
      // Poles are none.
      if (!(std::abs(d.at(0)) < 100) || !(std::abs(d.at(1)) < 100)) continue;
      if (!differ(d) && !differ(c)) continue;
      const auto digits = [](const Tensor& t) {
        std::array<double, 3> values{};
        // To three digits: the sides are not quite at the point.
        for (std::size_t k = 0; k < 3; ++k)
          values[k] = std::round(1000 * t.at(static_cast<std::int64_t>(k))) / 1000;
        return values;
      };
      result.push_back({e.name, at, digits(d), digits(c)});
    }
  }
  return result;
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
  out << "\n## At kinks\n\nWhere the slope of a function jumps there is no derivative, and where "
         "its curvature does no "
         "second one. What\nis computed there lies between those from below and above, or is not a "
         "number; the mean of both, or one of\nthem, by the op. A function that is smooth in spite "
         "of kinks inside, as square(abs(x)), has its own derivatives\n(`ops/README.md` says how "
         "far this goes).\n\n"
         "| function | at | slope from below | from above | there | curvature from below | from "
         "above | there |\n|---|---:|---:|---:|---:|---:|---:|---:|\n";
  for (const Kink& kink : kinks()) out << row_of(kink);
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

TEST_CASE("derivatives at kinks are between those of both sides, or NaN, and docs say which") {
  const std::string found = read(CINCH_SOURCE_DIR "/docs/derivatives.md");
  const std::vector<Kink> all = kinks();
  for (const Kink& kink : all) {
    CAPTURE(row_of(kink));
    const bool jumps = std::abs(kink.slope[0] - kink.slope[1]) > 1e-3;
    const auto& [below, above, there] = jumps ? kink.slope : kink.curvature;
    CHECK((std::isnan(there) ||
           (there >= std::min(below, above) && there <= std::max(below, above))));
    CHECK_MESSAGE(found.find("\n" + row_of(kink)) != std::string::npos,
                  "docs/derivatives.md has no such row: run scripts/tables");
  }
  CHECK(all.size() > 30);
}

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
