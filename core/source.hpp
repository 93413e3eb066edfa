// Where in the user's program something was written.
#pragma once

#include <string>

#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// File and line of a call. As a defaulted last parameter, `Source where = Source::here()` is the
/// caller's own line.
struct Source {
  const char* file = "";
  int line = 0;

  static constexpr Source here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
  /// "program.cpp:12": the file's last path component and the line.
  std::string text() const;
};

}  // namespace cinch
