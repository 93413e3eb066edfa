// A deep belief network: restricted Boltzmann machines are trained one after the other on each
// other's codes, then the whole network is fine-tuned to classify. Hinton, Osindero, Teh, "A Fast
// Learning Algorithm for Deep Belief Nets", Neural Computation 2006, as the Theano tutorial has it.
//
//     deep_belief_network                            Fashion-MNIST from Debian's package, smaller
//     deep_belief_network --preset tutorial --data MNIST
//                                                    the settings of the Theano tutorial, which
//                                                    published 1.34 % test error
//
// Writes: filters.png, of the first machine.
//
// Expect: each machine's reconstruction cross-entropy falls, and fine-tuning ends at a test error
// of 14 % on Fashion-MNIST. Takes half a minute; the tutorial's settings some hours.
#include "common/figures.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

struct Settings {
  std::string preset = "default";
  std::vector<std::int64_t> hidden{500, 500, 500};
  std::int64_t steps = 1, pretraining_epochs = 5, pretraining_batch = 20;
  double pretraining_rate = 0.05;
  double patience_epochs = 10;
};

/// Trains each machine by CD-k on the codes of the one before, which are computed once. Returns the
/// seconds that took.
double pretrain(const Options& o, const Settings& settings, const DataSets& data,
                const std::vector<Rbm>& machines) {
  double seconds = 0;
  const Tensor* input = &data.training.images;
  Tensor codes_before;
  for (std::size_t k = 0; k < machines.size(); ++k) {
    const Rbm& machine = machines[k];
    RandomStreams streams(o.seed + static_cast<std::int64_t>(k) + 1);
    const Expr v = matrix("v", o.type());
    const GibbsChain chain =
        gibbs_chain(machine, bernoulli(machine.hidden_mean(v), streams), settings.steps, streams);
    const Expr cost = contrastive_divergence(machine, v, chain.visible);

    TrainOptions t = o.training(text("layer", k + 1, "_"));
    t.step = function({.inputs = {v},
                       .outputs = {reconstruction_cross_entropy(v, chain.visible_mean)},
                       .updates = sgd(cost, machine.params(), settings.pretraining_rate),
                       .name = "pretraining"});
    t.data = {input};
    t.names = {"reconstruction"};
    t.epochs = settings.pretraining_epochs;
    t.batch = settings.pretraining_batch;
    if (!o.quiet) std::printf("layer %zu\n", k + 1);
    seconds += train_to_end(t).state.seconds;
    if (k + 1 == machines.size()) break;
    codes_before = codes(Network{{Layer{machine.W, machine.b, sigmoid}}}, *input);
    input = &codes_before;
  }
  return seconds;
}

void fit(const Options& o, const Settings& settings) {
  const DataSets data = load(o);
  expect(o, "reconstructions that get better layer by layer, then an error that falls");
  RandomState random(o.seed);
  std::vector<Rbm> machines;
  Network features;
  std::int64_t below = data.pixels();
  for (const std::int64_t units : settings.hidden) {
    machines.push_back(rbm(below, units, random, o.type(), text("rbm", machines.size() + 1)));
    features.layers.push_back({machines.back().W, machines.back().b, sigmoid});
    below = units;
  }
  const double pretraining = pretrain(o, settings, data, machines);
  show(o, "filters", filters(machines[0].W, data.tiling()),
       "Weights from the pixels to the first machine's hidden units, pretrained.");

  // The layers' weights are the machines' own.
  const Network model = classifier(features, logistic_regression(below, data.classes(), o.type()));
  const Expr x = matrix("x", o.type()), labels = lvector("labels");
  const Expr cost = classification_cost(labels, model(x)), error = error_rate(labels, model(x));
  TrainOptions t = training_of({x, labels, cost, error}, sgd(cost, model.params(), o.rate),
                               "fine-tuning", data, o, "finetuning_");
  const auto steps = static_cast<double>(data.training.images.shape()[0] / o.batch);
  t.early_stopping = EarlyStopping{.patience = settings.patience_epochs * steps};
  t.params = model.params();
  t.restore_best = true;
  if (!o.quiet) std::printf("fine-tuning\n");
  const TrainResult tuned = train_to_end(t);

  Results results(o, "Deep belief network", data.mnist);
  std::string layers = text(data.pixels());
  for (const std::int64_t n : settings.hidden) layers += text("-", n);
  results.add("layers", text(layers, "-", data.classes()), "784-1000-1000-1000-10");
  results.add("fine-tuning epochs", number(static_cast<double>(tuned.state.epoch)), "46");
  results.add("validation error", percent(tuned.state.patience.best), "1.27 %");
  results.add("test error",
              percent(mean_over(t.validate, {&data.test.images, &data.test.labels})[0]), "1.34 %");
  results.add("minutes of pretraining", number(pretraining / 60, 3), "615");
  results.add("minutes of fine-tuning", number(tuned.state.seconds / 60, 3), "102");
  const Examples few = first(data.validation, 20);
  examine(o, "fine-tuning", t.step, cost, model.params(), {{x, few.images}, {labels, few.labels}});
  results.write();
}

}  // namespace

int main(int argc, char** argv) {
  Options o{.output = "out/deep_belief_network", .epochs = 15, .batch = 20, .rate = 0.1};
  Settings s;
  CLI::App app{"A deep belief network, pretrained machine by machine and fine-tuned.\n"};
  add_options(app, o);
  app.add_option("--preset", s.preset, "tutorial: the Theano tutorial's")
      ->check(CLI::IsMember({"tutorial", "default"}));
  app.add_option("--hidden", s.hidden, "Hidden units of each machine")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000}))
      ->delimiter(',');
  app.add_option("--steps", s.steps, "k of CD-k")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000}))
      ->capture_default_str();
  app.add_option("--pretraining-epochs", s.pretraining_epochs, "For each machine")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1000000}));
  app.add_option("--pretraining-batch", s.pretraining_batch, "Images in a minibatch")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000}));
  app.add_option("--pretraining-rate", s.pretraining_rate, "Learning rate")->check(above_zero());
  app.add_option("--patience", s.patience_epochs, "Epochs of fine-tuning at least")
      ->check(above_zero());
  app.parse_complete_callback([&] {
    if (s.preset != "tutorial") return;
    by_preset(app, "--hidden", s.hidden, {1000, 1000, 1000});
    by_preset(app, "--pretraining-epochs", s.pretraining_epochs, 100);
    by_preset(app, "--pretraining-batch", s.pretraining_batch, 10);
    by_preset(app, "--pretraining-rate", s.pretraining_rate, 0.01);
    by_preset(app, "--epochs", o.epochs, 100);
    by_preset(app, "--batch", o.batch, 10);
  });
  return run("deep_belief_network", app, argc, argv, o, [&] { fit(o, s); });
}
