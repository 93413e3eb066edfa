// The contractive autoencoder of higher order, CAE+H: the code's Jacobian is to be small, and to
// change little around an image. Rifai, Mesnil, Vincent, Muller, Bengio, Dauphin, Glorot, ECML
// 2011.
//
//     cae_h                      gamma 0, the plain contractive autoencoder, and gamma 1
//     cae_h --exact              the limit of small noise in place of draws: sd^2 ||d^2h/dx^2||^2
//     cae_h --gamma 0.1,10 --sd 0.3 --samples 4
//
// Writes: filters_*.png and penalties_*.png, both penalties over the epochs, for each gamma.
//
// Expect: "change", an average over draws, stays close to "limit", which is exact for small sd,
// and both are smaller with gamma, for a somewhat larger reconstruction cost. Takes four minutes
// on two processors.
#include "common/figures.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

struct Settings {
  std::int64_t hidden = 500, samples = 1;
  double lambda = 0.1, sd = 0.1;
  std::vector<double> gamma{0, 1};
  bool exact = false;
};

void fit(const Options& o, const Settings& settings, const DataSets& data, double gamma,
         Results& results) {
  const std::string name = "gamma_" + number(gamma);
  RandomState random(o.seed);
  RandomStreams streams(o.seed);
  const Autoencoder model =
      autoencoder({data.pixels(), settings.hidden}, random, {.dtype = o.type()});
  const Layer& encoder = model.encoder.layers[0];
  const Expr x = matrix("x", o.type());
  const Expr reconstruction = reconstruction_cost(model, x, cross_entropy);
  const Expr contraction = mean(jacobian_norm2(encoder, x));  // ||J(x)||^2
  const Expr change =                                         // E ||J(x) - J(x + e)||^2
      mean(jacobian_change(encoder, x, settings.sd, streams, settings.samples));
  const Expr limit = settings.sd * settings.sd * mean(hessian_norm2(encoder, x));
  const Expr cost =
      reconstruction + settings.lambda * contraction + gamma * (settings.exact ? limit : change);

  if (!o.quiet) std::printf("gamma %g\n", gamma);
  TrainOptions t = o.training(name + "_");
  t.step = function({.inputs = {x},
                     .outputs = {cost, reconstruction, contraction, change, limit},
                     .updates = sgd(cost, model.params(), o.rate),
                     .name = "step"});
  t.data = {&data.training.images};
  t.names = {"cost", "reconstruction", "contraction", "change", "limit"};
  const TrainResult trained = train_to_end(t);

  const auto test = [&](const Expr& value) { return number(mean_of(value, x, data.test.images)); };
  const std::string what = "gamma " + number(gamma);
  results.add(what + ", test reconstruction", test(reconstruction));
  results.add(what + ", test squared norm of J", test(contraction));
  results.add(what + ", test E ||J(x) - J(x + e)||^2", test(change));
  results.add(what + ", test sd^2 ||d^2h/dx^2||^2", test(limit));
  results.add(what + ", seconds", number(trained.state.seconds, 3));
  Picture learned = filters(encoder.W, data.tiling());
  learned.title += ", " + what;
  show(o, "filters_" + name, learned,
       "Weights from the pixels to each of the first hundred hidden units.");
  show(o, "penalties_" + name,
       Plot{"CAE+H, " + what,
            "epoch",
            {curve(trained, 2, "‖J‖²"), curve(trained, 3, "E ‖J(x) − J(x + e)‖²", 1)},
            {"‖J‖², J = dh/dx", "E ‖J(x) − J(x + e)‖²"}},
       "Means over the training images; e is the noise by which the change of J is estimated.");
  examine(o, what, t.step, cost, model.params(), {{x, first(data.validation, 20).images}});
}

void fit_all(const Options& o, const Settings& settings) {
  const DataSets data = load(o);
  expect(o, "the Jacobian changes less with gamma, for a somewhat larger reconstruction cost");
  Results results(o, text("CAE+H, ", settings.exact ? "exact" : "stochastic", ", lambda ",
                          settings.lambda, ", sd ", settings.sd));
  for (const double gamma : settings.gamma) {
    fit(o, settings, data, gamma, results);
  }
  results.write();
}

}  // namespace

int main(int argc, char** argv) {
  Options o{.output = "out/cae_h", .epochs = 15, .batch = 20, .rate = 0.05};
  Settings settings;
  CLI::App app{"The contractive autoencoder of higher order, CAE+H.\n"};
  add_options(app, o);
  app.add_option("--lambda", settings.lambda, "Weight of ||J||^2")
      ->check(not_negative())
      ->capture_default_str();
  app.add_option("--gamma", settings.gamma, "Weights of the Jacobian's change, one after the other")
      ->delimiter(',')
      ->check(not_negative())
      ->capture_default_str();
  app.add_option("--sd", settings.sd, "Standard deviation of the noise e")
      ->check(above_zero())
      ->capture_default_str();
  app.add_option("--samples", settings.samples, "Draws of e for each image and step")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_flag("--exact", settings.exact, "Penalise the limit of small noise, without draws");
  app.add_option("--hidden", settings.hidden, "Hidden units")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000}))
      ->capture_default_str();
  return run("cae_h", app, argc, argv, o, [&] { fit_all(o, settings); });
}
