// Programs that are killed at any moment, as by a power failure or the system's memory killer.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "cinch/cinch.hpp"
#include "support/programs.hpp"
#include "support/settings.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

namespace fs = std::filesystem;

/// A program with arguments, without --output, that takes some tenths of a second.
struct Killed {
  const char* name;
  const char* arguments;
};
const std::vector<Killed> programs = {
    {"contractive_autoencoder", "--batch 5 --hidden 20 --epochs 20"},
    {"sparse", "--batch 10 --hidden 10 --epochs 10"},
    {"stacked_denoising_autoencoder",
     "--batch 10 --hidden 10,8 --corruption 0.1,0.2 --pretraining-epochs 8 --epochs 15"},
    {"linear_autoencoder_is_pca", "--code 4"},
    {"vae", "--batch 10 --hidden 10 --epochs 10"},
};

/// Its status as waitpid() gives it.
int wait_for(pid_t id) {
  int status = 0;
  REQUIRE(waitpid(id, &status, 0) == id);
  return status;
}

std::set<std::string> names_in(const std::string& folder) {
  std::set<std::string> result;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none))
    result.insert(entry.path().filename().string());
  return result;
}

/// What a killed process left behind that none but itself would take for its own.
std::int64_t left_by(const std::set<pid_t>& dead, const std::string& folder) {
  std::int64_t count = 0;
  for (const std::string& name : names_in(folder)) {
    for (const pid_t id : dead) count += name.find(text(".partial-", id, "-")) != std::string::npos;
  }
  return count;
}

/// All that a run leaves behind but how long it took, by file.
std::map<std::string, std::string> results_of(const std::string& folder) {
  std::map<std::string, std::string> result;
  for (const std::string& name : names_in(folder)) {
    const std::string path = folder + "/" + name;
    std::string& said = result[name];
    if (name.ends_with(".npz")) {
      for (auto& [array, value] : read_npz(path)) {
        if (array == "training/numbers") value.data<double>()[2] = 0;
        if (array == "training/history") {
          const std::int64_t columns = value.shape()[1];
          for (std::int64_t row = 0; row < value.shape()[0]; ++row)
            value.data<double>()[static_cast<std::size_t>(row * columns + 4)] = 0;
        }
        said += array + text(value.shape());
        said.append(static_cast<const char*>(value.raw()), value.bytes());
      }
    } else if (name.ends_with("log.csv")) {
      for (std::vector<std::string> row : read_csv(path)) {
        row.pop_back();
        for (const std::string& cell : row) said += cell + ",";
        said += "\n";
      }
    } else if (name.ends_with(".md")) {
      std::istringstream lines(contents(path));
      for (std::string line; std::getline(lines, line);) {
        if (line.find("seconds") == std::string::npos && line.find("minutes") == std::string::npos)
          said += line + "\n";
      }
    } else {
      said = contents(path);
    }
  }
  return result;
}

}  // namespace

TEST_CASE(
    "killed at any moment and resumed, a run leaves nothing stale and ends with the same bits") {
  const Scratch scratch;
  const std::string data = small_data(scratch);
  const std::int64_t wanted = 4 * number_from("CINCH_ROUNDS", 1);  // Kills of each program.
  std::mt19937_64 random(static_cast<std::uint64_t>(number_from("CINCH_RANDOM_SEED", 1)));
  std::int64_t kills = 0, swept = 0;
  for (const Killed& p : programs) {
    CAPTURE(std::string(p.name));
    const std::string whole = scratch.path + "/whole", out = scratch.path + "/out",
                      said = scratch.path + "/said";
    const auto call = [&](const std::string& folder) {
      return p.arguments + (" --data " + data) + " --output " + folder;
    };
    fs::remove_all(whole);
    const auto start = std::chrono::steady_clock::now();
    REQUIRE(wait_for(start_example(p.name, call(whole), said)) == 0);
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const auto expected = results_of(whole);
    std::int64_t made = 0;
    for (std::int64_t run = 0; made < wanted && run < 5 * wanted; ++run) {
      fs::remove_all(out);
      std::set<pid_t> dead;
      // Each goes on from where the one before was killed; the last one may end.
      for (bool ended = false; !ended;) {
        const std::string resume = fs::exists(out + "/run.txt") ? " --resume" : "";
        const pid_t process = start_example(p.name, call(out) + resume, said);
        const bool spared = dead.size() >= 3;
        if (!spared) {
          usleep(static_cast<useconds_t>(
              std::uniform_real_distribution<double>(0, 1.1e6 * seconds)(random)));
          kill(process, SIGKILL);
        }
        const int status = wait_for(process);
        ended = WIFEXITED(status);
        CAPTURE(contents(said));
        if (ended) REQUIRE(WEXITSTATUS(status) == 0);
        // Whoever has come to its first epoch has swept.
        const bool came_far = ended || contents(said).find("\nepoch ") != std::string::npos;
        if (came_far) {
          CHECK(left_by(dead, out) == 0);
          swept += static_cast<std::int64_t>(dead.size());
        }
        if (!ended) dead.insert(process);
      }
      made += static_cast<std::int64_t>(dead.size());
      const auto found = results_of(out);
      for (const auto& [file, content] : expected) {
        const std::string& name = file;
        CAPTURE(name);
        REQUIRE(found.count(name) == 1);
        const bool same = name == "run.txt" || name == "run.ini" || found.at(name) == content;
        CHECK(same);
      }
      CHECK(found.size() == expected.size());
    }
    kills += made;
  }
  MESSAGE(kills << " runs killed, " << swept << " of them followed by one that swept");
  CHECK(kills > 0);
}
