// A variational autoencoder, samples from its prior, and a map of its code plane.
//
//     cost = E -log p(x | h) + beta KL(q(h | x) || N(0, I)),   h = mean(x) + sd(x) e,  e ~ N(0, I)
//
// the mean over images, with p(x | h) a Bernoulli for each pixel. With beta = 1 it is an upper
// bound of -log p(x), in nats. Kingma and Welling, "Auto-Encoding Variational Bayes", ICLR 2014.
//
//     vae                          Fashion-MNIST from Debian's package, a code of 2 numbers
//     vae --code 20                better samples; the map is then of the code's first two numbers
//     vae --data MNIST --beta 4    fewer nats in the code, blurred pictures
//
// Writes: map.png; samples.png; reconstructions.png, test images and their reconstructions;
// training_curve.png.
//
// Expect: map.png, kinds of images in regions that pass into each other; samples.png, images that
// mostly could be from the data set. On MNIST a bound of about 160 nats; with 20 numbers 110.
// Takes a minute on two processors.
#include <cmath>
#include <numbers>

#include "common/figures.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

struct Settings {
  std::int64_t hidden = 500, code = 2, grid = 20;
  double beta = 1;
};

/// The x with P(X <= x) = p for a standard normal X, by Newton's method, which from 0 only ever
/// comes nearer.
double inverse_normal_cdf(double p) {
  double x = 0;
  for (int k = 0; k < 100; ++k) {
    const double density = std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
    x -= (std::erfc(-x / std::numbers::sqrt2) / 2 - p) / density;
  }
  return x;
}

/// Codes on a grid of equal probability under the prior: the first number grows to the right, the
/// second upwards, the others are 0.
Tensor code_grid(const Settings& s) {
  Tensor codes(DType::float64, {s.grid * s.grid, s.code});
  const auto place = [&](std::int64_t k) {
    return inverse_normal_cdf((static_cast<double>(k) + 0.5) / static_cast<double>(s.grid));
  };
  const auto values = codes.data<double>();
  for (std::int64_t row = 0; row < s.grid; ++row) {
    for (std::int64_t column = 0; column < s.grid; ++column) {
      const auto at = static_cast<std::size_t>((row * s.grid + column) * s.code);
      values[at] = place(column);
      values[at + 1] = place(s.grid - 1 - row);
    }
  }
  return codes;
}

void fit(const Options& o, const Settings& s) {
  expect(o, "a bound that falls every epoch, and no value of the code without use at beta 1");
  const DataSets data = load(o);
  RandomState random(o.seed);
  RandomStreams noise(o.seed);
  const VariationalAutoencoder model =
      variational_autoencoder({data.pixels(), s.hidden, s.code}, random,
                              {.hidden = tanh, .output = sigmoid, .dtype = o.type()});
  const Expr x = matrix("x", o.type());
  const VariationalCost cost = variational_cost(model, x, noise, cross_entropy, s.beta);

  TrainOptions t = o.training();
  t.step = function({.inputs = {x},
                     .outputs = {cost.total, cost.reconstruction, cost.divergence},
                     .updates = adam(cost.total, model.params(), o.rate),
                     .name = "step"});
  t.validate = function({.inputs = {x}, .outputs = {cost.reconstruction + cost.divergence}});
  t.data = {&data.training.images};
  t.validation_data = {&data.validation.images};
  t.validation_batch = 1000;
  t.names = {"cost", "reconstruction", "divergence"};
  const TrainResult trained = train_to_end(t);

  const Posterior code = model.encode(x);
  const Tensor& images = data.test.images;
  const Function costs = function({x}, {cost.reconstruction, cost.divergence});
  const std::vector<double> found = mean_over(costs, {&images});
  const Expr active = sum(cast(var(code.mean, 0) > 0.01, DType::int64));
  Results results(o, "Variational autoencoder");
  results.add("beta, code", number(s.beta) + ", " + number(static_cast<double>(s.code)));
  results.add("test bound of -log p(x), nats", number(found[0] + found[1], 5));
  results.add("test reconstruction", number(found[0], 5));
  results.add("test divergence", number(found[1]));
  // As Burda, Grosse and Salakhutdinov, ICLR 2016, count them: those whose mean varies.
  results.add("active units", number(evaluate(active, {{x, images}}).item()));
  results.add("seconds", number(trained.state.seconds, 3));

  const Expr h = matrix("h", o.type());
  Tiling tiling = data.tiling();
  tiling.range = GreyRange{0, 1};
  const auto decoded = [&](const Tensor& codes) {
    return tile_images(evaluate(model.decode(h), {{h, codes.cast(o.type())}}), tiling);
  };
  show(o, "samples",
       Picture{.title = "Samples", .image = decoded(random.normal(0, 1, {100, s.code}))},
       "Means of p(x | h) for codes h drawn from the prior.");
  const Tensor shown = first(data.test, 10).images;
  show(o, "reconstructions",
       image_rows({{"original", shown},
                   {"reconstruction", evaluate(model.decode(code.mean), {{x, shown}})}},
                  data.tiling()),
       "Test images, from the means of their codes.");
  tiling.grid_rows = tiling.grid_columns = s.grid;
  tiling.spacing = 0;
  show(o, "map", Picture{.title = "Map of the code", .image = decoded(code_grid(s))},
       "Codes on a grid of equal probability under the prior: the first number grows to the right, "
       "the second upwards, the others are 0.");
  show(o, "training_curve",
       Plot{"Variational autoencoder",
            "epoch",
            {curve(trained, 0, "cost"), curve(trained, 1, "reconstruction"),
             curve(trained, 2, "divergence", 1)},
            {"nats an image", "divergence, nats an image"}},
       "Means over the training images.");
  examine(o, "", t.step, cost.total, model.params(), {{x, shown}});
  results.write();
}

}  // namespace

int main(int argc, char** argv) {
  Options o{.output = "out/vae", .epochs = 10, .batch = 50, .rate = 0.002};
  Settings s;
  CLI::App app{"A variational autoencoder, its samples and its code plane.\n"};
  add_options(app, o);
  app.add_option("--hidden", s.hidden, "Units of the layers between image and code")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{100000}))
      ->capture_default_str();
  app.add_option("--code", s.code, "Numbers in a code, at least 2")
      ->check(CLI::Range(std::int64_t{2}, std::int64_t{100000}))
      ->capture_default_str();
  app.add_option("--beta", s.beta, "Weight of the divergence")
      ->check(not_negative())
      ->capture_default_str();
  app.add_option("--grid", s.grid, "Images along each side of the map")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{100}))
      ->capture_default_str();
  return run("vae", app, argc, argv, o, [&] { fit(o, s); });
}
