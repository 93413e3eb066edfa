// An audit as text: a table of the terms, a line for each nonlinearity, the findings.
#include <algorithm>
#include <cmath>
#include <ostream>
#include <sstream>

#include "cinch/audit/audit.hpp"
#include "cinch/core/columns.hpp"

namespace cinch {

namespace {

std::string number(double x, int digits = 3) {
  if (std::isnan(x)) return "nan";  // Whatever its sign.
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out.precision(digits);
  out << x;
  return out.str();
}

std::string percent(double share) {
  if (!std::isfinite(share)) return "?";
  const double whole = std::round(100 * share);
  if (share > 0 && whole == 0) return "<1 %";
  if (share < 1 && whole == 100) return ">99 %";
  return text(static_cast<int>(whole), " %");
}

/// "mean", "sum" or the exponent of the number of examples.
std::string growth_of(const AuditTerm& term, std::int64_t examples) {
  if (examples == 0) return "";
  if (!term.growth) return "?";
  const double e = *term.growth;
  if (std::abs(e) < 0.1) return "stays";
  if (std::abs(e - 1) < 0.1) return "doubles";
  if (std::abs(e + 1) < 0.1) return "halves";
  return "x " + number(std::exp2(e), 2);
}

std::string differences_of(const AuditTerm& term) {
  if (term.differences.orders.empty()) return "-";
  bool decided = false;
  for (const Derivative& d : term.differences.orders[0].along) decided = decided || d.decided;
  if (!decided) return "undecided";
  return term.differences.ok ? "agree" : "DISAGREE";
}

using Cells = std::vector<std::vector<std::string>>;

std::string names(const std::vector<std::string>& all) {
  std::string result;
  for (const std::string& name : all) result += (result.empty() ? "" : ", ") + name;
  return result;
}

/// The label, and below each other the lines of a text, folded.
std::string hanging(const std::string& label, const std::string& text, int width) {
  const std::string space(label.size(), ' ');
  std::string result, line, before = label;
  std::istringstream in(text);
  for (; std::getline(in, line); before = space)
    result += folded(before + line, width, columns_of(label)) + "\n";
  return result;
}

void print(std::ostream& out, const std::vector<AuditFinding>& findings, int width) {
  for (std::size_t i = 0; i < findings.size(); ++i) {
    std::string said = findings[i].text;
    said.erase(said.find_last_not_of(" \n") + 1);
    const Source& where = findings[i].where;
    // Most texts say it where it belongs.
    const bool told = findings[i].text.find(where.text()) != std::string::npos;
    if (where.line && !told) said += "  at " + where.text();
    out << hanging(text(i + 1, ". "), said, width);
  }
}

void print(std::ostream& out, const AuditReport& audit, int width) {
  std::string first = "The cost is " + number(audit.value, 6);
  if (audit.examples > 0)
    first += text(" for ", audit.examples, " examples (", names(audit.batch), ")");
  if (audit.where.line) first += "  at " + audit.where.text();
  out << folded(first, width, 4) << "\n\n";

  Cells rows{{"term", "value", "share"}};
  for (const std::string& p : audit.parameters) rows[0].push_back("|d/d" + p + "|");
  rows[0].emplace_back("differences");
  if (audit.examples > 0) rows[0].emplace_back("twice the examples");
  rows[0].emplace_back("line");
  for (std::size_t t = 0; t < audit.terms.size(); ++t) {
    const AuditTerm& term = audit.terms[t];
    std::vector<std::string> row{text(t + 1, " ", term.name), number(term.value, 5),
                                 percent(term.share)};
    for (std::size_t k = 0; k < audit.parameters.size(); ++k) {
      row.push_back(term.reach[k] == Reach::none      ? "-"
                    : term.reach[k] == Reach::stopped ? "stopped"
                                                      : number(term.norms[k]));
    }
    row.push_back(differences_of(term));
    if (audit.examples > 0) row.push_back(growth_of(term, audit.examples));
    row.push_back(term.where.text());
    rows.push_back(std::move(row));
  }
  out << table(rows, width);

  if (!audit.units.empty()) {
    out << "\n";
    Cells units;
    for (const AuditUnits& u : audit.units) {
      const bool relu = u.op == "relu";
      units.push_back({text(u.units, " ", u.op, " units"),
                       percent(u.saturated) + (relu ? " zeros" : " saturated"),
                       text(u.stuck, relu ? " dead" : " stuck"), u.where.text()});
    }
    out << table(units, width);
  }

  out << "\n";
  if (audit.findings.empty()) out << "Nothing looks like a mistake.\n";
  print(out, audit.findings, width);
  if (audit.notes.empty()) return;
  out << "\nGood to know:\n";
  print(out, audit.notes, width);
}

}  // namespace

std::string AuditReport::text(int width) const {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  print(out, *this, width);
  return out.str();
}

std::ostream& operator<<(std::ostream& out, const AuditReport& report) {
  return out << report.text();
}

}  // namespace cinch
