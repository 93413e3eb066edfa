// What a classifier's hidden units say, taken apart: a sparse dictionary of the activations of a
// multilayer perceptron, and how much of the classifier survives in it. TopK with AuxK: Gao et al.,
// "Scaling and evaluating sparse autoencoders", 2024.
//
//     classifier_dictionary                     Fashion-MNIST from Debian's package
//     classifier_dictionary --latents 4096 --k 4
//
// Writes: latents.png, test images on which the most active latents are most active; *_log.csv,
// *_parameters.npz, *_checkpoint.npz.
//
// Expect: over 90 % of the activations' variance explained by few latents of many, hardly any loss
// of the classifier with the dictionary in its middle, and many latents that stand for one kind of
// garment each. Takes half a minute.
#include <algorithm>
#include <numeric>
#include <vector>

#include "common/figures.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

struct Settings {
  std::int64_t hidden = 256, latents = 1024, k = 16;
};

/// Trains the classifier that is looked at.
Network classify(const Options& o, const Settings& s, const DataSets& data) {
  RandomState random(o.seed);
  const Network model =
      mlp({data.pixels(), s.hidden, data.classes()}, random, {.hidden = relu, .dtype = o.type()});
  const Expr x = matrix("x", o.type()), labels = lvector("labels");
  const Expr cost = classification_cost(labels, model(x));
  TrainOptions t = o.training("classifier_");
  t.step = function({.inputs = {x, labels},
                     .outputs = {cost},
                     .updates = adam(cost, model.params(), o.rate),
                     .name = "classifier"});
  t.data = {&data.training.images, &data.training.labels};
  t.names = {"cost"};
  t.shuffle = o.seed;
  train_to_end(t);
  const Examples few = first(data.test, 20);
  examine(o, "classifier", t.step, cost, model.params(), {{x, few.images}, {labels, few.labels}});
  return model;
}

/// The examples of a column of `code` with the largest values, the largest first.
std::vector<std::int64_t> strongest(const Tensor& code, std::int64_t latent, std::int64_t count) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(code.shape()[0]));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order,
                           [&](auto i, auto j) { return code(i, latent) > code(j, latent); });
  order.resize(std::min(order.size(), static_cast<std::size_t>(count)));
  return order;
}

void explain_classifier(const Options& o, const Settings& s) {
  if (s.k > s.latents)
    throw ValueError(text("--k ", s.k, ": there are only ", s.latents, " latents"));
  const DataSets data = load(o);
  expect(o, "over 90 % of the variance explained, and hardly any loss of the classifier");
  if (!o.quiet) std::printf("classifier\n");
  const Network model = classify(o, s, data);
  const Network below{{model.layers.begin(), model.layers.end() - 1}};
  const Layer& top = model.layers.back();
  const Expr images = matrix("images", o.type());
  const auto activations = [&](const Tensor& of) {
    return evaluate(below(images), {{images, of}});
  };
  const Tensor training = activations(data.training.images), test = activations(data.test.images);

  if (!o.quiet) std::printf("dictionary\n");
  RandomState random(o.seed);
  const Dictionary d = dictionary(s.hidden, s.latents, random, {.dtype = o.type()});
  centre(d, first({training, data.training.labels}, 2000).images);
  const Shared idle = idle_counter(d), step = step_counter();
  const Expr h = matrix("h", o.type()), p = d.pre_activations(h), f = topk_code(p, s.k),
             z = d.decode(f);
  const Expr dead = dead_latents(idle, training.shape()[0]);
  const Expr cost = normalized_error(h, z) +
                    auxiliary_error(d, p, h - z, dead, std::min(s.hidden / 2 + 1, s.latents)) / 32;
  Updates updates = constrained(cost, d.params(), {unit_norm(d.W_dec, 1)},
                                [&](const auto& params, const std::vector<Expr>& g) {
                                  return adam(params, clip_by_global_norm(g, 1),
                                              falling_rate(step, o.rate, o, training.shape()[0]),
                                              {.epsilon = 6.25e-10});
                                });
  updates.push_back(advance(step));
  for (const Update& u : count_idle(idle, f)) updates.push_back(u);
  TrainOptions t = o.training("dictionary_");
  t.step = function({.inputs = {h},
                     .outputs = {cost, explained_variance(h, z), dead_share(dead)},
                     .updates = updates,
                     .name = "dictionary"});
  t.data = {&training};
  t.names = {"cost", "explained variance", "share of dead latents"};
  t.shuffle = o.seed;
  t.drop_last = true;
  const TrainResult trained = train_to_end(t);

  const Expr labels = lvector("labels");
  const auto loss = [&](const Expr& activation) {
    return classification_cost(labels, top(activation));
  };
  const Expr ablated = mean(h, 0, /*keepdims=*/true) + zeros_like(h);
  const auto found = function(
      {h, labels}, {explained_variance(h, z), mean(l0(f)), loss(h), loss(z), loss(ablated),
                    recovered_loss(loss(h), loss(z), loss(ablated)), error_rate(labels, top(h)),
                    error_rate(labels, top(z)), f})({test, data.test.labels});
  Results results(o, "A dictionary of a classifier's activations");
  const auto add = [&](const std::string& what, std::size_t k, bool share) {
    results.add(what, share ? percent(found[k].item()) : number(found[k].item()));
  };
  add("explained variance", 0, true);
  add("latents active for an image", 1, false);
  results.add("latents dead", percent(evaluate(dead_share(dead)).item()));
  add("classifier's loss", 2, false);
  add("its loss with the dictionary's reconstruction", 3, false);
  add("its loss with the mean activation", 4, false);
  add("recovered loss", 5, true);
  add("test error", 6, true);
  add("test error with the reconstruction", 7, true);
  results.add("seconds", number(trained.state.seconds, 3));

  // The latents that are most active in all, and where they are most active.
  const Tensor total = evaluate(sum(constant(found[8]), 0)), &code = found[8];
  std::vector<std::pair<std::string, Tensor>> rows;
  std::vector<std::int64_t> latents(static_cast<std::size_t>(s.latents));
  std::iota(latents.begin(), latents.end(), 0);
  std::ranges::stable_sort(latents, [&](auto i, auto j) { return total.at(i) > total.at(j); });
  latents.resize(std::min<std::size_t>(latents.size(), 8));
  for (const std::int64_t latent : latents) {
    const std::vector<std::int64_t> where = strongest(code, latent, 10);
    rows.emplace_back(text("latent ", latent),
                      evaluate(take(constant(data.test.images), constant(Tensor::from(where)))));
  }
  Picture picture = image_rows(rows, data.tiling());
  picture.title = "Images on which latents are most active";
  show(o, "latents", picture, "The most active latents of the dictionary, a row each.");
  examine(o, "dictionary", t.step, cost, d.params(),
          {{h, evaluate(slice(constant(test), 0, std::min<std::int64_t>(20, test.shape()[0])))}});
  results.write();
}

}  // namespace

int main(int argc, char** argv) {
  Options o{.output = "out/classifier_dictionary",
            .images = 20000,
            .epochs = 10,
            .batch = 100,
            .rate = 0.001};
  Settings s;
  CLI::App app{"A sparse dictionary of a classifier's activations.\n"};
  add_options(app, o);
  const auto count = [&](const std::string& name, std::int64_t& value, const std::string& what) {
    app.add_option(name, value, what)
        ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000}))
        ->capture_default_str();
  };
  count("--hidden", s.hidden, "Hidden units of the classifier");
  count("--latents", s.latents, "Latents of the dictionary");
  count("--k", s.k, "Latents of an image that are kept");
  return run("classifier_dictionary", app, argc, argv, o, [&] { explain_classifier(o, s); });
}
