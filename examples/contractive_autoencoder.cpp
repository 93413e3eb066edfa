// Trains a contractive autoencoder on MNIST-like images and shows what it learned.
//
//     contractive_autoencoder                                  Fashion-MNIST from Debian's package
//     contractive_autoencoder --preset tutorial --data MNIST   the published run of the Theano
//     tutorial, digit for digit
//
// Expect: both terms fall every epoch, and filters.png shows strokes and edges instead of noise.
#include <CLI/CLI.hpp>
#include <cinch/cinch.hpp>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>

using namespace cinch;

namespace {

struct Options {
  std::string data, preset = "default", dtype = "float32", penalty = "closed",
                    output = "out/contractive_autoencoder", log;
  std::int64_t epochs = 15, batch = 20, hidden = 500, seed = 123;
  double lambda = 0.1, rate = 0.05;
  bool quiet = false;
};

Options parse(int argc, char** argv) {
  Options o;
  CLI::App app{
      "Trains a contractive autoencoder: cross-entropy + lambda * ||dh/dx||^2_F, by gradient "
      "descent.\n"};
  app.add_option("--data", o.data,
                 "Folder of IDX files (default: $CINCH_DATA, else Debian's Fashion-MNIST)");
  app.add_option("--preset", o.preset, "tutorial: all settings of the Theano tutorial, float64")
      ->check(CLI::IsMember({"tutorial", "default"}));
  auto* epochs = app.add_option("--epochs", o.epochs, "Passes over the training images")
                     ->check(CLI::Range(0, 1000000));
  auto* batch =
      app.add_option("--batch", o.batch, "Images in a minibatch")->check(CLI::Range(1, 50000));
  auto* hidden = app.add_option("--hidden", o.hidden, "Hidden units")->check(CLI::Range(1, 100000));
  auto* lambda = app.add_option("--lambda", o.lambda, "Weight of the contractive penalty")
                     ->check(CLI::NonNegativeNumber);
  auto* rate = app.add_option("--rate", o.rate, "Learning rate")->check(CLI::PositiveNumber);
  auto* dtype = app.add_option("--dtype", o.dtype, "Element type")
                    ->check(CLI::IsMember({"float32", "float64"}));
  app.add_option("--penalty", o.penalty, "How the penalty is written; all give the same numbers")
      ->check(CLI::IsMember({"closed", "literal", "jacobian"}));
  app.add_option("--seed", o.seed, "Of the initial weights")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{4294967295}));
  app.add_option("--output", o.output, "Folder for pictures, parameters and log")
      ->capture_default_str();
  app.add_option("--log", o.log, "CSV file (default: log.csv in the output folder)");
  app.add_flag("--quiet", o.quiet, "Print nothing but errors");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  if (o.preset == "tutorial") {
    if (!*epochs) o.epochs = 20;
    if (!*batch) o.batch = 10;
    if (!*hidden) o.hidden = 500;
    if (!*lambda) o.lambda = 0.1;
    if (!*rate) o.rate = 0.01;
    if (!*dtype) o.dtype = "float64";
  }
  if (o.log.empty()) o.log = o.output + "/log.csv";
  return o;
}

void train(const Options& o) {
  const DType dtype = o.dtype == "float64" ? DType::float64 : DType::float32;
  const std::string folder = data_folder(o.data);
  ImageSet data = load_training(folder, dtype, /*divisor=*/256, {0, 50000, /*or_fewer=*/true});
  const std::int64_t batches = data.images.shape()[0] / o.batch;
  if (batches == 0)
    throw ValueError(
        text("--batch ", o.batch, ": there are only ", data.images.shape()[0], " images"));
  const ImageSet test = load_test(folder, dtype, 256, {0, 10, /*or_fewer=*/true});
  if (test.images.shape()[1] != data.images.shape()[1]) {
    throw FileError(folder + ": training and test images differ in size");
  }
  std::filesystem::create_directories(o.output);
  CsvWriter log(o.log, {"epoch", "reconstruction", "jacobian_norm", "tutorial_cost",
                        "tutorial_norm", "seconds"});

  // The model, its cost as a formula, and a function that computes both terms and makes one step.
  const Shared images(std::move(data.images), "images");
  RandomState random(o.seed);
  const auto model = contractive_autoencoder(images.value().shape()[1], o.hidden, random, dtype);
  const Penalty penalty = o.penalty == "closed"    ? Penalty::closed
                          : o.penalty == "literal" ? Penalty::literal
                                                   : Penalty::jacobian;
  const Expr x = matrix("x", dtype), index = lscalar("index");
  const auto cost = contractive_cost(model, x, o.lambda, penalty);
  const Function step = function({
      .inputs = {index},
      .outputs = {cost.reconstruction, cost.contraction},
      .updates = sgd(cost.total, model.params(), o.rate),
      .givens = {{x, slice(images, index * o.batch, (index + 1) * o.batch)}},
      .name = "step",
  });

  const Interruption interruption;
  Progress progress(o.quiet ? nullptr : stdout, o.epochs * batches);
  Curve reconstruction{"reconstruction", {}, {}},
      norm{"Jacobian norm", {}, {}, /*right_axis=*/true};
  if (!o.quiet) {
    std::printf("%lld images from %s, %lld-%lld units, %s, %lld steps an epoch\n",
                static_cast<long long>(images.value().shape()[0]), folder.c_str(),
                static_cast<long long>(images.value().shape()[1]), static_cast<long long>(o.hidden),
                o.dtype.c_str(), static_cast<long long>(batches));
  }
  for (std::int64_t epoch = 0; epoch < o.epochs && !interruption.asked(); ++epoch) {
    double loss = 0, jacobian = 0, first_cost = NAN, second_norm = NAN;
    std::int64_t done = 0;
    for (; done < batches && !interruption.asked(); ++done) {
      const auto terms = step({done});
      const double l = terms[0].item(), j = terms[1].item();
      loss += l;
      jacobian += std::sqrt(j);
      // What the published log calls cost and norm: two numbers of the first and of the second
      // minibatch.
      if (done == 0) first_cost = (l + j) / 2;
      if (done == 1) second_norm = (std::sqrt(l) + std::sqrt(j)) / 2;
      const std::int64_t made = epoch * batches + done + 1;
      if (progress.due(made)) progress.show(made, text("epoch ", epoch));
    }
    if (done == 0) break;  // Interrupted before the first step.
    loss /= static_cast<double>(done);
    jacobian /= static_cast<double>(done);
    log.row(
        {static_cast<double>(epoch), loss, jacobian, first_cost, second_norm, progress.elapsed()});
    reconstruction.xs.push_back(static_cast<double>(epoch));
    reconstruction.ys.push_back(loss);
    norm.xs.push_back(static_cast<double>(epoch));
    norm.ys.push_back(jacobian);
    progress.clear();
    if (!o.quiet) {
      std::printf(
          "epoch %3lld  reconstruction %.6f  jacobian norm %.6f  (tutorial: cost %.12g  norm "
          "%.12g)  %.1f s%s\n",
          static_cast<long long>(epoch), loss, jacobian, first_cost, second_norm,
          progress.elapsed(), done < batches ? "  interrupted" : "");
      std::fflush(stdout);
    }
  }
  if (!o.quiet) std::fprintf(stderr, "trained for %.2f minutes\n", progress.elapsed() / 60);

  const Tiling tiling{.tile_height = data.rows, .tile_width = data.columns};
  write_png(o.output + "/filters.png", tile_images(evaluate(transpose(model.W)), tiling));
  const Expr t = matrix("t", dtype);
  write_png(o.output + "/reconstructions.png",
            tile_pairs(test.images, evaluate(model.reconstruct(t), {{t, test.images}}), tiling));
  write_npz(o.output + "/parameters.npz",
            {{"W", model.W.get()}, {"b", model.b.get()}, {"c", model.c.get()}});
  if (!reconstruction.xs.empty()) {
    plot_curves(o.output + "/training_curve.png",
                {"Contractive autoencoder", "epoch", {reconstruction, norm}});
  }
  if (!o.quiet)
    std::printf("filters, reconstructions, training curve, parameters and log are in %s\n",
                o.output.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  try {
    train(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "contractive_autoencoder: %s\n", error.what());
    return 1;
  }
  return 0;
}
