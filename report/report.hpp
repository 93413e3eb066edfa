// A run on one page: an HTML file that opens offline, with curves, pictures, audit and environment.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cinch/audit/audit.hpp"
#include "cinch/core/explain.hpp"
#include "cinch/io/plot.hpp"

namespace CINCH_PUBLIC cinch {

/// Rows of texts under a header; all rows are as long as it is.
struct Table {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
};

/// What a report can show. A text keeps its lines and spaces.
using Shown = std::variant<std::string, Table, Plot, Picture, AuditReport, Explanation>;

/// A part of a report. The caption says what is seen, and in which units.
struct ReportPart {
  std::string title;
  Shown shown;
  std::string caption = {};
};

/// What a run did, to be written by write_report(). All texts are UTF-8 and shown as they are.
///
///     Report report{.title = "My model", .command = "./mine --rate 0.1"};
///     report.add("Training", Plot{"", "epoch", {cost}}, "Cross-entropy, nats an image.");
///     report.add("Audit", audit(cost, params, {{x, examples}}));
///     report.add("Step", explain(step));
///     write_report("out/report.html", report);
struct Report {
  std::string title;
  std::string command = {};  ///< What makes the run again, as a shell takes it.
  std::string commit = {};   ///< Of the program's sources, as `git describe --dirty` says
                             ///< it. One that ends with "-dirty" is marked.
  std::vector<std::string> notes = {};  ///< At the top: what a reader must know.
  std::vector<ReportPart> parts = {};

  /// One more part, below those there are. An empty caption is left out.
  void add(std::string part, Shown shown, std::string caption = {}) {
    parts.push_back({std::move(part), std::move(shown), std::move(caption)});
  }
};

/// What a program runs with: Cinch's version, compiler, SIMD, OpenBLAS and its kernels, threads,
/// operating system, the time.
Table environment();

/// The most that a report's file has, in bytes.
constexpr std::size_t largest_report = 1'000'000;

/// Writes one HTML file of at most `largest_report` bytes; it is replaced as a whole. It needs
/// nothing else to be read: no network, no other file. Curves can be zoomed, by a script in it.
/// Where all of it would be too large, pictures become smaller, curves coarser, texts and tables
/// shorter, and each says so. Ends with environment(). Throws TypeError for a table whose rows
/// differ in length, curves whose xs, ys, errors or labels do, and an empty picture; ValueError
/// where there are so many parts that the file cannot be made small enough; FileError.
void write_report(const std::string& path, const Report& report);

}  // namespace cinch
