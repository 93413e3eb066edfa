// Interrupted and resumed, a training ends with the same bits.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <thread>

#include "io/temporary_folder.hpp"
#include "small_training.hpp"
#include "support/events.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

std::string without_seconds(const std::string& log) {
  std::string result;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);)
    result += line.substr(0, line.rfind(',')) + '\n';
  return result;
}

}  // namespace

TEST_CASE("a training interrupted after any step, and resumed, ends with the same bits") {
  const TemporaryFolder folder;
  SmallTraining whole;
  whole.options.log = folder / "whole.csv";
  const TrainResult expected = train(whole.options);
  REQUIRE(expected.state.step == 30);
  CHECK(expected.state.best.size() == 3);

  for (std::int64_t stop = 1; stop <= 30; ++stop) {
    CAPTURE(stop);
    std::filesystem::remove(folder / "run.npz");
    const auto options = [&](SmallTraining& s) -> TrainOptions& {
      s.options.checkpoint = folder / "run.npz";
      s.options.resume = Resume::if_present;
      s.options.log = folder / "run.csv";
      return s.options;
    };
    SmallTraining first;
    options(first).after_step = [&](const StepReport& r) {
      if (r.step + 1 == stop) std::raise(SIGINT);
    };
    const TrainResult before = train(first.options);
    CHECK(before.state.step == stop);
    CHECK((before.stopped == TrainResult::Stopped::interrupted) == (stop < 30));

    SmallTraining second;  // Everything new, as in another process.
    const TrainResult after = train(options(second));
    CHECK(after.stopped == TrainResult::Stopped::at_end);
    CHECK(second.values() == whole.values());
    CHECK(after.state.best == expected.state.best);
    CHECK(history_text(after.state) == history_text(expected.state));
    CHECK(without_seconds(read_file(folder / "run.csv")) ==
          without_seconds(read_file(folder / "whole.csv")));
  }
}

TEST_CASE("JSON lines and events of a resumed training are those of one that ran through") {
  const TemporaryFolder folder;
  const auto options = [&](SmallTraining& s, const std::string& name) -> TrainOptions& {
    s.options.checkpoint = folder / (name + ".npz");
    s.options.resume = Resume::if_present;
    s.options.log = folder / (name + ".jsonl");
    s.options.tensorboard = folder / name;
    return s.options;
  };
  const auto file = [&](const std::string& name) {
    return folder / name + "/events.out.tfevents.0.cinch";
  };
  // Seconds and times of day are what differs.
  const auto lasting = [](std::string line) {
    for (const std::string key : {"\"seconds\": ", "\"time\": "}) {
      const std::size_t at = line.find(key);
      if (at != std::string::npos) line.erase(at, line.find_first_of(",}", at) - at);
    }
    return line;
  };
  SmallTraining whole;
  train(options(whole, "whole"));
  const std::string expected = without_seconds(read_file(folder / "whole.jsonl"));
  CHECK(expected.starts_with(R"({"epoch":0,"step":6,"loss":)"));
  CHECK(std::ranges::count(expected, '\n') == 5);
  const auto events = read_events(file("whole"));
  for (const std::int64_t stop : {3, 6, 17, 29}) {
    CAPTURE(stop);
    SmallTraining first;
    options(first, "run").checkpoint_every = 2;  // So that a row is behind the checkpoint.
    first.options.after_step = [&](const StepReport& r) {
      if (r.step + 1 == stop) throw ValueError("killed");
    };
    CHECK_THROWS_WITH(train(first.options), "killed");
    SmallTraining second;
    const TrainResult after = train(options(second, "run"));
    CHECK(after.stopped == TrainResult::Stopped::at_end);
    CHECK(second.values() == whole.values());
    CHECK(without_seconds(read_file(folder / "run.jsonl")) == expected);
    CHECK(std::filesystem::file_size(file("run")) == std::filesystem::file_size(file("whole")));
    if (events) {
      const auto resumed = read_events(file("run"));
      REQUIRE(resumed);
      REQUIRE(resumed->size() == 6);  // A header and five epochs.
      for (std::size_t k = 0; k < 6; ++k) CHECK(lasting(resumed->at(k)) == lasting(events->at(k)));
      CHECK(contains(resumed->back(), R"("step": 30)"));
      CHECK(contains(resumed->back(), R"("validation loss": ")"));
    }
    std::filesystem::remove(folder / "run.npz");
  }
}

TEST_CASE("a training interrupted again and again ends with the same bits") {
  const TemporaryFolder folder;
  SmallTraining whole;
  const TrainResult expected = train(whole.options);
  for (int runs = 0;; ++runs) {
    REQUIRE(runs < 20);
    SmallTraining part;
    part.options.checkpoint = folder / "run.npz";
    part.options.resume = Resume::if_present;
    int steps = 0;
    part.options.after_step = [&](const StepReport&) {
      if (++steps == 4) std::raise(SIGTERM);
    };
    const TrainResult result = train(part.options);
    if (result.stopped == TrainResult::Stopped::interrupted) continue;
    CHECK(runs == 7);
    CHECK(part.values() == whole.values());
    CHECK(history_text(result.state) == history_text(expected.state));
    break;
  }
}

TEST_CASE("more epochs may be asked for, and the checkpoint of every n epochs is there to go on") {
  const TemporaryFolder folder;
  SmallTraining whole;
  const TrainResult expected = train(whole.options);

  SmallTraining first;
  first.options.epochs = 3;
  first.options.checkpoint = folder / "run.npz";
  first.options.checkpoint_every = 2;
  // The checkpoint after two epochs, as if the program had been killed in the third.
  first.options.after_step = [&](const StepReport& r) {
    if (r.step == 14) std::filesystem::copy_file(folder / "run.npz", folder / "two.npz");
  };
  train(first.options);
  struct Row {
    const char* file;
    std::size_t epochs;
  };
  for (const Row& row : {Row{"run.npz", 3}, Row{"two.npz", 2}}) {
    CAPTURE(row.epochs);
    SmallTraining second;
    second.options.checkpoint = folder / row.file;
    second.options.resume = Resume::always;
    std::size_t made = 0;
    second.options.after_epoch = [&](const EpochReport&) { ++made; };
    const TrainResult result = train(second.options);
    CHECK(made == 5 - row.epochs);
    CHECK(second.values() == whole.values());
    CHECK(history_text(result.state) == history_text(expected.state));
  }
}

TEST_CASE("a training that patience ended stays ended") {
  const TemporaryFolder folder;
  const auto run = [&](Resume resume) {
    SmallTraining s;
    s.options.checkpoint = folder / "run.npz";
    s.options.resume = resume;
    s.options.early_stopping = {.patience = 8, .improvement_threshold = 1e-9};
    s.options.validation_frequency = 0;
    return train(s.options);
  };
  const TrainResult first = run(Resume::never), second = run(Resume::always);
  CHECK(first.stopped == TrainResult::Stopped::early);
  CHECK(first.state.step == 9);
  CHECK(second.stopped == TrainResult::Stopped::early);
  CHECK(second.state.step == 9);
}

TEST_CASE("variables that no function updates are saved where they are listed") {
  const TemporaryFolder folder;
  const auto run = [&](std::int64_t epochs, Resume resume) {
    SmallTraining s;
    Shared rate(Tensor(1.0), "rate by hand");
    s.options.also = {rate};
    s.options.rate = rate;
    s.options.epochs = epochs;
    s.options.checkpoint = folder / "run.npz";
    s.options.resume = resume;
    s.options.after_epoch = [&](const EpochReport&) { rate.set(rate.value().item() / 2); };
    return train(s.options).state.history.back().rate;
  };
  CHECK(run(2, Resume::never) == 0.5);
  CHECK(run(4, Resume::always) == 0.125);
}

TEST_CASE("only the first signal asks, and afterwards signals mean what they did before") {
  static int received = 0;
  received = 0;
  std::signal(SIGINT, [](int) { ++received; });
  {
    const Interruption interruption;
    CHECK_FALSE(interruption.asked());
    std::raise(SIGINT);
    CHECK(interruption.asked());
    CHECK(received == 0);
  }
  CHECK_FALSE(Interruption().asked());
  std::raise(SIGINT);
  CHECK(received == 1);
  std::signal(SIGINT, SIG_IGN);
  {
    const Interruption interruption;
    std::raise(SIGINT);
    CHECK_FALSE(interruption.asked());
  }
  std::signal(SIGINT, SIG_DFL);
}

namespace {

/// What a child that runs this prints, and its status as waitpid() gives it.
struct Ended {
  std::string printed;
  int status = 0;
};
Ended run_child(const std::string& output, const std::function<void(std::FILE*)>& work) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::signal(SIGINT, SIG_DFL);  // Not doctest's.
    std::signal(SIGTERM, SIG_DFL);
    try {
      std::FILE* out = std::fopen(output.c_str(), "w");
      work(out);
      std::fputs("went on\n", out);
      std::fclose(out);
    } catch (...) {
      _exit(3);
    }
    _exit(0);
  }
  Ended result;
  REQUIRE(waitpid(child, &result.status, 0) == child);
  result.printed = read_file(output);
  return result;
}

}  // namespace

TEST_CASE("an interrupted program says where and how to go on, and ends as by the signal") {
  const TemporaryFolder folder;
  for (const int signal : {SIGINT, SIGTERM}) {
    for (const bool saves : {true, false}) {
      for (const AfterInterrupt after :
           {AfterInterrupt::as_shown, AfterInterrupt::end_program, AfterInterrupt::give_back}) {
        const Ended ended = run_child(folder / "out", [&](std::FILE* out) {
          SmallTraining s;
          s.options.out = out;
          s.options.after_interrupt = after;
          if (saves) s.options.checkpoint = folder / "run.npz";
          s.options.after_step = [&](const StepReport& r) {
            if (r.step == 8) std::raise(signal);
          };
          train(s.options);
        });
        CAPTURE(ended.printed);
        const bool ends = after != AfterInterrupt::give_back;
        CHECK(contains(ended.printed,
                       "train: interrupted in epoch 1, after step 9 (3 of 6 minibatches)"));
        CHECK(contains(ended.printed, saves ? "saved: .resume = Resume::if_present goes on from " +
                                                  (folder / "run.npz")
                                            : "there is no checkpoint to go on from"));
        CHECK(contains(ended.printed, "went on") == !ends);
        CHECK(WIFSIGNALED(ended.status) == ends);
        if (ends) CHECK(WTERMSIG(ended.status) == signal);
        if (saves) CHECK(std::filesystem::exists(folder / "run.npz"));
        CHECK_FALSE(std::filesystem::exists(folder / "run.npz.partial"));
        std::filesystem::remove(folder / "run.npz");
      }
    }
  }
  // Without output a program is asked to look at the result, as one that handles the signal is.
  const Ended silent = run_child(folder / "out", [&](std::FILE* out) {
    SmallTraining s;
    s.options.after_step = [](const StepReport&) { std::raise(SIGINT); };
    const TrainResult result = train(s.options);
    std::fprintf(out, "%d\n", result.stopped == TrainResult::Stopped::interrupted);
  });
  CHECK(silent.status == 0);
  CHECK(silent.printed == "1\nwent on\n");
  const Ended handled = run_child(folder / "out", [&](std::FILE* out) {
    static volatile std::sig_atomic_t seen = 0;
    std::signal(SIGINT, [](int) { seen = seen + 1; });
    SmallTraining s;
    s.options.out = out;
    s.options.after_step = [](const StepReport& r) {
      if (r.step == 2) std::raise(SIGINT);
    };
    train(s.options);
    std::fprintf(out, "handled %d\n", static_cast<int>(seen));
  });
  CHECK(handled.status == 0);
  CHECK(contains(handled.printed, "handled 1\nwent on\n"));
}

TEST_CASE("trainings in several threads are all asked, and the signal means again what it did") {
  static volatile std::sig_atomic_t received = 0;
  received = 0;
  std::signal(SIGINT, [](int) { received = received + 1; });
  std::atomic<int> running = 0;
  std::vector<TrainResult::Stopped> stopped(3);
  std::vector<std::thread> all;
  for (std::size_t k = 0; k < stopped.size(); ++k) {
    all.emplace_back([&, k] {
      SmallTraining s;
      s.options.epochs = 1000000;
      s.options.early_stopping = {.patience = std::int64_t{1} << 50};  // Only the signal ends it.
      bool counted = false;
      s.options.after_step = [&](const StepReport&) {
        if (!counted) ++running;
        counted = true;
      };
      stopped[k] = train(s.options).stopped;
    });
  }
  while (running < 3) std::this_thread::yield();
  std::raise(SIGINT);
  for (std::thread& one : all) one.join();
  for (const auto how : stopped) CHECK(how == TrainResult::Stopped::interrupted);
  CHECK(received == 0);
  std::raise(SIGINT);
  CHECK(received == 1);
  std::signal(SIGINT, SIG_DFL);
  // One that ends before another does not take its handler away.
  {
    auto first = std::make_unique<Interruption>();
    const Interruption second;
    first.reset();
    std::raise(SIGINT);
    CHECK(second.asked());
  }
}

TEST_CASE("a second training with the same checkpoint or log is refused and changes nothing") {
  const TemporaryFolder folder;
  for (const bool log : {false, true}) {
    CAPTURE(log);
    const auto options = [&](SmallTraining& s) -> TrainOptions& {
      (log ? s.options.log : s.options.checkpoint) = folder / "run";
      return s.options;
    };
    SmallTraining one;
    std::string error;
    options(one).after_step = [&](const StepReport& r) {
      if (r.step != 7) return;
      const std::string before = read_file(folder / "run");
      SmallTraining two;
      error = error_of([&] { train(options(two)); });
      CHECK(read_file(folder / "run") == before);
    };
    CHECK(train(one.options).state.step == 30);
    CHECK(contains(error, (folder / "run") + ": is being written by another run"));
    SmallTraining three;
    CHECK(train(options(three)).state.step == 30);
    CHECK(folder.entries() == 1);
    std::filesystem::remove(folder / "run");
  }
}

TEST_CASE("a training is not resumed with other data") {
  const TemporaryFolder folder;
  SmallTraining first;
  first.options.checkpoint = folder / "run.npz";
  first.options.epochs = 1;
  train(first.options);
  const auto resumed_with = [&](const std::function<void(SmallTraining&)>& change) {
    SmallTraining s;
    s.options.checkpoint = folder / "run.npz";
    s.options.resume = Resume::always;
    change(s);
    const std::vector<Tensor> before = s.values();
    const std::string error = error_of([&] { train(s.options); });
    if (error != "no error") CHECK(s.values() == before);
    return error;
  };
  for (Tensor SmallTraining::*data :
       {&SmallTraining::x, &SmallTraining::y, &SmallTraining::x_valid, &SmallTraining::y_valid}) {
    for (const bool last : {false, true}) {
      const std::string error = resumed_with([&](SmallTraining& s) {
        const auto values = (s.*data).data<float>();
        values[last ? values.size() - 1 : 0] += 1e-6F;
      });
      CHECK(
          contains(error, "run.npz: is a checkpoint of another training:\n  hash of the data is "));
    }
  }
  CHECK(resumed_with([](SmallTraining&) {}) == "no error");
}
