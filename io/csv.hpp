// Tables of numbers as comma-separated text.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "cinch/core/visibility.hpp"
#include "cinch/io/file.hpp"

namespace CINCH_PUBLIC cinch {

/// Writes a CSV file row by row, for the log of a training run: every row is in the file when row()
/// returns, so that a run can be watched and an interrupted one has its log.
///
///     CsvWriter log("run.csv", {"epoch", "cost"});
///     log.row({0, 589.57});
class CsvWriter {
 public:
  /// Replaces the file by the line of column names; a name with a comma, a quote or a line break is
  /// quoted as RFC 4180 says. Throws FileError, also where another CsvWriter, of this program or
  /// another one, has the file.
  CsvWriter(const std::string& path, const std::vector<std::string>& columns);

  /// One value a column, with 17 significant digits: a double is read back exactly. Throws
  /// TypeError for another number of values, FileError where the disk is full.
  void row(std::span<const double> values);
  void row(std::initializer_list<double> values) { row(std::span(values.begin(), values.size())); }

 private:
  std::size_t columns_;
  GrowingFile file_;
};

}  // namespace cinch
