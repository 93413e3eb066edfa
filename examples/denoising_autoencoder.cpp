// Denoising autoencoders: an image is corrupted, encoded and decoded, and what comes out is
// compared with the image as it was. One is trained for each level of corruption. Vincent,
// Larochelle, Bengio, Manzagol, "Extracting and Composing Robust Features with Denoising
// Autoencoders", ICML 2008.
//
//     denoising_autoencoder                 none, and 30 % of the pixels masked
//     denoising_autoencoder --noise gaussian --corruption 0.3,0.5
//     denoising_autoencoder --noise salt_and_pepper --emphasis 0.8
//
// Model, rate, minibatches and initial weights are those of the Theano tutorial; the noise is drawn
// by another generator than its.
//
// Writes: filters_*.png and reconstructions_*.png, of images as they were and corrupted, for each
// level.
//
// Expect: of MNIST with 30 % of the pixels masked, the test cost is 114 after training without
// noise and 66 with it; of clean images 53 and 69. Filters learned with noise are spots and
// strokes, those without it mostly look like the noise they began with. Takes two minutes on two
// processors.
#include <cmath>

#include "common/figures.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

struct Settings {
  std::vector<double> corruption{0, 0.3};
  std::string noise = "masking";
  double emphasis = 0.5;
  std::int64_t hidden = 500;
};

Corrupted corrupt(const Settings& settings, const Expr& x, double level, std::int64_t pixels,
                  RandomStreams& random) {
  if (settings.noise == "gaussian") return gaussian(x, level, random);
  if (settings.noise == "salt_and_pepper") return salt_and_pepper(x, level, random);
  if (settings.noise == "masking") return masking(x, level, random);
  return masking_count(x, std::llround(level * static_cast<double>(pixels)), random);
}

/// The mean over images of the cross-entropy, summed over pixels: `emphasis` of it of those that
/// were changed, the rest of the others, so that 1/2 is the plain sum.
Expr cost_of(const Autoencoder& model, const Expr& x, const Corrupted& noisy, double emphasis) {
  const Expr losses = binary_cross_entropy(x, model.reconstruct(noisy.x));
  return mean(emphasized(losses, noisy, 2 * emphasis, 2 * (1 - emphasis)));
}

void fit(const Options& o, const Settings& settings, const DataSets& data, double level,
         Results& results) {
  const std::string name = "corruption_" + number(level);
  RandomState random(o.seed);
  random.randint(0, std::int64_t{1} << 30, {});  // The tutorial takes its noise's seed from here.
  const Autoencoder model = autoencoder({data.pixels(), settings.hidden}, random,
                                        {.tied = true, .output = sigmoid, .dtype = o.type()});
  RandomStreams streams(o.seed);
  const Expr x = matrix("x", o.type());
  const Corrupted noisy = corrupt(settings, x, level, data.pixels(), streams);
  // Nothing is changed at level 0.
  const Expr cost = cost_of(model, x, noisy, level > 0 ? settings.emphasis : 0.5);

  if (!o.quiet) std::printf("corruption %g\n", level);
  TrainOptions t = o.training(name + "_");
  t.step = function({.inputs = {x},
                     .outputs = {cost},
                     .updates = sgd(cost, model.params(), o.rate),
                     .name = "step"});
  t.data = {&data.training.images};
  t.names = {"cost"};
  const TrainResult trained = train_to_end(t);

  // All models are tested on the same noise: that of the highest level.
  const double most = std::ranges::max(settings.corruption);
  RandomStreams test_streams(o.seed + 1);
  const Corrupted test = corrupt(settings, x, most, data.pixels(), test_streams);
  const auto test_cost = [&](const Expr& seen) {
    const Expr value = denoising_cost(model, x, seen, cross_entropy);
    return number(mean_of(value, x, data.test.images), 5);
  };
  const std::string what = "corruption " + number(level);
  results.add(what + ", cost of the last epoch", number(last(trained), 5));
  results.add(what + ", test cost from clean images", test_cost(x));
  if (most > 0) results.add(what + ", test cost at corruption " + number(most), test_cost(test.x));
  results.add(what + ", seconds", number(trained.state.seconds, 3));

  Picture learned = filters(model.encoder.layers[0].W, data.tiling());
  learned.title += ", " + what;
  show(o, "filters_" + name, learned,
       "Weights from the pixels to each of the first hundred hidden units.");
  const Tensor clean = first(data.test, 10).images;
  const auto out = function({x}, {test.x, model.reconstruct(test.x)})({clean});
  Picture seen =
      image_rows({{"original", clean}, {"noisy", out[0]}, {"result", out[1]}}, data.tiling());
  seen.title += ", " + what;
  show(o, "reconstructions_" + name, seen,
       "Test images, what the autoencoder saw of them, and what it made of that.");
  examine(o, what, t.step, cost, model.params(), {{x, clean}});
}

void fit_all(const Options& o, const Settings& settings) {
  if (settings.noise == "gaussian" && settings.emphasis != 0.5)
    throw ValueError("--emphasis: gaussian noise changes every pixel, there are no others");
  if (settings.noise != "gaussian" && std::ranges::max(settings.corruption) > 1)
    throw ValueError("--corruption: a share of the pixels is between 0 and 1");
  const DataSets data = load(o);
  expect(o, "costs fall every epoch; trained with noise, an autoencoder loses far less to noise");
  Results results(o, "Denoising autoencoder, " + settings.noise);
  for (const double level : settings.corruption) {
    fit(o, settings, data, level, results);
  }
  results.write();
}

}  // namespace

int main(int argc, char** argv) {
  Options o{.output = "out/denoising_autoencoder", .epochs = 15, .batch = 20, .rate = 0.1};
  Settings settings;
  CLI::App app{"Denoising autoencoders, one for each level of corruption.\n"};
  add_options(app, o);
  app.add_option("--corruption", settings.corruption,
                 "Shares of the pixels that are corrupted; of gaussian noise, standard deviations")
      ->delimiter(',')
      ->check(not_negative())
      ->capture_default_str();
  app.add_option("--noise", settings.noise,
                 "What corruption does: to each pixel by chance, or to "
                 "a fixed count of them")
      ->check(CLI::IsMember({"masking", "count", "gaussian", "salt_and_pepper"}))
      ->capture_default_str();
  app.add_option("--emphasis", settings.emphasis,
                 "Weight of corrupted pixels in the cost, from 0 to 1, which is all of it")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--hidden", settings.hidden, "Hidden units")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000}))
      ->capture_default_str();
  return run("denoising_autoencoder", app, argc, argv, o, [&] { fit_all(o, settings); });
}
