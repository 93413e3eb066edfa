// A bar with the time left.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// "[######........................] epoch 2, 12 s left" for `done` of `total` steps, of which
/// those after `first` took `seconds`. Of at most `width` columns: what has no place is left out,
/// the bar first.
std::string progress_line(std::int64_t done, std::int64_t total, std::int64_t first, double seconds,
                          const std::string& what, int width = 79);

/// Shows it on a terminal, within one line whatever its width, at most ten times a second; nothing
/// elsewhere.
///
///     if (progress.due(done)) progress.show(done, text("epoch ", epoch));
class Progress {
 public:
  /// `out` may be null: nothing is shown. Steps before `first` were made by an earlier program.
  Progress(std::FILE* out, std::int64_t total, std::int64_t first = 0);

  bool due(std::int64_t done) const;
  void show(std::int64_t done, const std::string& what);
  void clear() const;
  double elapsed() const;  ///< Seconds since it was made.

 private:
  std::FILE* out_;  // Null where nothing is shown.
  std::int64_t total_, first_;
  double last_ = -1;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace cinch
