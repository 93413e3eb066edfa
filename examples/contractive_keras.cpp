// The contractive autoencoder that a well-known post builds in Keras: a sigmoid code of 64 units, a
// linear decoder with weights of its own, squared error, Adam. The penalty is of the weights as
// they are, where the post's is of a copy made before training. Beside it the same with tied
// weights.
//
//     contractive_keras                both, on 55,000 images of Fashion-MNIST
//     contractive_keras --tied no      the post's model alone
//     contractive_keras --lambda 0     without the penalty
//
// Writes: weights.png, the norms over the epochs; pairs_*.png, test images over their
// reconstructions; filters_*.png.
//
// Expect: with weights of its own the decoder lets the encoder cheat. ||dh/dx|| falls as the
// encoder shrinks to half its norm, and the decoder grows to four times its own to make up for it.
// Tied weights cannot do both; without the penalty the encoder does not shrink. Takes half a
// minute on two processors.
#include "common/figures.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

struct Settings {
  std::int64_t hidden = 64;
  double lambda = 1e-3;
  std::string tied = "both";
};

void fit(const Options& o, const Settings& settings, const DataSets& data, bool tied,
         Results& results, Plot& plot) {
  const std::string name = tied ? "tied" : "untied";
  RandomState random(o.seed);
  const Autoencoder model = autoencoder(
      {data.pixels(), settings.hidden}, random,
      {.tied = tied, .hidden = sigmoid, .output = linear, .gain = 1, .dtype = o.type()});
  const Layer& encoder = model.encoder.layers[0];
  const Expr x = matrix("x", o.type());
  const Expr error = mean(square(x - model.reconstruct(x)));  // Over images and pixels.
  const Expr penalty = mean(jacobian_norm2(encoder, x));      // ||dh/dx||^2
  const Expr cost = error + settings.lambda * penalty;
  const auto frobenius = [](const Expr& W) { return sqrt(sum(square(W))); };
  const Expr encoder_norm = frobenius(encoder.W),
             decoder_norm = frobenius(model.decoder.layers[0].W);
  const Tensor encoder_before = evaluate(encoder_norm), decoder_before = evaluate(decoder_norm);

  if (!o.quiet) std::printf("%s weights\n", name.c_str());
  TrainOptions t = o.training(name + "_");
  t.step = function({.inputs = {x},
                     .outputs = {cost, error, penalty, encoder_norm, decoder_norm},
                     .updates = adam(cost, model.params(), o.rate, {.epsilon = 1e-7}),  // As Keras.
                     .name = "step"});
  t.data = {&data.training.images};
  t.names = {"cost", "error", "penalty", "encoder", "decoder"};
  t.shuffle = o.seed;
  const TrainResult trained = train_to_end(t);

  const auto test = [&](const Expr& value) { return number(mean_of(value, x, data.test.images)); };
  const auto change = [](const Tensor& before, const Expr& norm) {
    return number(before.item()) + " to " + number(evaluate(norm).item());
  };
  results.add(name + ", test squared error a pixel", test(error));
  results.add(name + ", test ||dh/dx||^2", test(penalty));
  results.add(name + ", norm of the encoder's weights", change(encoder_before, encoder_norm));
  results.add(name + ", norm of the decoder's weights", change(decoder_before, decoder_norm));
  results.add(name + ", seconds", number(trained.state.seconds, 3));
  plot.curves.push_back(curve(trained, 3, tied ? name : name + ", encoder"));
  if (!tied) plot.curves.push_back(curve(trained, 4, name + ", decoder"));
  const Tensor shown = first(data.test, 10).images;
  Picture pairs = image_rows(
      {{"original", shown}, {"reconstruction", evaluate(model.reconstruct(x), {{x, shown}})}},
      data.tiling());
  pairs.title += ", " + name + " weights";
  show(o, "pairs_" + name, pairs, "Test images.");
  Picture learned = filters(encoder.W, data.tiling());
  learned.title += ", " + name + " weights";
  show(o, "filters_" + name, learned, "Weights from the pixels to each unit of the code.");
  examine(o, name + " weights", t.step, cost, model.params(), {{x, shown}});
}

void fit_all(const Options& o, const Settings& settings) {
  const DataSets data = load(o, /*divisor=*/255, {.held = 1.0 / 12});
  expect(o, "untied, the encoder's weights end smaller than tied ones and the decoder's larger");
  Results results(o, "Contractive autoencoder as in Keras, lambda " + number(settings.lambda));
  Plot plot{.title = "Norms of the weights",
            .x_label = "epoch",
            .curves = {},
            .y_labels = {"Frobenius norm of the weights"}};
  if (settings.tied != "yes") fit(o, settings, data, /*tied=*/false, results, plot);
  if (settings.tied != "no") fit(o, settings, data, /*tied=*/true, results, plot);
  show(o, "weights", plot,
       "Of the encoder and of the decoder, which is the same where weights are tied.");
  results.write();
}

}  // namespace

int main(int argc, char** argv) {
  Options o{.output = "out/contractive_keras",
            .images = 55000,
            .epochs = 15,
            .batch = 100,
            .rate = 0.001};
  Settings settings;
  CLI::App app{"A contractive autoencoder with untied weights, and how they cheat the penalty.\n"};
  add_options(app, o);
  app.add_option("--hidden", settings.hidden, "Hidden units")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000}))
      ->capture_default_str();
  app.add_option("--lambda", settings.lambda, "Weight of the contractive penalty")
      ->check(not_negative())
      ->capture_default_str();
  app.add_option("--tied", settings.tied, "Whether the decoder has the encoder's weights")
      ->check(CLI::IsMember({"yes", "no", "both"}))
      ->capture_default_str();
  return run("contractive_keras", app, argc, argv, o, [&] { fit_all(o, settings); });
}
