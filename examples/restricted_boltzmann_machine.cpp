// A restricted Boltzmann machine, trained by contrastive divergence (Hinton, 2002): CD-k, whose
// chain begins at the data, or persistent CD (Tieleman, ICML 2008), whose chain goes on from step
// to step. The Theano tutorial's machine, with 15 steps of a persistent chain.
//
//     restricted_boltzmann_machine                       both, one after the other
//     restricted_boltzmann_machine --kinds cd --steps 1
//
// Writes: filters_*.png, samples_*.png, test images and where a chain from each comes to.
//
// Expect: on Fashion-MNIST the pseudo-likelihood rises to -155 nats, from -543 where every pixel is
// a coin; samples stay clothes after thousands of steps, and some change from one kind to another.
// Takes a minute and a half on two processors.
#include "common/figures.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

struct Settings {
  std::vector<std::string> kinds{"pcd", "cd"};
  std::int64_t hidden = 500, steps = 15, samples = 10, between = 1000;
};

void fit(const Options& o, const Settings& settings, const DataSets& data, const std::string& kind,
         Results& results) {
  RandomState random(o.seed);
  RandomStreams streams(o.seed);
  const std::int64_t pixels = data.pixels();
  const Rbm machine = rbm(pixels, settings.hidden, random, o.type());
  Shared chain(Tensor(o.type(), {o.batch, settings.hidden}), "chain");
  Shared unit(Tensor(std::int64_t{0}), "unit");
  const Expr v = matrix("v", o.type());

  const bool persistent = kind == "pcd";
  const Expr start = persistent ? Expr(chain) : bernoulli(machine.hidden_mean(v), streams);
  const GibbsChain gibbs =
      gibbs_chain(machine, start, persistent ? settings.steps : std::int64_t{1}, streams);
  const Expr cost = contrastive_divergence(machine, v, gibbs.visible);
  Updates updates = sgd(cost, machine.params(), o.rate);
  if (persistent) updates.push_back({chain, gibbs.hidden});
  updates.push_back({unit, mod(unit + std::int64_t{1}, pixels)});

  if (!o.quiet) std::printf("%s\n", persistent ? "persistent chain" : "chains from the data");
  TrainOptions t = o.training(kind + "_");
  t.step = function(
      {.inputs = {v},
       .outputs = {pseudo_log_likelihood(machine, round(v), unit),
                   reconstruction_cross_entropy(v, machine.visible_mean(machine.hidden_mean(v)))},
       .updates = updates,
       .name = "step"});
  t.data = {&data.training.images};
  t.names = {"pseudo-likelihood", "reconstruction"};
  t.shuffle = o.seed;
  const TrainResult trained = train_to_end(t);

  const auto test = [&](const Expr& value) { return mean_of(value, v, data.test.images); };
  double likelihood = 0;
  constexpr std::int64_t units_tried = 50;
  for (std::int64_t k = 0; k < units_tried; ++k) {
    const Expr tried = constant(Tensor(k * pixels / units_tried));
    likelihood += test(pseudo_log_likelihood(machine, round(v), tried)) / units_tried;
  }
  results.add(kind + ", pseudo-likelihood, nats a training image", number(last(trained)));
  results.add(kind + ", pseudo-likelihood, nats a test image", number(likelihood));
  results.add(
      kind + ", reconstruction cross-entropy, nats a test image",
      number(test(reconstruction_cross_entropy(v, machine.visible_mean(machine.hidden_mean(v))))));
  results.add(kind + ", seconds", number(trained.state.seconds, 3));

  Picture learned = filters(machine.W, data.tiling());
  learned.title += ", " + kind;
  show(o, "filters_" + kind, learned,
       "Weights from the pixels to each of the first hundred hidden units.");
  const Tensor shown = first(data.test, 20).images;
  std::vector<std::pair<std::string, Tensor>> rows_shown{{"test image", shown}};
  Shared state(evaluate(bernoulli(machine.hidden_mean(v), streams), {{v, shown}}), "state");
  const GibbsChain further = gibbs_chain(machine, state, settings.between, streams);
  const Function sample = function({}, {further.visible_mean}, {{state, further.hidden}});
  for (std::int64_t k = 1; k <= settings.samples; ++k) {
    rows_shown.emplace_back(text(k * settings.between, " steps"), sample()[0]);
  }
  Picture samples = image_rows(rows_shown, data.tiling());
  samples.title = "Samples, " + kind;
  show(o, "samples_" + kind, samples, "Chains from test images, after so many steps.");
  examine(o, kind, t.step, cost, machine.params(), {{v, shown}});
}

void fit_all(const Options& o, const Settings& settings) {
  const DataSets data = load(o);
  expect(o, "a pseudo-likelihood that rises over the epochs; samples that look like the data");
  Results results(o, "Restricted Boltzmann machines");
  for (const std::string& kind : settings.kinds) fit(o, settings, data, kind, results);
  results.write();
}

}  // namespace

int main(int argc, char** argv) {
  Options o{.output = "out/restricted_boltzmann_machine", .epochs = 15, .batch = 20, .rate = 0.1};
  o.images = 10000;
  Settings settings;
  CLI::App app{"Restricted Boltzmann machines by contrastive divergence, and samples of them.\n"};
  add_options(app, o);
  app.add_option("--kinds", settings.kinds,
                 "Which, one after the other: pcd, a persistent chain; cd, from the data")
      ->delimiter(',')
      ->check(CLI::IsMember({"pcd", "cd"}))
      ->capture_default_str();
  app.add_option("--hidden", settings.hidden, "Hidden units")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000}))
      ->capture_default_str();
  app.add_option("--steps", settings.steps, "Steps of the persistent chain for a minibatch")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000}))
      ->capture_default_str();
  app.add_option("--samples", settings.samples, "Rows of samples")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{100}))
      ->capture_default_str();
  app.add_option("--between", settings.between, "Steps of a chain from one row to the next")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000}))
      ->capture_default_str();
  return run("restricted_boltzmann_machine", app, argc, argv, o, [&] { fit_all(o, settings); });
}
