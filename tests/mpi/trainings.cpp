// Trainings on several processes, as users start them.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "io/temporary_folder.hpp"
#include "support/programs.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

struct Vendor {
  std::string run, program;
  bool is_mpich() const { return run.find("mpich") != std::string::npos; }
};

/// Launchers, each with the program that is linked with its MPI.
std::vector<Vendor> vendors() {
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

std::string started(const Vendor& v, int ranks, const std::string& arguments) {
  // Open MPI refuses, unless told, to run as root, as builds in containers do, and more ranks than
  // there are processors.
  const std::string more = v.is_mpich() ? "" : " --allow-run-as-root --oversubscribe";
  return v.run + more + " -np " + std::to_string(ranks) + " " + v.program + " " + arguments;
}

Ran run_ranks(const Vendor& v, int ranks, const std::string& arguments) {
  return run_command(started(v, ranks, arguments));
}

}  // namespace

TEST_CASE("bits are the same for any number of ranks and threads") {
  for (const char* kind : {"contractive", "denoising", "variational", "stacked", "normalised"}) {
    CAPTURE(kind);
    const Vendor first = vendors().front();
    const Ran alone = run_command(first.program + " " + kind + " distribute=one");
    REQUIRE(alone.status == 0);
    REQUIRE(contains(alone.output, "bits "));
    for (const Vendor& v : vendors()) {
      CAPTURE(v.run);
      for (const int ranks : {1, 2, 3, 4, 8}) {
        CAPTURE(ranks);
        for (const char* threads : {" threads=1", " threads=2"}) {
          if (threads[9] == '2' && ranks != 2 && ranks != 3) continue;
          const Ran ran = run_ranks(v, ranks, kind + std::string(threads));
          CHECK(ran.status == 0);
          CHECK(ran.output == alone.output);
        }
      }
    }
  }
}
