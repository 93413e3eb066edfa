// Trains a contractive autoencoder on MNIST-like images and shows what it learned. Rifai, Vincent,
// Muller, Glorot, Bengio, "Contractive Auto-Encoders", ICML 2011.
//
//     contractive_autoencoder                                  Fashion-MNIST from Debian's package
//     contractive_autoencoder --preset tutorial --data MNIST   the published run of the Theano
//     tutorial, digit for digit
//
// Writes: filters.png; reconstructions.png, test images and what becomes of them;
// training_curve.png.
//
// Expect: both terms fall every epoch, and filters.png shows strokes and edges instead of noise.
// Takes a minute on two processors.
#include "common/figures.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

struct Settings {
  std::string preset = "default", penalty = "closed", log;
  std::int64_t hidden = 500;
  double lambda = 0.1;
};

void fit(const Options& o, const Settings& settings) {
  const DType dtype = o.type();
  DataSets data = load(o, /*divisor=*/256, {.held = 0, .tests = 10});
  const Tensor test = data.test.images;
  const std::int64_t rows = data.training.images.shape()[0], pixels = data.pixels();
  if (!o.quiet) {
    std::printf("%lld-%lld units, %s\n", static_cast<long long>(pixels),
                static_cast<long long>(settings.hidden), o.dtype.c_str());
  }
  expect(o, "both terms fall every epoch, and filters show strokes and edges instead of noise");

  // The model, its cost as a formula, and a function that computes both terms and makes one step.
  // Its input is the number of the minibatch; the images are a shared variable.
  const Shared images(std::move(data.training.images), "images");
  RandomState random(o.seed);
  const auto model = contractive_autoencoder(pixels, settings.hidden, random, dtype);
  const Penalty penalty = settings.penalty == "closed"    ? Penalty::closed
                          : settings.penalty == "literal" ? Penalty::literal
                                                          : Penalty::jacobian;
  const Expr x = matrix("x", dtype), index = lscalar("index");
  const auto cost = contractive_cost(model, x, settings.lambda, penalty);
  const Expr loss = cost.reconstruction, norm = sqrt(cost.contraction);

  TrainOptions t = o.training();
  std::vector<Expr> outputs{loss, norm};
  t.names = {"reconstruction", "jacobian_norm"};
  if (settings.preset == "tutorial") {
    // What the published log calls cost and norm: two numbers of the first and of the second
    // minibatch alone. Ours is of means over all minibatches, so they count as often as there are
    // some.
    const auto batches = static_cast<double>(rows / o.batch);
    const auto only = [&](int k, const Expr& e) { return where(equal(index, k), batches * e, 0); };
    outputs.push_back(only(0, (loss + cost.contraction) / 2));
    outputs.push_back(only(1, (sqrt(loss) + norm) / 2));
    t.names.insert(t.names.end(), {"tutorial_cost", "tutorial_norm"});
  }
  t.step = function({
      .inputs = {index},
      .outputs = outputs,
      .updates = sgd(cost.total, model.params(), o.rate),
      .givens = {{x, slice(images, index * o.batch, (index + 1) * o.batch)}},
      .name = "step",
  });
  t.rows = rows;
  t.drop_last = true;
  if (!settings.log.empty()) {
    t.log = settings.log;
    if (o.page) o.page->logs = {t.log};
  }
  const TrainResult trained = train(t);

  const Tiling tiling = data.tiling();
  show(o, "filters", filters(model.W, tiling),
       "Weights from the pixels to each of the first hundred hidden units.");
  const Tensor z = evaluate(model.reconstruct(x), {{x, test}});
  show(o, "reconstructions", image_rows({{"original", test}, {"reconstruction", z}}, tiling),
       "Test images.");
  show(o, "training_curve",
       Plot{"Contractive autoencoder",
            "epoch",
            {curve(trained, 0, "reconstruction"), curve(trained, 1, "‖J‖", 1)},
            {"cross-entropy, nats an image", "‖J‖, J = dh/dx"}},
       "Means over the training images. ‖J‖ is the root of the mean of ‖J‖².");
  examine(o, "", t.step, cost.total, model.params(), {{x, test}});
  if (!o.quiet && trained.stopped == TrainResult::Stopped::interrupted)
    std::printf("pictures so far are in %s\n", o.output.c_str());
  require_whole(trained);
  Results results(o, "Contractive autoencoder");
  results.add("reconstruction cost", number(last(trained, 0)));
  results.add("norm of the Jacobian", number(last(trained, 1)));
  results.write();
}

}  // namespace

int main(int argc, char** argv) {
  Options o{.output = "out/contractive_autoencoder", .epochs = 15, .batch = 20, .rate = 0.05};
  Settings s;
  CLI::App app{
      "Trains a contractive autoencoder: cross-entropy + lambda * ||dh/dx||^2_F, by gradient "
      "descent.\n"};
  add_options(app, o);
  app.add_option("--preset", s.preset, "tutorial: all settings of the Theano tutorial, float64")
      ->check(CLI::IsMember({"tutorial", "default"}));
  app.add_option("--hidden", s.hidden, "Hidden units")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000}))
      ->capture_default_str();
  app.add_option("--lambda", s.lambda, "Weight of the contractive penalty")
      ->check(not_negative())
      ->capture_default_str();
  app.add_option("--penalty", s.penalty, "How the penalty is written; all give the same numbers")
      ->check(CLI::IsMember({"closed", "literal", "jacobian"}))
      ->capture_default_str();
  app.add_option(
      "--log", s.log,
      "File, of JSON lines where it ends in .jsonl (default: log.csv in the output folder)");
  app.parse_complete_callback([&] {
    if (s.preset != "tutorial") return;
    by_preset(app, "--epochs", o.epochs, 20);
    by_preset(app, "--batch", o.batch, 10);
    by_preset(app, "--rate", o.rate, 0.01);
    by_preset(app, "--dtype", o.dtype, "float64");
  });
  return run("contractive_autoencoder", app, argc, argv, o, [&] { fit(o, s); });
}
