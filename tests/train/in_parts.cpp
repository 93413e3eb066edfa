// Minimisers by several processes.
#include "cinch/train/in_parts.hpp"

#include <doctest/doctest.h>

#include <csignal>
#include <string>
#include <vector>

#include "io/temporary_folder.hpp"
#include "ranks.hpp"
#include "small_training.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

constexpr std::int64_t count = 150;

struct Fit {
  Shared W{numbers({5, 3}, 1), "W"}, b{Tensor(DType::float32, {3}), "b"};
  Expr x = matrix("x"), cost;
  std::vector<Tensor> data{numbers({count, 5}, 0)};
  MinimiseOptions options{.iterations = 15, .out = nullptr};

  Fit() {
    const Expr h = tanh(dot(x, W) + b);
    cost = mean(square(x - dot(h, transpose(W)))) + 0.1 * mean(square(mean(h, 0)));
  }
  std::vector<Shared> params() const { return {W, b}; }
  MinimiseResult lower(bool conjugate = false) {
    const Function f = value_and_gradient(cost, params(), {x});
    return conjugate ? conjugate_gradient(f, params(), data, options)
                     : lbfgs(f, params(), data, options);
  }
  std::vector<Tensor> values() const { return {W.get(), b.get()}; }
};

struct Found {
  std::vector<Tensor> values;
  double value = 0;
  std::int64_t evaluations = 0;
  bool operator==(const Found&) const = default;
};
Found found_by(Evaluator distribute, bool conjugate = false) {
  Fit fit;
  fit.options.distribute = std::move(distribute);
  const MinimiseResult result = fit.lower(conjugate);
  return {fit.values(), result.value, result.evaluations};
}

/// What each of some ranks throws.
std::vector<std::string> errors_of(int ranks,
                                   const std::function<void(std::shared_ptr<Distribution>)>& with) {
  return ThreadRanks(ranks).run(with);
}

}  // namespace

TEST_CASE("a minimiser finds the same bits with any number of ranks, nearly those found alone") {
  for (const bool conjugate : {false, true}) {
    CAPTURE(conjugate);
    const Found one = found_by(in_parts(one_process()), conjugate), alone = found_by({}, conjugate);
    CHECK(one.evaluations > 15);
    CHECK(std::abs(one.value - alone.value) < 1e-4);
    for (int ranks = 2; ranks <= 8; ++ranks) {
      CAPTURE(ranks);
      std::mutex mutex;
      for (const std::string& error : errors_of(ranks, [&](std::shared_ptr<Distribution> rank) {
             const Found found = found_by(in_parts(rank), conjugate);
             const std::scoped_lock lock(mutex);
             CHECK((found == one));
           }))
        CHECK(error == "");
    }
  }
}

TEST_CASE("a minimiser's rows may lie in files, of which a rank reads its own") {
  const TemporaryFolder folder;
  write_npy(folder / "0.npy", numbers({count, 5}, 0));
  const Shards shards({folder / "0.npy"});
  const Found expected = found_by(in_parts(one_process()));
  std::mutex mutex;
  for (const std::string& error : errors_of(3, [&](std::shared_ptr<Distribution> rank) {
         Fit fit;
         fit.data.clear();
         fit.options.distribute = in_parts(rank, {.shards = {&shards}});
         fit.lower();
         const std::scoped_lock lock(mutex);
         CHECK((fit.values() == expected.values));
       }))
    CHECK(error == "");
}

TEST_CASE("Ctrl-C on any rank ends a minimisation on all at the same point, and the first saves") {
  for (const int who : {0, 2}) {
    CAPTURE(who);
    std::mutex mutex;
    std::vector<std::vector<Tensor>> values;
    int saved = 0;
    for (const std::string& error : errors_of(3, [&](std::shared_ptr<Distribution> rank) {
           Fit fit;
           fit.options.distribute = in_parts(rank);
           fit.options.after_iteration = [&](const MinimiseReport& now) {
             if (now.iteration == 4 && rank->rank() == who) std::raise(SIGTERM);
           };
           fit.options.save = [&](const MinimiseReport& now) {
             const std::scoped_lock lock(mutex);
             CHECK(rank->rank() == 0);
             CHECK(now.iteration >= 4);
             ++saved;
           };
           const MinimiseResult result = fit.lower();
           const std::scoped_lock lock(mutex);
           CHECK(result.stopped == MinimiseResult::Stopped::interrupted);
           values.push_back(fit.values());
         }))
      CHECK(error == "");
    CHECK(saved == 1);
    REQUIRE(values.size() == 3);
    CHECK((values[0] == values[1]));
    CHECK((values[0] == values[2]));
  }
}

TEST_CASE("a rank that fails in a minimisation ends all, and what differs is named") {
  const auto failing = errors_of(3, [&](std::shared_ptr<Distribution> rank) {
    Fit fit;
    fit.options.distribute = in_parts(rank);
    fit.options.after_iteration = [&](const MinimiseReport& now) {
      if (now.iteration == 2 && rank->rank() == 1) throw ValueError("the disk is full");
    };
    fit.lower();
  });
  CHECK(failing[1] == "the disk is full");
  CHECK(failing[0] == "a rank has stopped: the disk is full");
  CHECK(failing[2] == failing[0]);

  for (const std::string& error : errors_of(3, [&](std::shared_ptr<Distribution> rank) {
         Fit fit;
         if (rank->rank() == 1) fit.data[0].data<float>()[3] = 2;
         fit.options.distribute = in_parts(rank);
         fit.lower();
       })) {
    CAPTURE(error);
    CHECK(contains(error, "do not train the same:\n  rank 1: hash of the data is "));
  }
  for (const std::string& error : errors_of(3, [&](std::shared_ptr<Distribution> rank) {
         found_by(in_parts(rank, {.parts = 2}));
       })) {
    CAPTURE(error);
    CHECK(contains(error, "in_parts: there are 3 ranks, and a minibatch of 150 rows has 2 parts"));
  }
}

TEST_CASE("what a minimiser cannot share is refused") {
  const auto refusal = [](const std::function<void(Fit&)>& with) {
    Fit fit;
    fit.options.distribute = in_parts(one_process());
    with(fit);
    const std::vector<Tensor> before = fit.values();
    const std::string said = error_of<Error>([&] { fit.lower(); });
    CHECK((fit.values() == before));
    return said;
  };
  const std::string mixing =
      refusal([](Fit& f) { f.cost = f.cost + mean(cumsum(f.x, 0)) + mean(dot(f.x, f.W)); });
  CAPTURE(mixing);
  CHECK(contains(mixing, "in_parts: .distribute cuts a minibatch into parts"));
  CHECK(contains(mixing, "cumsum needs them all"));
  CHECK(contains(mixing, "in_parts.cpp:"));
  CHECK(contains(refusal([](Fit& f) { f.data[0] = Tensor(1.0f); }), "an argument is a number"));
  CHECK(contains(error_of<TypeError>([] {
                   Fit f;
                   f.options.distribute = in_parts(one_process());
                   const Shared X(f.data[0], "X");
                   lbfgs(mean(square(dot(X, f.W) + f.b)), f.params(), f.options);
                 }),
                 "there are no rows to share"));
  CHECK(contains(error_of<ValueError>([] { in_parts(nullptr); }), "no processes are given"));
  // The start's fault has its line here as well.
  const std::string nan = refusal([](Fit& f) { f.cost = f.cost + mean(log(sum(f.x, 1) - 100)); });
  CAPTURE(nan);
  CHECK(contains(nan, "lbfgs: at the start the value is "));
  CHECK(contains(nan, "in_parts.cpp:"));
}
