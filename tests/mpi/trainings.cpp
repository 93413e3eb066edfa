// Trainings on several processes, as users start them.
#include <doctest/doctest.h>

#include <chrono>
#include <cinch/cinch.hpp>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "launch.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

Ran run_ranks(const Vendor& v, int ranks, const std::string& arguments) {
  return run_command(started(v, ranks, arguments));
}

}  // namespace

TEST_CASE("bits are the same for any number of ranks and threads") {
  for (const char* kind : {"contractive", "denoising", "variational", "stacked", "normalised",
                           "contractive visible=90 hidden=60"}) {  // Updated by rows.
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

TEST_CASE("killed at any moment, a training goes on with other ranks to the same bits") {
  for (const Vendor& v : vendors()) {
    CAPTURE(v.run);
    const Scratch scratch;
    const std::string what = "variational epochs=60 checkpoint=" + scratch.path + "/run.npz";
    const Ran expected = run_ranks(v, 3, "variational epochs=60");
    REQUIRE(expected.status == 0);
    for (int round = 0; round < 5; ++round) {
      CAPTURE(round);
      // With 10 ms of sleep a step there is more left than it lives.
      const int ranks = 2 + round % 3;
      const std::string when = " resume=1 sleep=0.01 die=0." + std::to_string(11 + 7 * round) +
                               " who=" + std::to_string(round % ranks);
      const Ran ran = run_ranks(v, ranks, what + when);
      CAPTURE(ran.output);
      CHECK(ran.status != 0);
    }
    const Ran resumed = run_ranks(v, 4, what + " resume=1");
    CHECK(resumed.status == 0);
    CHECK(resumed.output == expected.output);
  }
}

TEST_CASE("a rank killed at a random moment: other ranks end the training with the same bits") {
  // Weights whose rows, and Adam's, the ranks keep. 50 kills take minutes.
  const int kills = std::getenv("CINCH_LONG") ? 50 : 3;
  const std::string what = "contractive visible=90 hidden=60 epochs=200";
  const Vendor v = vendors().front();
  const auto began = std::chrono::steady_clock::now();
  const Ran expected = run_ranks(v, 3, what);
  const std::chrono::duration<double> whole = std::chrono::steady_clock::now() - began;
  REQUIRE(expected.status == 0);
  std::mt19937 random(7);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random()) % n; };
  const std::vector<int> counts{1, 2, 3, 4, 8};
  for (int killed = 0; killed < kills;) {
    const Scratch scratch;
    const std::size_t before = below(counts.size()),
                      after = (before + 1 + below(counts.size() - 1)) % counts.size();
    const std::string saved = what + " checkpoint=" + scratch.path + "/run.npz";
    const double when = 0.02 + static_cast<double>(random()) / 4294967296.0 * whole.count();
    const Ran ran = run_ranks(v, counts[before],
                              saved + " die=" + std::to_string(when) + " who=" +
                                  std::to_string(below(static_cast<std::size_t>(counts[before]))));
    if (ran.status == 0) continue;  // It had ended before.
    ++killed;
    CAPTURE(killed);
    CAPTURE(when);
    const Ran resumed = run_ranks(v, counts[after], saved + " resume=1");
    CHECK(resumed.status == 0);
    CHECK(resumed.output == expected.output);
  }
}

TEST_CASE("Ctrl-C is noticed by all ranks after the same step, and others go on from there") {
  for (const Vendor& v : vendors()) {
    CAPTURE(v.run);
    const Scratch scratch;
    const std::string what = "denoising epochs=60 checkpoint=" + scratch.path + "/run.npz";
    const Ran expected = run_ranks(v, 1, "denoising epochs=60");
    const Ran ended =
        run_command("timeout -s INT 1.5 " + started(v, 3, what + " sleep=0.02 who=1"));
    CAPTURE(ended.output);
    CHECK(ended.status != 0);
    CHECK_FALSE(contains(ended.output, "bits "));
    CHECK(contains(contents(scratch.path + "/run.npz"), "training/counters"));
    // Open MPI's mpirun does not wait for the ranks to end.
    Ran resumed = run_ranks(v, 2, what + " resume=1");
    for (int k = 0; k < 20 && contains(resumed.output, "is being written by another run"); ++k) {
      run_command("sleep 0.5");
      resumed = run_ranks(v, 2, what + " resume=1");
    }
    CHECK(resumed.status == 0);
    CHECK(resumed.output == expected.output);
  }
}

TEST_CASE("rows in files are shared out: a rank reads its own, and others go on to the same bits") {
  const Scratch scratch;
  // 6.6 MB in three files.
  const std::string folder = scratch.path + "/data";
  std::filesystem::create_directories(folder);
  for (int k = 0; k < 3; ++k) {
    const Tensor rows = RandomState(k).uniform(0, 1, {700, 784}, DType::float32);
    const std::string name = folder + "/" + std::to_string(k);
    write_npy(name + ".npy", rows);
  }
  constexpr std::int64_t bytes = 3 * 700 * 784 * 4;
  const std::string what = "denoising visible=784 validate=0 epochs=2 shards=" + folder;
  const auto number_after = [](const std::string& output, const std::string& word) {
    const std::size_t at = output.find(word);
    return at == std::string::npos ? -1 : std::stoll(output.substr(at + word.size()));
  };
  for (const Vendor& v : vendors()) {
    CAPTURE(v.run);
    const Ran alone = run_command(v.program + " " + what + " distribute=one");
    CAPTURE(alone.output);
    REQUIRE(alone.status == 0);
    long long others = 0;  // The program itself, whose hash is compared, most of all.
    for (const int ranks : {1, 2, 4}) {
      CAPTURE(ranks);
      const Ran ran = run_ranks(v, ranks, what + " read=1");
      CAPTURE(ran.output);
      CHECK(ran.status == 0);
      CHECK(contains(ran.output, alone.output));
      const long long read = number_after(ran.output, "read ");
      if (ranks == 1) others = read - 2 * bytes;
      CHECK(others > 0);
      CHECK(read - others > 2 * bytes / ranks - bytes / 20);
      CHECK(read - others < 2 * bytes / ranks + bytes / 20);
    }
    // Killed with three ranks, resumed with two.
    const std::string saved = what + " checkpoint=" + scratch.path + "/run.npz";
    CHECK(run_ranks(v, 3, saved + " sleep=0.02 die=0.9 who=1").status != 0);
    const Ran resumed = run_ranks(v, 2, saved + " resume=1");
    CAPTURE(resumed.output);
    CHECK(resumed.status == 0);
    CHECK(resumed.output == alone.output);
    std::filesystem::remove(scratch.path + "/run.npz");
  }
}

TEST_CASE("a disk that is full ends all ranks, and says so") {
  for (const Vendor& v : vendors()) {
    CAPTURE(v.run);
    const Scratch scratch;
    const Ran ran =
        run_ranks(v, 3, "denoising disk=3000 who=0 checkpoint=" + scratch.path + "/run.npz");
    CAPTURE(ran.output);
    CHECK(ran.status != 0);
    CHECK(contains(ran.output, "run.npz: "));
    CHECK_FALSE(contains(ran.output, "bits "));
    CHECK(contents(scratch.path + "/run.npz").empty());
  }
}

TEST_CASE("rank 0 alone prints, logs and saves") {
  const Vendor v = vendors().front();
  const Scratch scratch;
  const Ran ran = run_ranks(v, 3, "denoising out=1 log=" + scratch.path + "/log.csv");
  CAPTURE(ran.output);
  CHECK(ran.status == 0);
  std::size_t epochs = 0;
  for (std::size_t at = 0; (at = ran.output.find("epoch 2  loss", at)) != std::string::npos; ++at)
    ++epochs;
  CHECK(epochs == 1);
  CHECK(read_csv(scratch.path + "/log.csv").size() == 4);
}

TEST_CASE("a rank that is stopped, or slower than the limit, is named within it") {
  for (const Vendor& v : vendors()) {
    CAPTURE(v.run);
    for (const std::string what : {"halt=2", "sleep=1000"}) {
      CAPTURE(what);
      const Ran ran = run_ranks(v, 3, "denoising limit=2 who=1 " + what);
      CAPTURE(ran.output);
      CHECK(ran.status != 0);
      CHECK(contains(ran.output, "rank 1 of 3 has not answered rank "));
      CHECK(contains(ran.output, "for 2 s: stopped, killed, cut off or slower than that"));
    }
  }
}

TEST_CASE("ranks of other options are told apart before the first step") {
  for (const Vendor& v : vendors()) {
    const std::string two = v.program + " denoising seed=2";
    const std::string arguments = "denoising : -np 1 " + two;
    const Ran ran = run_ranks(v, 2, arguments);
    CAPTURE(ran.output);
    CHECK(ran.status != 0);
    CHECK(contains(ran.output,
                   "the processes started together do not train the same:\n  rank 2: "
                   "hash of the variables is "));
  }
}

TEST_CASE("what cannot be trained by several processes is refused by each") {
  for (const Vendor& v : vendors()) {
    CAPTURE(v.run);
    const Ran few = run_ranks(v, 3, "denoising batch=20");
    CAPTURE(few.output);
    CHECK(few.status != 0);
    CHECK(contains(few.output, "there are 3 ranks, and a minibatch of 20 rows has 2 parts"));
    const Ran lonely = run_ranks(v, 2, "denoising distribute=none");
    CAPTURE(lonely.output);
    CHECK(lonely.status != 0);
    CHECK(contains(lonely.output, "train: this is one of 2 processes that were started together"));
  }
}

TEST_CASE("a launcher of another MPI is found out") {
  const std::vector<Vendor> all = vendors();
  if (all.size() < 2) {
    MESSAGE("Skipped: there is one MPI only");
    return;
  }
  for (const Vendor& mixed :
       {Vendor{all[0].run, all[1].program}, Vendor{all[1].run, all[0].program}}) {
    CAPTURE(mixed.run);
    const Ran ran = run_ranks(mixed, 2, "denoising");
    CAPTURE(ran.output);
    CHECK(ran.status != 0);
    CHECK(contains(ran.output, "knows of one: start it by that MPI's mpirun"));
  }
}

TEST_CASE("the manual's program learns the same on one process and on four") {
  std::string first;
  for (const int ranks : {1, 4}) {
    const Scratch scratch;
    const Vendor v = vendors().front();
    const Ran ran =
        run_command("cd " + scratch.path + " && " + started({v.run, CINCH_MPI_PAGE}, ranks, ""));
    CAPTURE(ran.output);
    CHECK(ran.status == 0);
    CHECK(contains(ran.output, "epoch 2  loss"));
    const std::string learned = contents(scratch.path + "/W.npy");
    CHECK(learned.size() > 4000);
    CHECK((first.empty() || learned == first));
    first = learned;
  }
}
