// Interrupted and resumed, a training ends with the same bits.
#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>

#include "io/temporary_folder.hpp"
#include "small_training.hpp"

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
