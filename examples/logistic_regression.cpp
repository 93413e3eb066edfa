// Logistic regression on images: the simplest classifier, and the first of the Theano tutorials.
//
//     logistic_regression                  Fashion-MNIST from Debian's package
//     logistic_regression --data MNIST     the tutorial's run: test error 7.489 % as published
//
// Writes: weights.png, an image for each class.
//
// Expect: on Fashion-MNIST about 16 % of the test images are taken for something else, and
// weights.png shows what each class looks like. Takes a few seconds.
#include "common/figures.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

void fit(const Options& o) {
  const DataSets data = load(o);
  expect(o, "on Fashion-MNIST about 16 % of the test images are taken for something else");
  const Layer model = logistic_regression(data.pixels(), data.classes(), o.type());
  const Expr x = matrix("x", o.type()), labels = lvector("labels");
  const Expr cost = classification_cost(labels, model(x));
  const Expr error = error_rate(labels, model(x));

  TrainOptions t = o.training();
  t.step = function({.inputs = {x, labels},
                     .outputs = {cost},
                     .updates = sgd(cost, model.params(), o.rate),
                     .name = "step"});
  t.validate = function({.inputs = {x, labels}, .outputs = {error}, .name = "error"});
  t.data = {&data.training.images, &data.training.labels};
  const Examples validation = whole_batches(data.validation, o.batch);
  t.validation_data = {&validation.images, &validation.labels};
  t.drop_last = true;  // As the tutorial does.
  t.names = {"cost"};
  t.validation_names = {"validation error"};
  // The tutorial's patience is counted in its minibatches.
  t.early_stopping = EarlyStopping{.patience = 5000};
  t.params = model.params();
  t.restore_best = true;
  const TrainResult trained = train_to_end(t);

  Results results(o, "Logistic regression", data.mnist);
  results.add("epochs", number(static_cast<double>(trained.state.epoch)), "74");
  results.add("validation error", percent(trained.state.patience.best), "7.50 %");
  const auto test_error = [&](const Examples& test) {
    return percent(mean_over(t.validate, {&test.images, &test.labels})[0]);
  };
  results.add("test error, whole minibatches", test_error(whole_batches(data.test, o.batch)),
              "7.489 %");
  results.add("test error, all images", test_error(data.test));
  results.add("seconds", number(trained.state.seconds, 3));
  Tiling tiling = data.tiling();
  tiling.grid_rows = 1;
  tiling.grid_columns = data.classes();
  Picture weights = filters(model.W, tiling);
  weights.title = "Weights of each class, on a scale of its own";
  for (std::int64_t k = 0; k < data.classes(); ++k) weights.columns.push_back(text(k));
  show(o, "weights", weights, "Where a pixel speaks for the class it is white, against it black.");
  const Examples few = first(data.validation, 20);
  examine(o, "", t.step, cost, model.params(), {{x, few.images}, {labels, few.labels}});
  results.write();
}

}  // namespace

int main(int argc, char** argv) {
  Options o{.output = "out/logistic_regression", .epochs = 1000, .batch = 600, .rate = 0.13};
  CLI::App app{"Logistic regression, with early stopping.\n"};
  add_options(app, o);
  return run("logistic_regression", app, argc, argv, o, [&] { fit(o); });
}
