// Thirty numbers for an image: a deep autoencoder, pretrained layer by layer and then trained as a
// whole, beside what PCA keeps in as many.
//
//     hinton_deep_autoencoder                  Fashion-MNIST from Debian's package
//     hinton_deep_autoencoder --data MNIST     squared error an image: PCA 13.87, Hinton and
//                                              Salakhutdinov, Science 2006: 3.00
//
// Expect: the deep code's error is less than a third of PCA's, and reconstructions.png shows the
// difference: test images, from the deep code, from PCA's.
#include <algorithm>

#include "common/common.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

struct Settings {
  std::vector<std::int64_t> hidden{1000, 500, 250, 30};
  std::int64_t pretraining_epochs = 3;
  std::string loss = "cross_entropy";
};

/// The mean squared error of PCA with `count` numbers, and its reconstructions of `test`.
std::pair<double, Tensor> pca(const Tensor& training, const Tensor& test, std::int64_t count) {
  const Expr x = dmatrix("x"), t = dmatrix("t");
  const Expr centre = mean(x, {0});
  const Expr moved = x - centre;
  const Expr covariance = dot(transpose(moved), moved) / size(x, 0);
  const Expr axes = eigh(covariance).vectors;  // In columns, the largest variance last.
  const Expr kept = slice_from(axes, size(x, 1) - count, 1);
  const Expr z = dot(dot(t - centre, kept), transpose(kept)) + centre;
  const Function f = function({x, t}, {mean(sum(square(t - z), 1)), z});
  const auto result = f({training.cast(DType::float64), test.cast(DType::float64)});
  return {result[0].item(), result[1]};
}

void fit(const Options& o, const Settings& settings) {
  const DataSets data = load(o, 255);
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
  Shared input(data.training.images, "input");
  const Expr x = matrix("x", o.type());
  for (std::size_t k = 0; k < stack.size(); ++k) {
    const Expr cost = reconstruction_cost(stack[k], x, cross_entropy);
    TrainOptions t = o.training(text("layer", k + 1, "_"));
    t.step = function(
        {.inputs = {x}, .outputs = {cost}, .updates = adam(cost, stack[k].params(), 1e-3)});
    const Tensor& before = input.value();
    t.data = {&before};
    t.names = {"reconstruction"};
    t.epochs = settings.pretraining_epochs;
    t.shuffle = o.seed;
    if (!o.quiet) std::printf("layer %zu\n", k + 1);
    seconds += train_to_end(t).state.seconds;
    if (k + 1 < stack.size()) input = Shared(codes(stack[k].encoder, input), "codes");
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
  t.shuffle = o.seed;
  if (!o.quiet) std::printf("all layers\n");
  seconds += train_to_end(t).state.seconds;

  const auto [pca_error, pca_images] =
      pca(data.training.images, data.test.images, settings.hidden.back());
  const Tensor z_test = evaluate(z, {{x, data.test.images}});
  const auto error_on = [&](const Examples& set) {
    return number(mean_over(t.validate, {&set.images})[0]);
  };
  Results results(o, text("A code of ", settings.hidden.back(), " numbers"), data.mnist);
  results.add("squared error of a test image, deep autoencoder", error_on(data.test), "3.00");
  results.add("squared error of a test image, PCA", number(pca_error), "13.87");
  results.add("squared error of a training image, deep autoencoder", error_on(data.training));
  results.add("minutes", number(seconds / 60, 3));

  // Ten images in three rows.
  const std::int64_t shown = std::min<std::int64_t>(10, data.test.images.shape()[0]);
  Tensor rows(DType::float64, {3 * shown, data.pixels()});
  const Tensor first = data.test.images.cast(DType::float64),
               deep_ones = z_test.cast(DType::float64);
  for (std::int64_t k = 0; k < shown * data.pixels(); ++k) {
    const auto at = static_cast<std::size_t>(k),
               row = static_cast<std::size_t>(shown * data.pixels());
    rows.data<double>()[at] = first.at(k);
    rows.data<double>()[row + at] = deep_ones.at(k);
    rows.data<double>()[2 * row + at] = pca_images.at(k);
  }
  Tiling tiling = data.tiling();
  tiling.grid_rows = 3;
  tiling.grid_columns = shown;
  tiling.range = GreyRange{};
  write_png(o.output + "/reconstructions.png", tile_images(rows, tiling));
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
