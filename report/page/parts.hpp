// Each part of a report as HTML, within limits.
#pragma once

#include <cstddef>
#include <string>

#include "cinch/report/report.hpp"

namespace cinch::page {

/// The most of a part that is shown.
struct Limits {
  std::size_t points = 4000;     ///< Of a curve.
  std::size_t letters = 200000;  ///< Of a text.
  std::size_t rows = 1000;       ///< Of a table, and kernels of a function.
  std::size_t pixels = 600000;   ///< Of a picture.

  Limits halved() const { return {points / 2, letters / 2, rows / 2, pixels / 2}; }
};

/// A text as HTML shows it, in elements and in attributes. Control characters, which HTML forbids,
/// and bytes that are no UTF-8 become U+FFFD.
std::string escaped(const std::string& text);

/// <section>...</section>
std::string section(const ReportPart& part, const Limits& limits);

}  // namespace cinch::page
