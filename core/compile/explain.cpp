#include "cinch/core/explain.hpp"

#include <algorithm>
#include <iomanip>
#include <map>
#include <numeric>
#include <set>
#include <sstream>

#include "cinch/core/columns.hpp"
#include "cinch/core/compile/inspect.hpp"
#include "cinch/core/compile/pipeline.hpp"
#include "cinch/core/error.hpp"

namespace cinch {

namespace {

/// A number with three digits and a unit's prefix: "1.23 M".
std::string human(double value, const char* unit) {
  const char* prefix = "";
  for (const char* next : {"k", "M", "G", "T"}) {
    if (value < 999.5) break;
    value /= 1000;
    prefix = next;
  }
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out << std::setprecision(value >= 99.5 ? 3 : 2) << (value < 10 ? std::fixed : std::defaultfloat);
  out << std::setprecision(value >= 9.995 ? 3 : 2) << value << ' ' << prefix << unit;
  return out.str();
}

std::string time_text(double nanoseconds) {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out << std::fixed << std::setprecision(nanoseconds < 1e5 ? 2 : 1) << nanoseconds / 1000 << " us";
  return out.str();
}

/// The user's lines behind these nodes, each once: "model.cpp:12, model.cpp:14".
std::vector<std::string> lines_of(std::span<const Expr> nodes) {
  std::vector<std::string> lines;
  for (const Expr& node : nodes) {
    std::string line = node->where.text();
    if (std::ranges::find(lines, line) == lines.end()) lines.push_back(std::move(line));
  }
  return lines;
}

std::string joined(const std::vector<std::string>& parts, const char* between, std::size_t most) {
  std::string result;
  for (std::size_t k = 0; k < parts.size() && k < most; ++k)
    result += (k ? between : "") + parts[k];
  if (parts.size() > most) result += between + text("and ", parts.size() - most, " more");
  return result;
}

std::string quoted(const std::string& s) {
  std::string result = "\"";
  for (const char c : s) {
    if (c == '"' || c == '\\') result += '\\';
    if (c == '\n') {
      result += "\\n";
    } else {
      result += c;
    }
  }
  return result + "\"";
}

}  // namespace

Explanation explain(const Function& f) {
  const compiling::Program& program = Inspect::program(f);
  compiling::CompileLog log;
  // The function was rewritten once when it was made, without sizes.
  compiling::Goals written = compiling::goals_of(program.written);
  run_passes(compiling::passes_without_sizes(), written, &log, program.name);
  const std::unique_ptr<planning::Plan> plan = Inspect::replan(f, log);
  if (!plan) {
    throw Error("explain: " + program.name +
                " has no plan: call it once in Mode::fast, so that its sizes are known");
  }
  return {program.name,        std::move(log.rules),    std::move(log.contractions), plan->steps(),
          plan->arena_bytes(), plan->temporary_bytes(), std::move(log.stages)};
}

std::string Explanation::text(int width) const {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  const auto line = [&](const auto&... parts) {
    const std::string whole = cinch::text(parts...);
    out << folded(whole, width, static_cast<int>(whole.find_first_not_of(' ')) + 4) << "\n";
  };
  out << name << "\n\nRewritten (user's line: rule, times; what it made of what)\n";
  std::map<std::pair<std::string, std::string>, std::pair<int, std::string>> by_line;
  for (const Applied& a : rules) {
    auto& [count, example] = by_line[{a.where.text(), std::string(a.rule)}];
    if (++count == 1) example = a.before + "  ->  " + a.after;
  }
  for (const auto& [key, value] : by_line) {
    const std::string times = value.first > 1 ? cinch::text(", ", value.first, " times") : "";
    line("  ", key.first, ": ", key.second, times);
    line("      ", value.second);
  }
  if (by_line.empty()) out << "  nothing\n";

  out << "\nContractions (work as written -> as computed)\n";
  for (const ContractionReport& c : contractions) {
    line("  ", c.where.text(), ": ", human(c.written.flops, "flop"), " -> ",
         human(c.chosen.flops, "flop"), ", ", human(c.written.bytes, "B"), " -> ",
         human(c.chosen.bytes, "B"));
    line("      ", c.before);
    line("   =  ", c.after);
    if (!c.is_cheapest)
      line("      in an order found step by step: of more than nine factors not all are tried");
  }
  if (contractions.empty()) out << "  none that gains\n";

  out << "\nKernels, in the order in which they run\n";
  bool committing = false;
  for (std::size_t k = 0; k < steps.size(); ++k) {
    const StepInfo& step = steps[k];
    if (step.at_commit && !committing) out << "  updates, in place, when all else is computed:\n";
    committing = step.at_commit;
    const std::string number = std::to_string(k);
    line(std::string(number.size() < 4 ? 4 - number.size() : 0, ' '), number, "  ",
         step.kernel == "loop" ? "loop: " : "", step.what, "  (", human(step.flops, "flop"), ", ",
         human(step.bytes, "B"), ")");
    const auto lines = lines_of(step.nodes);
    line("        ", joined(step.writes, ", ", 8), " from ", joined(step.reads, ", ", 8),
         lines.empty() ? "" : "; ", joined(lines, ", ", 6));
  }
  out << "\n";
  line("Memory: temporaries share ", human(static_cast<double>(arena_bytes), "B"), ", one by one ",
       human(static_cast<double>(temporary_bytes), "B"));
  return out.str();
}

std::string Explanation::dot() const {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out << "digraph " << quoted(name) << " {\n  node [fontname=\"sans-serif\", fontsize=10];\n";
  // Whose result a value is; what no kernel has written comes from outside.
  std::map<std::string, std::size_t> writer;
  std::set<std::string> outside;
  for (std::size_t k = 0; k < steps.size(); ++k) {
    const StepInfo& step = steps[k];
    const auto lines = lines_of(step.nodes);
    out << "  k" << k << " [shape=box, style=filled, fillcolor="
        << (step.at_commit          ? "\"#f6d5a8\""
            : step.kernel == "loop" ? "\"#d5e8d4\""
                                    : "\"#dae8fc\"")
        << ", label="
        << quoted(step.what + "\n" + human(step.flops, "flop") + ", " + human(step.bytes, "B") +
                  (lines.empty() ? "" : "\n" + joined(lines, "\n", 4)))
        << "];\n";
    for (const std::string& value : std::set<std::string>(step.reads.begin(), step.reads.end())) {
      const auto from = writer.find(value);
      if (from != writer.end()) {
        out << "  k" << from->second << " -> k" << k << ";\n";
      } else if (value != "constant") {
        if (outside.insert(value).second)
          out << "  " << quoted("v " + value) << " [shape=ellipse, label=" << quoted(value)
              << "];\n";
        out << "  " << quoted("v " + value) << " -> k" << k << ";\n";
      }
    }
    for (const std::string& value : step.writes) writer[value] = k;
  }
  out << "}\n";
  return out.str();
}

Profile profile(const Function& f) {
  Profile result;
  result.name = Inspect::program(f).name;
  std::map<std::string, Profile::Row> lines;
  double inside = 0;
  for (const compiling::PlanRecord& plan : Inspect::plans(f)) {
    result.calls += plan.calls;
    result.nanoseconds += plan.nanoseconds;
    for (std::size_t k = 0; k < plan.times.size(); ++k) {
      const StepInfo& step = plan.steps[k];
      const StepTime& time = plan.times[k];
      if (time.runs == 0) continue;
      const auto runs = static_cast<double>(time.runs);
      inside += time.nanoseconds;
      result.kernels.push_back({text(k, " ", step.kernel == "loop" ? "loop: " : "", step.what),
                                time.nanoseconds, 0, time.runs, runs * step.flops,
                                runs * step.bytes});
      const auto nodes = static_cast<double>(step.nodes.size());
      for (const Expr& node : step.nodes) {
        Profile::Row& line = lines[node->where.text()];
        line.nanoseconds += time.nanoseconds / nodes;
        line.flops += runs * step.flops / nodes;
        line.bytes += runs * step.bytes / nodes;
      }
      if (step.nodes.empty()) lines[step.what].nanoseconds += time.nanoseconds;
    }
  }
  if (result.calls == 0) {
    throw Error("profile: no call of " + result.name +
                " was measured: compile it with .profile = true, or call set_profiling(true)");
  }
  result.outside = std::max(0.0, result.nanoseconds - inside);
  for (auto& [line, row] : lines) {
    row.what = line;
    result.lines.push_back(std::move(row));
  }
  for (auto* rows : {&result.kernels, &result.lines}) {
    for (Profile::Row& row : *rows) row.share = row.nanoseconds / result.nanoseconds;
    std::ranges::stable_sort(*rows, std::greater{}, &Profile::Row::nanoseconds);
  }
  return result;
}

std::string Profile::text(int width) const {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  const auto per_call = static_cast<double>(calls);
  out << folded(
             cinch::text(name, ": ", calls, " calls, ", time_text(nanoseconds / per_call), " each"),
             width, 4)
      << "\n";
  const auto table = [&](const char* title, const std::vector<Row>& rows) {
    out << "\n"
        << std::setw(12) << "time a call"
        << "  share  Gflop/s    GB/s  " << title << "\n";
    for (const Row& row : rows) {
      const auto rate = [&](double amount) {
        out << std::setw(8) << std::setprecision(1) << std::fixed
            << (row.nanoseconds > 0 ? amount / row.nanoseconds : 0.0);
      };
      constexpr int column = 37;  // Of what it is.
      out << std::setw(12) << time_text(row.nanoseconds / per_call) << std::setw(6)
          << std::setprecision(1) << std::fixed << 100 * row.share << "%";
      rate(row.flops);
      rate(row.bytes);
      const std::string what = folded(std::string(column, ' ') + row.what, width, column + 2);
      out << "  " << what.substr(column) << "\n";
    }
  };
  table("kernel", kernels);
  out << std::setw(12) << time_text(outside / per_call) << std::setw(6) << std::setprecision(1)
      << 100 * outside / nanoseconds << "%                  outside of kernels\n";
  table("line", lines);
  return out.str();
}

}  // namespace cinch
