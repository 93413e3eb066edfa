// What codes are good for: a linear classifier on pixels, on codes that autoencoders have learned
// without labels, and on both; and what an autoencoder makes of inputs that are no images.
//
//     probe: -log p[label] of softmax(f V + d), f = x, h(x) or (x, h(x)); only V and d are trained
//
//     features_for_classification                  Fashion-MNIST from Debian's package
//     features_for_classification --units 500      without the larger codes
//
// Writes: no pictures; the figures are in results.md.
//
// Expect: learned codes beat pixels, and codes of weights as they were drawn hardly do; on MNIST
// noise, sparsity and contraction make them better. More units than pixels do no harm, although
// such a code could just copy its input. Of the test images' variance some tenth is lost, of inputs
// that are no images most or all. Takes two minutes; much
// less with --units 500.
#include "common/figures.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

struct Settings {
  std::vector<std::int64_t> units{500, 1000, 2000};
  std::int64_t probe_epochs = 20;
  double lambda = 0.1, masked = 0.3, sparsity = 0.1, weight = 1;
};

struct Features {
  Tensor training, validation, test;
};

enum class Kind { untrained, plain, denoising, sparse, contractive };
constexpr const char* names[] = {"untrained", "AE", "DAE", "sparse AE", "CAE"};

Autoencoder learn(const Options& o, const Settings& s, const DataSets& data, Kind kind,
                  std::int64_t units) {
  RandomState random(o.seed);
  RandomStreams noise(o.seed);
  const Autoencoder model = autoencoder({data.pixels(), units}, random, {.dtype = o.type()});
  if (kind == Kind::untrained) return model;
  const Expr x = matrix("x", o.type());
  const Expr seen = kind == Kind::denoising ? masking(x, s.masked, noise).x : x;
  Expr cost = denoising_cost(model, x, seen, cross_entropy);
  if (kind == Kind::sparse) cost = cost + s.weight * sparse_kl(model.encode(x), s.sparsity);
  if (kind == Kind::contractive) {
    cost = cost + s.lambda * mean(jacobian_norm2(model.encoder.layers[0], x));
  }
  const std::string name = names[static_cast<int>(kind)];
  if (!o.quiet) std::printf("-- %s, %lld units\n", name.c_str(), static_cast<long long>(units));
  TrainOptions t = o.training(text(name == "sparse AE" ? "sparse" : name, "_", units, "_"));
  t.step =
      function({.inputs = {x}, .outputs = {cost}, .updates = adam(cost, model.params(), o.rate)});
  t.data = {&data.training.images};
  t.names = {"cost"};
  train_to_end(t);
  examine(o, text(name, ", ", units, " units"), t.step, cost, model.params(),
          {{x, first(data.validation, 20).images}});
  return model;
}

Features codes_of(const Autoencoder& model, const DataSets& data) {
  const auto of = [&](const Examples& e) { return codes(model.encoder, e.images); };
  return {of(data.training), of(data.validation), of(data.test)};
}

/// The error on test images of the linear classifier that was best on validation images.
double probe(const Options& o, const Settings& s, const DataSets& data, const Tensor& training,
             const Tensor& validation, const Tensor& test) {
  const Layer top = logistic_regression(training.shape()[1], data.classes(), o.type());
  const Expr f = matrix("f", o.type()), labels = lvector("labels");
  const Expr cost = classification_cost(labels, top(f)), error = error_rate(labels, top(f));
  TrainOptions t;
  t.distribute = o.ranks;
  t.epochs = s.probe_epochs;
  t.batch = o.batch;
  t.out = nullptr;
  t.step = function(
      {.inputs = {f, labels}, .outputs = {cost}, .updates = adam(cost, top.params(), 0.001)});
  t.validate = function({f, labels}, {error});
  t.data = {&training, &data.training.labels};
  t.validation_data = {&validation, &data.validation.labels};
  t.validation_batch = 1000;
  t.params = top.params();
  t.restore_best = true;
  train_to_end(t);
  return evaluate(error, {{f, test}, {labels, data.test.labels}}).item();
}
double probe(const Options& o, const Settings& s, const DataSets& data, const Features& f) {
  return probe(o, s, data, f.training, f.validation, f.test);
}

/// Squared error of reconstruction, as a share of the inputs' variance: 100 % is no better than to
/// answer with their mean.
std::string lost(const Autoencoder& model, const Tensor& inputs) {
  const Expr x = matrix("x", inputs.dtype());
  const Expr error = mean(square(x - model.reconstruct(x))), variance = mean(var(x, 0));
  return percent(evaluate(error / variance, {{x, inputs}}).item());
}

/// Each pixel from an image of its own: grey values as the images have them, and nothing else.
Tensor shuffled_pixels(const Tensor& images, RandomState& random) {
  const std::int64_t count = images.shape()[0], pixels = images.shape()[1];
  const Tensor from = random.randint(0, count, {count, pixels});
  const Expr flat =
      take(constant(images.reshaped({count * pixels})), constant(from) * pixels + arange(pixels));
  return evaluate(flat);
}

void compare(const Options& o, const Settings& s) {
  expect(o, "learned codes beat pixels; images are reconstructed, noise is not");
  const DataSets data = load(o);
  Results results(o, "Features for classification");
  const Features pixels{data.training.images, data.validation.images, data.test.images};
  results.add("probe on pixels", percent(probe(o, s, data, pixels)));
  RandomState random(o.seed + 1);
  const Tensor& images = data.test.images;
  const Tensor shuffled = shuffled_pixels(images, random),
               uniform = random.uniform(0, 1, images.shape(), o.type());
  for (const std::int64_t units : s.units) {
    for (const Kind kind :
         {Kind::untrained, Kind::plain, Kind::denoising, Kind::sparse, Kind::contractive}) {
      const bool first = units == s.units.front();
      if (!first && kind != Kind::untrained && kind != Kind::plain) continue;
      const Autoencoder model = learn(o, s, data, kind, units);
      const std::string name = text(names[static_cast<int>(kind)], ", ", units, " units");
      Features f = codes_of(model, data);
      results.add(name + ": probe on codes", percent(probe(o, s, data, f)));
      if (!first || kind == Kind::untrained) continue;
      const Expr a = matrix("a", o.type()), b = matrix("b", o.type());
      const auto both = [&](const Tensor& x, Tensor& h) {
        h = evaluate(concatenate({a, b}, 1), {{a, x}, {b, h}});
      };
      both(pixels.training, f.training);
      both(pixels.validation, f.validation);
      both(pixels.test, f.test);
      results.add(name + ": probe on pixels and codes", percent(probe(o, s, data, f)));
      results.add(name + ": variance lost of test images", lost(model, images));
      results.add(name + ": of shuffled pixels", lost(model, shuffled));
      results.add(name + ": of uniform noise", lost(model, uniform));
    }
  }
  results.write();
}

}  // namespace

int main(int argc, char** argv) {
  Options o{.output = "out/features", .epochs = 3, .batch = 100, .rate = 0.001};
  Settings s;
  CLI::App app{"Linear classifiers on pixels and on learned codes.\n"};
  add_options(app, o);
  app.add_option("--units", s.units, "Sizes of codes; all kinds are compared at the first")
      ->delimiter(',')
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{100000}));
  app.add_option("--probe-epochs", s.probe_epochs, "Passes over the features")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{100000}));
  app.add_option("--lambda", s.lambda, "The CAE's")->check(not_negative());
  app.add_option("--masked", s.masked, "Share of pixels the DAE does not see")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--sparsity", s.sparsity, "The mean of each unit that the sparse AE aims at")
      ->check(CLI::Range(0.001, 0.999));
  app.add_option("--weight", s.weight, "Of the sparse AE's penalty")->check(not_negative());
  for (CLI::Option* option : app.get_options()) option->capture_default_str();
  return run("features_for_classification", app, argc, argv, o, [&] { compare(o, s); });
}
