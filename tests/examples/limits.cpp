// Programs where the system gives little: memory, threads, a place for temporary files.
#include <doctest/doctest.h>
#include <grp.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "small_runs.hpp"
#include "support/programs.hpp"

using namespace cinch::testing;

namespace {

namespace fs = std::filesystem;

/// A program in a child that first does `before`.
struct Ended {
  int status;  ///< -1 where a signal ended it.
  std::string output;
  std::int64_t kibibytes;  ///< The most that it had in memory.
};
Ended run_after(const std::function<void()>& before, const std::string& program,
                const std::string& arguments, const std::string& said) {
  const pid_t child = start_example(program, arguments, said, before);
  Ended result{-1, "", 0};
  int status = 0;
  rusage usage{};
  REQUIRE(wait4(child, &status, 0, &usage) == child);
  if (WIFEXITED(status)) result.status = WEXITSTATUS(status);
  result.output = contents(said);
  result.kibibytes = usage.ru_maxrss;
  return result;
}

/// From here on the process has one thread and no child. Root has no limit, so it becomes nobody.
void allow_one_thread() {
  if (geteuid() == 0 && (setgroups(0, nullptr) != 0 || setgid(65534) != 0 || setuid(65534) != 0))
    _exit(125);
  const rlimit limit{0, 0};
  if (setrlimit(RLIMIT_NPROC, &limit) != 0) _exit(125);
  // OpenBLAS makes threads while the program is loaded, and has no way without.
  setenv("OPENBLAS_NUM_THREADS", "1", 1);
  setenv("CINCH_THREADS", "4", 1);
  try {
    std::thread([] {}).join();
    _exit(125);  // A thread was to be had.
  } catch (const std::system_error&) {
  }
}

}  // namespace

TEST_CASE("the list of programs here has all there are") {
  std::vector<std::string> listed;
  for (const SmallProgram& p : all_programs) listed.emplace_back(p.name);
  CHECK(listed == programs_there());
}

TEST_CASE("all programs run where one thread is allowed") {
  const Scratch scratch;
  const std::string data = small_data(scratch), said = scratch.path + "/said";
  fs::create_directories(scratch.path + "/out");
  fs::permissions(scratch.path + "/out", fs::perms::all);
  for (const SmallProgram& p : all_programs) {
    CAPTURE(std::string(p.name));
    const std::string arguments =
        p.arguments + own_options(p.name, data, scratch.path + "/out/" + p.name);
    const Ended ended = run_after(allow_one_thread, p.name, arguments, said);
    if (ended.status == 125 || ended.status == 126) {
      MESSAGE("skipped: threads cannot be forbidden here, or the programs not be run then");
      return;
    }
    CAPTURE(ended.output);
    CHECK(ended.status == 0);
  }
}

TEST_CASE("with any amount of address space a program ends, and says what it lacks") {
  const Scratch scratch;
  const std::string data = small_data(scratch), said = scratch.path + "/said";
  const auto program = std::ranges::find_if(all_programs, [](const SmallProgram& p) {
    return p.name == std::string("contractive_autoencoder");
  });
  bool lacked = false, ran = false;
  int k = 0;
  // Less does not load the program's own libraries; OpenBLAS's buffers are 128 MB each.
  for (const rlim_t megabytes : {70, 100, 140, 180, 220, 260, 300, 340, 400, 500, 600, 800, 2000}) {
    for (const char* threads : {"1", "2"}) {
      CAPTURE(megabytes);
      CAPTURE(threads);
      const std::string arguments =
          program->arguments +
          own_options(program->name, data, scratch.path + "/space" + std::to_string(k++));
      const Ended ended = run_after(
          [&] {
            setenv("OPENBLAS_NUM_THREADS", threads, 1);
            setenv("CINCH_THREADS", threads, 1);
            const rlimit limit{megabytes << 20, megabytes << 20};
            if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(125);
            alarm(120);  // For one that waits for ever.
          },
          program->name, arguments, said);
      CAPTURE(ended.output);
      const auto says = [&](const char* words) {
        return ended.output.find(words) != std::string::npos;
      };
      lacked = lacked || says("OpenBLAS takes 128 MB");
      ran = ran || ended.status == 0;
      // gnuplot has no more space than the program, and says itself what it lacks. Otherwise the
      // system's loader ends it, or OpenBLAS itself while it is loaded.
      CHECK((ended.status == 0 ||
             (ended.status == 1 &&
              (says("OpenBLAS takes") || says("memory") || says("gnuplot says:"))) ||
             says("shared libraries") || says("pthread_create failed")));
    }
  }
  CHECK(lacked);
  CHECK(ran);
}

TEST_CASE("programs that validate take at most one and a half times their data") {
  const Scratch scratch;
  const std::string said = scratch.path + "/said";
  constexpr std::uint32_t images = 12000, tests = 2000, side = 28;
  const std::string data = made_up_data(scratch, images, tests, side);
  // A sixth of the images is to validate.
  constexpr std::uint32_t few_images = 500;
  constexpr double needed = 4.0 * side * side * (images + tests - 3 * few_images) / 1024;
  for (const SmallProgram& p : std::vector<SmallProgram>{
           {"cae_h", "--epochs 1 --batch 500 --hidden 10"},
           {"contractive_autoencoder", "--epochs 1 --batch 500 --hidden 100"},
           {"contractive_keras", "--epochs 1 --batch 500"},
           {"deep_contractive_fashion", "--epochs 1 --batch 500 --layers 30,20"},
           {"denoising_autoencoder", "--epochs 1 --batch 500 --hidden 100"},
           {"hinton_deep_autoencoder",
            "--epochs 1 --batch 500 --hidden 50,20 "
            "--pretraining-epochs 1"},
           {"k_sparse", "--epochs 1 --batch 500 --hidden 100"},
           {"logistic_regression", "--epochs 1 --batch 500"},
           {"mlp", "--epochs 1 --batch 500 --hidden 100"},
           {"sparse", "--epochs 1 --batch 500 --hidden 100"},
           {"stacked_denoising_autoencoder",
            "--epochs 1 --batch 500 --hidden 50,20 --corruption 0.1,0.2 --pretraining-epochs 1 "
            "--pretraining-batch 500"},
           {"vae", "--epochs 1 --batch 500 --hidden 100"},
           {"your_own_variant", "--epochs 1 --batch 500 --hidden 20"}}) {
    CAPTURE(std::string(p.name));
    const auto peak = [&](const std::string& more) {
      const std::string out = scratch.path + "/out";
      fs::remove_all(out);
      const Ended ended = run_after(
          [] {}, p.name, p.arguments + own_options(p.name, data, out) + " --quiet" + more, said);
      CAPTURE(ended.output);
      REQUIRE(ended.status == 0);
      return static_cast<double>(ended.kibibytes);
    };
    // What the program takes with hardly any data is no question of the data.
    const double all = peak(""), few = peak(" --images " + std::to_string(few_images));
    CAPTURE(few);
    CHECK((all - few) / needed < 1.5);
    MESSAGE(std::string(p.name) << ": " << (all - few) / needed << " times its data, and "
                                << few / 1024 << " MiB");
  }
}

TEST_CASE("a training ends well where no folder for temporary files can be written") {
  // In the folder of the programs, which is not the one for temporary files.
  const std::string folder = CINCH_EXAMPLES_DIR "/limits-" + std::to_string(getpid());
  fs::create_directories(folder);
  const Scratch scratch;
  const std::string data = small_data(scratch);
  // The folders are read-only in a name space of the program's own.
  const std::string enter =
      std::string(geteuid() == 0 ? "unshare -m" : "unshare -r -m") + " sh -c '";
  std::string forbid;
  for (const std::string path : {"/tmp", "/var/tmp", "/dev/shm"})
    forbid += "{ ! [ -d " + path + " ] || { mount --bind " + path + " " + path +
              " && mount -o remount,ro,bind " + path + "; } } && ";
  if (run_command(enter + forbid + "! touch /tmp/cinch-written'").status != 0) {
    MESSAGE("skipped: /tmp cannot be made read-only here");
  } else {
    for (const SmallProgram& p : all_programs) {
      const std::string name = p.name;
      if (name == "bug_museum" || name == "pretraining_compared") continue;
      CAPTURE(std::string(p.name));
      const std::string out = folder + "/" + name;
      const Ran ran = run_command(enter + forbid + CINCH_EXAMPLES_DIR + "/" + name + " " +
                                  p.arguments + own_options(name, data, out) + "'");
      CAPTURE(ran.output);
      CHECK(ran.status == 0);
      CHECK(ran.output.find("cannot be") == std::string::npos);
    }
  }
  fs::remove_all(folder);
}
