// Thirty numbers for an image: a deep autoencoder, pretrained layer by layer and then trained as a
// whole, beside what PCA keeps in as many.
//
//     hinton_deep_autoencoder                  Fashion-MNIST from Debian's package
//     hinton_deep_autoencoder --data MNIST     squared error an image: PCA 13.87, Hinton and
//                                              Salakhutdinov, Science 2006: 3.00
//
// Writes: reconstructions.png.
//
// Expect: the deep code's error is less than a third of PCA's, and reconstructions.png shows the
// difference: test images, from the deep code, from PCA's. Takes three minutes on two processors.
#include <algorithm>

#include "common/figures.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

struct Settings {
  std::vector<std::int64_t> hidden{1000, 500, 250, 30};
  std::int64_t pretraining_epochs = 3;
  std::string loss = "cross_entropy";
};

/// The mean squared error of PCA with `count` numbers on `test`, and its reconstructions of the
/// first ten. In float64, a minibatch at a time.
std::pair<double, Tensor> pca(const Tensor& training, const Examples& test, std::int64_t count) {
  const std::int64_t pixels = training.shape()[1];
  const Shared total(Tensor(DType::float64, {pixels})),
      products(Tensor(DType::float64, {pixels, pixels}));
  const Expr x = matrix("x", training.dtype()), wide = cast(x, DType::float64);
  const Function add = function({.inputs = {x},
                                 .updates = {{total, total + sum(wide, 0)},
                                             {products, products + dot(transpose(wide), wide)}}});
  Minibatches batches("pca", {&training}, 1000);
  std::vector<Tensor> none;
  for (std::int64_t k = 0; k < batches.count(); ++k) add.call(batches.get(k), none);

  const auto rows = static_cast<double>(training.shape()[0]);
  const Shared centre(evaluate(total / rows));
  const Expr covariance =
      products / rows - dot(reshape(centre, {pixels, 1}), reshape(centre, {1, pixels}));
  // In columns, the largest variance last.
  const Shared kept(evaluate(slice_from(eigh(covariance).vectors, pixels - count, 1)));
  const Expr z = dot(dot(wide - centre, kept), transpose(kept)) + centre;
  return {mean_of(mean(sum(square(wide - z), 1)), x, test.images),
          evaluate(z, {{x, first(test, 10).images}})};
}

void fit(const Options& o, const Settings& settings) {
  const DataSets data = load(o, 255);
  expect(o, "the deep code's error is less than a third of PCA's");
  RandomState random(o.seed);
  std::vector<std::int64_t> sizes{data.pixels()};
  sizes.insert(sizes.end(), settings.hidden.begin(), settings.hidden.end());
  // Sigmoid units everywhere but in the code, which is linear.
  std::vector<Autoencoder> stack;
  for (std::size_t k = 0; k + 1 < sizes.size(); ++k) {
    const bool last = k + 2 == sizes.size();
    stack.push_back(autoencoder({sizes[k], sizes[k + 1]}, random,
                                {.hidden = last ? Activation(linear) : Activation(sigmoid),
                                 .dtype = o.type(),
                                 .label = text(k + 1, ".")}));
  }

  // Each layer alone, on the codes of those before.
  double seconds = 0;
  const Tensor* input = &data.training.images;
  Tensor codes_before;
  const Expr x = matrix("x", o.type());
  for (std::size_t k = 0; k < stack.size(); ++k) {
    const Expr cost = reconstruction_cost(stack[k], x, cross_entropy);
    TrainOptions t = o.training(text("layer", k + 1, "_"));
    t.step = function(
        {.inputs = {x}, .outputs = {cost}, .updates = adam(cost, stack[k].params(), 1e-3)});
    t.data = {input};
    t.names = {"reconstruction"};
    t.epochs = settings.pretraining_epochs;
    t.shuffle = o.seed;
    if (!o.quiet) std::printf("layer %zu\n", k + 1);
    seconds += train_to_end(t).state.seconds;
    if (k + 1 == stack.size()) break;
    codes_before = codes(stack[k].encoder, *input);
    input = &codes_before;
  }

  // All of it, weights tied, as one autoencoder.
  const Autoencoder model = unrolled(stack);
  const Expr z = model.reconstruct(x);
  const Expr error = mean(squared_error(x, z));
  const Expr cost = settings.loss == "squared_error" ? error : mean(cross_entropy(x, z));
  const Shared step = step_counter();
  Updates updates =
      adam(cost, model.params(), falling_rate(step, o.rate, o, data.training.images.shape()[0]));
  updates.push_back(advance(step));
  TrainOptions t = o.training("whole_");
  t.step = function({.inputs = {x}, .outputs = {cost, error}, .updates = updates, .name = "step"});
  t.validate = function({.inputs = {x}, .outputs = {error}});
  t.data = {&data.training.images};
  t.validation_data = {&data.validation.images};
  t.names = {"cost", "squared error"};
  t.validation_names = {"validation squared error"};
  t.shuffle = o.seed;
  if (!o.quiet) std::printf("all layers\n");
  seconds += train_to_end(t).state.seconds;

  const auto [pca_error, pca_images] = pca(data.training.images, data.test, settings.hidden.back());
  const Tensor shown_images = first(data.test, 10).images;
  const auto error_on = [&](const Examples& set) {
    return number(mean_over(t.validate, {&set.images})[0]);
  };
  Results results(o, text("A code of ", settings.hidden.back(), " numbers"), data.mnist);
  results.add("squared error of a test image, deep autoencoder", error_on(data.test), "3.00");
  results.add("squared error of a test image, PCA", number(pca_error), "13.87");
  results.add("squared error of a training image, deep autoencoder", error_on(data.training));
  results.add("minutes", number(seconds / 60, 3));

  show(o, "reconstructions",
       image_rows({{"original", shown_images},
                   {"autoencoder", evaluate(z, {{x, shown_images}})},
                   {"PCA", pca_images}},
                  data.tiling()),
       text("Test images, from codes of ", settings.hidden.back(), " numbers."));
  examine(o, "all layers", t.step, cost, model.params(), {{x, shown_images}});
  results.write();
}

}  // namespace

int main(int argc, char** argv) {
  Options o{.output = "out/hinton_deep_autoencoder", .epochs = 30, .batch = 100, .rate = 2e-3};
  Settings s;
  CLI::App app{"A deep autoencoder with a code of 30 numbers, beside PCA.\n"};
  add_options(app, o);
  app.add_option("--hidden", s.hidden, "Units of each layer, the code last")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000}))
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--pretraining-epochs", s.pretraining_epochs, "For each layer")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1000000}))
      ->capture_default_str();
  app.add_option("--loss", s.loss, "Of the whole network")
      ->check(CLI::IsMember({"cross_entropy", "squared_error"}))
      ->capture_default_str();
  return run("hinton_deep_autoencoder", app, argc, argv, o, [&] {
    if (s.hidden.back() > 10000) throw ValueError("--hidden: a code of more than 10,000 numbers");
    fit(o, s);
  });
}
