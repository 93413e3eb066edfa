// What four autoencoders know of the manifold that images lie on: how they contract the space
// around an image, in how many directions they do not, and which directions these are.
//
//     AE    reconstruction: cross-entropy of x and z, h = s(x W + b), z = s(h W' + c)
//     DAE   the same where the model sees x + sd e, or x with a share of its pixels set to 0
//     CAE   reconstruction + lambda ||J||^2_F, J = dh/dx
//
//     manifold                                 Fashion-MNIST from Debian's package, one minute
//     manifold --data MNIST --epochs 15        nearer to what the paper shows
//
// After figures 1 and 2 of Rifai et al., "Contractive Auto-Encoders", ICML 2011, but with one
// lambda and one noise level each, not chosen on validation data: the order of the models depends
// on them.
//
// Writes: contraction.png, spectra.png, tangents_*.png, sweep.png.
//
// Expect:
//   contraction.png    |h(x + r) - h(x)| / |r| against |r|: the smallest for the CAE. Well trained
//                      (the second call) its curve rises before it falls; the others' only fall
//   spectra.png        singular values of J: the CAE's are the smallest and fall fastest
//   tangents_*.png     an image and the directions in which its code changes most: of the CAE they
//                      are strokes and edges of that image sooner than of the AE
//   sweep.png          contraction is paid for with reconstruction, a point for each lambda; with
//                      --seeds 5 error bars show how far runs from other seeds are apart
//
// Takes one minute on two processors.
#include <cmath>
#include <map>
#include <numeric>

#include "common/figures.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

struct Settings {
  std::int64_t hidden = 200, examples = 50, tangents = 9;
  std::int64_t seeds = 1;  ///< Of the sweep; all else is of the first one.
  double lambda = 0.3, sd = 0.3, masked = 0.3;
  std::vector<double> sweep{0, 0.01, 0.03, 0.1, 0.3, 1, 3};
};

struct Model {
  Autoencoder layers;
  Expr x, h;
  explicit Model(const Options& o, std::int64_t visible, std::int64_t hidden)
      : x(matrix("x", o.type())) {
    RandomState random(o.seed);  // All begin with the same weights.
    layers = autoencoder({visible, hidden}, random, {.dtype = o.type()});
    h = layers.encode(x);
  }
  Expr reconstruction() const { return reconstruction_cost(layers, x, cross_entropy); }
  Expr contraction() const { return mean(jacobian_norm2(layers.encoder.layers[0], x)); }
  Tensor of(const Expr& e, const Tensor& images) const { return evaluate(e, {{x, images}}); }
};

/// Minimises `cost`; files are called after `part`. The report shows the step where it is
/// `examined`.
void fit(const Options& o, const Model& model, const Expr& cost, const DataSets& data,
         const std::string& part, bool examined) {
  TrainOptions t = o.training(part + "_");
  if (!o.quiet) std::printf("-- %s\n", part.c_str());
  t.step = function({.inputs = {model.x},
                     .outputs = {cost},
                     .updates = adam(cost, model.layers.params(), o.rate),
                     .allow_unused_inputs = true,
                     .name = part});
  t.data = {&data.training.images};
  t.names = {"cost"};
  train_to_end(t);
  if (examined)
    examine(o, part, t.step, cost, model.layers.params(),
            {{model.x, first(data.validation, 20).images}});
}

/// `run`: which seed, counted from that of the options.
Model contractive(const Options& options, const Settings& s, const DataSets& data, double lambda,
                  std::int64_t run = 0) {
  Options o = options;
  o.seed += run;
  const Model model(o, data.pixels(), s.hidden);
  const Expr cost = model.reconstruction() + lambda * model.contraction();
  std::string part = "cae_" + number(lambda, 10);
  if (run > 0) part += text("_seed_", o.seed);
  fit(o, model, cost, data, part, lambda == s.lambda && run == 0);
  return model;
}

Model denoising(const Options& o, const Settings& s, const DataSets& data, bool by_masking) {
  const Model model(o, data.pixels(), s.hidden);
  RandomStreams noise(o.seed);
  const Expr seen =
      by_masking ? masking(model.x, s.masked, noise).x : gaussian(model.x, s.sd, noise).x;
  fit(o, model, denoising_cost(model.layers, model.x, seen, cross_entropy), data,
      by_masking ? "dae_masking" : "dae_gaussian", true);
  return model;
}

/// One quantity in runs from several seeds.
class Spread {
 public:
  void add(double x) { xs_.push_back(x); }
  double mean() const {
    return std::accumulate(xs_.begin(), xs_.end(), 0.0) / static_cast<double>(xs_.size());
  }
  /// Of the runs from their mean, by n - 1; of two runs at least.
  double deviation() const {
    double squares = 0;
    for (const double x : xs_) squares += (x - mean()) * (x - mean());
    return std::sqrt(squares / static_cast<double>(xs_.size() - 1));
  }
  std::string said() const {
    return number(mean()) + (xs_.size() > 1 ? " ± " + number(deviation(), 2) : "");
  }

 private:
  std::vector<double> xs_;
};

/// |h(x + r) - h(x)| / |r|, the mean over images, against |r|.
Curve contraction_curve(const Options& o, const Model& model, const Tensor& images,
                        const std::string& name) {
  RandomStreams random(o.seed);
  const Expr radius = scalar("radius", o.type());
  const Function ratio =
      function({model.x, radius}, {mean(contraction_ratio(model.h, model.x, radius, random))});
  Shared directions = random.states()[0];
  const Tensor first = directions.get();
  Curve curve{name, {}, {}};
  for (double r = 0.05; r < 30; r *= 1.5) {
    directions.set(first);  // The same ones for each radius, so that the curve is smooth.
    curve.xs.push_back(r);
    curve.ys.push_back(ratio({images, Tensor(r).cast(o.type())})[0].item());
  }
  return curve;
}

/// Each row an image and the leading right singular vectors of its J.
void write_tangents(const Options& o, const Settings& s, const Model& model, const DataSets& data,
                    const std::string& name, const std::string& title) {
  const Expr some = slice(model.x, 0, 10);
  const Tensor images = model.of(some, data.test.images);
  const Expr directions = dimshuffle(tangents(model.h, model.x, s.tangents), {0, 2, 1});
  const Expr all = concatenate({expand_dims(model.x, 1), directions}, 1);
  Tiling tiling = data.tiling();
  tiling.grid_columns = 1 + s.tangents;
  Picture picture{.title = "Tangents of the " + title,
                  .image = tile_images(model.of(reshape(all, {-1, data.pixels()}), images), tiling),
                  .columns = {"image"},
                  .black = "least",
                  .white = "largest"};
  for (std::int64_t k = 1; k <= s.tangents; ++k) picture.columns.push_back(text(k));
  show(o, "tangents_" + name, picture,
       "Each row a test image and the directions in which its code changes most, from the largest "
       "singular value of dh/dx on; each tile on a scale of its own.");
}

void compare(const Options& o, const Settings& s) {
  expect(o, "the CAE has the smallest ||J||, and far more of it in few directions than the AE");
  const DataSets data = load(o);
  if (s.tangents > std::min(s.hidden, data.pixels())) {
    throw ValueError(text("--tangents ", s.tangents, ": there are at most ",
                          std::min(s.hidden, data.pixels()), " singular values"));
  }
  std::map<double, Model> by_lambda;
  for (const double lambda : s.sweep) by_lambda.emplace(lambda, contractive(o, s, data, lambda));
  for (const double lambda : {0.0, s.lambda}) {
    if (!by_lambda.contains(lambda)) {
      by_lambda.emplace(lambda, contractive(o, s, data, lambda));
    }
  }
  const std::vector<std::pair<std::string, Model>> models{
      {"AE", by_lambda.at(0)},
      {"DAE Gaussian", denoising(o, s, data, false)},
      {"DAE masking", denoising(o, s, data, true)},
      {"CAE", by_lambda.at(s.lambda)}};

  Results results(o, "The manifold", data.mnist);
  const Tensor& images = data.validation.images;
  Plot spectra{"Singular values of dh/dx, cut where they fall below 1/1000 of the largest",
               "which, counted from the largest",
               {},
               {text("singular value, mean over ", s.examples, " images")}};
  spectra.log_y = true;
  Plot ratios{"Contraction around images",
              "distance from the image, ‖r‖",
              {},
              {"‖h(x + r) − h(x)‖ / ‖r‖, mean over images"}};
  ratios.log_x = true;
  for (const auto& [name, model] : models) {
    const Tensor few = model.of(slice(model.x, 0, s.examples), images);
    const Expr values = singular_values(jacobian(model.h, model.x));
    const Expr squares = square(values);
    const Expr share = sum(slice(squares, 0, 10, 1), 1) / sum(squares, 1);
    Curve spectrum{name, {}, {}};
    const Tensor means = model.of(mean(values, 0), few);
    for (std::int64_t k = 0; k < means.size() && means.at(k) > 1e-3 * means.at(0); ++k) {
      spectrum.xs.push_back(static_cast<double>(k + 1));
      spectrum.ys.push_back(means.at(k));
    }
    spectra.curves.push_back(spectrum);
    ratios.curves.push_back(
        contraction_curve(o, model, model.of(slice(model.x, 0, 1000), images), name));
    const auto& ratio = ratios.curves.back().ys;
    results.add(name + ": reconstruction", number(model.of(model.reconstruction(), images).item()));
    results.add(name + ": norm of J", number(model.of(mean(sqrt(sum(squares, 1))), few).item()));
    results.add(name + ": share of the squared norm in 10 directions",
                percent(model.of(mean(share), few).item()));
    results.add(name + ": contraction ratio at 0.05, largest, at 22",
                text(number(ratio.front(), 3), ", ", number(*std::ranges::max_element(ratio), 3),
                     ", ", number(ratio.back(), 3)));
  }
  show(o, "spectra", spectra, "On how many directions around an image the code depends.");
  show(o, "contraction", ratios, "How much of a step away from an image the code follows.");
  write_tangents(o, s, models[0].second, data, "ae", "AE");
  write_tangents(o, s, models[3].second, data, "cae", "CAE");

  Curve forces{.name = "λ", .mark = Mark::points};
  for (const auto& [lambda, model] : by_lambda) {
    Spread contraction, reconstruction;
    for (std::int64_t run = 0; run < s.seeds; ++run) {
      const Model of_run = run == 0 ? model : contractive(o, s, data, lambda, run);
      contraction.add(of_run.of(of_run.contraction(), images).item());
      reconstruction.add(of_run.of(of_run.reconstruction(), images).item());
    }
    forces.xs.push_back(contraction.mean());
    forces.ys.push_back(reconstruction.mean());
    if (s.seeds > 1) forces.errors.push_back(reconstruction.deviation());
    forces.labels.push_back("λ = " + number(lambda));
    results.add("lambda " + number(lambda) + ": contraction, reconstruction",
                contraction.said() + ", " + reconstruction.said());
  }
  Plot sweep{s.seeds == 1
                 ? std::string("Two forces: each point a λ")
                 : text("Two forces: each point a λ, mean and deviation of ", s.seeds, " seeds"),
             "contraction, ‖dh/dx‖², mean over images",
             {forces},
             {"reconstruction, nats an image"}};
  sweep.log_x = true;
  show(o, "sweep", sweep,
       s.seeds == 1
           ? std::string("On validation images.")
           : text("On validation images; bars: one standard deviation of the reconstruction over ",
                  s.seeds, " seeds, to each side of its mean."));
  results.write();
}

}  // namespace

int main(int argc, char** argv) {
  Options o{.output = "out/manifold", .epochs = 5, .batch = 100, .rate = 0.002};
  Settings s;
  CLI::App app{"Spectra, tangents and contraction of four autoencoders.\n"};
  add_options(app, o);
  const auto count = [](std::int64_t most) { return CLI::Range(std::int64_t{1}, most); };
  app.add_option("--hidden", s.hidden, "Units of the code")->check(count(100000));
  app.add_option("--examples", s.examples, "Images whose J is decomposed")->check(count(10000));
  app.add_option("--tangents", s.tangents, "Directions shown of each image")->check(count(100));
  app.add_option("--seeds", s.seeds,
                 "Runs of each lambda of the sweep: the figure shows their spread")
      ->check(count(1000));
  app.add_option("--lambda", s.lambda, "The CAE's")->check(above_zero());
  app.add_option("--sd", s.sd, "Of Gaussian noise")->check(above_zero());
  app.add_option("--masked", s.masked, "Share of pixels set to 0")->check(CLI::Range(0.0, 1.0));
  app.add_option("--sweep", s.sweep, "Values of lambda for sweep.png")
      ->delimiter(',')
      ->check(not_negative());
  for (CLI::Option* option : app.get_options()) option->capture_default_str();
  return run("manifold", app, argc, argv, o, [&] { compare(o, s); });
}
