#include "cinch/report/report.hpp"

#include <sys/utsname.h>

#include <array>
#include <cstdio>
#include <ctime>

#include "cinch/core/threads.hpp"
#include "cinch/core/version.hpp"
#include "cinch/io/file.hpp"
#include "cinch/ops/kernels/kernels.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/report/page/page.hpp"
#include "cinch/report/page/parts.hpp"

namespace cinch {

namespace {

/// Nothing is fetched: a browser that knows the policy forbids it.
constexpr const char* head =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";

std::string note(const std::string& what) {
  return "<p class=\"note\">" + page::escaped(what) + "</p>\n";
}

/// The whole file, with no more of each part than the limits allow.
std::string page_of(const Report& report, const Table& where, const page::Limits& limits) {
  std::string result = head;
  result += "<title>" + page::escaped(report.title) + "</title>\n<style>" + page::style +
            "</style>\n</head>\n<body>\n<h1>" + page::escaped(report.title) + "</h1>\n";
  for (const std::string& what : report.notes) result += note(what);
  if (report.commit.ends_with("-dirty"))
    result += note("The program was built from sources with changes that are in no commit: " +
                   report.commit + " alone does not make this run again.");
  std::vector<ReportPart> parts = report.parts;
  parts.push_back({"Environment", where, ""});
  result += "<nav>";
  for (std::size_t k = 0; k < parts.size(); ++k)
    result += text("<a href=\"#part", k, "\">", page::escaped(parts[k].title), "</a> ");
  result += "</nav>\n";
  if (!report.command.empty())
    result += "<p class=\"caption\">This makes the run again:</p>\n<pre class=\"command\">" +
              page::escaped(report.command) + "</pre>\n";
  for (std::size_t k = 0; k < parts.size(); ++k)
    result += text("<h2 id=\"part", k, "\">", page::escaped(parts[k].title), "</h2>\n") +
              page::section(parts[k], limits);
  return result + "<script>" + page::script + "</script>\n</body>\n</html>\n";
}

std::string compiler() {
#ifdef __clang__
  return __VERSION__;
#else
  return "g++ " __VERSION__;
#endif
}

std::string now() {
  const std::time_t time = std::time(nullptr);
  std::tm utc{};
  std::array<char, 64> digits{};
  if (!gmtime_r(&time, &utc)) return "unknown";
  std::strftime(digits.data(), digits.size(), "%Y-%m-%d %H:%M UTC", &utc);
  return digits.data();
}

}  // namespace

Table environment() {
  utsname system{};
  const bool known = uname(&system) == 0;
  return {{"", ""},
          {{"Cinch", std::string(version())},
           {"compiler", compiler()},
           {"SIMD", std::string(simd::kernels().name)},
           {"OpenBLAS kernels", blas_core()},
           {"threads", text(threads())},
           {"system", known ? text(system.sysname, ' ', system.release, ", ", system.machine)
                            : std::string("unknown")},
           {"time", now()}}};
}

void write_report(const std::string& path, const Report& report) {
  Table where = environment();
  if (!report.commit.empty()) where.rows.insert(where.rows.begin() + 1, {"commit", report.commit});
  page::Limits limits;
  std::string page = page_of(report, where, limits);
  while (page.size() > largest_report && limits.pixels > 0) {
    limits = limits.halved();
    page = page_of(report, where, limits);
  }
  if (page.size() > largest_report)
    throw ValueError(text("write_report: ", printable(path), " would be ", page.size(),
                          " bytes however little is shown of each of its ", report.parts.size(),
                          " parts, more than ", largest_report, ": make several reports"));
  replace_file(path, page);
}

}  // namespace cinch
