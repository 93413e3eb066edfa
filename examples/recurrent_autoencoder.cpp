// A recurrent contractive autoencoder: an image is read row by row by a recurrent network (Elman,
// 1990), whose last state is the code, and written row by row by another one. The penalty is the
// contractive autoencoder's (Rifai et al., ICML 2011), |dh/dx|^2 of the code by the whole image,
// one Jacobian for each image, through the loop.
//
//     recurrent_autoencoder                          without and with the penalty
//     recurrent_autoencoder --lambdas 0,0.1,1
//
// Writes: pairs_*.png, test images and what the decoder writes; training_curve.png.
//
// Expect: without the penalty |J|^2 grows into the hundreds and is 10,000 times as large for some
// images, as the states of recurrent networks can run away; with it, it stays below 1, for an error
// that is 1 or 2 nats larger, of some 240. Takes a minute and a half on two processors.
#include "common/figures.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

struct Settings {
  std::vector<double> lambdas{0, 1};
  std::int64_t hidden = 64;
};

/// One recurrent layer: the state after each row of (steps, batch, inputs), from zeros on.
struct Recurrent {
  Shared W, U, b;  ///< (inputs, units), (units, units), (units)

  Scan operator()(const Expr& rows, const Expr& initial) const {
    return scan([&](Expr x, Expr h) { return tanh(dot(x, W) + dot(h, U) + b); },
                {.sequences = {rows}, .initial = {initial}});
  }
};

Recurrent recurrent(std::int64_t inputs, std::int64_t units, RandomState& random, DType dtype,
                    const std::string& label) {
  const auto weights = [&](std::int64_t from, const char* name) {
    const double bound = 1 / std::sqrt(static_cast<double>(from));
    return Shared(random.uniform(-bound, bound, {from, units}).cast(dtype), label + name);
  };
  return {weights(inputs, ".W"), weights(units, ".U"),
          Shared(Tensor(dtype, {units}), label + ".b")};
}

Curve fit(const Options& o, const Settings& settings, const DataSets& data, double lambda,
          Results& results) {
  RandomState random(o.seed);
  const std::string name = "lambda " + number(lambda);
  const Recurrent encoder = recurrent(data.columns, settings.hidden, random, o.type(), "encoder"),
                  decoder = recurrent(data.columns, settings.hidden, random, o.type(), "decoder");
  const Shared V(random.uniform(-0.1, 0.1, {settings.hidden, data.columns}).cast(o.type()), "V"),
      c(Tensor(o.type(), {data.columns}), "c");
  const Expr x = matrix("x", o.type());
  const Expr images = reshape(x, {size(x, 0), data.rows, data.columns});
  const Expr rows = swapaxes(images, 0, 1);  // (rows, batch, columns)
  const Expr none = zeros({size(x, 0), settings.hidden}, o.type());
  const Expr h = encoder(rows, none).last();
  // Each row is written from the state, which has seen the rows before it.
  const Expr blank = zeros_like(slice(rows, 0, 1));
  const Scan states = decoder(concatenate({blank, slice(rows, 0, data.rows - 1)}, 0), h);
  const Expr z = swapaxes(sigmoid(dot(states[0], V) + c), 0, 1);  // (batch, rows, columns)
  const Expr reconstruction = mean(cross_entropy(images, z));
  const Expr penalty = mean(jacobian_norm2(h, x));
  const Expr cost = lambda == 0 ? reconstruction : reconstruction + lambda * penalty;
  std::vector<Shared> params{encoder.W, encoder.U, encoder.b, decoder.W,
                             decoder.U, decoder.b, V,         c};

  if (!o.quiet) std::printf("%s\n", name.c_str());
  TrainOptions t = o.training(file_name(name) + "_");
  t.step = function({.inputs = {x},
                     .outputs = {reconstruction, penalty},
                     .updates = adam(params, clip_by_global_norm(grad(cost, params), 20), o.rate),
                     .name = "step"});
  t.data = {&data.training.images};
  t.names = {"reconstruction", "|J|^2"};
  t.shuffle = o.seed;
  const TrainResult trained = train_to_end(t);

  const auto test = [&](const Expr& value) { return mean_of(value, x, data.test.images); };
  results.add(name + ", test cross-entropy, nats an image", number(test(reconstruction)));
  results.add(name + ", |J|^2 of a test image", number(test(penalty)));
  results.add(name + ", seconds", number(trained.state.seconds, 3));
  const Tensor shown = first(data.test, 10).images;
  const Expr written = reshape(z, {size(x, 0), data.pixels()});
  Picture pairs = image_rows(
      {{"original", shown}, {"each row from those before", evaluate(written, {{x, shown}})}},
      data.tiling());
  pairs.title += ", " + name;
  show(o, "pairs_" + file_name(name), pairs, "Test images.");
  examine(o, name, t.step, cost, params, {{x, shown}});
  return curve(trained, 0, name);
}

void fit_all(const Options& o, const Settings& settings) {
  const DataSets data = load(o);
  expect(o, "a smaller Jacobian with the penalty, for a somewhat larger error");
  Results results(o, "Recurrent contractive autoencoders");
  std::vector<Curve> curves;
  for (const double lambda : settings.lambdas)
    curves.push_back(fit(o, settings, data, lambda, results));
  results.write();
  show(o, "training_curve",
       {.title = "Recurrent autoencoders",
        .x_label = "epoch",
        .curves = curves,
        .y_labels = {"cross-entropy, nats an image"}},
       "Training error without the penalty.");
}

}  // namespace

int main(int argc, char** argv) {
  Options o{.output = "out/recurrent_autoencoder", .epochs = 5, .batch = 50, .rate = 0.002};
  o.images = 10000;
  Settings settings;
  CLI::App app{"A recurrent contractive autoencoder on the rows of images.\n"};
  add_options(app, o);
  app.add_option("--lambdas", settings.lambdas, "Weights of the penalty, one after the other")
      ->delimiter(',')
      ->check(not_negative())
      ->capture_default_str();
  app.add_option("--hidden", settings.hidden, "Units of each recurrent layer")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000}))
      ->capture_default_str();
  return run("recurrent_autoencoder", app, argc, argv, o, [&] { fit_all(o, settings); });
}
