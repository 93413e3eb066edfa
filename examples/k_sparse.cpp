// Codes that are sparse because most of their units are set to 0: of each image all but the k
// largest (k-sparse: Makhzani and Frey, ICLR 2014), or of each unit all but its largest values
// among the images of a minibatch (winner-take-all: the same, NIPS 2015).
//
//     k_sparse                                     both
//     k_sparse --code k_sparse --k 10
//     k_sparse --code winner_take_all --share 0.02
//
// Writes: filters_*.png; pairs_*.png, test images and their reconstructions.
//
// Expect: strokes for small k or share, more local parts for larger ones, and lower errors. A
// winner-take-all unit is never dead, as each wins in every minibatch; k-sparse units may be.
// Takes a minute on two processors.
#include <algorithm>
#include <vector>

#include "common/figures.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

struct Settings {
  std::vector<std::string> codes{"k_sparse", "winner_take_all"};
  std::int64_t hidden = 400, k = 25;
  double share = 0.05;
};

/// Of minibatches of images: means, and the share of units that are 0 for all images.
struct Figures {
  double cost = 0, activity = 0, not_zero = 0, not_zero_before = 0, dead = 0;
};
Figures figures(const Expr& x, const Expr& before, const Expr& h, const Expr& cost,
                const Tensor& images, std::int64_t batch) {
  const Shared all(images, "images");
  const Expr begin = lscalar("begin");
  batch = std::min(batch, images.shape()[0]);
  const Function f = function({.inputs = {begin},
                               .outputs = {cost, mean(h), mean(not_equal(h, 0)),
                                           mean(not_equal(before, 0)), any(not_equal(h, 0), 0)},
                               .givens = {{x, rows(all, begin, batch)}},
                               .name = "figures"});
  Figures result;
  std::vector<bool> active(static_cast<std::size_t>(h.dims()[1].size()));
  const std::int64_t batches = images.shape()[0] / batch;
  for (std::int64_t k = 0; k < batches; ++k) {
    const auto out = f({k * batch});
    const auto add = [&](double& mean, const Tensor& value) {
      mean += value.item() / static_cast<double>(batches);
    };
    add(result.cost, out[0]);
    add(result.activity, out[1]);
    add(result.not_zero, out[2]);
    add(result.not_zero_before, out[3]);
    for (std::size_t j = 0; j < active.size(); ++j)
      active[j] = active[j] || out[4].at(static_cast<std::int64_t>(j)) != 0;
  }
  result.dead =
      static_cast<double>(std::ranges::count(active, false)) / static_cast<double>(active.size());
  return result;
}

void fit(const Options& o, const Settings& settings, const DataSets& data, const std::string& name,
         Results& results) {
  const bool winners = name == "winner_take_all";
  RandomState random(o.seed);
  const Autoencoder model = autoencoder(
      {data.pixels(), settings.hidden}, random,
      {.tied = true, .hidden = winners ? relu : linear, .output = linear, .dtype = o.type()});
  const Expr x = matrix("x", o.type());
  const Expr all = model.encode(x);
  const Expr h = winners ? winner_take_all(all, settings.share) : k_sparse(all, settings.k);
  const Expr cost = mean(squared_error(x, model.decode(h)));

  if (!o.quiet) std::printf("%s\n", name.c_str());
  TrainOptions t = o.training(name + "_");
  t.step = function({.inputs = {x},
                     .outputs = {cost, mean(not_equal(h, 0))},
                     .updates = adam(cost, model.params(), o.rate),
                     .name = "step"});
  t.data = {&data.training.images};
  t.names = {"cost", "share not 0"};
  t.shuffle = o.seed;
  const TrainResult trained = train_to_end(t);

  const Figures test = figures(x, all, h, cost, data.test.images, o.batch);
  results.add(name + ", training error an image", number(last(trained)));
  results.add(name + ", test error an image", number(test.cost));
  results.add(name + ", mean activity", number(test.activity));
  results.add(name + ", units not 0 for a test image", percent(test.not_zero));
  results.add(name + ", units that are 0 for all of them", percent(test.dead));
  // What wins depends on the other images; the paper's features of new images are all of the code.
  if (winners)
    results.add(name + ", units not 0 before winners are taken", percent(test.not_zero_before));
  results.add(name + ", seconds", number(trained.state.seconds, 3));
  const Examples shown = first(data.test, o.batch);
  Picture learned = filters(model.encoder.layers[0].W, data.tiling());
  learned.title += ", " + name;
  show(o, "filters_" + name, learned,
       "Weights from the pixels to each of the first hundred units of the code.");
  // Winners depend on the other images of the minibatch.
  Picture pairs = image_rows({{"original", shown.images},
                              {"reconstruction", evaluate(model.decode(h), {{x, shown.images}})}},
                             data.tiling());
  pairs.title += ", " + name;
  show(o, "pairs_" + name, pairs, "Test images.");
  examine(o, name, t.step, cost, model.params(), {{x, shown.images}});
}

void fit_all(const Options& o, const Settings& settings) {
  if (settings.k > settings.hidden)
    throw ValueError(text("--k ", settings.k, ": there are only ", settings.hidden, " units"));
  const DataSets data = load(o);
  expect(o, "filters like strokes; of k-sparse units just the asked for share is not 0");
  Results results(o, "k-sparse and winner-take-all autoencoders");
  for (const std::string& code : settings.codes) {
    fit(o, settings, data, code, results);
  }
  results.write();
}

}  // namespace

int main(int argc, char** argv) {
  Options o{.output = "out/k_sparse", .epochs = 10, .batch = 100, .rate = 0.001};
  Settings settings;
  CLI::App app{"Autoencoders of whose codes only the largest values are kept.\n"};
  add_options(app, o);
  app.add_option("--code", settings.codes, "Which, one after the other: k_sparse, winner_take_all")
      ->delimiter(',')
      ->check(CLI::IsMember({"k_sparse", "winner_take_all"}))
      ->capture_default_str();
  app.add_option("--k", settings.k, "Units of an image's code that are kept")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000}))
      ->capture_default_str();
  app.add_option("--share", settings.share,
                 "Winner-take-all: share of a minibatch's values that each unit keeps")
      ->check(CLI::Range(1e-9, 1.0))
      ->capture_default_str();
  app.add_option("--hidden", settings.hidden, "Hidden units")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000}))
      ->capture_default_str();
  return run("k_sparse", app, argc, argv, o, [&] { fit_all(o, settings); });
}
