// How tests start several processes: by each MPI that is there.
#pragma once

#include <string>
#include <vector>

#include "io/temporary_folder.hpp"
#include "support/programs.hpp"

namespace cinch::testing {

struct Vendor {
  std::string run, program;
  bool is_mpich() const { return run.find("mpich") != std::string::npos; }
};

/// Launchers, each with the program that is linked with its MPI.
inline std::vector<Vendor> vendors() {
  std::vector<std::string> words{""};
  for (const char c : std::string(CINCH_MPI_VENDORS)) {
    if (c == '|') {
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  std::vector<Vendor> result;
  for (std::size_t k = 0; k + 1 < words.size(); k += 2) result.push_back({words[k], words[k + 1]});
  return result;
}

inline std::string started(const Vendor& v, int ranks, const std::string& arguments) {
  // Open MPI refuses, unless told, to run as root, as builds in containers do, and more ranks than
  // there are processors.
  const std::string more = v.is_mpich() ? "" : " --allow-run-as-root --oversubscribe";
  return v.run + more + " -np " + std::to_string(ranks) + " " + v.program + " " + arguments;
}

}  // namespace cinch::testing
