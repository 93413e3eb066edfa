// What a compiled function does, and where its time goes.
#pragma once

#include <string>
#include <vector>

#include "cinch/core/function.hpp"
#include "cinch/core/report.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// How a function runs for the sizes it was last called with.
struct Explanation {
  std::string name;
  std::vector<Applied> rules;  ///< Rewrites, in the order in which they were applied.
  std::vector<ContractionReport> contractions;
  std::vector<StepInfo> steps;
  std::size_t arena_bytes = 0;      ///< One block of memory that holds all temporaries.
  std::size_t temporary_bytes = 0;  ///< What they would need if none used another's place.
  std::vector<Stage> stages = {};   ///< The passes, in order, and the graph after each.

  /// For people: rules by the user's lines, contractions with their work before and after, the
  /// kernels in the order in which they run, memory; lines of at most `width` columns.
  std::string text(int width = 80) const;
  /// The kernels and the values between them in Graphviz' language, for `dot -Tsvg`.
  std::string dot() const;
};

/// Throws Error before the function's first call, when no sizes are known, and for Mode::checked,
/// which runs the graph as written.
Explanation explain(const Function& f);

/// Where the time of a function's measured calls went.
struct Profile {
  struct Row {
    std::string what;  ///< A kernel, or a line of the user's program.
    double nanoseconds = 0;
    double share = 0;             ///< Of the time in calls.
    std::int64_t runs = 0;        ///< 0 for a line.
    double flops = 0, bytes = 0;  ///< Of all runs together.
  };
  std::string name;
  std::int64_t calls = 0;
  double nanoseconds = 0;    ///< In calls.
  std::vector<Row> kernels;  ///< Those that took longest first; plans for other sizes apart.
  /// By the line that wrote the expression a kernel computes; the time of a kernel with nodes from
  /// several lines is shared evenly among its nodes.
  std::vector<Row> lines;
  double outside = 0;  ///< Nanoseconds in calls but in no kernel: arguments, outputs, looking up.

  /// Two tables of at most `width` columns: by kernels, and by the user's lines.
  std::string text(int width = 80) const;
};

/// Of all calls since profiling was switched on, by FunctionSpec::profile or set_profiling(). Only
/// plans still kept count. Throws Error where nothing was measured.
Profile profile(const Function& f);

}  // namespace cinch
