// What penalties on a decoder's geometry do to a plane of codes. Each picture shows the codes of
// test images and, on a grid among them, ellipses: the steps that a code may make for the decoded
// image to change equally much. Where they are circles of one size, distances on the map are
// distances between images.
//
//     plain           reconstruction error alone
//     isometric       lengths, at mixed codes: Lee et al., ICLR 2022
//     conformal       angles
//     geometric       volumes: Nazari et al., ICML 2023
//     flat            curvature: Lee and Park, 2023
//     topological     distances that hold the images together: Moor et al., ICML 2020
//     neighbours      the decoder's expansion reconstructs nearby images: Lee et al., NeurIPS 2021
//
//     latent_geometry                               all, Fashion-MNIST from Debian's package
//     latent_geometry --kinds plain,isometric --epochs 30
//
// Writes: plane_*.png; *_log.csv, *_parameters.npz, *_checkpoint.npz.
//
// Expect: isometric and conformal codes with round ellipses, the first nearly of one size too;
// geometric ones with ellipses of one area; less curvature where it is penalised. Each costs a
// little reconstruction; topological codes gain some. Takes half a minute.
#include <cmath>
#include <limits>
#include <numbers>

#include "common/figures.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

const std::vector<std::string> all_kinds{"plain", "isometric",   "conformal", "geometric",
                                         "flat",  "topological", "neighbours"};

struct Settings {
  std::vector<std::string> kinds = all_kinds;
  std::int64_t hidden = 128, grid = 12;
  double strength = 1;
};

/// The penalty of a kind, with a weight that suits images of 784 pixels, whose error is about 30.
Expr penalty(const std::string& kind, const Autoencoder& m, const Expr& x, const Expr& h,
             RandomStreams& random) {
  const Expr code = mixed_codes(h, 0.2, random), z = m.decode(code);
  if (kind == "isometric") return 5 * scaled_isometry_error(z, code);
  if (kind == "conformal") return 5 * mean(conformal_error(z, code));
  if (kind == "geometric") return 2 * volume_variance(z, code);
  if (kind == "flat") return 100 * mean(curvature_estimate(z, code, random));
  if (kind == "topological") return 0.01 * topological_error(x, h);
  const Expr near = nearest_examples(x, 3);
  return 0.1 * mean(neighbourhood_error(x, m.decode(h), h, near));
}

/// Ellipses v'G v = size^2 around each of the codes.
Curve ellipses(const Tensor& codes, const Tensor& G, double size) {
  Curve result{.name = "as far in the images"};
  constexpr int corners = 24;
  for (std::int64_t i = 0; i < codes.shape()[0]; ++i) {
    // L'v runs round a circle for G = L L'.
    const double a = std::sqrt(G(i, 0, 0)), b = G(i, 1, 0) / a,
                 c = std::sqrt(std::max(G(i, 1, 1) - b * b, 0.0));
    for (int k = 0; k <= corners; ++k) {
      const double angle = 2 * std::numbers::pi * k / corners, second = size * std::sin(angle) / c;
      result.xs.push_back(codes(i, 0) + (size * std::cos(angle) - b * second) / a);
      result.ys.push_back(codes(i, 1) + second);
    }
    for (std::vector<double>* gap : {&result.xs, &result.ys})
      gap->push_back(std::numeric_limits<double>::quiet_NaN());
  }
  return result;
}

/// Those points of a grid over all codes that have codes near them.
Tensor inhabited(const Tensor& codes, std::int64_t side) {
  double low[2], high[2];
  for (const std::int64_t k : {0, 1}) {
    low[k] = high[k] = codes(0, k);
    for (std::int64_t i = 1; i < codes.shape()[0]; ++i) {
      low[k] = std::min(low[k], codes(i, k));
      high[k] = std::max(high[k], codes(i, k));
    }
  }
  const auto place = [&](std::int64_t k, std::int64_t cell) {
    return low[k] +
           (high[k] - low[k]) * (static_cast<double>(cell) + 0.5) / static_cast<double>(side);
  };
  std::vector<double> result;
  for (std::int64_t row = 0; row < side; ++row) {
    for (std::int64_t column = 0; column < side; ++column) {
      bool any = false;
      for (std::int64_t i = 0; i < codes.shape()[0] && !any; ++i) {
        any = std::abs(codes(i, 0) - place(0, column)) * static_cast<double>(side) <
                  (high[0] - low[0]) / 2 &&
              std::abs(codes(i, 1) - place(1, row)) * static_cast<double>(side) <
                  (high[1] - low[1]) / 2;
      }
      if (!any) continue;
      result.push_back(place(0, column));
      result.push_back(place(1, row));
    }
  }
  return Tensor::from<double>({static_cast<std::int64_t>(result.size()) / 2, 2}, result)
      .cast(codes.dtype());
}

void fit(const std::string& kind, const DataSets& data, const Settings& s, const Options& o,
         Results& results) {
  RandomState initial(o.seed);
  RandomStreams random(o.seed);
  const Autoencoder m = autoencoder(
      {data.pixels(), s.hidden, s.hidden, 2}, initial,
      {.tied = false, .hidden = tanh, .code = linear, .output = linear, .dtype = o.type()});
  const Expr x = matrix("x", o.type()), h = m.encode(x);
  const Expr error = mean(squared_error(x, m.decode(h)));
  const Expr cost = kind == "plain" ? error : error + s.strength * penalty(kind, m, x, h, random);
  const Shared step = step_counter();
  Updates updates = adam(m.params(), clip_by_global_norm(grad(cost, m.params()), 10),
                         falling_rate(step, o.rate, o, data.training.images.shape()[0]));
  updates.push_back(advance(step));
  if (!o.quiet) std::printf("%s\n", kind.c_str());
  TrainOptions t = o.training(kind + "_");
  t.step = function({.inputs = {x}, .outputs = {cost, error}, .updates = updates, .name = kind});
  t.data = {&data.training.images};
  t.names = {"cost", "error"};
  t.shuffle = o.seed;
  t.drop_last = true;
  const TrainResult trained = train_to_end(t);

  // All is measured at the codes of test images.
  const Expr code = matrix("code", o.type()), z = m.decode(code);
  const Tensor images = first(data.test, 500).images, codes = evaluate(h, {{x, images}});
  const Expr G = metric(z, code);
  const auto measured =
      function({code}, {scaled_isometry_error(z, code), volume_variance(z, code),
                        mean(curvature(z, code)), mean(conformal_error(z, code))})({codes});
  results.add(kind + ", test error an image", number(mean_of(error, x, data.test.images)));
  results.add(kind + ", distortion of lengths (1: none)", number(measured[0].item()));
  results.add(kind + ", distortion of angles (0: none)", number(measured[3].item()));
  results.add(kind + ", sd of the log volume", number(std::sqrt(measured[1].item()) / 2));
  results.add(kind + ", curvature", number(measured[2].item()));
  results.add(kind + ", seconds", number(trained.state.seconds, 3));

  const Tensor centres = inhabited(codes, s.grid);
  const Tensor at_centres = evaluate(G, {{code, centres}});
  // So large that a typical one fills its place on the grid.
  double area = 0;
  for (std::int64_t i = 0; i < centres.shape()[0]; ++i)
    area += std::log(std::max(at_centres(i, 0, 0) * at_centres(i, 1, 1) -
                                  at_centres(i, 1, 0) * at_centres(i, 1, 0),
                              1e-30)) /
            static_cast<double>(centres.shape()[0]);
  double extent[2];
  for (const std::int64_t k : {0, 1}) {
    const Tensor range = evaluate(max(constant(codes), 0) - min(constant(codes), 0));
    extent[k] = range.at(k) / static_cast<double>(s.grid);
  }
  const double size = 0.4 * std::sqrt(extent[0] * extent[1]) * std::exp(area / 4);
  Curve points{.name = "codes of test images", .mark = Mark::points};
  for (std::int64_t i = 0; i < std::min<std::int64_t>(codes.shape()[0], 300); ++i) {
    points.xs.push_back(codes(i, 0));
    points.ys.push_back(codes(i, 1));
  }
  Plot plot{"Metric of the decoder: " + kind,
            "first number of the code",
            {ellipses(centres, at_centres, size), points},
            {"second number of the code"}};
  plot.equal_axes = true;
  show(o, "plane_" + kind, plot,
       text("Each ellipse holds the codes whose images are within ", number(size, 2),
            " of that of its centre, to first order."));
  examine(o, kind, t.step, cost, m.params(), {{x, first(data.test, 20).images}});
}

void fit_all(const Options& o, const Settings& s) {
  if (o.batch < 5)
    throw ValueError(text("--batch ", o.batch, ": 5 images at least have neighbours"));
  const DataSets data = load(o);
  if (data.training.images.shape()[0] < o.batch)
    throw ValueError(
        text("--batch ", o.batch, ": there are only ", data.training.images.shape()[0], " images"));
  expect(o, "rounder ellipses, or such of one size, for a little more error");
  Results results(o, "Geometry of codes");
  for (const std::string& kind : s.kinds) fit(kind, data, s, o, results);
  results.write();
}

}  // namespace

int main(int argc, char** argv) {
  Options o{
      .output = "out/latent_geometry", .images = 10000, .epochs = 10, .batch = 100, .rate = 0.002};
  Settings s;
  CLI::App app{"Autoencoders of two numbers whose decoders keep lengths, angles or volumes.\n"};
  add_options(app, o);
  app.add_option("--kinds", s.kinds, "Which, one after the other: plain, isometric, ...")
      ->delimiter(',')
      ->check(CLI::IsMember(all_kinds))
      ->capture_default_str();
  app.add_option("--hidden", s.hidden, "Units of each of the two hidden layers")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{100000}))
      ->capture_default_str();
  app.add_option("--grid", s.grid, "Ellipses along each side, where there are codes")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{100}))
      ->capture_default_str();
  app.add_option("--strength", s.strength, "A factor of all penalties")
      ->check(not_negative())
      ->capture_default_str();
  return run("latent_geometry", app, argc, argv, o, [&] { fit_all(o, s); });
}
