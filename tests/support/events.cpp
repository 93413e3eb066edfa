#include "support/events.hpp"

#include <doctest/doctest.h>

#include <sstream>

#include "support/programs.hpp"

namespace cinch::testing {

std::optional<std::vector<std::string>> read_events(const std::string& path) {
  Ran ran{77, ""};
  // Debian's own first: another one in PATH has no packages of Debian's.
  for (const std::string python : {"/usr/bin/python3", "python3"}) {
    ran = run_command(python + " " CINCH_SOURCE_DIR "/tests/support/read_events.py '" + path + "'");
    if (ran.status != 77 && ran.status != 127) break;
  }
  if (ran.status == 77 || ran.status == 127) {
    MESSAGE("skipped: there is no Python with protobuf (python3-protobuf)");
    return std::nullopt;
  }
  CAPTURE(ran.output);
  REQUIRE(ran.status == 0);
  std::vector<std::string> lines;
  std::istringstream in(ran.output);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

}  // namespace cinch::testing
