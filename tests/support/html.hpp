// Whether a report is sound: as text, and in a browser where there is one.
#pragma once

#include <string>

namespace cinch::testing {

/// What is wrong with a page, "" where nothing is: elements that are not closed in their order,
/// attributes without quotes, "<" or "&" as text, ids that two elements have, an address that leads
/// out of the file, no policy that forbids one.
std::string faults_of_page(const std::string& html);

struct Browsed {
  bool there = false;   ///< Whether chromium is installed.
  std::string page;     ///< As it is after its scripts have run.
  std::string console;  ///< What was said there, errors too.
};
/// Opens a file without a network.
Browsed browse(const std::string& path);

}  // namespace cinch::testing
