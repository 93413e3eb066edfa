// Sparse autoencoders: few units of the code are active for an image. Either each unit's mean over
// the minibatch is to be a small number (KL, Ng's notes, 2011), or the sum of the code is penalised
// (L1), where relu units can be 0 exactly. Weights are tied: a decoder of its own could undo either
// by growing.
//
//     sparse                               without penalty, KL, L1
//     sparse --penalty kl --rho 0.1
//
// Writes: filters_*.png; pairs_*.png, test images and their reconstructions.
//
// Expect: for an image six in ten units are above 0.1 without a penalty, and one in ten with
// either. KL's filters are strokes and parts of shapes; with L1 a few units are never active, and
// their filters are the noise they began with. Takes a minute on two processors.
#include "common/figures.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

struct Settings {
  std::vector<std::string> penalties{"none", "kl", "l1"};
  double rho = 0.05, kl_weight = 3, l1_weight = 0.5;
  std::int64_t hidden = 200;
};

void fit(const Options& o, const Settings& settings, const DataSets& data, const std::string& name,
         Results& results) {
  RandomState random(o.seed);
  const Autoencoder model = autoencoder(
      {data.pixels(), settings.hidden}, random,
      {.hidden = name == "l1" ? relu : sigmoid, .output = sigmoid, .gain = 1, .dtype = o.type()});
  const Expr x = matrix("x", o.type());
  const Expr h = model.encode(x);
  const Expr reconstruction = mean(cross_entropy(x, model.decode(h)));
  const Expr activity = mean(h);
  const Expr penalty = name == "kl"   ? settings.kl_weight * sparse_kl(h, settings.rho)
                       : name == "l1" ? settings.l1_weight * mean(l1(h))
                                      : constant(Tensor(0.0));
  const Expr cost = reconstruction + penalty;

  if (!o.quiet) std::printf("penalty: %s\n", name.c_str());
  TrainOptions t = o.training(name + "_");
  t.step = function({.inputs = {x},
                     .outputs = {cost, reconstruction, activity},
                     .updates = adam(cost, model.params(), o.rate),
                     .name = "step"});
  t.data = {&data.training.images};
  t.names = {"cost", "reconstruction", "activity"};
  t.shuffle = o.seed;
  const TrainResult trained = train_to_end(t);

  const auto test = [&](const Expr& value) { return mean_of(value, x, data.test.images); };
  const auto share = [&](const Expr& which) { return percent(test(mean(which))); };
  results.add(name + ", test cross-entropy", number(test(reconstruction)));
  results.add(name + ", mean activity", number(test(activity)));
  results.add(name + ", units above 0.1 for an image", share(h > 0.1));
  results.add(name + ", units not 0 for an image", share(h > 0));
  results.add(name + ", seconds", number(trained.state.seconds, 3));
  const Tensor shown = first(data.test, 10).images;
  Picture learned = filters(model.encoder.layers[0].W, data.tiling());
  learned.title += ", penalty: " + name;
  show(o, "filters_" + name, learned,
       "Weights from the pixels to each of the first hundred units of the code.");
  Picture pairs = image_rows(
      {{"original", shown}, {"reconstruction", evaluate(model.reconstruct(x), {{x, shown}})}},
      data.tiling());
  pairs.title += ", penalty: " + name;
  show(o, "pairs_" + name, pairs, "Test images.");
  examine(o, "penalty " + name, t.step, cost, model.params(), {{x, shown}});
}

void fit_all(const Options& o, const Settings& settings) {
  const DataSets data = load(o);
  expect(o, "far fewer active units with a penalty, for a somewhat larger cross-entropy");
  Results results(o, "Sparse autoencoders");
  for (const std::string& penalty : settings.penalties) {
    fit(o, settings, data, penalty, results);
  }
  results.write();
}

}  // namespace

int main(int argc, char** argv) {
  Options o{.output = "out/sparse", .epochs = 15, .batch = 100, .rate = 0.002};
  Settings settings;
  CLI::App app{"Autoencoders with sparse codes, by KL and by L1.\n"};
  add_options(app, o);
  app.add_option("--penalty", settings.penalties, "Which, one after the other: none, kl, l1")
      ->delimiter(',')
      ->check(CLI::IsMember({"none", "kl", "l1"}))
      ->capture_default_str();
  app.add_option("--rho", settings.rho, "KL: the mean activity that units should have")
      ->check(CLI::Range(1e-6, 1 - 1e-6))
      ->capture_default_str();
  app.add_option("--kl-weight", settings.kl_weight, "Weight of the sum of KL over units")
      ->check(not_negative())
      ->capture_default_str();
  app.add_option("--l1-weight", settings.l1_weight, "Weight of the sum of an image's code")
      ->check(not_negative())
      ->capture_default_str();
  app.add_option("--hidden", settings.hidden, "Hidden units")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000}))
      ->capture_default_str();
  return run("sparse", app, argc, argv, o, [&] { fit_all(o, settings); });
}
