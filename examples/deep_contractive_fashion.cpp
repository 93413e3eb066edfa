// A deep contractive autoencoder, 784-64-32-16-32-64-784, with the exact penalty: the squared norm
// of the code's derivative by the image, through all three layers. An article that builds it in
// TensorFlow has the last layer's weights alone in it, as a copy, times the slope of a sigmoid
// where the units are relu; bug_museum shows what that does.
//
//     deep_contractive_fashion                 Fashion-MNIST from Debian's package
//     deep_contractive_fashion --lambda 0      without the penalty
//
// Writes: pairs.png, test images and their reconstructions; training_curve.png.
//
// Expect: on Fashion-MNIST a squared error of 13.4 an image, blurred but right in pairs.png, which
// without the penalty is 13.0, and ||dh/dx||^2 of 0.14, which without it is 41. Such a bargain is
// not contraction alone: a decoder with weights of its own makes up for a code that just shrinks.
// Takes half a minute on two processors.
#include "common/figures.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

struct Settings {
  std::vector<std::int64_t> layers{64, 32, 16};
  double lambda = 1;
};

void fit(const Options& o, const Settings& settings) {
  const DataSets data = load(o, /*divisor=*/255);
  expect(o, "a blurred reconstruction, and a code that changes little with the image");
  RandomState random(o.seed);
  std::vector<std::int64_t> sizes{data.pixels()};
  sizes.insert(sizes.end(), settings.layers.begin(), settings.layers.end());
  const Autoencoder model = autoencoder(
      sizes, random, {.tied = false, .hidden = relu, .output = linear, .dtype = o.type()});

  const Expr x = matrix("x", o.type());
  const Expr h = model.encode(x), z = model.decode(h);
  const Expr error = mean(squared_error(x, z));     // 784 times the mean over pixels.
  const Expr penalty = mean(jacobian_norm2(h, x));  // ||dh/dx||^2, exact.
  const Expr cost = error + settings.lambda * penalty;

  TrainOptions t = o.training();
  t.step = function({.inputs = {x},
                     .outputs = {cost, error, penalty},
                     .updates = adam(cost, model.params(), o.rate, {.epsilon = 1e-7}),
                     .name = "step"});
  t.data = {&data.training.images};
  t.names = {"cost", "error", "penalty"};
  t.validate = function({.inputs = {x}, .outputs = {cost}, .name = "validation"});
  t.validation_data = {&data.validation.images};
  t.shuffle = o.seed;
  const TrainResult trained = train_to_end(t);

  Results results(o, "Deep contractive autoencoder, lambda " + number(settings.lambda));
  const auto test = [&](const Expr& value) { return number(mean_of(value, x, data.test.images)); };
  results.add("test squared error an image", test(error));
  results.add("test ||dh/dx||^2", test(penalty));
  const Expr active = sum(cast(any(h > 0, 0), DType::float64));
  results.add(
      "units of the code that are ever active",
      number(evaluate(active, {{x, data.test.images}}).item()) + text(" of ", sizes.back()));
  results.add("seconds", number(trained.state.seconds, 3));
  const Tensor shown = first(data.test, 10).images;
  show(o, "pairs",
       image_rows({{"original", shown}, {"reconstruction", evaluate(z, {{x, shown}})}},
                  data.tiling()),
       "Test images.");
  show(o, "training_curve",
       Plot{"Deep contractive autoencoder",
            "epoch",
            {curve(trained, 1, "squared error"), curve(trained, 2, "‖dh/dx‖²", 1)},
            {"squared error an image", "‖dh/dx‖², mean over images"}},
       "Means over the training images.");
  examine(o, "", t.step, cost, model.params(), {{x, shown}});
  results.write();
}

}  // namespace

int main(int argc, char** argv) {
  Options o{.output = "out/deep_contractive_fashion", .epochs = 30, .batch = 128, .rate = 0.001};
  Settings settings;
  CLI::App app{"A deep contractive autoencoder with the exact penalty.\n"};
  add_options(app, o);
  app.add_option("--layers", settings.layers, "Units of the encoder's layers, the last the code's")
      ->delimiter(',')
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{100000}))
      ->capture_default_str();
  app.add_option("--lambda", settings.lambda, "Weight of the contractive penalty")
      ->check(not_negative())
      ->capture_default_str();
  return run("deep_contractive_fashion", app, argc, argv, o, [&] { fit(o, settings); });
}
