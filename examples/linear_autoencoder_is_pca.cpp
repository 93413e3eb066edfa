// An autoencoder without nonlinearities, trained by squared error, finds the principal components:
// its decoder spans what the leading eigenvectors of the covariance span. Baldi and Hornik, "Neural
// Networks and Principal Component Analysis", 1989.
//
//     linear_autoencoder_is_pca               10 units, tied and untied
//     linear_autoencoder_is_pca --code 30 --epochs 5000
//
// Expect: all principal angles between the two below 0.001, and the same squared error. The units
// are not the components themselves, which bases.png shows: any basis of the same span is as good.
#include <cmath>

#include "common/common.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

struct Settings {
  std::int64_t code = 10;
};

/// The angles between the span of A's columns and that of P's, which are orthonormal: largest
/// first. By their sines: cosines of small angles round to 1.
Expr principal_angles(const Expr& A, const Expr& P) {
  const Expr Q = svd(A).U;
  return arcsin(minimum(1, singular_values(Q - dot(P, dot(transpose(P), Q)))));
}

struct Interrupted {};

/// Minimises over all images at once, until no element of the gradient is above `tolerance`;
/// returns the iterations.
std::int64_t minimise(const Expr& cost, const std::vector<Shared>& params, double tolerance,
                      const Options& o) {
  const Interruption interruption;
  std::int64_t made = 0;
  const auto report = [&](const MinimiseReport& now) {
    made = now.iteration;
    if (!o.quiet && (made <= 10 || made % 100 == 0)) {
      std::printf("iteration %lld  cost %.9g  gradient %.2g\n", static_cast<long long>(made),
                  now.value, now.gradient);
      std::fflush(stdout);
    }
    if (interruption.asked()) throw Interrupted();
  };
  try {
    lbfgs(cost, params,
          {.iterations = o.epochs, .gradient_tolerance = tolerance, .after_iteration = report});
  } catch (const Interrupted&) {
    // The parameters hold the best point so far.
  }
  return made;
}

void compare(const Options& o, const Settings& settings) {
  const DataSets data = load(o);
  const std::int64_t n = data.pixels(), k = settings.code, images = data.training.images.shape()[0];
  if (k >= std::min(n, images))
    throw ValueError(text("--code ", k, ": must be less than the number of pixels, ", n,
                          ", and of images, ", images));
  expect(o, "principal angles below 0.001, and the squared error of PCA");
  Results results(o, text("Linear autoencoder and PCA, ", k, " units"));

  const Expr x = matrix("x", o.type());
  const Shared X(evaluate(x - mean(x, 0), {{x, data.training.images}}), "X");  // Centred.
  const Eigh pca = eigh(dot(transpose(X), X) / static_cast<double>(images));   // Ascending.
  const Tensor values = evaluate(pca.values);
  const Shared P(evaluate(reverse(slice_from(pca.vectors, n - k, 1), 1)), "P");
  double rest = 0;  // What the leading components leave of the variance.
  for (std::int64_t i = 0; i < n - k; ++i) rest += values.at(i);
  results.add("PCA, squared error an image", number(rest, 9));
  results.add("eigenvalues at the cut",
              number(values.at(n - k), 5) + ", " + number(values.at(n - k - 1), 5));

  // Near the minimum an angle is about the gradient over the gap between these two.
  const double tolerance = std::max(1e-4 * (values.at(n - k) - values.at(n - k - 1)), 1e-9);

  std::vector<Expr> bases{transpose(P)};
  for (const bool tied : {true, false}) {
    RandomState random(o.seed);
    const Autoencoder model = autoencoder(
        {n, k}, random, {.tied = tied, .hidden = linear, .output = linear, .dtype = o.type()});
    const Expr cost = reconstruction_cost(model, X, squared_error);
    const std::int64_t iterations = minimise(cost, model.params(), tolerance, o);
    const Expr decoder = model.decoder.layers[0].W;  // (k, n)
    const Tensor angles = evaluate(principal_angles(transpose(decoder), P));
    const std::string name = tied ? "tied" : "untied";
    results.add(name + ", squared error an image", number(evaluate(cost).item(), 9));
    results.add(name + ", largest principal angle", number(angles.at(0), 3));
    results.add(name + ", smallest principal angle", number(angles.at(k - 1), 3));
    results.add(name + ", iterations of L-BFGS", text(iterations));
    bases.push_back(decoder);
  }

  // PCA, tied, untied: a row each.
  Tiling tiling = data.tiling();
  tiling.grid_rows = 3;
  tiling.grid_columns = std::min<std::int64_t>(k, 10);
  for (Expr& basis : bases) basis = slice(basis, 0, tiling.grid_columns);
  write_png(o.output + "/bases.png", tile_images(evaluate(concatenate(bases, 0)), tiling));
  results.write();
}

}  // namespace

int main(int argc, char** argv) {
  Options o{.output = "out/linear_autoencoder_is_pca",
            .images = 5000,
            .epochs = 3000,
            .batch = 1,
            .dtype = "float64"};
  Settings settings;
  CLI::App app{"A linear autoencoder against principal component analysis.\n"};
  // L-BFGS takes all images at once and chooses its steps; one takes little more than an epoch.
  add_options(app, o, {"--batch", "--rate", "--resume"});
  app.add_option("--code", settings.code, "Units of the code")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{100000}))
      ->capture_default_str();
  return run("linear_autoencoder_is_pca", app, argc, argv, o, [&] { compare(o, settings); });
}
