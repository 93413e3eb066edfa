// Rows of numbers as JSON lines.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "cinch/io/file.hpp"

namespace CINCH_PUBLIC cinch {

/// Writes one JSON object a line (jsonlines.org), for the log of a training run: what CsvWriter
/// writes, for programs that like names beside values. Every row is in the file when row() returns.
///
///     JsonlWriter log("run.jsonl", {"epoch", "cost"});
///     log.row({0, 589.57});                             // {"epoch":0,"cost":589.57}
class JsonlWriter {
 public:
  /// Replaces the file by an empty one. Throws FileError, also where another writer, of this
  /// program or another one, has the file, and TypeError where two columns have one name.
  JsonlWriter(const std::string& path, const std::vector<std::string>& columns);

  /// One value a column, with as many digits as read back the same double. JSON has neither NaN nor
  /// infinities: these are null. Throws TypeError for another number of values, FileError where the
  /// disk is full.
  void row(std::span<const double> values);
  void row(std::initializer_list<double> values) { row(std::span(values.begin(), values.size())); }

 private:
  std::vector<std::string> names_;  // Quoted.
  GrowingFile file_;
};

}  // namespace cinch
