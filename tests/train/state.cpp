// Checkpoints that are cut short, damaged, of other trainings, or being written when the program
// is killed.
#include "cinch/train/state.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <functional>
#include <limits>

#include "io/temporary_folder.hpp"
#include "small_training.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

struct Saved {
  SmallTraining training;
  std::string path;

  explicit Saved(const TemporaryFolder& folder) : path(folder / "run.npz") {
    training.options.checkpoint = path;
    training.options.epochs = 1;
    train(training.options);
  }
};

/// The error of resuming from the file; fails where the variables have changed.
std::string refusal(SmallTraining& s, const std::string& path) {
  s.options.checkpoint = path;
  s.options.resume = Resume::always;
  const std::vector<Tensor> before = s.values();
  const std::string error = error_of([&] { train(s.options); });
  CHECK(s.values() == before);
  return error;
}

}  // namespace

TEST_CASE("a checkpoint cut short anywhere is refused, and nothing is set") {
  const TemporaryFolder folder;
  const Saved saved(folder);
  const std::string content = read_file(saved.path), cut = folder / "cut.npz";
  SmallTraining other;
  for (std::size_t size = 0; size < content.size(); size += size < 200 ? 7 : 211) {
    CAPTURE(size);
    write_file(cut, content.substr(0, size));
    CHECK(contains(refusal(other, cut), cut));
  }
  write_file(cut, content.substr(0, content.size() - 1));
  CHECK(contains(refusal(other, cut), cut));
  write_file(cut, content);
  other.options.epochs = 1;
  other.options.resume = Resume::always;
  CHECK_NOTHROW(train(other.options));
}

TEST_CASE("a checkpoint with a changed byte in a variable is refused") {
  const TemporaryFolder folder;
  const Saved saved(folder);
  const std::string content = read_file(saved.path), damaged = folder / "damaged.npz";
  // The bytes of W as they are stored.
  const Tensor W = saved.training.W.get();
  const std::string bytes(static_cast<const char*>(W.raw()), W.bytes());
  const std::size_t at = content.find(bytes);
  REQUIRE(at != std::string::npos);
  write_file(damaged, flipped(content, static_cast<std::ptrdiff_t>(at) + 5));
  SmallTraining other;
  CHECK(contains(refusal(other, damaged), damaged));
}

TEST_CASE("a checkpoint of another training is refused with all that differs") {
  const TemporaryFolder folder;
  const Saved saved(folder);

  SmallTraining wider(8);
  const std::string error = refusal(wider, saved.path);
  CAPTURE(error);
  CHECK(contains(error, saved.path + ": is a checkpoint of another training:"));
  CHECK(contains(error, "W is float32 (3, 8) here, float32 (3, 6) in the file"));
  CHECK(contains(error, "adam.m/b is float32 (8,) here, float32 (6,) in the file"));

  SmallTraining another;
  another.options.batch = 5;
  another.options.shuffle = {};
  const std::string settings = refusal(another, saved.path);
  CAPTURE(settings);
  CHECK(contains(settings, "batch is 5 here, 4 in the file"));
  CHECK(contains(settings, "shuffled is 0 here, 1 in the file"));
  CHECK(contains(settings, "seed is 0 here, 3 in the file"));

  SmallTraining more, less;
  const Shared extra(Tensor(1.0), "extra");
  more.options.also = {extra};
  CHECK(contains(refusal(more, saved.path), "extra (float64 ()) is not in the file"));
  more.options.checkpoint = folder / "more.npz";
  more.options.resume = Resume::never;
  train(more.options);
  CHECK(contains(refusal(less, folder / "more.npz"), "extra (float64 ()) is in the file only"));
}

TEST_CASE("files that are no checkpoints are refused") {
  const TemporaryFolder folder;
  SmallTraining s;
  write_npz(folder / "parameters.npz", {{"W", s.W.get()}});
  CHECK(contains(refusal(s, folder / "parameters.npz"), "is not a checkpoint of a training"));
  write_npz(folder / "newer.npz", {{"training/version", Tensor::from<std::int64_t>({1}, {99})}});
  CHECK(contains(refusal(s, folder / "newer.npz"), "is a checkpoint of version 99"));
  write_file(folder / "text.npz", "hello");
  CHECK(contains(refusal(s, folder / "text.npz"), "text.npz: "));
  CHECK(contains(refusal(s, folder / "missing.npz"), "missing.npz: there is no such file"));

  // Each of a checkpoint's own arrays missing, or of another type.
  const Saved saved(folder);
  const auto arrays = read_npz(saved.path);
  for (const auto& array : arrays) {
    CAPTURE(array.first);
    auto changed = arrays;
    changed.erase(array.first);
    write_npz(folder / "changed.npz", {changed.begin(), changed.end()});
    CHECK(refusal(s, folder / "changed.npz") != "no error");
    changed = arrays;
    changed.at(array.first) = Tensor(DType::bool_, {2, 3, 4});
    write_npz(folder / "changed.npz", {changed.begin(), changed.end()});
    CHECK(refusal(s, folder / "changed.npz") != "no error");
  }
  auto late = arrays;
  late.at("training/counters").data<std::int64_t>()[1] = 1000;
  write_npz(folder / "changed.npz", {late.begin(), late.end()});
  CHECK(contains(refusal(s, folder / "changed.npz"),
                 "is a damaged checkpoint: it has minibatch 1000"));
}

TEST_CASE("a checkpoint that says what cannot be is refused by name, and nothing is set") {
  constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min(),
                         most = std::numeric_limits<std::int64_t>::max();
  constexpr double nan = std::numeric_limits<double>::quiet_NaN(),
                   inf = std::numeric_limits<double>::infinity();
  const TemporaryFolder folder;
  const Saved saved(folder);
  const auto arrays = read_npz(saved.path);
  const std::string path = folder / "changed.npz";
  const auto write = [&](const std::map<std::string, Tensor>& changed) {
    write_npz(path, {changed.begin(), changed.end()});
  };
  // An error before anything is set, or a training to its end. Returns whether it was refused.
  const auto outcome = [&] {
    SmallTraining s;
    s.options.checkpoint = path;
    s.options.resume = Resume::always;
    s.options.epochs = 2;
    const std::vector<Tensor> before = s.values();
    const std::string error = error_of([&] {
      const TrainResult result = train(s.options);
      CHECK(result.state.step == (result.state.stopped_early ? result.state.step : 12));
    });
    if (error == "no error") return false;
    CHECK(contains(error, path + ": "));
    CHECK(s.values() == before);
    return true;
  };
  for (const auto& array : arrays) {
    const std::string& name = array.first;
    const Tensor& value = array.second;
    if (!name.starts_with("training/") && !name.starts_with("setup/")) continue;
    for (std::int64_t k = 0; k < std::min<std::int64_t>(value.size(), 40); ++k) {
      const auto with = [&](auto element) {
        auto changed = arrays;
        changed.at(name).data<decltype(element)>()[static_cast<std::size_t>(k)] = element;
        write(changed);
        CAPTURE(name);
        CAPTURE(k);
        CAPTURE(element);
        return outcome();
      };
      if (value.dtype() == DType::int64) {
        for (const std::int64_t element : {least, most, std::int64_t{1} << 62, std::int64_t{-2}}) {
          CAPTURE(name);
          CAPTURE(k);
          CAPTURE(element);
          CHECK(with(element));
        }
        continue;
      }
      for (const double element : {nan, inf, -inf, 1e300, -1.0, 0.5}) {
        const bool refused = with(element);
        const bool counts = (name == "training/history" && (k == 0 || k == 1 || k == 5)) ||
                            (name == "training/numbers" && (k == 0 || k == 2));
        CAPTURE(name);
        CAPTURE(k);
        CAPTURE(element);
        if (counts && !(element > 0 && element < 1))
          CHECK((refused || (k == 2 && element == 1e300)));
      }
    }
    // One element more.
    auto changed = arrays;
    Shape longer = value.shape();
    longer.back() += 1;
    changed.at(name) = Tensor(value.dtype(), longer);
    write(changed);
    CAPTURE(name);
    CHECK(outcome());
  }
  // Counts that are possible alone and not together.
  for (const auto& counted : std::vector<std::array<std::int64_t, 3>>{{1, 0, 7},
                                                                      {1, 0, 5},
                                                                      {0, 0, 6},
                                                                      {2, 0, 6},
                                                                      {1, 1, 6},
                                                                      {1, 1, 8},
                                                                      {0, 6, 6},
                                                                      {1, 5, 11}}) {
    const std::int64_t epoch = counted[0], batch = counted[1], step = counted[2];
    auto changed = arrays;
    auto counters = changed.at("training/counters").data<std::int64_t>();
    counters[0] = epoch, counters[1] = batch, counters[2] = step, counters[3] = -1;
    write(changed);
    CAPTURE(epoch);
    CAPTURE(batch);
    CAPTURE(step);
    CHECK(outcome() == !(epoch == 1 && batch == 5 && step == 11));
  }
}

TEST_CASE("variables without a name of their own are saved by their place") {
  const Shared a(Tensor(1.0), "a"), b(Tensor(1.0), "a"), c(Tensor(1.0)), d(Tensor(1.0), "d");
  std::vector<std::string> names;
  for (const auto& variable : named({a, b, c, d})) names.push_back(variable.first);
  CHECK(names == std::vector<std::string>{"a#0", "a#1", "#2", "d"});
  // Not even by that of another.
  const Shared e(Tensor(1.0), "a#1");
  names.clear();
  for (const auto& variable : named({a, b, e})) names.push_back(variable.first);
  CHECK(names == std::vector<std::string>{"a#0", "a#1#", "a#1"});
}

TEST_CASE("killed at any moment of writing, a training has its last complete checkpoint") {
  const TemporaryFolder folder;
  const std::string path = folder / "run.npz";
  const TrainSetup setup{{"rows", 10}, {"batch", 1}, {"outputs", 0}, {"validation_outputs", 0}};
  Shared big(Tensor(DType::float32, {300000}), "big"), count(Tensor(std::int64_t{0}), "count");
  const NamedVariables variables = named({big, count});
  const auto write = [&](std::int64_t k) {
    big.set(Tensor::full(DType::float32, {300000}, static_cast<double>(k)));
    count.set(k);
    TrainState state;
    state.epoch = k;
    state.random = RandomState(1).state();
    write_state(path, setup, state, variables, {});
  };
  const auto begun = std::chrono::steady_clock::now();
  write(0);
  const double one = std::chrono::duration<double, std::micro>(  // What a file takes here.
                         std::chrono::steady_clock::now() - begun)
                         .count();
  std::int64_t last = 0;
  bool progress = false;
  for (int round = 0; round < 25; ++round) {
    CAPTURE(round);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      try {
        for (std::int64_t k = last + 1;; ++k) write(k);
      } catch (...) {
        _exit(1);
      }
    }
    usleep(static_cast<useconds_t>(3000 + 1237 * round + .37 * round * one));
    kill(child, SIGKILL);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    const TrainState state = read_state(path, setup, variables, {});
    CHECK(state.epoch >= last);
    progress = progress || state.epoch > last;
    last = state.epoch;
    CHECK(count.value() == Tensor(last));
    CHECK(big.value() == Tensor::full(DType::float32, {300000}, static_cast<double>(last)));
  }
  CHECK(progress);
  write(last + 1);
  CHECK(folder.entries() == 1);  // Nothing of those that were killed is left.
}
