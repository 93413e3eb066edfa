// An autoencoder without nonlinearities, trained by squared error, finds the principal components:
// its decoder spans what the leading eigenvectors of the covariance span. Baldi and Hornik, "Neural
// Networks and Principal Component Analysis", 1989.
//
//     linear_autoencoder_is_pca               10 units, tied and untied
//     linear_autoencoder_is_pca --code 30 --epochs 5000
//
// Writes: bases.png; *_parameters.npz, which --resume goes on from.
//
// Expect: all principal angles between the two below 0.001, and the same squared error. The units
// are not the components themselves, which bases.png shows: any basis of the same span is as good.
// Takes a few minutes.
#include <cmath>
#include <filesystem>

#include "common/figures.hpp"

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

/// The parameters, and the iterations that were made for them, in a file of the output folder.
class Saved {
 public:
  Saved(const Options& o, const std::string& name, std::vector<Shared> params)
      : path_(o.output + "/" + name + "_parameters.npz"), params_(std::move(params)) {}
  /// Sets the parameters to what was saved, if anything was; the iterations then.
  std::int64_t restore() {
    if (!std::filesystem::exists(path_)) return 0;
    const Arrays saved = read_npz(path_);
    const auto made = saved.find("iterations");
    if (made == saved.end() || made->second.dtype() != DType::int64 || made->second.size() != 1)
      throw FileError(path_ + ": does not say how many iterations were made");
    if (saved.contains("0")) {  // An earlier version numbered them.
      for (std::size_t k = 0; k < params_.size(); ++k)
        if (!params_[k].takes(saved.at(text(k))))
          throw FileError(path_ + ": does not hold this model's parameters");
      for (std::size_t k = 0; k < params_.size(); ++k) params_[k].set(saved.at(text(k)));
    } else {
      load(params_, path_, {.ignore_others = true});
    }
    return made->second.data<std::int64_t>()[0];
  }
  void save(std::int64_t iterations) const {
    std::vector<std::pair<std::string, Tensor>> all{{"iterations", Tensor(iterations)}};
    const std::vector<std::string> names = names_in_files("linear_autoencoder_is_pca", params_);
    for (std::size_t k = 0; k < params_.size(); ++k) all.emplace_back(names[k], params_[k].get());
    write_npz(path_, all);
  }

 private:
  std::string path_;
  std::vector<Shared> params_;
};

/// Minimises, over all of these images at once, the mean over the rows of x, until no element of
/// the gradient is above `tolerance`; returns the iterations. A run that resumes goes on from the
/// parameters of the one before.
std::int64_t minimise(const Expr& cost, const Expr& x, const Tensor& images,
                      const std::vector<Shared>& params, const std::string& name, double tolerance,
                      const Options& o) {
  Saved saved(o, name, params);
  const std::int64_t before = o.resume ? saved.restore() : 0;
  const auto report = [&](const MinimiseReport& now) {
    if (o.quiet || (now.iteration > 10 && now.iteration % 100 != 0)) return;
    std::printf("iteration %lld  cost %.9g  gradient %.2g\n",
                static_cast<long long>(before + now.iteration), now.value, now.gradient);
    std::fflush(stdout);
  };
  const MinimiseResult found =
      lbfgs(value_and_gradient(cost, params, {x}), params, {images},
            {.iterations = std::max<std::int64_t>(o.epochs - before, 0),
             .gradient_tolerance = tolerance,
             .after_iteration = report,
             .out = o.quiet ? nullptr : stdout,
             .after_interrupt = AfterInterrupt::give_back,
             .save = [&](const MinimiseReport& now) { saved.save(before + now.iteration); },
             .distribute = o.ranks ? in_parts(o.ranks) : Evaluator()});
  if (found.stopped == MinimiseResult::Stopped::interrupted) throw Interrupted();
  if (o.writes()) saved.save(before + found.iterations);
  return before + found.iterations;
}

void compare(const Options& o, const Settings& settings) {
  const DataSets data = load(o);
  const std::int64_t n = data.pixels(), k = settings.code, images = data.training.images.shape()[0];
  if (k >= std::min(n, images))
    throw ValueError(text("--code ", k, ": must be less than the number of pixels, ", n,
                          ", and of images, ", images));
  expect(o, "principal angles below 0.001, and the squared error of PCA");
  if (o.record) o.record->keep();
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
    const Expr cost = reconstruction_cost(model, x, squared_error);
    const std::string name = tied ? "tied" : "untied";
    const std::int64_t iterations = minimise(cost, x, X.get(), model.params(), name, tolerance, o);
    const Expr decoder = model.decoder.layers[0].W;  // (k, n)
    const Tensor angles = evaluate(principal_angles(transpose(decoder), P));
    results.add(name + ", squared error an image",
                number(evaluate(cost, {{x, X.get()}}).item(), 9));
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
  show(o, "bases",
       Picture{.title = "Bases of one span, each vector on a scale of its own",
               .image = tile_images(evaluate(concatenate(bases, 0)), tiling),
               .rows = {"PCA", "tied", "untied"},
               .black = "least",
               .white = "largest"},
       "Principal components by falling variance, and the rows of the decoders' weights.");
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
  add_options(app, o, {"--batch", "--rate", "--log-format"});
  app.add_option("--code", settings.code, "Units of the code")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{100000}))
      ->capture_default_str();
  return run("linear_autoencoder_is_pca", app, argc, argv, o, [&] { compare(o, settings); });
}
