// Ranks make the updates of their own rows, and what they end with is the same.
#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <mutex>
#include <string>
#include <vector>

#include "cinch/train/parallel/stages.hpp"
#include "io/temporary_folder.hpp"
#include "ranks.hpp"
#include "small_training.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

constexpr std::int64_t row_count = 200, visible = 90, hidden = 60;

Tensor data() { return RandomState(3).uniform(0, 1, {row_count, visible}, DType::float32); }

/// A step whose updates a test chooses, and all variables that it changes.
struct Model {
  Expr x = matrix("x"), cost;
  ContractiveAutoencoder m;
  std::vector<Shared> params;
  Updates updates;

  Model() {
    RandomState random(1);
    m = contractive_autoencoder(visible, hidden, random);
    params = m.params();
    cost = contractive_cost(m, x, 0.1, Penalty::jacobian).total;
  }
  Function step() const { return function({.inputs = {x}, .outputs = {cost}, .updates = updates}); }
  std::vector<Tensor> values() const {
    std::vector<Tensor> result;
    for (const Update& u : updates) result.push_back(u.target.get());
    return result;
  }
};

using Optimizer = void (*)(Model&);

void clipped_adam(Model& m) {
  m.updates = adam(m.params, clip_by_global_norm(grad(m.cost, m.params), 0.01), 0.01);
}
void decayed_momentum(Model& m) {
  m.updates = momentum(m.cost + 0.01 * sum(square(m.m.W)), m.params, 0.1, 0.9);
}
/// W's columns are scaled: that needs all its rows.
void constrained(Model& m) {
  m.updates = momentum(m.cost, m.params, 0.1, 0.9);
  for (Update& u : m.updates) {
    if (u.target == m.m.W) u.value = u.value / sqrt(sum(square(u.value), 0, true));
  }
}

parallel::StagedStep staged(const Model& m, parallel::Rank rank) {
  const Tensor rows = data();
  return parallel::staged("train", m.step(), {&rows}, rank);
}

struct Ended {
  std::vector<Tensor> values;
  std::vector<double> history;
  std::int64_t steps = 0;
};

Ended trained(Optimizer optimizer, std::shared_ptr<Distribution> ranks,
              const std::function<void(TrainOptions&, const Model&)>& with = {}) {
  Model m;
  optimizer(m);
  const Tensor rows = data();
  TrainOptions o = quiet_options(m.step(), rows, 64, 2, std::move(ranks));
  o.shuffle = 1;
  if (with) with(o, m);
  const TrainResult result = train(o);
  Ended ended{m.values(), {}, result.state.step};
  for (const EpochReport& epoch : result.state.history) ended.history.push_back(epoch.training[0]);
  return ended;
}

}  // namespace

TEST_CASE("of elementwise updates a rank makes its rows, and keeps what only they read") {
  Model m;
  clipped_adam(m);
  const parallel::SlicedUpdate u = staged(m, {1, 3}).update;
  REQUIRE(u.owned.size() == 3);
  for (const auto& [variable, slice, is_kept] : u.owned) {
    CHECK(slice.type().shape() == Shape{visible / 3, hidden});
    CHECK(is_kept == !(variable == m.m.W));
  }
  CHECK(u.norm_values.size() == 3);  // Of elements as they are, smaller and larger.
  // The gradient's products stay where they are added up, rows and biases go to all.
  CHECK(std::ranges::count(u.needs_whole, false) == 1);
  CHECK(staged(m, {}).update.owned.empty());
}

TEST_CASE("what needs all rows of a variable is made by every rank") {
  Model m;
  constrained(m);
  const parallel::SlicedUpdate u = staged(m, {1, 3}).update;
  CHECK(u.owned.empty());  // Momentum's old value, too, which W's update reads.
  CHECK(std::ranges::count(u.needs_whole, false) == 0);
}

TEST_CASE("variables, optimizers' among them, end with the same bits for any number of ranks") {
  for (const Optimizer optimizer : {clipped_adam, decayed_momentum, constrained}) {
    const Ended one = trained(optimizer, one_process());
    const Ended whole = trained(optimizer, nullptr);
    for (std::size_t k = 0; k < one.values.size(); ++k) {
      CAPTURE(k);
      for (std::int64_t i = 0; i < one.values[k].size(); ++i)
        REQUIRE(one.values[k].at(i) == doctest::Approx(whole.values[k].at(i)).epsilon(1e-2));
    }
    for (const int ranks : {2, 3, 4, 8}) {
      CAPTURE(ranks);
      ThreadRanks all(ranks);
      std::mutex mutex;
      for (const std::string& error : all.run([&](std::shared_ptr<Distribution> rank) {
             const Ended ended = trained(optimizer, rank);
             const std::scoped_lock lock(mutex);
             CHECK(ended.values == one.values);
             CHECK(ended.history == one.history);
           }))
        CHECK(error == "");
    }
  }
}

TEST_CASE("some ranks have no rows where there are fewer than ranks") {
  const auto trained_by = [](std::shared_ptr<Distribution> ranks) {
    RandomState random(1);
    const Shared W(random.normal(0, 0.1, {3, 1500}, DType::float32), "W");
    const Tensor rows = RandomState(3).uniform(0, 1, {row_count, 3}, DType::float32);
    const Expr x = matrix("x");
    const Expr cost = mean(square(x - dot(tanh(dot(x, W)), transpose(W))));
    const Updates updates = adam({W}, clip_by_global_norm(grad(cost, {W}), 0.1), 0.01);
    const Function step = function({.inputs = {x}, .outputs = {cost}, .updates = updates});
    train(quiet_options(step, rows, 64, 2, std::move(ranks)));
    std::vector<Tensor> result;
    for (const Update& u : updates) result.push_back(u.target.get());
    return result;
  };
  const std::vector<Tensor> one = trained_by(one_process());
  for (const int ranks : {2, 8}) {
    ThreadRanks all(ranks);
    std::mutex mutex;
    for (const std::string& error : all.run([&](std::shared_ptr<Distribution> rank) {
           const std::vector<Tensor> ended = trained_by(rank);
           const std::scoped_lock lock(mutex);
           CHECK(ended == one);
         }))
      CHECK(error == "");
  }
}

TEST_CASE("who looks at variables between steps, or changes them between epochs, has them whole") {
  const auto looking = [](std::vector<std::vector<Tensor>>& seen) {
    return [&seen](TrainOptions& o, const Model& m) {
      o.after_step = [&seen, &m](const StepReport&) { seen.push_back(m.values()); };
      o.after_epoch = [&m](const EpochReport&) {
        for (const Update& u : m.updates) {
          // Momentum forgets.
          Shared target = u.target;
          if (!(target == m.m.W) && target.rank() == 2)
            target.set(Tensor(target.dtype(), target.type().shape()));
        }
      };
    };
  };
  std::vector<std::vector<Tensor>> expected;
  const Ended one = trained(decayed_momentum, one_process(), looking(expected));
  REQUIRE(expected.size() == 8);
  CHECK_FALSE(one.values == trained(decayed_momentum, one_process()).values);
  ThreadRanks all(3);
  std::mutex mutex;
  for (const std::string& error : all.run([&](std::shared_ptr<Distribution> rank) {
         std::vector<std::vector<Tensor>> seen;
         const Ended ended = trained(decayed_momentum, rank, looking(seen));
         const std::scoped_lock lock(mutex);
         CHECK(seen == expected);
         CHECK(ended.values == one.values);
       }))
    CHECK(error == "");
}

TEST_CASE("a checkpoint of slices is whole, and goes on with other ranks") {
  const Ended expected = trained(clipped_adam, one_process());
  for (const int ranks : {1, 2, 8}) {
    CAPTURE(ranks);
    const TemporaryFolder folder;
    const auto saved = [&](TrainOptions& o, const Model&) {
      o.checkpoint = folder / "run.npz";
      o.resume = Resume::if_present;
      o.after_interrupt = AfterInterrupt::give_back;
    };
    ThreadRanks first(3), others(ranks);
    std::mutex mutex;
    for (const std::string& error : first.run([&](std::shared_ptr<Distribution> rank) {
           trained(clipped_adam, rank, [&](TrainOptions& o, const Model& m) {
             saved(o, m);
             o.epochs = 1;
           });
         }))
      CHECK(error == "");
    for (const std::string& error : others.run([&](std::shared_ptr<Distribution> rank) {
           const Ended ended = trained(clipped_adam, rank, saved);
           const std::scoped_lock lock(mutex);
           CHECK(ended.values == expected.values);
           CHECK(ended.history == expected.history);
           CHECK(ended.steps == expected.steps);
         }))
      CHECK(error == "");
  }
}
