// A multilayer perceptron: one hidden layer of tanh units and logistic regression on top, weights
// kept small by a penalty.
//
//     mlp                  Fashion-MNIST from Debian's package
//     mlp --data MNIST     the Theano tutorial's run: test error 1.65 % as published
//
// Writes: filters.png, what the hidden units look for.
//
// Expect: about half the errors of logistic_regression. Takes a quarter of an hour.
#include "common/figures.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

struct Settings {
  std::int64_t hidden = 500;
  double decay = 1e-4;
};

void fit(const Options& o, const Settings& settings) {
  const DataSets data = load(o);
  expect(o, "about half the errors of logistic_regression");
  RandomState random(o.seed);
  const Network model = mlp({data.pixels(), settings.hidden, data.classes()}, random,
                            {.hidden = tanh, .dtype = o.type()});
  const Expr x = matrix("x", o.type()), labels = lvector("labels");
  const Expr cost =
      classification_cost(labels, model(x)) + settings.decay * weight_decay(model.params());
  const Expr error = error_rate(labels, model(x));

  TrainOptions t =
      training_of({x, labels, cost, error}, sgd(cost, model.params(), o.rate), "step", data, o);
  t.drop_last = true;  // As the tutorial does.
  t.early_stopping = EarlyStopping{.patience = 10000};
  t.params = model.params();
  t.restore_best = true;
  const TrainResult trained = train_to_end(t);

  Results results(o, "Multilayer perceptron", data.mnist);
  results.add("hidden units", number(static_cast<double>(settings.hidden)), "500");
  results.add("epochs", number(static_cast<double>(trained.state.epoch)));
  results.add("validation error", percent(trained.state.patience.best), "1.69 %");
  results.add("test error",
              percent(mean_over(t.validate, {&data.test.images, &data.test.labels})[0]), "1.65 %");
  results.add("minutes", number(trained.state.seconds / 60, 3));
  show(o, "filters", filters(model.layers[0].W, data.tiling()),
       "Weights from the pixels to each of the first hundred hidden units.");
  const Examples few = first(data.validation, 20);
  examine(o, "", t.step, cost, model.params(), {{x, few.images}, {labels, few.labels}});
  results.write();
}

}  // namespace

int main(int argc, char** argv) {
  Options o{.output = "out/mlp", .epochs = 1000, .batch = 20, .rate = 0.01};
  Settings settings;
  CLI::App app{"A multilayer perceptron, with early stopping.\n"};
  add_options(app, o);
  app.add_option("--hidden", settings.hidden, "Hidden units")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000}))
      ->capture_default_str();
  app.add_option("--decay", settings.decay, "Weight of the sum of squares of weights")
      ->check(not_negative())
      ->capture_default_str();
  return run("mlp", app, argc, argv, o, [&] { fit(o, settings); });
}
